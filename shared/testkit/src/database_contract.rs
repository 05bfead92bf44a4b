//! What every [`Database`] must do: one suite, run on memory, on the AWS adapter over an emulator, and
//! on whatever else claims to be one.
//!
//! Each check uses a tenant of its own, so all may share tables. [`check_all`] is what the port does, [`streams`]
//! what streams tell of it, [`capacity`] what it costs. What a database does otherwise is named
//! ([`deviations::Deviations`]); nothing is left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests; they live here to be shared"
)]

pub mod capacity;
pub mod deviations;
pub mod streams;

use std::time::Duration;

use deviations::Deviations;
use tillstream_app::database::{
    Cancellation, Change, Condition, Consistency, Database, DatabaseError, Get, Index, Item, Key, Query,
    QueryPage, Range, StartKey, Table, Value, Write,
};
use tillstream_app::tenancy::TenantScope;

/// Runs all checks of the port. `run` makes the tenants of this run unique.
pub async fn check_all(database: &dyn Database, run: &str, deviations: &mut Deviations) {
    check_semantics(database, run).await;
    check_refusals(database, run, deviations).await;
}

/// What reads, writes, conditions, transactions and queries do.
async fn check_semantics(database: &dyn Database, run: &str) {
    let scope = |name: &str| TenantScope::from_own_record(&format!("{run}-{name}"));
    values_come_back_as_they_were(database, &scope("values")).await;
    conditions_compare_as_dynamodb_does(database, &scope("conditions")).await;
    single_writes_change_and_refuse(database, &scope("writes")).await;
    changes_apply(database, &scope("changes")).await;
    many_reads_answer_by_position(database, &scope("reads")).await;
    transactions_are_all_or_none(database, &scope("transactions")).await;
    the_same_transaction_takes_effect_once(database, &scope("token")).await;
    partitions_are_queried_in_order(database, &scope("query")).await;
    pages_go_on_where_they_ended(database, &scope("pages")).await;
    indexes_hold_what_has_their_keys(database, &scope("indexes")).await;
    batches_put_all(database, &scope("batches")).await;
}

/// What must be refused because it is malformed or too large.
async fn check_refusals(database: &dyn Database, run: &str, deviations: &mut Deviations) {
    let scope = |name: &str| TenantScope::from_own_record(&format!("{run}-{name}"));
    malformed_writes_are_refused(database, &scope("malformed"), deviations).await;
    sizes_are_limited(database, &scope("sizes")).await;
    transactions_refuse_what_dynamodb_refuses(database, &scope("refusals")).await;
    queries_refuse_what_dynamodb_refuses(database, &scope("bounds")).await;
}

fn get(table: Table, key: &Key) -> Get {
    Get { table, key: key.clone(), consistency: Consistency::Strong }
}

fn put(table: Table, item: Item) -> Write {
    Write::Put { table, item, condition: None }
}

fn put_if(table: Table, item: Item, condition: Condition) -> Write {
    Write::Put { table, item, condition: Some(condition) }
}

fn update(key: &Key, changes: Vec<Change>, condition: Option<Condition>) -> Write {
    Write::Update { table: Table::Orders, key: key.clone(), changes, condition }
}

async fn read(database: &dyn Database, key: &Key) -> Option<Item> {
    database.get(get(Table::Orders, key)).await.unwrap()
}

fn is_invalid<T>(result: &Result<T, DatabaseError>) -> bool {
    matches!(result, Err(DatabaseError::Invalid(_)))
}

/// Every type of value survives writing and reading.
pub async fn values_come_back_as_they_were(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    assert_eq!(read(database, &key).await, None);
    let map = [("ä".to_owned(), Value::L(vec![Value::N(-1), Value::M(Default::default())]))];
    let item = Item::new(&key)
        .with("text", "grün")
        .with("empty", "")
        .with("least", i64::MIN)
        .with("most", i64::MAX)
        .with("bytes", vec![0_u8, 255])
        .with("yes", true)
        .with("status", "reserved word")
        .with("map", Value::M(map.into()));
    database.write(put(Table::Orders, item.clone())).await.unwrap();
    assert_eq!(read(database, &key).await, Some(item.clone()));
    let eventual = Get { consistency: Consistency::Eventual, ..get(Table::Orders, &key) };
    assert_eq!(database.get(eventual).await.unwrap(), Some(item));
    // Another table has nothing under the same key.
    assert_eq!(database.get(get(Table::Ledger, &key)).await.unwrap(), None);
}

