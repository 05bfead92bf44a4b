//! The tables in memory: items, index entries, change streams.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use tillstream_app::capacity::{CapacityKind, Consumed};
use tillstream_app::database::{Index, Item, Table, Value};

use super::limits::{item_size, write_units};

/// Shards of a table's stream.
pub(crate) const STREAM_SHARDS: usize = 4;

/// One change on a table's stream, with both images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamChange {
    /// The table.
    pub table: Table,
    /// Rises with every change of the table.
    pub sequence: u64,
    /// Which shard: one partition key always meets the same.
    pub shard: usize,
    /// When.
    pub at: Timestamp,
    /// The item before, if it existed.
    pub old: Option<Item>,
    /// The item after, if it exists.
    pub new: Option<Item>,
}

/// Where an item stands in an index.
pub(super) type IndexPosition = (String, Value, String, String);

/// A change of an index that may not have reached it yet.
struct IndexChange {
    index: Index,
    gone: Option<IndexPosition>,
    come: Option<(IndexPosition, Item)>,
}

/// One table.
#[derive(Default)]
pub(super) struct TableState {
    /// Items by partition and sort key.
    pub(super) items: BTreeMap<String, BTreeMap<String, Item>>,
    /// Index entries as an index query sees them.
    entries: BTreeMap<Index, BTreeMap<IndexPosition, Item>>,
    /// Index changes that have not arrived, in order.
    pending: VecDeque<IndexChange>,
    /// What was there before the latest writes, oldest first, for reads that are behind.
    undo: VecDeque<(String, String, Option<Item>)>,
    /// The stream, if the table has one.
    stream: Vec<StreamChange>,
    /// How often it was restored.
    pub(super) restored: u64,
}

/// How far behind eventual reads and indexes are, in writes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lag {
    pub(super) writes: usize,
}

impl TableState {
    pub(super) fn item(&self, pk: &str, sk: &str) -> Option<&Item> {
        self.items.get(pk)?.get(sk)
    }

