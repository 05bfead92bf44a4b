//! Purchase orders: what was ordered from a supplier, and what became of it, line by line.
//!
//! What was ordered is on order until it is received (fit for sale or damaged) or written off. What is on order of a
//! line never falls below nothing, also where more arrives than was ordered.

use serde::{Deserialize, Serialize};

use crate::money::UnitPrice;
use crate::quantity::{Quantity, Unit};
use crate::transfer::wanted;

pub use crate::transfer::Counted;

/// Most lines of an order: its item stays well below DynamoDB's 400 KB.
pub const LINES_MAX: usize = 1_000;
/// Most deliveries of one order, for the same reason.
pub const EVENTS_MAX: usize = 200;
/// Most lines over all of them.
pub const EVENT_LINES_MAX: usize = 10_000;

/// What was done to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PurchaseAction {
    /// It was placed.
    Place,
    /// Some of it arrived.
    Receive,
    /// What is open of it does not come any more.
    Close,
    /// All of it is called off: nothing had arrived.
    Cancel,
}

impl PurchaseAction {
    /// Its name on the wire and, behind `purchase_`, in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            PurchaseAction::Place => "place",
            PurchaseAction::Receive => "receive",
            PurchaseAction::Close => "close",
            PurchaseAction::Cancel => "cancel",
        }
    }
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurchaseStatus {
    /// Nothing of it arrived yet.
    Ordered,
    /// Some of it arrived, and some is open.
    PartlyReceived,
    /// All of it arrived.
    Received,
    /// What was open of it was written off.
    Closed,
    /// It was called off before any of it arrived.
    Cancelled,
}

/// One SKU of an order, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurchaseLine {
    /// What.
    pub sku: String,
    /// How it is sold.
    pub unit: Unit,
    /// What one unit costs, in the order's currency.
    pub unit_cost: Option<UnitPrice>,
    /// What was ordered.
    pub ordered: Quantity,
    /// What arrived fit for sale.
    pub received: Quantity,
    /// What arrived damaged.
    pub damaged: Quantity,
    /// What does not come any more.
    pub written_off: Quantity,
}

impl PurchaseLine {
    /// A line that is ordered.
    pub fn ordered(sku: String, unit: Unit, unit_cost: Option<UnitPrice>, ordered: Quantity) -> Self {
        let none = Quantity::ZERO;
        PurchaseLine { sku, unit, unit_cost, ordered, received: none, damaged: none, written_off: none }
    }

    /// What arrived of it, damaged or not.
    pub fn arrived(&self) -> Quantity {
        self.received.plus(self.damaged)
    }

    /// What is on order of it. Nothing, where more arrived than was ordered.
    pub fn outstanding(&self) -> Quantity {
        self.ordered.minus(self.arrived()).minus(self.written_off).max(Quantity::ZERO)
    }

    /// How much may still arrive of it, where so many per cent beyond the order are taken; by the piece whole ones.
    pub fn receivable(&self, over_delivery_percent: u32) -> Quantity {
        let ordered = self.ordered.thousandths();
        let beyond = ordered.saturating_mul(i64::from(over_delivery_percent)) / 100;
        let beyond = if self.unit == Unit::Piece { beyond / 1_000 * 1_000 } else { beyond };
        self.ordered.plus(Quantity::of_counter(beyond)).minus(self.arrived()).max(Quantity::ZERO)
    }
}

/// What one step does to one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Position of the line.
    pub line: u32,
    /// Arrived fit for sale.
    pub received: Quantity,
    /// Arrived damaged.
    pub damaged: Quantity,
    /// Does not come any more.
    pub written_off: Quantity,
    /// What it takes from what is on order: less than arrived, where more arrived than was open.
    pub taken: Quantity,
}

/// Why an order does not take a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseError {
    /// Nothing of it is open.
    #[error("nothing of the purchase order is open any more: it is {}", .0.name())]
    Closed(PurchaseStatus),
    /// Some of it arrived.
    #[error("some of the purchase order was received already; close it instead")]
    NotCancellable,
    /// It has no such line.
    #[error("the purchase order has no {0}")]
    UnknownSku(String),
    /// More than is taken.
    #[error("of {sku} at most {bound} thousandths may still be received, fewer than {wanted}")]
    OverDelivery {
        /// What.
        sku: String,
        /// How much may still arrive, in thousandths.
        bound: i64,
        /// Said to have arrived, in thousandths.
        wanted: i64,
    },
    /// It says nothing.
    #[error("say what arrived: all quantities are 0")]
    Nothing,
    /// Too many steps.
    #[error(
        "a purchase order is received in at most {EVENTS_MAX} deliveries of {EVENT_LINES_MAX} lines in all"
    )]
    TooManySteps,
}

impl PurchaseStatus {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            PurchaseStatus::Ordered => "ordered",
            PurchaseStatus::PartlyReceived => "partly_received",
            PurchaseStatus::Received => "received",
            PurchaseStatus::Closed => "closed",
            PurchaseStatus::Cancelled => "cancelled",
        }
    }

    /// Whether nothing of it is open.
    pub fn is_closed(self) -> bool {
        !matches!(self, PurchaseStatus::Ordered | PurchaseStatus::PartlyReceived)
    }
}