/// Absent attributes, types, orders, all and any.
pub async fn conditions_compare_as_dynamodb_does(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    let item = Item::new(&key).with("n", 5).with("s", "b").with("b", vec![1_u8, 200]);
    database.write(put(Table::Orders, item)).await.unwrap();
    let yes = [
        Condition::Exists,
        Condition::Has("n"),
        Condition::Lacks("x"),
        Condition::Eq("n", 5.into()),
        Condition::Ne("n", 6.into()),
        Condition::Ne("x", 6.into()),
        Condition::Ne("n", "5".into()),
        Condition::Lt("n", 6.into()),
        Condition::Le("n", 5.into()),
        Condition::Gt("n", (-7).into()),
        Condition::Ge("n", 5.into()),
        Condition::Lt("s", "ba".into()),
        Condition::Gt("b", vec![1_u8, 199].into()),
        Condition::All(vec![Condition::Exists, Condition::Eq("s", "b".into())]),
        Condition::Any(vec![Condition::NotExists, Condition::Eq("s", "b".into())]),
        Condition::All(vec![Condition::Any(vec![Condition::Lacks("n"), Condition::Ge("n", 5.into())])]),
    ];
    let no = [
        Condition::NotExists,
        Condition::Has("x"),
        Condition::Lacks("n"),
        Condition::Eq("n", 6.into()),
        Condition::Eq("n", "5".into()),
        Condition::Eq("x", 5.into()),
        Condition::Ne("n", 5.into()),
        Condition::Lt("x", 6.into()),
        Condition::Le("x", 6.into()),
        Condition::Gt("x", 6.into()),
        Condition::Ge("x", 6.into()),
        Condition::Gt("n", "0".into()),
        Condition::Lt("n", 5.into()),
        Condition::Gt("n", 10.into()),
        Condition::All(vec![Condition::Exists, Condition::Has("x")]),
        Condition::Any(vec![Condition::NotExists, Condition::Has("x")]),
    ];
    let set = |condition| update(&key, vec![Change::Set("touched", true.into())], Some(condition));
    for condition in yes {
        let result = database.write(set(condition.clone())).await;
        assert_eq!(result, Ok(()), "{condition:?}");
    }
    for condition in no {
        let result = database.write(set(condition.clone())).await;
        assert!(matches!(result, Err(DatabaseError::ConditionFailed(Some(_)))), "{condition:?}: {result:?}");
    }
    for condition in [
        Condition::All(vec![]),
        Condition::Any(vec![]),
        Condition::Gt("n", true.into()),
        Condition::Lt("n", Value::L(vec![])),
    ] {
        let result = database.write(set(condition.clone())).await;
        assert!(is_invalid(&result), "{condition:?}: {result:?}");
    }
    // On an item that is not there.
    let other = scope.cart("2");
    let result = database.write(update(&other, vec![Change::Add("n", 1)], Some(Condition::Exists))).await;
    assert_eq!(result, Err(DatabaseError::ConditionFailed(None)));
    let absent = Condition::All(vec![Condition::NotExists, Condition::Ne("n", 1.into())]);
    database.write(update(&other, vec![Change::Add("n", 1)], Some(absent))).await.unwrap();
}

/// Puts replace, deletes delete, failed conditions tell what is there and change nothing.
pub async fn single_writes_change_and_refuse(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    let first = Item::new(&key).with("version", 1).with("only", "first");
    let create = |item: &Item| put_if(Table::Orders, item.clone(), Condition::NotExists);
    database.write(create(&first)).await.unwrap();
    let again = database.write(create(&first)).await;
    assert_eq!(again, Err(DatabaseError::ConditionFailed(Some(first.clone()))));
    let second = Item::new(&key).with("version", 2);
    let on_first = Condition::Eq("version", 1.into());
    database.write(put_if(Table::Orders, second.clone(), on_first.clone())).await.unwrap();
    assert_eq!(read(database, &key).await, Some(second.clone()), "a put replaces the whole");
    let delete = |condition| Write::Delete { table: Table::Orders, key: key.clone(), condition };
    let refused = database.write(delete(Some(on_first))).await;
    assert_eq!(refused, Err(DatabaseError::ConditionFailed(Some(second))));
    database.write(delete(None)).await.unwrap();
    assert_eq!(read(database, &key).await, None);
    database.write(delete(None)).await.unwrap();
    let check = Write::Check { table: Table::Orders, key, condition: Condition::NotExists };
    assert!(is_invalid(&database.write(check).await), "a check by itself");
}

