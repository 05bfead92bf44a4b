//! What the stream of a table tells: each change once, with the item before and after, and nothing else.
//!
//! Source: DynamoDB Developer Guide, "Change data capture for DynamoDB Streams".

use tillstream_app::database::{Change, Condition, Database, DatabaseError, Item, Key, Table, Value, Write};
use tillstream_app::tenancy::TenantScope;

use super::deviations::Deviations;
use super::{put, put_if, update};

/// A change of an item, as the stream of its table tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldChange {
    /// The item before, if it existed.
    pub old: Option<Item>,
    /// The item after, if it exists.
    pub new: Option<Item>,
}

impl ToldChange {
    fn is_of(&self, key: &Key) -> bool {
        let image = self.new.as_ref().or(self.old.as_ref());
        image.is_some_and(|item| Key::of(item).unwrap() == *key)
    }
}

/// Whose streams can be read. Reading blocks the thread: an emulator of this process needs another one.
pub trait TableStreams {
    /// Every change of a table so far: those of a shard in their order. Nothing, of a table without a stream.
    fn told(&self, table: Table) -> Vec<ToldChange>;
}

/// All of it.
pub async fn check_streams(
    database: &dyn Database,
    streams: &dyn TableStreams,
    run: &str,
    deviations: &mut Deviations,
) {
    let scope = |name: &str| TenantScope::from_own_record(&format!("{run}-streams-{name}"));
    changes_are_told_in_order(database, streams, &scope("order")).await;
    parts_of_transactions_and_batches_are_told(database, streams, &scope("many")).await;
    what_did_not_happen_is_not_told(database, streams, &scope("refused")).await;
    what_changes_nothing_is_not_told(database, streams, &scope("same"), deviations).await;
    tables_without_a_stream_tell_nothing(database, streams, &scope("none")).await;
}

/// What was told of one item.
fn told(streams: &dyn TableStreams, table: Table, key: &Key) -> Vec<ToldChange> {
    streams.told(table).into_iter().filter(|change| change.is_of(key)).collect()
}

fn change(old: Option<&Item>, new: Option<&Item>) -> ToldChange {
    ToldChange { old: old.cloned(), new: new.cloned() }
}

/// Made, changed, replaced, deleted and made again: in that order, with every type of value.
async fn changes_are_told_in_order(database: &dyn Database, streams: &dyn TableStreams, scope: &TenantScope) {
    let key = scope.cart("1");
    let map = [("ä".to_owned(), Value::L(vec![Value::N(-1), Value::M(Default::default())]))];
    let made = Item::new(&key)
        .with("text", "grün")
        .with("empty", "")
        .with("n", i64::MIN)
        .with("bytes", vec![0_u8, 255])
        .with("no", false)
        .with("map", Value::M(map.into()));
    database.write(put_if(Table::Orders, made.clone(), Condition::NotExists)).await.unwrap();
    let changes = vec![Change::Set("n", 1.into()), Change::Remove("text"), Change::Add("sum", 2)];
    database.write(update(&key, changes, Some(Condition::Exists))).await.unwrap();
    let mut changed = made.clone().with("n", 1).with("sum", 2);
    changed.0.remove("text");
    let replaced = Item::new(&key).with("only", "this");
    database.write(put(Table::Orders, replaced.clone())).await.unwrap();
    database.write(Write::Delete { table: Table::Orders, key: key.clone(), condition: None }).await.unwrap();
    database.write(update(&key, vec![Change::Add("n", 7)], None)).await.unwrap();
    let again = Item::new(&key).with("n", 7);
    let expected = [
        change(None, Some(&made)),
        change(Some(&made), Some(&changed)),
        change(Some(&changed), Some(&replaced)),
        change(Some(&replaced), None),
        change(None, Some(&again)),
    ];
    assert_eq!(told(streams, Table::Orders, &key), expected);
}