/// Where an order stands, from its lines and what was done to it, in order.
pub fn status(lines: &[PurchaseLine], actions: impl IntoIterator<Item = PurchaseAction>) -> PurchaseStatus {
    let is_open = lines.iter().any(|line| line.outstanding() > Quantity::ZERO);
    let (mut received, mut written_off, mut cancelled) = (false, false, false);
    for action in actions {
        received |= action == PurchaseAction::Receive;
        written_off |= action == PurchaseAction::Close;
        cancelled |= action == PurchaseAction::Cancel;
    }
    match (is_open, received) {
        (true, false) => PurchaseStatus::Ordered,
        (true, true) => PurchaseStatus::PartlyReceived,
        (false, _) if cancelled => PurchaseStatus::Cancelled,
        (false, _) if written_off => PurchaseStatus::Closed,
        (false, _) => PurchaseStatus::Received,
    }
}

/// What a step does: to the lines that are `counted`, as they were; where none is, all that is on order arrives, or is
/// written off. Counts of one SKU are added up. Of a line up to `over_delivery_percent` more than ordered is taken.
///
/// # Errors
/// [`PurchaseError`], for the first count that cannot be.
pub fn settle(
    lines: &[PurchaseLine],
    stands: PurchaseStatus,
    action: PurchaseAction,
    counted: Option<&[Counted]>,
    over_delivery_percent: u32,
) -> Result<Vec<Settled>, PurchaseError> {
    if stands.is_closed() {
        return Err(PurchaseError::Closed(stands));
    }
    if action == PurchaseAction::Cancel && stands != PurchaseStatus::Ordered {
        return Err(PurchaseError::NotCancellable);
    }
    let open: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.outstanding())).collect();
    let wanted = wanted(&open, counted).map_err(PurchaseError::UnknownSku)?;
    let mut settled = Vec::new();
    for (at, (line, (quantity, damaged))) in (0_u32..).zip(lines.iter().zip(wanted)) {
        let total = quantity.plus(damaged);
        let bound = line.receivable(over_delivery_percent);
        if total > bound {
            return Err(PurchaseError::OverDelivery {
                sku: line.sku.clone(),
                bound: bound.thousandths(),
                wanted: total.thousandths(),
            });
        }
        if total == Quantity::ZERO {
            continue;
        }
        let none = Quantity::ZERO;
        let (received, damaged, written_off) = match action {
            PurchaseAction::Place | PurchaseAction::Receive => (quantity, damaged, none),
            PurchaseAction::Close | PurchaseAction::Cancel => (none, none, total),
        };
        let taken = total.min(line.outstanding());
        settled.push(Settled { line: at, received, damaged, written_off, taken });
    }
    if settled.is_empty() { Err(PurchaseError::Nothing) } else { Ok(settled) }
}