/// Set, set if absent, add, remove; all read the item as it was.
pub async fn changes_apply(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    let changes = |made: i64| {
        vec![
            Change::Set("set", made.into()),
            Change::SetIfAbsent("made", made.into()),
            Change::Add("sum", made),
            Change::Remove("gone"),
        ]
    };
    database.write(update(&key, changes(3), None)).await.unwrap();
    let item = Item::new(&key).with("set", 3).with("made", 3).with("sum", 3);
    assert_eq!(read(database, &key).await, Some(item), "an update makes the item");
    database.write(update(&key, vec![Change::Set("gone", "x".into())], None)).await.unwrap();
    database.write(update(&key, changes(-10), None)).await.unwrap();
    let item = Item::new(&key).with("set", -10).with("made", 3).with("sum", -7);
    assert_eq!(read(database, &key).await, Some(item));
}

/// What no item could take.
pub async fn malformed_writes_are_refused(
    database: &dyn Database,
    scope: &TenantScope,
    deviations: &mut Deviations,
) {
    let key = scope.cart("1");
    let before = Item::new(&key).with("text", "x");
    database.write(put(Table::Orders, before.clone())).await.unwrap();
    let changed = |change| update(&key, vec![change], None);
    let item = |item| put(Table::Orders, item);
    let twice = vec![Change::Set("a", 1.into()), Change::Remove("a")];
    let malformed = [
        ("an update without changes", update(&key, vec![], None)),
        ("an update that changes one attribute twice", update(&key, twice, None)),
        ("an update of the sort key", changed(Change::Set("sk", "other".into()))),
        ("an update that removes the partition key", changed(Change::Remove("pk"))),
        ("an update that adds to text", changed(Change::Add("text", 1))),
        (
            "an update to an index key of text, where it is a number",
            changed(Change::Set("lane_number", "1".into())),
        ),
        (
            "an update to an index key of a number, where it is text",
            changed(Change::Set("store_pk", 1.into())),
        ),
        ("an update to an empty index key", changed(Change::Set("store_pk", "".into()))),
        ("a put of an index key of text, where it is a number", item(before.clone().with("due_at", "soon"))),
        ("a put of an empty index key", item(before.clone().with("due_pk", ""))),
        ("a put of an empty sort key", item(before.clone().with("sk", ""))),
        ("a put of a partition key that is a number", item(before.clone().with("pk", 1))),
        ("a put without a sort key", item(Item::default().with("pk", key.pk()))),
    ];
    for (name, write) in malformed {
        let result = database.write(write).await;
        deviations.judge(&format!("{name} is refused"), is_invalid(&result), &result);
    }
    // What was refused has changed nothing, and neither has what some database lets through.
    assert_eq!(read(database, &key).await, Some(before));
}

/// 400 KB an item, names included; 2,048 and 1,024 bytes a key.
pub async fn sizes_are_limited(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    let overhead = 2 + key.pk().len() + 2 + key.sk().len() + 4;
    let item = |bytes: usize| Item::new(&key).with("data", vec![1_u8; bytes]);
    database.write(put(Table::Orders, item(400 * 1024 - overhead))).await.unwrap();
    assert!(is_invalid(&database.write(put(Table::Orders, item(400 * 1024 - overhead + 1))).await));
    let grown = update(&key, vec![Change::Set("x", "y".into())], None);
    assert!(is_invalid(&database.write(grown.clone()).await));
    // Within a transaction the update's own position says so.
    let result = database.transact(vec![put(Table::Orders, Item::new(&scope.cart("2"))), grown]).await;
    let Err(DatabaseError::Cancelled(reasons)) = &result else { panic!("{result:?}") };
    assert!(matches!(reasons.as_slice(), [Cancellation::None, Cancellation::Invalid(_)]), "{reasons:?}");
    assert_eq!(read(database, &scope.cart("2")).await, None);
    let long = |pk: usize, sk: usize| {
        put(Table::Orders, Item::default().with("pk", "p".repeat(pk)).with("sk", "s".repeat(sk)))
    };
    assert!(is_invalid(&database.write(long(2049, 1)).await));
    assert!(is_invalid(&database.write(long(1, 1025)).await));
}

