//! The idempotency keys that took effect on a product or location, kept in its own item: the effect
//! and its record are the same write.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tillstream_domain::compact;

use crate::database::Item;
use crate::error::{Error, Refusal, RefusalKind, Result};

/// Attribute that holds them.
const ATTRIBUTE: &str = "puts";
/// How long a key is remembered.
const KEPT_MILLIS: i64 = 30 * 24 * 3_600 * 1_000;
/// Most keys remembered (a change every 90 minutes for 30 days), so that the item stays small.
const KEPT_MAX: usize = 500;

/// One request that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Put {
    key: [u8; 10],
    fingerprint: [u8; 6],
    at_millis: i64,
    created: bool,
}

/// An idempotency key with what was sent under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutIdentity {
    key: [u8; 10],
    fingerprint: [u8; 6],
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let digest = Sha256::digest(bytes);
    let mut out = [0; N];
    out.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    out
}

impl PutIdentity {
    /// Of a key and its payload.
    ///
    /// # Errors
    /// A bug if the payload cannot be JSON.
    pub fn new<T: Serialize>(idempotency_key: &str, payload: &T) -> Result<Self> {
        let payload = serde_json::to_vec(payload).map_err(Error::bug)?;
        Ok(PutIdentity { key: first(idempotency_key.as_bytes()), fingerprint: first(&payload) })
    }
}

/// The requests that took effect on one item.
#[derive(Debug, Clone, Default)]
pub struct Puts(Vec<Put>);

impl Puts {
    /// Those that an item remembers.
    ///
    /// # Errors
    /// A bug if they are not readable.
    pub fn of(item: Option<&Item>) -> Result<Self> {
        match item.filter(|item| item.get(ATTRIBUTE).is_some()) {
            None => Ok(Puts::default()),
            Some(item) => compact::decode(item.bytes(ATTRIBUTE)?).map(Puts).map_err(Error::bug),
        }
    }

    /// If this request took effect before: whether it created the thing.
    ///
    /// # Errors
    /// 422 `idempotency_key_reused` if its key was sent with another payload.
    pub fn seen(&self, identity: PutIdentity) -> Result<Option<bool>> {
        match self.0.iter().find(|put| put.key == identity.key) {
            None => Ok(None),
            Some(put) if put.fingerprint == identity.fingerprint => Ok(Some(put.created)),
            Some(_) => Err(Refusal::new(
                RefusalKind::Invalid,
                "idempotency_key_reused",
                "the idempotency key was used with another payload; send a new key with a new request",
            )
            .into()),
        }
    }

    /// With one more, without those that are too old.
    #[must_use]
    pub fn with(mut self, identity: PutIdentity, created: bool, now: Timestamp) -> Self {
        let now = now.as_millisecond();
        self.0.retain(|put| now.saturating_sub(put.at_millis) <= KEPT_MILLIS);
        let over = (self.0.len() + 1).saturating_sub(KEPT_MAX);
        self.0.drain(..over);
        self.0.push(Put { key: identity.key, fingerprint: identity.fingerprint, at_millis: now, created });
        self
    }

    /// Writes them into an item.
    ///
    /// # Errors
    /// A bug if they cannot be encoded.
    pub fn into_item(self, item: Item) -> Result<Item> {
        if self.0.is_empty() {
            return Ok(item);
        }
        Ok(item.with(ATTRIBUTE, compact::encode(&self.0).map_err(Error::bug)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_thirty_days_and_bounded() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let identity = |key: &str| PutIdentity::new(key, &"payload").unwrap();
        let puts = Puts::default().with(identity("a"), true, at(0));
        let later = puts.clone().with(identity("b"), false, at(30 * 86_400));
        assert_eq!(later.seen(identity("a")).unwrap(), Some(true));
        assert_eq!(later.seen(identity("b")).unwrap(), Some(false));
        assert_eq!(
            later.seen(PutIdentity::new("b", &"other").unwrap()).unwrap_err().code(),
            Some("idempotency_key_reused")
        );
        let much_later = puts.with(identity("b"), false, at(30 * 86_400 + 1));
        assert_eq!(much_later.seen(identity("a")).unwrap(), None);
        let many =
            (0..600).fold(Puts::default(), |puts, n| puts.with(identity(&n.to_string()), false, at(n)));
        assert_eq!(many.0.len(), KEPT_MAX);
        assert_eq!(many.seen(identity("599")).unwrap(), Some(false));
    }
}
