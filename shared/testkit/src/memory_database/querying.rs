//! Queries as DynamoDB answers them: page limits, where to go on, prices.

use tillstream_app::capacity::{CapacityKind, Consumed};
use tillstream_app::database::{
    Consistency, DatabaseError, Index, Item, Query, QueryPage, Range, StartKey, Value,
};

use super::limits::{PAGE_BYTES_MAX, eventual_read_units, item_size};
use super::storage::TableState;

/// Where an item stands in its partition: sort value, then (in an index) the item's own key.
type Position = (Value, String, String);

fn invalid<T>(why: impl Into<String>) -> Result<T, DatabaseError> {
    Err(DatabaseError::Invalid(why.into()))
}

/// Runs one page. `table` is absent where nothing was ever written.
pub(super) fn run(table: Option<&TableState>, query: &Query) -> Result<(QueryPage, Consumed), DatabaseError> {
    check(query)?;
    let strong = query.consistency == Consistency::Strong;
    let partition = query.partition.value();
    let stale = if strong { None } else { table.and_then(|table| table.stale_partition(partition)) };
    let mut rows: Vec<(Position, &Item)> = match (table, query.index) {
        (None, _) => Vec::new(),
        (Some(table), None) => {
            let items = stale.as_ref().or_else(|| table.items.get(partition)).into_iter().flatten();
            items.map(|(sk, item)| ((Value::S(sk.clone()), String::new(), String::new()), item)).collect()
        }
        (Some(table), Some(index)) => table
            .index_partition(index, partition)
            .map(|((_, sort, pk, sk), item)| ((sort.clone(), pk.clone(), sk.clone()), item))
            .collect(),
    };
    rows.retain(|((sort, _, _), _)| in_range(&query.range, sort));
    let after = query.start.as_ref().map(|start| start_position(query, start)).transpose()?;
    if !query.ascending {
        rows.reverse();
    }
    let (mut items, mut bytes, mut next) = (Vec::new(), 0, None);
    for (position, item) in rows {
        let passed = after
            .as_ref()
            .is_none_or(|after| if query.ascending { position > *after } else { position < *after });
        if !passed {
            continue;
        }
        let size = item_size(item);
        if bytes + size > PAGE_BYTES_MAX {
            next = items.last().map(|last| start_key(query, last));
            break;
        }
        bytes += size;
        items.push(item.clone());
        // As DynamoDB: a full page says where to go on, also where nothing follows.
        if items.len() >= usize::try_from(query.limit).unwrap_or(usize::MAX) {
            next = items.last().map(|last| start_key(query, last));
            break;
        }
    }
    let thousandths = eventual_read_units(bytes).saturating_mul(1 + u64::from(strong));
    let consumed = Consumed { table: query.table, index: query.index, kind: CapacityKind::Read, thousandths };
    Ok((QueryPage { items, next }, consumed))
}

/// Refuses what DynamoDB refuses before it looks at any item.
fn check(query: &Query) -> Result<(), DatabaseError> {
    if query.limit == 0 {
        return invalid("limit must be at least 1");
    }
    if query.partition.value().is_empty() {
        return invalid("a key attribute cannot contain an empty string value");
    }
    let numeric = match query.index {
        None => false,
        Some(index) => {
            if !Index::of(query.table).contains(&index) {
                return invalid(format!("{:?} has no index {}", query.table, index.shape().0));
            }
            if query.consistency == Consistency::Strong {
                return invalid("consistent reads are not supported on global secondary indexes");
            }
            index.shape().3
        }
    };
    match &query.range {
        Range::All => Ok(()),
        Range::BeginsWith(_) | Range::Between(..) if numeric => {
            invalid("the condition's type does not match the sort key's, a number")
        }
        Range::Numbers(..) if !numeric => invalid("the condition's type does not match the sort key's, text"),
        Range::BeginsWith(prefix) if prefix.is_empty() => invalid("an empty prefix"),
        Range::Between(from, to) if from.is_empty() || to.is_empty() => invalid("an empty bound"),
        Range::Between(from, to) if from > to => invalid("BETWEEN: the upper bound is below the lower"),
        Range::Numbers(from, to) if from > to => invalid("BETWEEN: the upper bound is below the lower"),
        Range::BeginsWith(_) | Range::Between(..) | Range::Numbers(..) => Ok(()),
    }
}

fn in_range(range: &Range, sort: &Value) -> bool {
    match (range, sort) {
        (Range::All, _) => true,
        (Range::BeginsWith(prefix), Value::S(sort)) => sort.starts_with(prefix.as_str()),
        (Range::Between(from, to), Value::S(sort)) => from <= sort && sort <= to,
        (Range::Numbers(from, to), Value::N(sort)) => from <= sort && sort <= to,
        _ => false,
    }
}

fn key_names(query: &Query) -> Vec<&'static str> {
    let mut names = vec!["pk", "sk"];
    if let Some(index) = query.index {
        let (_, pk, sk, _) = index.shape();
        names.extend([pk, sk]);
    }
    names
}

fn start_key(query: &Query, item: &Item) -> StartKey {
    let pick = |name: &str| item.get(name).map(|value| (name.to_owned(), value.clone()));
    StartKey(key_names(query).into_iter().filter_map(pick).collect())
}

fn start_position(query: &Query, start: &StartKey) -> Result<Position, DatabaseError> {
    let names = key_names(query);
    let item = Item(start.0.clone().into());
    let (Some(pk), Some(sk)) = (item.opt_text("pk"), item.opt_text("sk")) else {
        return invalid("the provided starting key is invalid");
    };
    if start.0.len() != names.len() || !names.iter().all(|name| start.0.contains_key(*name)) {
        return invalid("the provided starting key is invalid");
    }
    let (partition, position) = match query.index {
        None => (Some(pk), (Value::from(sk), String::new(), String::new())),
        Some(index) => {
            let (_, pk_name, sk_name, numeric) = index.shape();
            let sort = match (item.get(sk_name), numeric) {
                (Some(Value::N(number)), true) => Value::N(*number),
                (Some(Value::S(text)), false) => Value::S(text.clone()),
                _ => return invalid("the provided starting key is invalid"),
            };
            (item.opt_text(pk_name), (sort, pk.to_owned(), sk.to_owned()))
        }
    };
    if partition != Some(query.partition.value()) || !in_range(&query.range, &position.0) {
        return invalid("the provided starting key is outside query boundaries");
    }
    Ok(position)
}