/// Positions, absent items, several tables, repeats, more than one round trip.
pub async fn many_reads_answer_by_position(database: &dyn Database, scope: &TenantScope) {
    assert_eq!(database.get_many(vec![]).await.unwrap(), vec![]);
    assert_eq!(database.get_together(vec![]).await.unwrap(), vec![]);
    let key = |n: usize| scope.cart(&n.to_string());
    let item = |n: usize| Item::new(&key(n)).with("n", i64::try_from(n).unwrap());
    database.put_many(Table::Orders, (0..120).map(item).collect()).await.unwrap();
    let product = Item::new(&scope.product("a")).with("name", "A");
    database.write(put(Table::Catalog, product.clone())).await.unwrap();
    let mut gets: Vec<Get> = (0..240).map(|n| get(Table::Orders, &key(n))).collect();
    gets.push(Get { consistency: Consistency::Eventual, ..get(Table::Catalog, &scope.product("a")) });
    gets.push(get(Table::Orders, &key(7)));
    let found = database.get_many(gets).await.unwrap();
    assert_eq!(found.len(), 242);
    for (n, one) in found.iter().take(240).enumerate() {
        assert_eq!(*one, (n < 120).then(|| item(n)));
    }
    assert_eq!(found[240..], [Some(product.clone()), Some(item(7))]);
    let together = vec![
        get(Table::Orders, &key(1)),
        get(Table::Orders, &key(500)),
        get(Table::Catalog, &scope.product("a")),
    ];
    assert_eq!(database.get_together(together).await.unwrap(), vec![Some(item(1)), None, Some(product)]);
    let twice = vec![get(Table::Orders, &key(1)), get(Table::Orders, &key(1))];
    assert!(is_invalid(&database.get_together(twice).await));
    let too_many = (0..101).map(|n| get(Table::Orders, &key(n))).collect();
    assert!(is_invalid(&database.get_together(too_many).await));
}

/// One failed condition undoes all; reasons come by position with what is there.
pub async fn transactions_are_all_or_none(database: &dyn Database, scope: &TenantScope) {
    let key = |n: usize| scope.cart(&n.to_string());
    let there = Item::new(&key(1)).with("available", 3);
    let stock = Item::new(&scope.stock("l", "s")).with("seq", 1);
    database.write(put(Table::Orders, there.clone())).await.unwrap();
    database.write(put(Table::Stock, stock.clone())).await.unwrap();
    let take = |amount: i64| {
        let enough = Condition::Ge("available", amount.into());
        update(&key(1), vec![Change::Add("available", -amount)], Some(enough))
    };
    let check = |seq: i64| Write::Check {
        table: Table::Stock,
        key: scope.stock("l", "s"),
        condition: Condition::Eq("seq", seq.into()),
    };
    let create = || put_if(Table::Orders, Item::new(&key(2)).with("a", 1), Condition::NotExists);
    let delete_absent =
        Write::Delete { table: Table::Orders, key: key(3), condition: Some(Condition::Exists) };
    let refused = database.transact(vec![create(), take(4), check(2), delete_absent.clone()]).await;
    let expected = vec![
        Cancellation::None,
        Cancellation::ConditionFailed(Some(there.clone())),
        Cancellation::ConditionFailed(Some(stock.clone())),
        Cancellation::ConditionFailed(None),
    ];
    assert_eq!(refused, Err(DatabaseError::Cancelled(expected)));
    assert_eq!(read(database, &key(2)).await, None);
    assert_eq!(read(database, &key(1)).await, Some(there));

    database.transact(vec![create(), take(3), check(1)]).await.unwrap();
    assert_eq!(read(database, &key(2)).await, Some(Item::new(&key(2)).with("a", 1)));
    assert_eq!(read(database, &key(1)).await, Some(Item::new(&key(1)).with("available", 0)));
    assert_eq!(database.get(get(Table::Stock, &scope.stock("l", "s"))).await.unwrap(), Some(stock));

    // A hundred actions are one transaction.
    let hundred = (100..200).map(|n| put(Table::Orders, Item::new(&key(n)))).collect();
    database.transact(hundred).await.unwrap();
    assert!(read(database, &key(199)).await.is_some());
    let delete = |n| Write::Delete { table: Table::Orders, key: key(n), condition: Some(Condition::Exists) };
    database.transact(vec![delete(198), delete(199)]).await.unwrap();
    assert_eq!(read(database, &key(199)).await, None);
    // What the item cannot take is said at its position.
    let text = update(&key(2), vec![Change::Set("b", "x".into())], None);
    database.write(text).await.unwrap();
    let wrong = update(&key(2), vec![Change::Add("b", 1)], None);
    let result = database.transact(vec![take(0), wrong]).await;
    let Err(DatabaseError::Cancelled(reasons)) = &result else { panic!("{result:?}") };
    assert!(matches!(reasons.as_slice(), [Cancellation::None, Cancellation::Invalid(_)]), "{reasons:?}");
    assert!(!result.unwrap_err().is_transient());
}