    /// Changes after a sequence number: they count from 1.
    pub(super) fn changes(&self, after: u64) -> std::slice::Iter<'_, StreamChange> {
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        self.stream.get(after..).unwrap_or_default().iter()
    }

    /// Sequence number of the last change.
    pub(super) fn last_change(&self) -> u64 {
        u64::try_from(self.stream.len()).unwrap_or(u64::MAX)
    }

    /// The item as a read that is behind sees it.
    pub(super) fn stale_item(&self, pk: &str, sk: &str) -> Option<&Item> {
        match self.undo.iter().find(|(p, s, _)| p == pk && s == sk) {
            Some((_, _, old)) => old.as_ref(),
            None => self.item(pk, sk),
        }
    }

    /// A partition as a read that is behind sees it, where that is not as it is.
    pub(super) fn stale_partition(&self, pk: &str) -> Option<BTreeMap<String, Item>> {
        if self.undo.is_empty() {
            return None;
        }
        let mut items = self.items.get(pk).cloned().unwrap_or_default();
        for (_, sk, old) in self.undo.iter().rev().filter(|(p, _, _)| p == pk) {
            match old {
                Some(old) => items.insert(sk.clone(), old.clone()),
                None => items.remove(sk),
            };
        }
        Some(items)
    }

    /// The entries of a partition of an index: sort value, primary key, what the index holds.
    pub(super) fn index_partition(
        &self,
        index: Index,
        pk: &str,
    ) -> impl Iterator<Item = (&IndexPosition, &Item)> {
        // The least of all values is the empty text.
        let from = (pk.to_owned(), Value::S(String::new()), String::new(), String::new());
        let entries =
            self.entries.get(&index).into_iter().flat_map(move |entries| entries.range(from.clone()..));
        let pk = pk.to_owned();
        entries.take_while(move |(position, _)| position.0 == pk)
    }

    /// Puts `new` in place of what is there, maintains indexes and stream, and says what it cost.
    pub(super) fn replace(
        &mut self,
        (table, pk, sk): (Table, &str, &str),
        new: Option<Item>,
        at: Timestamp,
        lag: Lag,
        factor: u64,
    ) -> Vec<Consumed> {
        let old = self.item(pk, sk).cloned();
        let bytes = old.as_ref().map_or(0, item_size).max(new.as_ref().map_or(0, item_size));
        let write = |index, thousandths| Consumed { table, index, kind: CapacityKind::Write, thousandths };
        let mut consumed = vec![write(None, write_units(bytes).saturating_mul(factor))];
        for index in Index::of(table) {
            let before = old.as_ref().and_then(|item| entry(*index, item));
            let after = new.as_ref().and_then(|item| entry(*index, item));
            let units = index_units(before.as_ref(), after.as_ref());
            if units > 0 {
                consumed.push(write(Some(*index), units));
                let gone = before.map(|(position, _)| position);
                self.pending.push_back(IndexChange { index: *index, gone, come: after });
            }
        }
        // As DynamoDB: a write that changes nothing makes no stream record.
        if matches!(table, Table::Orders | Table::Stock) && old != new {
            let sequence = u64::try_from(self.stream.len()).unwrap_or(u64::MAX).saturating_add(1);
            let shard = shard_of(pk, STREAM_SHARDS);
            self.stream.push(StreamChange { table, sequence, shard, at, old: old.clone(), new: new.clone() });
        }
        self.undo.push_back((pk.to_owned(), sk.to_owned(), old));
        let partition = self.items.entry(pk.to_owned()).or_default();
        match new {
            Some(new) => partition.insert(sk.to_owned(), new),
            None => partition.remove(sk),
        };
        if partition.is_empty() {
            self.items.remove(pk);
        }
        self.catch_up(lag);
        consumed
    }

    /// Sets all items to what they were. Indexes and eventual reads have all of it at once, and the stream tells
    /// nobody: a table that was restored from a backup is another one.
    pub(super) fn restore(&mut self, items: BTreeMap<String, BTreeMap<String, Item>>, table: Table) {
        let all = || items.values().flat_map(BTreeMap::values);
        self.entries = Index::of(table)
            .iter()
            .map(|index| (*index, all().filter_map(|item| entry(*index, item)).collect()))
            .collect();
        self.pending.clear();
        self.undo.clear();
        self.items = items;
        self.restored += 1;
    }

    /// Lets indexes and eventual reads catch up to `lag` writes behind.
    pub(super) fn catch_up(&mut self, lag: Lag) {
        while self.undo.len() > lag.writes {
            self.undo.pop_front();
        }
        while self.pending.len() > lag.writes {
            if let Some(change) = self.pending.pop_front() {
                let entries = self.entries.entry(change.index).or_default();
                if let Some(gone) = change.gone {
                    entries.remove(&gone);
                }
                if let Some((position, item)) = change.come {
                    entries.insert(position, item);
                }
            }
        }
    }
}

/// What an index holds of an item: only items with both key attributes are in it.
fn entry(index: Index, item: &Item) -> Option<(IndexPosition, Item)> {
    let (_, pk_name, sk_name, _) = index.shape();
    let Some(Value::S(pk)) = item.get(pk_name) else { return None };
    let sort = item.get(sk_name)?.clone();
    let position = (pk.clone(), sort, item.opt_text("pk")?.to_owned(), item.opt_text("sk")?.to_owned());
    let kept = |name: &String| {
        ["pk", "sk", pk_name, sk_name].contains(&name.as_str()) || index.carries().contains(&name.as_str())
    };
    let projected = item.0.iter().filter(|(name, _)| kept(name)).map(|(n, v)| (n.clone(), v.clone()));
    Some((position, Item(projected.collect())))
}

/// Thousandths of write units of an index: nothing where what it holds stays as it is, two writes where
/// an item moves within it. Not doubled by a transaction.
fn index_units(before: Option<&(IndexPosition, Item)>, after: Option<&(IndexPosition, Item)>) -> u64 {
    match (before, after) {
        (None, None) => 0,
        (Some((_, item)), None) | (None, Some((_, item))) => write_units(item_size(item)),
        (Some((from, old)), Some((to, new))) if from == to => {
            if old == new {
                0
            } else {
                write_units(item_size(old).max(item_size(new)))
            }
        }
        (Some((_, old)), Some((_, new))) => write_units(item_size(old)) + write_units(item_size(new)),
    }
}

/// FNV-1a: the same on every machine and build.
pub(crate) fn shard_of(key: &str, shards: usize) -> usize {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let shards = u64::try_from(shards.max(1)).unwrap_or(1);
    usize::try_from((hash ^ (hash >> 32)) % shards).unwrap_or(0)
}
