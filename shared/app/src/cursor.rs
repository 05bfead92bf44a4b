//! Cursors of lists: where a page ended, bound to the query that asked.
//!
//! A cursor is opaque: base64url of a check sum and a position. The check sum covers the tenant, the
//! query with its filters, and the position, so that a cursor of another query, a cut or an altered
//! one is refused instead of answering something odd. It protects against mistakes, not against
//! forgery, and need not: keys are rebuilt from the caller's own scope.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::tenancy::TenantScope;

/// Items on a page where the caller asks for no number.
pub const LIMIT_DEFAULT: u32 = 50;
/// Most items on a page.
pub const LIMIT_MAX: u32 = 200;
/// Longest cursor that is looked at.
const CURSOR_BYTES_MAX: usize = 4_096;
const CHECK_BYTES: usize = 8;

/// The number of items on a page.
///
/// # Errors
/// 422 `limit_out_of_range`.
pub fn limit(asked: Option<u32>) -> Result<u32> {
    limit_at("limit", asked)
}

/// The number of items on a page, asked for in `field`.
///
/// # Errors
/// 422 `limit_out_of_range`.
pub fn limit_at(field: &str, asked: Option<u32>) -> Result<u32> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(_) => Err(Refusal::field(field, "limit_out_of_range", "limit goes from 1 to 200").into()),
    }
}

/// A query whose pages cursors lead through: the tenant, its name and all its filters.
#[derive(Debug, Clone)]
pub struct PagedQuery {
    identity: Vec<u8>,
}

fn absorb(bytes: &mut Vec<u8>, part: &str) {
    // Length first, so that no two lists of parts read the same.
    bytes.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
    bytes.extend_from_slice(part.as_bytes());
}

impl PagedQuery {
    /// The query `name` with `filters`, of one tenant.
    pub fn new<'a>(scope: &TenantScope, name: &str, filters: impl IntoIterator<Item = &'a str>) -> Self {
        let mut identity = Vec::new();
        absorb(&mut identity, scope.tenant_id());
        absorb(&mut identity, name);
        for filter in filters {
            absorb(&mut identity, filter);
        }
        PagedQuery { identity }
    }

    fn check(&self, position: &str) -> [u8; CHECK_BYTES] {
        let digest = Sha256::new().chain_update(&self.identity).chain_update(position).finalize();
        let mut check = [0; CHECK_BYTES];
        check.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        check
    }

    /// The cursor that goes on after `position`.
    pub fn cursor(&self, position: &str) -> String {
        let mut bytes = self.check(position).to_vec();
        bytes.extend_from_slice(position.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position a cursor of this query holds.
    ///
    /// # Errors
    /// 400 `cursor_malformed` for a cursor that this query did not give.
    pub fn position(&self, cursor: &str) -> Result<String> {
        let bytes = Some(cursor)
            .filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX)
            .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok());
        bytes
            .as_deref()
            .and_then(|bytes| bytes.split_at_checked(CHECK_BYTES))
            .and_then(|(check, position)| Some((check, std::str::from_utf8(position).ok()?)))
            .filter(|(check, position)| *check == self.check(position))
            .map(|(_, position)| position.to_owned())
            .ok_or_else(not_ours)
    }

    /// The same for a position that is JSON.
    ///
    /// # Errors
    /// As [`PagedQuery::position`].
    pub fn typed_position<T: DeserializeOwned>(&self, cursor: &str) -> Result<T> {
        serde_json::from_str(&self.position(cursor)?).map_err(|_| not_ours())
    }
}

fn not_ours() -> Error {
    let detail = "the cursor is not one that this query answered; begin again without one";
    Refusal::new(RefusalKind::Malformed, "cursor_malformed", detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_its_own_query_only() {
        let tenant = TenantScope::from_own_record("t");
        let query = PagedQuery::new(&tenant, "products", ["a", "b"]);
        let cursor = query.cursor("85123A");
        assert_eq!(query.position(&cursor).unwrap(), "85123A");
        let other_tenant = PagedQuery::new(&TenantScope::from_own_record("u"), "products", ["a", "b"]);
        let other_filters = PagedQuery::new(&tenant, "products", ["ab"]);
        for other in [other_tenant, other_filters] {
            assert_eq!(other.position(&cursor).unwrap_err().code(), Some("cursor_malformed"));
        }
        let mut altered = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        *altered.last_mut().unwrap() ^= 1;
        // The check sum is no secret, so a forged position must be refused, too.
        assert_eq!(query.typed_position::<u64>(&cursor).unwrap_err().code(), Some("cursor_malformed"));
        assert_eq!(query.typed_position::<u64>(&query.cursor("7")).unwrap(), 7);
        for bad in [URL_SAFE_NO_PAD.encode(altered), String::new(), "%%%".into(), cursor[1..].into()] {
            assert_eq!(query.position(&bad).unwrap_err().code(), Some("cursor_malformed"), "{bad}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(200)).unwrap(), 200);
        assert!(limit(Some(0)).is_err() && limit(Some(201)).is_err());
    }
}