/// Adds what a step did to its lines.
pub fn apply(lines: &mut [PurchaseLine], settled: &[Settled]) {
    for settled in settled {
        let line = usize::try_from(settled.line).ok().and_then(|at| lines.get_mut(at));
        if let Some(line) = line {
            line.received = line.received.plus(settled.received);
            line.damaged = line.damaged.plus(settled.damaged);
            line.written_off = line.written_off.plus(settled.written_off);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(n: i64) -> Quantity {
        Quantity::from_pieces(n).unwrap()
    }

    fn lines() -> Vec<PurchaseLine> {
        ["A", "B"]
            .into_iter()
            .map(|sku| PurchaseLine::ordered(sku.into(), Unit::Piece, None, pieces(10)))
            .collect()
    }

    fn count(sku: &str, quantity: i64, damaged: i64) -> Counted {
        Counted { sku: sku.into(), quantity: pieces(quantity), damaged: pieces(damaged) }
    }

    #[test]
    fn an_order_is_received_in_parts_and_what_is_open_is_written_off() {
        let mut lines = lines();
        let mut done = vec![PurchaseAction::Place];
        let stands = |lines: &[PurchaseLine], done: &[PurchaseAction]| status(lines, done.iter().copied());
        assert_eq!(stands(&lines, &done), PurchaseStatus::Ordered);
        let steps: [(_, Option<Vec<Counted>>, _); 3] = [
            (
                PurchaseAction::Receive,
                Some(vec![count("A", 3, 1), count("A", 1, 0)]),
                PurchaseStatus::PartlyReceived,
            ),
            (PurchaseAction::Receive, Some(vec![count("B", 10, 0)]), PurchaseStatus::PartlyReceived),
            (PurchaseAction::Close, None, PurchaseStatus::Closed),
        ];
        for (action, counted, then) in steps {
            let settled = settle(&lines, stands(&lines, &done), action, counted.as_deref(), 0).unwrap();
            apply(&mut lines, &settled);
            done.push(action);
            assert_eq!(stands(&lines, &done), then);
        }
        let found: Vec<_> = lines.iter().map(|l| (l.received, l.damaged, l.written_off)).collect();
        assert_eq!(found, [(pieces(4), pieces(1), pieces(5)), (pieces(10), pieces(0), pieces(0))]);
        let more = settle(&lines, PurchaseStatus::Closed, PurchaseAction::Receive, None, 100);
        assert_eq!(more, Err(PurchaseError::Closed(PurchaseStatus::Closed)));
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let lines = lines();
        let stands = PurchaseStatus::Ordered;
        let refused = |counted: &[Counted]| settle(&lines, stands, PurchaseAction::Receive, Some(counted), 0);
        assert_eq!(refused(&[count("C", 1, 0)]), Err(PurchaseError::UnknownSku("C".into())));
        assert_eq!(refused(&[count("A", 0, 0)]), Err(PurchaseError::Nothing));
        assert_eq!(refused(&[]), Err(PurchaseError::Nothing));
        let above = PurchaseError::OverDelivery { sku: "A".into(), bound: 10_000, wanted: 11_000 };
        assert_eq!(refused(&[count("A", 6, 0), count("A", 4, 1)]), Err(above));
        let partly = PurchaseStatus::PartlyReceived;
        let late = settle(&lines, partly, PurchaseAction::Cancel, None, 0);
        assert_eq!(late, Err(PurchaseError::NotCancellable));
    }

    #[test]
    fn more_than_was_ordered_is_taken_within_the_tolerance_over_all_deliveries() {
        let mut lines = lines();
        // A fifth more of ten, and never a part of a piece.
        let tolerance = |lines: &[PurchaseLine], percent| lines[0].receivable(percent);
        assert_eq!([0, 9, 10, 20, 29].map(|p| tolerance(&lines, p)), [10, 10, 11, 12, 12].map(pieces));
        let receive = |lines: &mut Vec<PurchaseLine>, n| {
            let stands = status(lines, [PurchaseAction::Place, PurchaseAction::Receive]);
            let settled = settle(lines, stands, PurchaseAction::Receive, Some(&[count("A", n, 0)]), 20)?;
            apply(lines, &settled);
            Ok::<_, PurchaseError>(settled[0].taken)
        };
        assert_eq!(receive(&mut lines, 9), Ok(pieces(9)));
        // Of two one was open.
        assert_eq!(receive(&mut lines, 2), Ok(pieces(1)));
        assert_eq!(lines[0].outstanding(), pieces(0));
        assert_eq!(receive(&mut lines, 1), Ok(pieces(0)));
        let above = PurchaseError::OverDelivery { sku: "A".into(), bound: 0, wanted: 1_000 };
        assert_eq!(receive(&mut lines, 1), Err(above));
        let by_weight = PurchaseLine { unit: Unit::Kg, ..lines[1].clone() };
        assert_eq!(by_weight.receivable(29).thousandths(), 12_900);
    }

    #[test]
    fn what_closed_it_tells_how_it_ended() {
        use PurchaseAction::{Cancel, Close, Place, Receive};
        let mut lines = lines();
        let all = settle(&lines, PurchaseStatus::Ordered, Close, None, 0).unwrap();
        apply(&mut lines, &all);
        for (actions, expected) in [
            (vec![Place, Cancel], PurchaseStatus::Cancelled),
            (vec![Place, Close], PurchaseStatus::Closed),
            (vec![Place, Receive, Close], PurchaseStatus::Closed),
            (vec![Place, Receive], PurchaseStatus::Received),
        ] {
            assert_eq!(status(&lines, actions), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_on_order_falls_by_what_is_taken_and_never_below_nothing(
            steps in prop::collection::vec((0..8_u8, 0..8_i64, 0..4_i64), 1..20), percent in 0..60_u32,
        ) {
            let mut lines = lines();
            let mut done = vec![PurchaseAction::Place];
            for (kind, quantity, damaged) in steps {
                let action = match kind {
                    0 => PurchaseAction::Close,
                    1 => PurchaseAction::Cancel,
                    _ => PurchaseAction::Receive,
                };
                let stands = status(&lines, done.iter().copied());
                let counted = [count("A", quantity, damaged)];
                let counted = (action == PurchaseAction::Receive).then_some(&counted[..]);
                let before: Vec<Quantity> = lines.iter().map(PurchaseLine::outstanding).collect();
                if let Ok(settled) = settle(&lines, stands, action, counted, percent) {
                    apply(&mut lines, &settled);
                    done.push(action);
                    for settled in &settled {
                        let at = usize::try_from(settled.line).unwrap();
                        prop_assert_eq!(before[at].minus(settled.taken), lines[at].outstanding());
                    }
                }
                for line in &lines {
                    let most = 10_000 + 100 * i64::from(percent);
                    prop_assert!(line.outstanding() >= Quantity::ZERO);
                    prop_assert!(line.arrived().thousandths() <= most);
                }
            }
        }
    }
}
