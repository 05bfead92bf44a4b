//! What makes a command the same command: hashes of its key and its content, and ids made from them.

use serde_json::Value;
use sha2::{Digest, Sha256};
use tillstream_domain::cart::applied::{CommandIdentity, FINGERPRINT_BYTES, KEY_HASH_BYTES};

use crate::error::{Refusal, RefusalKind, Result};

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Checks an idempotency key.
///
/// # Errors
/// 400 `idempotency_key_missing` if it is empty, 422 `idempotency_key_malformed` if it is too long or
/// not printable ASCII.
pub fn check_key(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(missing_key().into());
    }
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX || !key.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        let message = "an idempotency key is 1 to 128 printable ASCII characters";
        return Err(Refusal::field("idempotency_key", "idempotency_key_malformed", message).into());
    }
    Ok(())
}

/// The refusal of a changing request without a key.
pub fn missing_key() -> Refusal {
    Refusal::new(
        RefusalKind::Malformed,
        "idempotency_key_missing",
        "send an idempotency key: the same for every repeat of this request, new for every other",
    )
}

/// The refusal of a key that came with another payload before.
pub fn reused_key() -> Refusal {
    Refusal::new(
        RefusalKind::Invalid,
        "idempotency_key_reused",
        "this idempotency key took effect with another payload; send a new key for a new request",
    )
}

/// Hashes parts so that no two different lists of parts give the same bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn first<const N: usize>(bytes: [u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[..N]);
    out
}

/// The identity of a command: its key, and a fingerprint of whatever `parts` name its scope and of its
/// payload. Maps of the payload compare without regard to order; the time is not part of it.
pub fn command_identity(key: &str, parts: &[&str], payload: &Value) -> CommandIdentity {
    let payload = canonical(payload).to_string();
    let mut all: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    all.push(payload.as_bytes());
    CommandIdentity {
        key: first::<KEY_HASH_BYTES>(digest(&[key.as_bytes()])),
        fingerprint: first::<FINGERPRINT_BYTES>(digest(&all)),
    }
}

/// The same value with the members of every object sorted: whether serde_json keeps them sorted depends
/// on a feature that any dependency may switch on.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let sorted: std::collections::BTreeMap<_, _> = members.iter().collect();
            Value::Object(sorted.into_iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        Value::Array(values) => Value::Array(values.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

/// An id for a resource whose creator named none: the same for the same creator, action and key.
pub fn derived_id(prefix: &str, parts: &[&str]) -> String {
    let all: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let hash = digest(&all);
    let hex: String = hash[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}-{hex}")
}

/// A number that spreads `text` evenly, the same in every build.
pub fn spread(text: &str) -> u64 {
    u64::from_le_bytes(first::<8>(digest(&[text.as_bytes()])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_does_not_matter_but_values_do() {
        let of = |payload: Value| command_identity("k", &["t", "s"], &payload).fingerprint;
        assert_eq!(of(json!({"a": 1, "b": 2})), of(serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap()));
        assert_ne!(of(json!({"a": 1})), of(json!({"a": 2})));
        let identity = command_identity("k", &["t", "s"], &json!({}));
        assert_ne!(identity.fingerprint, command_identity("k", &["ts", ""], &json!({})).fingerprint);
    }

    #[test]
    fn keys_are_bounded() {
        assert!(check_key("6f9").is_ok());
        assert!(check_key(&"x".repeat(128)).is_ok());
        assert_eq!(check_key("").unwrap_err().code(), Some("idempotency_key_missing"));
        assert_eq!(check_key("a\u{7f}").unwrap_err().code(), Some("idempotency_key_malformed"));
        assert_eq!(check_key(&"x".repeat(129)).unwrap_err().code(), Some("idempotency_key_malformed"));
    }

    #[test]
    fn an_id_is_of_all_that_it_is_made_from() {
        let id = derived_id("c", &["t", "key"]);
        assert_eq!((id.len(), &id[..2]), (26, "c-"));
        assert_eq!(id, derived_id("c", &["t", "key"]));
        for other in
            [derived_id("r", &["t", "key"]), derived_id("c", &["t", "yek"]), derived_id("c", &["tk", "ey"])]
        {
            assert_ne!(id, other);
        }
    }

    #[test]
    fn texts_are_spread_over_all_shards() {
        let shards: std::collections::BTreeSet<u64> =
            (0..40).map(|n| spread(&format!("o-{n}")) % 4).collect();
        assert_eq!(shards.len(), 4);
    }
}
