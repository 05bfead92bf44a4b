//! The transaction that makes a cart final, and what its refusal says.

use jiff::Timestamp;
use tillstream_domain::cart::StockMove;

use super::cart_write::lost_race;
use super::claims::{Claim, contended_claim, lost_claim, refused_claim};
use super::counted_since::KnownCounts;
use super::shortage::Shortage;
use crate::database::{Cancellation, Condition, DatabaseError, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, no_lot_is_due, not_counted_after, stock_update};
use crate::stock::layout::{LAYOUT_WHOLE, layout_of};
use crate::tenancy::TenantScope;

/// How one attempt to commit ended.
#[derive(Debug)]
pub enum Attempt {
    /// It is final.
    Done,
    /// Somebody else changed the cart or took the number, or the answer was lost: look again.
    LostRace(String),
    /// Stock is short.
    Short(Vec<Shortage>),
    /// A claim was refused; with a conflict where that is only a race.
    Refused(Error),
    /// A claim met others; what to answer if it goes on meeting them.
    Contended(Refusal),
    /// The stock of these moves, by position, is split otherwise than was thought; with the layout.
    Split(Vec<(usize, i64)>),
}

/// The stock updates of a transaction, and which move each is of.
#[derive(Debug, Default)]
pub struct StockWrites {
    /// Updates, in the order of the moves.
    pub writes: Vec<Write>,
    /// By update: position of its move, and the layout it names; none where any will do.
    pub of: Vec<(usize, Option<i64>)>,
    /// Ends of hold lines of the cart: a failure is a lost race.
    pub lines: Vec<Write>,
}

/// What must be so of stock that is taken.
#[derive(Debug, Clone, Copy)]
pub struct Takable<'a> {
    /// No lot of it is past its day then.
    pub good_at: Timestamp,
    /// Of what left the shop before it was told: when it did, and the counts since that are known.
    pub left: Option<(Timestamp, &'a KnownCounts)>,
}

impl Takable<'_> {
    /// The conditions on the stock of a SKU.
    pub fn conditions(&self, sku: &str) -> Vec<Condition> {
        let not_counted = self.left.map(|(at, known)| not_counted_after(known.until(sku, at)));
        std::iter::once(no_lot_is_due(self.good_at)).chain(not_counted).collect()
    }
}

impl StockWrites {
    /// One update for each move, of stock that is whole, or of its first part where nothing is taken.
    pub fn of_whole(
        scope: &TenantScope,
        location_id: &str,
        moves: &[StockMove],
        delta: impl Fn(&StockMove) -> Delta,
        movement: &Movement,
        takable: &Takable<'_>,
    ) -> Self {
        let mut stock = StockWrites::default();
        for (at, wanted) in moves.iter().enumerate() {
            let delta = delta(wanted);
            let sku = wanted.sku.as_str();
            let conditions = if delta.available() < 0 { takable.conditions(sku) } else { Vec::new() };
            stock.writes.push(stock_update(scope, location_id, sku, delta, movement, conditions, Vec::new()));
            stock.of.push((at, (delta.available() < 0).then_some(LAYOUT_WHOLE)));
        }
        stock
    }
}

/// What is written to make a cart final, or two.
#[derive(Debug)]
pub(super) struct FinalWrites<'a> {
    /// Conditions on versions and numbers: a failure is a lost race.
    pub fixed: Vec<Write>,
    /// Updates of stock: a failure is a business answer.
    pub stock: StockWrites,
    /// Of what the updates of stock are.
    pub moves: &'a [StockMove],
    /// Claims: a failure is a business answer too.
    pub claims: &'a [Claim],
}

/// Writes all of it in one transaction.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub(super) async fn commit(ports: &Ports, writes: FinalWrites<'_>) -> Result<Attempt> {
    let FinalWrites { mut fixed, stock, moves, claims } = writes;
    fixed.extend(stock.lines);
    let first_move = fixed.len();
    let first_claim = first_move + stock.writes.len();
    let mut writes = fixed;
    writes.extend(stock.writes);
    writes.extend(claims.iter().map(|claim| claim.write.clone()));
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Attempt::Done),
        Err(DatabaseError::Cancelled(reasons)) => {
            if let Some(refusal) = refused_claim(&reasons, first_claim, claims) {
                let is_race = matches!(refusal, Error::Conflict(_));
                return Ok(match lost_claim(&reasons, first_claim, claims).filter(|_| is_race) {
                    Some(unavailable) => Attempt::Contended(unavailable),
                    None => Attempt::Refused(refusal),
                });
            }
            if let Some(refusal) = contended_claim(&reasons, first_claim, claims) {
                return Ok(Attempt::Contended(refusal));
            }
            // Where stock and a claim are refused both, stock is told: it may be freed yet.
            let own = reasons.get(..first_claim).unwrap_or(&reasons);
            read_reasons(own, first_move, moves, &stock.of)
        }
        Err(error) => Ok(Attempt::LostRace(lost_race(error)?)),
    }
}