/// None, too many, the same item twice, an update without changes.
pub async fn transactions_refuse_what_dynamodb_refuses(database: &dyn Database, scope: &TenantScope) {
    let key = |n: usize| scope.cart(&n.to_string());
    let one = |n: usize| put(Table::Orders, Item::new(&key(n)));
    assert!(is_invalid(&database.transact(vec![]).await));
    assert!(is_invalid(&database.transact((0..101).map(one).collect()).await));
    let check = Write::Check { table: Table::Orders, key: key(1), condition: Condition::NotExists };
    assert!(is_invalid(&database.transact(vec![one(1), check]).await));
    assert!(is_invalid(&database.transact(vec![one(1), update(&key(2), vec![], None)]).await));
    assert_eq!(read(database, &key(1)).await, None);
    // The same key in two tables is two items.
    let elsewhere = put(Table::Ledger, Item::new(&key(1)));
    database.transact(vec![one(1), elsewhere]).await.unwrap();
}

/// The client request token covers a request's retries, and no other request.
pub async fn the_same_transaction_takes_effect_once(database: &dyn Database, scope: &TenantScope) {
    let key = scope.cart("1");
    let add = |n: i64| vec![update(&key, vec![Change::Add("n", n)], None)];
    database.transact(add(1)).await.unwrap();
    database.transact(add(1)).await.unwrap();
    assert_eq!(read(database, &key).await, Some(Item::new(&key).with("n", 1)));
    database.transact(add(2)).await.unwrap();
    assert_eq!(read(database, &key).await, Some(Item::new(&key).with("n", 3)));
    // One that was refused may succeed later.
    let later = || vec![update(&key, vec![Change::Add("n", 1)], Some(Condition::Eq("n", 4.into())))];
    assert!(matches!(database.transact(later()).await, Err(DatabaseError::Cancelled(_))));
    database.write(update(&key, vec![Change::Add("n", 1)], None)).await.unwrap();
    database.transact(later()).await.unwrap();
    assert_eq!(read(database, &key).await, Some(Item::new(&key).with("n", 5)));
}

fn sort_keys(page: &QueryPage) -> Vec<&str> {
    page.items.iter().map(|item| item.text("sk").unwrap()).collect()
}

