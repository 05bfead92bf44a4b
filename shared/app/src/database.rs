//! The database port: a key-value store with conditional writes and transactions.
//!
//! It is DynamoDB's data model and no more than what the use cases need of it. Conditions and changes
//! are data, so that one adapter serves DynamoDB, another serves memory, and a test can look at what a
//! use case would write.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Error;

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Carts, orders, lanes, plans. Streamed.
    Orders,
    /// Stock items, holds, reservations. Streamed.
    Stock,
    /// Append-only stock movements.
    Ledger,
    /// Products, prices, locations, feed states.
    Catalog,
    /// Analytics pages and completeness records.
    Analytics,
    /// Deliveries, breaker, parked records.
    Dispatch,
    /// Public keys.
    Identity,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 7] = [
        Table::Orders,
        Table::Stock,
        Table::Ledger,
        Table::Catalog,
        Table::Analytics,
        Table::Dispatch,
        Table::Identity,
    ];
}

/// A secondary index. All are keys-only but [`Index::ByStore`], which also carries what order lists
/// filter by. Indexes are eventually consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// Orders and dispatch: `lane_pk`, `lane_number` (number).
    ByLane,
    /// Orders: `store_pk`, `store_sk`; carries `status`, `channel`, `customer_id`.
    ByStore,
    /// Orders, stock and dispatch: `due_pk`, `due_at` (number, epoch milliseconds).
    Due,
    /// Stock: `location_pk`, `location_sk`.
    ByLocation,
    /// Stock: `sku_pk`, `sku_sk`.
    BySku,
    /// Catalogue: `list_pk`, `list_sk`.
    ByList,
    /// Catalogue: `category_pk`, `category_sk`.
    ByCategory,
    /// Catalogue: `name_pk`, `name_sk`.
    ByName,
    /// Catalogue: `variant_pk`, `variant_sk`.
    ByVariant,
    /// Dispatch: `status_pk`, `status_sk`.
    ByStatus,
}

impl Index {
    /// Name, partition attribute, sort attribute, and whether the sort attribute is a number.
    pub fn shape(self) -> (&'static str, &'static str, &'static str, bool) {
        match self {
            Index::ByLane => ("by-lane", "lane_pk", "lane_number", true),
            Index::ByStore => ("by-store", "store_pk", "store_sk", false),
            Index::Due => ("due", "due_pk", "due_at", true),
            Index::ByLocation => ("by-location", "location_pk", "location_sk", false),
            Index::BySku => ("by-sku", "sku_pk", "sku_sk", false),
            Index::ByList => ("by-list", "list_pk", "list_sk", false),
            Index::ByCategory => ("by-category", "category_pk", "category_sk", false),
            Index::ByName => ("by-name", "name_pk", "name_sk", false),
            Index::ByVariant => ("by-variant", "variant_pk", "variant_sk", false),
            Index::ByStatus => ("by-status", "status_pk", "status_sk", false),
        }
    }

    /// The indexes of a table.
    pub fn of(table: Table) -> &'static [Index] {
        match table {
            Table::Orders => &[Index::ByLane, Index::ByStore, Index::Due],
            Table::Stock => &[Index::ByLocation, Index::BySku, Index::Due],
            Table::Catalog => &[Index::ByList, Index::ByCategory, Index::ByName, Index::ByVariant],
            Table::Dispatch => &[Index::ByLane, Index::ByStatus, Index::Due],
            Table::Ledger | Table::Analytics | Table::Identity => &[],
        }
    }

    /// Attributes beside the keys that the index carries.
    pub fn carries(self) -> &'static [&'static str] {
        match self {
            Index::ByStore => &["status", "channel", "customer_id"],
            _ => &[],
        }
    }
}