/// Each item that was written is told by the stream of its own table; what was only checked is not.
async fn parts_of_transactions_and_batches_are_told(
    database: &dyn Database,
    streams: &dyn TableStreams,
    scope: &TenantScope,
) {
    let (order, checked, stock) = (scope.cart("1"), scope.cart("2"), scope.stock("l", "s"));
    let before = Item::new(&stock).with("on_hand", 3);
    let hold = |n: usize| Item::new(&scope.hold("l", "s", &n.to_string())).with("q", 1);
    let batch: Vec<Item> = [before.clone()].into_iter().chain((0..30).map(hold)).collect();
    database.put_many(Table::Stock, batch).await.unwrap();
    let made = Item::new(&order).with("status", "open");
    let take = Write::Update {
        table: Table::Stock,
        key: stock.clone(),
        changes: vec![Change::Add("on_hand", -1)],
        condition: Some(Condition::Ge("on_hand", 1.into())),
    };
    let check = Write::Check { table: Table::Orders, key: checked.clone(), condition: Condition::NotExists };
    let gone = Write::Delete { table: Table::Stock, key: scope.hold("l", "s", "7"), condition: None };
    let transaction = || vec![put(Table::Orders, made.clone()), take.clone(), check.clone(), gone.clone()];
    database.transact(transaction()).await.unwrap();
    // Its answer was lost, say: the same request again has no effect, and tells none.
    database.transact(transaction()).await.unwrap();
    let after = Item::new(&stock).with("on_hand", 2);
    assert_eq!(told(streams, Table::Orders, &order), [change(None, Some(&made))]);
    assert!(told(streams, Table::Orders, &checked).is_empty(), "what was only checked");
    assert_eq!(
        told(streams, Table::Stock, &stock),
        [change(None, Some(&before)), change(Some(&before), Some(&after))]
    );
    for n in 0..30 {
        let expected = [change(None, Some(&hold(n))), change(Some(&hold(n)), None)];
        let expected = if n == 7 { &expected[..] } else { &expected[..1] };
        assert_eq!(told(streams, Table::Stock, &scope.hold("l", "s", &n.to_string())), expected, "hold {n}");
    }
}

/// A condition that failed, a transaction that was cancelled, a deletion of what is not there.
async fn what_did_not_happen_is_not_told(
    database: &dyn Database,
    streams: &dyn TableStreams,
    scope: &TenantScope,
) {
    let (key, other) = (scope.cart("1"), scope.cart("2"));
    let made = Item::new(&key).with("n", 1);
    database.write(put(Table::Orders, made.clone())).await.unwrap();
    let on_two = || Some(Condition::Eq("n", 2.into()));
    let set = |condition| update(&key, vec![Change::Set("n", 9.into())], condition);
    let replace = put_if(Table::Orders, Item::new(&key), Condition::NotExists);
    let delete = |key: &Key, condition| Write::Delete { table: Table::Orders, key: key.clone(), condition };
    for write in [set(on_two()), replace, delete(&key, on_two())] {
        let refused = database.write(write).await;
        assert!(matches!(refused, Err(DatabaseError::ConditionFailed(_))), "{refused:?}");
    }
    let cancelled = database.transact(vec![put(Table::Orders, Item::new(&other)), set(on_two())]).await;
    assert!(matches!(cancelled, Err(DatabaseError::Cancelled(_))), "{cancelled:?}");
    database.write(delete(&other, None)).await.unwrap();
    assert_eq!(told(streams, Table::Orders, &key), [change(None, Some(&made))]);
    assert!(told(streams, Table::Orders, &other).is_empty(), "what was cancelled");
}

/// Writes that leave an item as it was.
async fn what_changes_nothing_is_not_told(
    database: &dyn Database,
    streams: &dyn TableStreams,
    scope: &TenantScope,
    deviations: &mut Deviations,
) {
    let key = scope.cart("1");
    let made = Item::new(&key).with("n", 1);
    let same = |changes| update(&key, changes, None);
    database.write(put(Table::Orders, made.clone())).await.unwrap();
    database.write(put(Table::Orders, made.clone())).await.unwrap();
    database.write(same(vec![Change::Set("n", 1.into())])).await.unwrap();
    database.write(same(vec![Change::SetIfAbsent("n", 5.into())])).await.unwrap();
    database.write(same(vec![Change::Add("n", 0), Change::Remove("absent")])).await.unwrap();
    database.transact(vec![same(vec![Change::Set("n", 1.into())])]).await.unwrap();
    database.put_many(Table::Orders, vec![made.clone()]).await.unwrap();
    let seen = told(streams, Table::Orders, &key);
    let expected = [change(None, Some(&made))];
    deviations.judge("a write that changes nothing is not told", seen == expected, &seen);
}

async fn tables_without_a_stream_tell_nothing(
    database: &dyn Database,
    streams: &dyn TableStreams,
    scope: &TenantScope,
) {
    let row = Item::new(&scope.ledger_row("l", "s", 1)).with("delta", 1);
    database.write(put(Table::Ledger, row)).await.unwrap();
    assert!(streams.told(Table::Ledger).is_empty());
}
