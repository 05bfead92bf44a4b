//! Content under a version: read, changed in memory, put on condition that nobody was quicker.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tillstream_domain::aggregates::coarse_page::{ProductBlock, SalesPage};
use tillstream_domain::aggregates::{HourPage, ProductPage};
use tillstream_domain::compact::{self, CompactError};

use crate::database::{Condition, Consistency, DatabaseError, Get, Item, Key, Table, Write};
use crate::environment::backoff;
use crate::error::{Error, Result};
use crate::ports::Ports;

/// Most times a lost race is run again.
const ATTEMPTS_MAX: u32 = 8;

/// What stands in an item's `body`.
pub trait StoredContent: Default + Serialize + DeserializeOwned {
    /// Reads it, in this or any older form.
    ///
    /// # Errors
    /// [`CompactError`] for bytes that are not of this content.
    fn of_bytes(bytes: &[u8]) -> std::result::Result<Self, CompactError> {
        compact::decode(bytes)
    }
}

impl StoredContent for HourPage {}
impl StoredContent for ProductPage {}
impl StoredContent for SalesPage {}
impl StoredContent for ProductBlock {}

/// Content as it was read.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// Counts its writes; 0 where there is no item yet.
    pub version: i64,
    /// The content; empty where there is no item yet.
    pub content: T,
}

impl<T: StoredContent> Stored<T> {
    /// Reads an item, or its absence.
    ///
    /// # Errors
    /// A bug if the item is not of this content.
    pub fn of(item: Option<&Item>) -> Result<Self> {
        match item {
            None => Ok(Stored { version: 0, content: T::default() }),
            Some(item) => {
                let content = T::of_bytes(item.bytes("body")?)
                    .map_err(|e| Error::Bug(format!("page {:?}: {e}", item.opt_text("sk"))))?;
                Ok(Stored { version: item.number("version")?, content })
            }
        }
    }
}

/// A strongly consistent read of the analytics table.
pub fn analytics_get(key: Key) -> Get {
    Get { table: Table::Analytics, key, consistency: Consistency::Strong }
}

/// The put of `content` over what was read at `version`. `head` carries the key and what stands beside
/// the content.
///
/// # Errors
/// A bug if the content cannot be encoded.
pub fn versioned_put<T: Serialize>(head: Item, version: i64, content: &T) -> Result<Write> {
    let body = compact::encode(content).map_err(Error::bug)?;
    let condition = match version {
        0 => Condition::NotExists,
        read => Condition::Eq("version", read.into()),
    };
    Ok(Write::Put {
        table: Table::Analytics,
        item: head.with("version", version + 1).with("body", body),
        condition: Some(condition),
    })
}

/// Applies `change` to the content of one item until a conditional put of the result holds. `change`
/// answers whether it changed anything, and must do nothing where it has already been applied: it is
/// run again after every lost race and after every put of unknown outcome. Answers whether the item
/// was written.
///
/// # Errors
/// [`Error::Conflict`] after too many lost races, [`Error::Retryable`] where the database stays busy,
/// [`Error::Bug`].
pub async fn change<T>(
    ports: &Ports,
    head: &Item,
    read: Option<Stored<T>>,
    mut change: impl FnMut(&mut T) -> bool + Send,
) -> Result<bool>
where
    T: StoredContent + Send,
{
    let key = Key::of(head)?;
    let mut known = read;
    let mut last = Error::Conflict("no attempt was made".to_owned());
    for attempt in 1..=ATTEMPTS_MAX {
        let mut stored = match known.take() {
            Some(stored) => stored,
            None => match ports.database.get(analytics_get(key.clone())).await {
                Ok(item) => Stored::of(item.as_ref())?,
                Err(error) => {
                    last = transient(error)?;
                    pause(ports, attempt).await;
                    continue;
                }
            },
        };
        if !change(&mut stored.content) {
            return Ok(false);
        }
        match ports.database.write(versioned_put(head.clone(), stored.version, &stored.content)?).await {
            Ok(()) => return Ok(true),
            Err(DatabaseError::ConditionFailed(now)) => {
                last = Error::Conflict(format!("{} is written by others", key.sk()));
                known = match now {
                    Some(item) => Some(Stored::of(Some(&item))?),
                    None => None,
                };
            }
            Err(error) => last = transient(error)?,
        }
        pause(ports, attempt).await;
    }
    Err(last)
}

/// The error to end with if it lasts, or at once where repeating cannot help.
fn transient(error: DatabaseError) -> Result<Error> {
    if error.is_transient() { Ok(error.into()) } else { Err(error.into()) }
}

async fn pause(ports: &Ports, attempt: u32) {
    let wait =
        backoff(ports.environment.as_ref(), attempt, Duration::from_millis(10), Duration::from_secs(1));
    ports.environment.sleep(wait).await;
}