/// An attribute value. Numbers are integers: money in minor units, quantities in thousandths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Text.
    S(String),
    /// Integer.
    N(i64),
    /// Bytes.
    B(Vec<u8>),
    /// Yes or no.
    Bool(bool),
    /// List.
    L(Vec<Value>),
    /// Map.
    M(BTreeMap<String, Value>),
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::S(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::S(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::N(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::B(value)
    }
}

/// A primary key. Made only by [`crate::keys`], so that none can name another tenant's data.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    /// Partition key.
    pub fn pk(&self) -> &str {
        &self.pk
    }

    /// Sort key.
    pub fn sk(&self) -> &str {
        &self.sk
    }

    /// The key of an item that was read: what a query answered, or a stream record.
    ///
    /// # Errors
    /// [`Error::Bug`] if `pk` or `sk` is missing.
    pub fn of(item: &Item) -> Result<Key, Error> {
        Ok(Key { pk: item.text("pk")?.to_owned(), sk: item.text("sk")?.to_owned() })
    }
}

/// A partition of a table or of an index. Made only by [`crate::keys`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub(crate) String);

impl Partition {
    /// The partition key's value.
    pub fn value(&self) -> &str {
        &self.0
    }
}

/// Attributes by name. Copies share them until one is changed: a database in memory holds most items many
/// times (as they are, in its stream, in what was read), and hardly one of those is changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Arc<BTreeMap<String, Value>>);

impl Deref for Attributes {
    type Target = BTreeMap<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Attributes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        Arc::make_mut(&mut self.0)
    }
}

impl FromIterator<(String, Value)> for Attributes {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(attributes: T) -> Self {
        Attributes(Arc::new(attributes.into_iter().collect()))
    }
}

impl From<BTreeMap<String, Value>> for Attributes {
    fn from(attributes: BTreeMap<String, Value>) -> Self {
        Attributes(Arc::new(attributes))
    }
}

impl From<Attributes> for BTreeMap<String, Value> {
    fn from(attributes: Attributes) -> Self {
        Arc::unwrap_or_clone(attributes.0)
    }
}

/// An item: its attributes by name, keys included.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item(pub Attributes);