/// Reads cancellation reasons by position. `of` says of which move each update from `first_move` on is.
///
/// # Errors
/// A bug if the database refused an action as invalid.
pub fn read_reasons(
    reasons: &[Cancellation],
    first_move: usize,
    moves: &[StockMove],
    of: &[(usize, Option<i64>)],
) -> Result<Attempt> {
    let (mut short, mut split) = (Vec::new(), Vec::new());
    let mut raced = false;
    for (position, reason) in reasons.iter().enumerate() {
        match reason {
            Cancellation::None => {}
            Cancellation::Invalid(what) => return Err(Error::Bug(what.clone())),
            Cancellation::Conflict | Cancellation::Throttled => raced = true,
            Cancellation::ConditionFailed(old) => {
                let update = position.checked_sub(first_move).and_then(|at| of.get(at));
                let Some((at, layout)) = update.copied() else {
                    raced = true;
                    continue;
                };
                let stands = layout_of(old.as_ref());
                match layout {
                    Some(layout) if layout != stands => split.push((at, stands)),
                    // That one part is short by now says nothing of the others.
                    Some(layout) if layout != LAYOUT_WHOLE => raced = true,
                    _ => short.extend(moves.get(at).map(|wanted| Shortage::of(wanted, old.as_ref()))),
                }
            }
        }
    }
    if !split.is_empty() {
        return Ok(Attempt::Split(split));
    }
    // Only if nothing else went wrong is the shortage an answer: after a lost race the cart may be
    // final already, by our own timed-out write.
    if raced || short.is_empty() {
        return Ok(Attempt::LostRace("another transaction was first".to_owned()));
    }
    Ok(Attempt::Short(short))
}

#[cfg(test)]
mod tests {
    use tillstream_domain::quantity::Quantity;

    use super::*;
    use crate::database::Item;

    /// What a cancelled transaction of two fixed writes and three updates of stock says: stock is short only
    /// where nothing else went wrong, and one part of several never is.
    #[test]
    fn a_shortage_is_told_only_where_nothing_was_raced() {
        use Cancellation::{ConditionFailed, Conflict, Invalid, None as Fine, Throttled};
        let one = |sku: &str| StockMove {
            sku: sku.to_owned(),
            sellable: Quantity::from_pieces(1).unwrap(),
            damaged: Quantity::ZERO,
        };
        let moves = [one("A"), one("B")];
        // A is whole; of B one part of layout 208 is asked for, then what any layout has.
        let of = [(0, Some(LAYOUT_WHOLE)), (1, Some(208)), (1, None)];
        let seen =
            |layout: i64| ConditionFailed(Some(Item::default().with("layout", layout).with("available", 0)));
        let gone = || ConditionFailed(None);
        let read = |reasons: [Cancellation; 5]| match read_reasons(&reasons, 2, &moves, &of) {
            Ok(Attempt::Done) => "done".to_owned(),
            Ok(Attempt::LostRace(_)) => "lost race".to_owned(),
            Ok(Attempt::Short(short)) => {
                format!(
                    "short of {}",
                    short.iter().map(|one| one.sku.as_str()).collect::<Vec<_>>().join(", ")
                )
            }
            Ok(Attempt::Split(split)) => format!("split {split:?}"),
            Ok(Attempt::Refused(_) | Attempt::Contended(_)) => "a claim".to_owned(),
            Err(error) => format!("{error}"),
        };
        for (reasons, expected) in [
            ([Fine, Fine, gone(), Fine, Fine], "short of A"),
            ([Fine, Fine, seen(0), Fine, Fine], "short of A"),
            ([Fine, Fine, seen(0), Fine, seen(208)], "short of A, B"),
            ([Fine, Fine, seen(0), Conflict, Fine], "lost race"),
            ([Fine, Fine, seen(0), Throttled, Fine], "lost race"),
            ([Fine, gone(), seen(0), Fine, Fine], "lost race"),
            ([Fine, Fine, Conflict, Fine, Fine], "lost race"),
            ([Fine, Fine, Fine, seen(208), Fine], "lost race"),
            ([Fine, Fine, seen(0), seen(208), Fine], "lost race"),
            ([Fine, Fine, Fine, Fine, Fine], "lost race"),
            ([Fine, Fine, seen(104), Fine, Fine], "split [(0, 104)]"),
            ([Fine, Fine, Fine, seen(0), Fine], "split [(1, 0)]"),
            ([Fine, gone(), seen(104), seen(304), Fine], "split [(0, 104), (1, 304)]"),
            ([Fine, Fine, seen(0), Invalid("too large".to_owned()), Fine], "bug: too large"),
        ] {
            assert_eq!(read(reasons.clone()), expected, "{reasons:?}");
        }
    }
}
