//! Writes beside a cart's own whose conditions are business answers: an approval that is used up, a coupon
//! that must have uses left, a balance that must suffice.

use std::fmt;
use std::sync::Arc;

use tillstream_domain::cart::Outcome;

use super::cart_write::lost_race;
use crate::database::{Cancellation, Database, DatabaseError, Item, Write};
use crate::error::{Error, Refusal, Result};

/// What a failed condition means, told from the item as it stands (`None`: there is none).
pub type Refused = Arc<dyn Fn(Option<&Item>) -> Error + Send + Sync>;

/// A write beside a cart's own, in the same transaction.
#[derive(Clone)]
pub struct Claim {
    /// The write, with its condition.
    pub write: Write,
    /// The refusal where that condition does not hold; a conflict where that only says to look again.
    pub refused: Refused,
    /// The refusal where the item is contended again and again; none where only repeating helps.
    pub unavailable: Option<Refusal>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("write", &self.write).finish_non_exhaustive()
    }
}

/// What a command did to its cart, and what it claims beside.
#[derive(Debug)]
pub struct Changed {
    /// What came of it.
    pub outcome: Outcome,
    /// Writes that take effect with the cart's, or not at all.
    pub claims: Vec<Claim>,
}

impl From<Outcome> for Changed {
    fn from(outcome: Outcome) -> Self {
        Changed { outcome, claims: Vec::new() }
    }
}

/// How a write with claims ended.
#[derive(Debug)]
pub enum Written {
    /// It took effect.
    Done,
    /// Somebody else was first, or the answer was lost: look again.
    LostRace(String),
}

/// The refusal of the first claim whose condition did not hold, from the reasons of a cancelled transaction
/// in which the claims stand from `first_claim` on. `None` where anything else went wrong too: after a lost
/// race the command may have taken effect already, by a write of ours whose answer was lost.
pub fn refused_claim(reasons: &[Cancellation], first_claim: usize, claims: &[Claim]) -> Option<Error> {
    let mut refusal = None;
    for (position, reason) in reasons.iter().enumerate() {
        let claim = position.checked_sub(first_claim).and_then(|at| claims.get(at));
        match (reason, claim) {
            (Cancellation::None, _) => {}
            (Cancellation::ConditionFailed(old), Some(claim)) => {
                refusal = refusal.or_else(|| Some((claim.refused)(old.as_ref())));
            }
            _ => return None,
        }
    }
    refusal
}

/// What to answer where the first claim whose condition did not hold goes on losing races; none where it must go on.
pub fn lost_claim(reasons: &[Cancellation], first_claim: usize, claims: &[Claim]) -> Option<Refusal> {
    let failed = |(reason, _): &(&Cancellation, &Claim)| matches!(reason, Cancellation::ConditionFailed(_));
    let own = reasons.get(first_claim..)?;
    own.iter().zip(claims).find(failed).and_then(|(_, claim)| claim.unavailable.clone())
}

/// The refusal of the first claim whose item somebody else was writing, where nothing but claims met others.
pub fn contended_claim(reasons: &[Cancellation], first_claim: usize, claims: &[Claim]) -> Option<Refusal> {
    let mut refusal = None;
    for (position, reason) in reasons.iter().enumerate() {
        let claim = position.checked_sub(first_claim).and_then(|at| claims.get(at));
        match (reason, claim) {
            (Cancellation::None, _) => {}
            (Cancellation::Conflict | Cancellation::Throttled, Some(claim)) => {
                refusal = refusal.or_else(|| claim.unavailable.clone());
            }
            _ => return None,
        }
    }
    refusal
}

/// Writes a cart, with what is written on versions beside it, and what is claimed.
///
/// # Errors
/// The refusal of a claim; a bug if the database refused the request itself.
pub async fn write_with_claims(
    database: &dyn Database,
    fixed: Vec<Write>,
    claims: &[Claim],
) -> Result<Written> {
    let first_claim = fixed.len();
    let mut writes = fixed;
    writes.extend(claims.iter().map(|claim| claim.write.clone()));
    let written = match (writes.pop(), writes.is_empty()) {
        (Some(only), true) => database.write(only).await,
        (last, _) => {
            writes.extend(last);
            database.transact(writes).await
        }
    };
    match written {
        Ok(()) => Ok(Written::Done),
        Err(error) => {
            if let DatabaseError::Cancelled(reasons) = &error
                && let Some(refusal) = refused_claim(reasons, first_claim, claims)
            {
                return Err(refusal);
            }
            Ok(Written::LostRace(lost_race(error)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Key, Table};

    fn claim(code: &'static str) -> Claim {
        let key = Key { pk: "a".to_owned(), sk: code.to_owned() };
        Claim {
            write: Write::Put { table: Table::Orders, item: Item::new(&key), condition: None },
            refused: Arc::new(move |_| Refusal::conflict(code, "it is so").into()),
            unavailable: None,
        }
    }

    #[test]
    fn a_refusal_is_told_only_where_nothing_was_raced() {
        use Cancellation::{ConditionFailed, Conflict, None as Fine, Throttled};
        let claims = [claim("first"), claim("second")];
        let gone = || ConditionFailed(None);
        for (reasons, expected) in [
            (vec![Fine, gone(), Fine], Some("first")),
            (vec![Fine, Fine, gone()], Some("second")),
            (vec![Fine, gone(), gone()], Some("first")),
            (vec![gone(), gone(), Fine], None),
            (vec![Conflict, gone(), Fine], None),
            (vec![Fine, gone(), Throttled], None),
            (vec![Fine, Conflict, gone()], None),
            (vec![Fine, Fine, Fine], None),
            (vec![Fine, gone(), Fine, gone()], None),
        ] {
            let refusal = refused_claim(&reasons, 1, &claims);
            assert_eq!(refusal.as_ref().and_then(Error::code), expected, "{reasons:?}");
        }
    }
}