/// Ranges and directions of a partition.
pub async fn partitions_are_queried_in_order(database: &dyn Database, scope: &TenantScope) {
    let holds = ["a", "a#1", "b", "c", "ä"];
    let item = |reservation: &&str| Item::new(&scope.hold("l", "s", reservation)).with("q", 1);
    database.put_many(Table::Stock, holds.iter().map(item).collect()).await.unwrap();
    database.write(put(Table::Stock, Item::new(&scope.hold("l", "other", "x")))).await.unwrap();
    let all = || Query::partition(Table::Stock, scope.holds("l", "s"));
    let page = database.query(all()).await.unwrap();
    assert_eq!(sort_keys(&page), holds);
    assert_eq!(page.next, None);
    assert_eq!(page.items.first(), Some(&item(&"a")), "whole items");
    let ranged = async |range: Range, ascending: bool| {
        let page = database.query(Query { range, ascending, ..all() }).await.unwrap();
        sort_keys(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(ranged(Range::All, false).await, ["ä", "c", "b", "a#1", "a"]);
    assert_eq!(ranged(Range::BeginsWith("a".into()), true).await, ["a", "a#1"]);
    assert_eq!(ranged(Range::Between("a#1".into(), "c".into()), true).await, ["a#1", "b", "c"]);
    assert_eq!(ranged(Range::Between("d".into(), "e".into()), false).await, Vec::<String>::new());
    let eventual = Query { consistency: Consistency::Eventual, ..all() };
    assert_eq!(database.query(eventual).await.unwrap().items.len(), 5);
    let empty = database.query(Query::partition(Table::Stock, scope.holds("l", "none"))).await.unwrap();
    assert_eq!(empty, QueryPage::default());
}

/// Paging, both ways, within a range; a full page always says where to go on.
pub async fn pages_go_on_where_they_ended(database: &dyn Database, scope: &TenantScope) {
    let names: Vec<String> = (0..10).map(|n| format!("r{n}")).collect();
    let item = |name: &String| Item::new(&scope.hold("l", "s", name));
    database.put_many(Table::Stock, names.iter().map(item).collect()).await.unwrap();
    for ascending in [true, false] {
        let (mut start, mut seen, mut pages) = (None, Vec::new(), 0);
        loop {
            let range = Range::Between("r1".into(), "r8".into());
            let all = Query::partition(Table::Stock, scope.holds("l", "s"));
            let page = database.query(Query { range, ascending, limit: 4, start, ..all }).await.unwrap();
            pages += 1;
            seen.extend(sort_keys(&page).into_iter().map(str::to_owned));
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        assert_eq!(pages, 3, "eight in pages of four: the second is full, so a third is asked for");
        let mut expected = names[1..=8].to_vec();
        if !ascending {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
    // A page ends at one megabyte.
    let large =
        |n: usize| Item::new(&scope.hold("l", "large", &n.to_string())).with("d", vec![0_u8; 300_000]);
    for n in 0..5 {
        database.write(put(Table::Stock, large(n))).await.unwrap();
    }
    let query = Query::partition(Table::Stock, scope.holds("l", "large"));
    let first = database.query(query.clone()).await.unwrap();
    assert!((3..=4).contains(&first.items.len()), "{:?}", sort_keys(&first));
    let rest = database.query(Query { start: first.next.clone(), ..query }).await.unwrap();
    assert_eq!([sort_keys(&first), sort_keys(&rest)].concat(), ["0", "1", "2", "3", "4"]);
    assert_eq!(rest.next, None);
}

/// The page of an index once it has `count` items: indexes are eventually consistent.
async fn index_page(database: &dyn Database, query: Query, count: usize) -> QueryPage {
    for _ in 0..100 {
        let page = database.query(query.clone()).await.unwrap();
        if page.items.len() == count {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    database.query(query).await.unwrap()
}

/// Sparse, projected, moved and removed with the item; by number and by text; paged.
pub async fn indexes_hold_what_has_their_keys(database: &dyn Database, scope: &TenantScope) {
    let lane = scope.lane_orders("s", "r", 0);
    let order = |n: i64| {
        Item::new(&scope.cart(&format!("o{n}")))
            .with("lane_pk", lane.value())
            .with("lane_number", n)
            .with("store_pk", scope.store_orders("s").value())
            .with("store_sk", format!("{n:03}"))
            .with("status", "final")
            .with("channel", "web")
            .with("total", 100 * n)
    };
    for n in [2, 10, 9] {
        database.write(put(Table::Orders, order(n))).await.unwrap();
    }
    // One key attribute alone is not in the index.
    let half = Item::new(&scope.cart("half")).with("lane_pk", lane.value());
    database.write(put(Table::Orders, half)).await.unwrap();
    let by_lane = || Query::index(Table::Orders, Index::ByLane, lane.clone());
    let numbers = |page: &QueryPage| {
        page.items.iter().map(|item| item.number("lane_number").unwrap()).collect::<Vec<_>>()
    };
    let page = index_page(database, by_lane(), 3).await;
    assert_eq!(numbers(&page), [2, 9, 10], "numbers sort as numbers");
    let keys = Item::new(&scope.cart("o2")).with("lane_pk", lane.value()).with("lane_number", 2);
    assert_eq!(page.items[0], keys, "nothing but keys");
    let some = Query { range: Range::Numbers(3, 9), ..by_lane() };
    assert_eq!(numbers(&database.query(some).await.unwrap()), [9]);
    let descending = Query { ascending: false, limit: 2, ..by_lane() };
    let first = database.query(descending.clone()).await.unwrap();
    assert_eq!(numbers(&first), [10, 9]);
    let second = database.query(Query { start: first.next, ..descending }).await.unwrap();
    assert_eq!((numbers(&second), second.next), (vec![2], None));

    let by_store = Query::index(Table::Orders, Index::ByStore, scope.store_orders("s"));
    let page = index_page(database, by_store, 3).await;
    let carried = Item::new(&scope.cart("o2"))
        .with("store_pk", scope.store_orders("s").value())
        .with("store_sk", "002")
        .with("status", "final")
        .with("channel", "web");
    assert_eq!(page.items[0], carried);

    // Moved, taken out, deleted.
    let key = |n: i64| scope.cart(&format!("o{n}"));
    database.write(update(&key(2), vec![Change::Set("lane_number", 11.into())], None)).await.unwrap();
    database.write(update(&key(9), vec![Change::Remove("lane_number")], None)).await.unwrap();
    let delete = Write::Delete { table: Table::Orders, key: key(10), condition: None };
    database.transact(vec![delete]).await.unwrap();
    assert_eq!(numbers(&index_page(database, by_lane(), 1).await), [11]);
}

/// Limits, ranges of the wrong type, indexes of other tables, start keys that do not fit.
pub async fn queries_refuse_what_dynamodb_refuses(database: &dyn Database, scope: &TenantScope) {
    let all = || Query::partition(Table::Stock, scope.holds("l", "s"));
    let due = || Query::index(Table::Stock, Index::Due, scope.sku_stock("s"));
    let start = |pairs: &[(&str, Value)]| {
        Some(StartKey(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()))
    };
    let elsewhere = start(&[("pk", scope.holds("l", "x").value().into()), ("sk", "a".into())]);
    let partial = start(&[("pk", scope.holds("l", "s").value().into())]);
    let refused = [
        Query { limit: 0, ..all() },
        Query { range: Range::Numbers(1, 2), ..all() },
        Query { range: Range::BeginsWith(String::new()), ..all() },
        Query { range: Range::Between("b".into(), "a".into()), ..all() },
        Query { range: Range::Numbers(2, 1), ..due() },
        Query { range: Range::BeginsWith("1".into()), ..due() },
        Query { consistency: Consistency::Strong, ..due() },
        Query::index(Table::Stock, Index::ByStore, scope.store_orders("s")),
        Query { start: elsewhere, ..all() },
        Query { start: partial, ..all() },
    ];
    for query in refused {
        let result = database.query(query.clone()).await;
        assert!(is_invalid(&result), "{query:?}: {result:?}");
    }
}

/// More than one round trip; replaces what is there; refuses one item twice.
pub async fn batches_put_all(database: &dyn Database, scope: &TenantScope) {
    database.put_many(Table::Ledger, vec![]).await.unwrap();
    let row = |seq: u64| Item::new(&scope.ledger_row("l", "s", seq)).with("delta", 1);
    database.put_many(Table::Ledger, (0..60).map(row).collect()).await.unwrap();
    let rows = database.query(Query::partition(Table::Ledger, scope.ledger("l", "s"))).await.unwrap();
    assert_eq!(rows.items, (0..60).map(row).collect::<Vec<_>>());
    let other = row(3).with("delta", 2);
    database.put_many(Table::Ledger, vec![other.clone()]).await.unwrap();
    let found = database.get(get(Table::Ledger, &scope.ledger_row("l", "s", 3))).await.unwrap();
    assert_eq!(found, Some(other));
    assert!(is_invalid(&database.put_many(Table::Ledger, vec![row(1), row(1)]).await));
}