impl Item {
    /// An item of nothing but its key.
    pub fn new(key: &Key) -> Self {
        Item::default().with("pk", key.pk.as_str()).with("sk", key.sk.as_str())
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With an attribute if there is one.
    #[must_use]
    pub fn with_some<V: Into<Value>>(self, name: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a JSON text of `value` as attribute: readable in the console, free in shape.
    ///
    /// # Errors
    /// [`Error::Bug`] if `value` cannot be JSON.
    pub fn with_json<T: serde::Serialize>(self, name: &str, value: &T) -> Result<Self, Error> {
        Ok(self.with(name, serde_json::to_string(value).map_err(Error::bug)?))
    }

    /// An attribute.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A text attribute, if present.
    pub fn opt_text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Value::S(text)) => Some(text),
            _ => None,
        }
    }

    /// A number attribute, if present.
    pub fn opt_number(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Value::N(number)) => Some(*number),
            _ => None,
        }
    }

    /// A text attribute.
    ///
    /// # Errors
    /// [`Error::Bug`] if it is missing or not text.
    pub fn text(&self, name: &str) -> Result<&str, Error> {
        self.opt_text(name).ok_or_else(|| self.lacks(name))
    }

    /// A number attribute.
    ///
    /// # Errors
    /// [`Error::Bug`] if it is missing or not a number.
    pub fn number(&self, name: &str) -> Result<i64, Error> {
        self.opt_number(name).ok_or_else(|| self.lacks(name))
    }

    /// Bytes, if they are there.
    pub fn opt_bytes(&self, name: &str) -> Option<&[u8]> {
        match self.0.get(name) {
            Some(Value::B(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// A bytes attribute.
    ///
    /// # Errors
    /// [`Error::Bug`] if it is missing or not bytes.
    pub fn bytes(&self, name: &str) -> Result<&[u8], Error> {
        match self.0.get(name) {
            Some(Value::B(bytes)) => Ok(bytes),
            _ => Err(self.lacks(name)),
        }
    }

    /// What [`Self::with_json`] wrote.
    ///
    /// # Errors
    /// [`Error::Bug`] if it is missing or not of that shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        serde_json::from_str(self.text(name)?).map_err(|e| Error::Bug(format!("attribute {name}: {e}")))
    }

    fn lacks(&self, name: &str) -> Error {
        // Only the key is named: the rest may be personal data.
        Error::Bug(format!("item {:?} {:?} lacks {name}", self.opt_text("pk"), self.opt_text("sk")))
    }
}

/// A condition on the item that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The item exists.
    Exists,
    /// The item does not exist.
    NotExists,
    /// It has the attribute.
    Has(&'static str),
    /// It lacks the attribute.
    Lacks(&'static str),
    /// Attribute = value.
    Eq(&'static str, Value),
    /// Attribute ≠ value (true where it is absent).
    Ne(&'static str, Value),
    /// Attribute < value.
    Lt(&'static str, Value),
    /// Attribute ≤ value.
    Le(&'static str, Value),
    /// Attribute > value.
    Gt(&'static str, Value),
    /// Attribute ≥ value.
    Ge(&'static str, Value),
    /// All hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
}

/// A change to one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Attribute := value.
    Set(&'static str, Value),
    /// Attribute := value unless it has one.
    SetIfAbsent(&'static str, Value),
    /// Attribute += number (absent counts as 0).
    Add(&'static str, i64),
    /// Attribute goes.
    Remove(&'static str),
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Puts a whole item.
    Put {
        /// Where.
        table: Table,
        /// What, keys included.
        item: Item,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Changes attributes; makes the item if it does not exist.
    Update {
        /// Where.
        table: Table,
        /// Which.
        key: Key,
        /// What changes; an attribute at most once.
        changes: Vec<Change>,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Deletes an item.
    Delete {
        /// Where.
        table: Table,
        /// Which.
        key: Key,
        /// Only if.
        condition: Option<Condition>,
    },
    /// Writes nothing but must hold for the transaction (transactions only).
    Check {
        /// Where.
        table: Table,
        /// Which.
        key: Key,
        /// What must hold.
        condition: Condition,
    },
}

/// Most actions in one transaction (AWS: TransactWriteItems).
pub const TRANSACTION_ACTIONS_MAX: usize = 100;

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Sees every write that was acknowledged before; costs double.
    Strong,
    /// May be a moment behind.
    Eventual,
}

/// One item to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Get {
    /// Where.
    pub table: Table,
    /// Which.
    pub key: Key,
    /// How fresh. Of one table all reads of one call are as fresh as the freshest.
    pub consistency: Consistency,
}

/// Which sort keys a query takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// All.
    All,
    /// Those that begin so (text).
    BeginsWith(String),
    /// Closed interval (text).
    Between(String, String),
    /// Closed interval (number).
    Numbers(i64, i64),
}

/// Where a query goes on: the key attributes of the last item, as DynamoDB wants them back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartKey(pub BTreeMap<String, Value>);

/// A query of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Where.
    pub table: Table,
    /// Through which index; the table itself where absent.
    pub index: Option<Index>,
    /// Which partition.
    pub partition: Partition,
    /// Which sort keys.
    pub range: Range,
    /// Ascending or descending by sort key.
    pub ascending: bool,
    /// At most so many items a page; the store may give fewer.
    pub limit: u32,
    /// Where to go on.
    pub start: Option<StartKey>,
    /// How fresh; indexes are always eventual.
    pub consistency: Consistency,
}

impl Query {
    /// All of a partition of `table`, ascending, strongly consistent.
    pub fn partition(table: Table, partition: Partition) -> Self {
        Query {
            table,
            index: None,
            partition,
            range: Range::All,
            ascending: true,
            limit: 1_000,
            start: None,
            consistency: Consistency::Strong,
        }
    }

    /// All of a partition of an index, ascending.
    pub fn index(table: Table, index: Index, partition: Partition) -> Self {
        Query { index: Some(index), consistency: Consistency::Eventual, ..Query::partition(table, partition) }
    }
}

/// One page of a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryPage {
    /// Items; from a keys-only index only keys.
    pub items: Vec<Item>,
    /// Where the next page begins, if there is more.
    pub next: Option<StartKey>,
}

/// Why one action of a transaction did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancellation {
    /// This one was not the reason.
    None,
    /// Its condition failed; with the item as it was (`ALL_OLD`).
    ConditionFailed(Option<Item>),
    /// Another transaction was writing the item.
    Conflict,
    /// Throttled.
    Throttled,
    /// The item would grow too large, or another validation failed.
    Invalid(String),
}

/// Why the database did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    /// A single write's condition failed; with the item as it was.
    #[error("the condition failed")]
    ConditionFailed(Option<Item>),
    /// A transaction was cancelled; one entry per action, in order.
    #[error("the transaction was cancelled: {0:?}")]
    Cancelled(Vec<Cancellation>),
    /// Another transaction is at it; nothing was written. Repeat.
    #[error("conflict: {0}")]
    Conflict(String),
    /// Throttled; nothing was written. Repeat later.
    #[error("throttled: {0}")]
    Throttled(String),
    /// No answer, or an answer of its own failure: the write **may have taken effect**.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// It refused the request itself: ours to mend.
    #[error("invalid: {0}")]
    Invalid(String),
}

impl DatabaseError {
    /// Whether repeating may help.
    pub fn is_transient(&self) -> bool {
        match self {
            DatabaseError::Conflict(_) | DatabaseError::Throttled(_) | DatabaseError::Unavailable(_) => true,
            DatabaseError::Cancelled(reasons) => {
                reasons.iter().any(|r| matches!(r, Cancellation::Conflict | Cancellation::Throttled))
                    && !reasons
                        .iter()
                        .any(|r| matches!(r, Cancellation::ConditionFailed(_) | Cancellation::Invalid(_)))
            }
            DatabaseError::ConditionFailed(_) | DatabaseError::Invalid(_) => false,
        }
    }
}

/// For calls whose conditions are not business answers: transient errors are the caller's to repeat,
/// the rest is ours.
impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        if error.is_transient() { Error::retryable(error.to_string()) } else { Error::Bug(error.to_string()) }
    }
}

/// The database.
///
/// Adapters do not retry conditional writes whose outcome is unknown: the use cases do, since only
/// they know how to recognise their own write.
#[async_trait]
pub trait Database: Send + Sync {
    /// Reads one item.
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError>;

    /// Reads items in one round trip per 100; answers by position. Repeats what the store left out.
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError>;

    /// Reads up to 100 items as of one moment.
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError>;

    /// Reads one page of a partition.
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError>;

    /// Writes one item. Not [`Write::Check`].
    async fn write(&self, write: Write) -> Result<(), DatabaseError>;

    /// Writes up to [`TRANSACTION_ACTIONS_MAX`] items, all or none. The client request token is made
    /// from all parameters by the adapter, so it covers exactly this request's retries.
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError>;

    /// Puts items without conditions, in batches; repeats what the store left out.
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a condition refused, or the database itself, repeating does not change; a conflict beside it
    /// does not make it an accident.
    #[test]
    fn only_accidents_are_worth_repeating() {
        use Cancellation::{ConditionFailed, Conflict, Invalid, Throttled};
        let cancelled = |reasons: &[Cancellation]| DatabaseError::Cancelled(reasons.to_vec()).is_transient();
        let invalid = || Invalid("no such table".to_owned());
        assert!(cancelled(&[Cancellation::None, Conflict]) && cancelled(&[Throttled, Conflict]));
        for reasons in [
            vec![Cancellation::None],
            vec![ConditionFailed(None)],
            vec![ConditionFailed(None), Conflict],
            vec![Throttled, invalid()],
            vec![Cancellation::None, invalid()],
        ] {
            assert!(!cancelled(&reasons), "{reasons:?}");
        }
        assert!(DatabaseError::Unavailable(String::new()).is_transient());
        assert!(!DatabaseError::Invalid(String::new()).is_transient());
        assert!(!DatabaseError::ConditionFailed(None).is_transient());
    }
}
