//! Transfers of stock between two locations, in two phases: shipped, and then settled line by line.
//!
//! What was shipped is on its way until it is received (fit for sale or damaged) or comes back. At each step
//! source + on the way + destination is what it was.

use serde::{Deserialize, Serialize};

use crate::quantity::{Quantity, Unit};

/// Most lines of a transfer: its item stays well below DynamoDB's 400 KB.
pub const LINES_MAX: usize = 1_000;
/// Most receipts and rejections of one transfer, for the same reason.
pub const EVENTS_MAX: usize = 200;
/// Most lines over all of them.
pub const EVENT_LINES_MAX: usize = 10_000;

/// What was done to a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransferAction {
    /// It left the source.
    Ship,
    /// Some of it arrived.
    Receive,
    /// Some of it was refused and is at the source again.
    Return,
    /// Some of it was refused as damaged and stays, kept aside, at the destination.
    Damage,
    /// All of it is at the source again: nothing had been settled.
    Cancel,
}

impl TransferAction {
    /// Its name on the wire and, behind `transfer_`, in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            TransferAction::Ship => "ship",
            TransferAction::Receive => "receive",
            TransferAction::Return => "return",
            TransferAction::Damage => "damage",
            TransferAction::Cancel => "cancel",
        }
    }
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStatus {
    /// All of it is on its way.
    InTransit,
    /// Some of it is settled, and some is on its way.
    PartlyReceived,
    /// All of it is settled, and some of it was received.
    Received,
    /// All of it was refused.
    Rejected,
    /// All of it is back, before any was settled.
    Cancelled,
}

/// One SKU of a transfer, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLine {
    /// What.
    pub sku: String,
    /// How it is sold.
    pub unit: Unit,
    /// What left the source.
    pub shipped: Quantity,
    /// What arrived fit for sale.
    pub received: Quantity,
    /// What arrived damaged.
    pub damaged: Quantity,
    /// What went back to the source.
    pub returned: Quantity,
}

impl TransferLine {
    /// A line that is shipped.
    pub fn shipped(sku: String, unit: Unit, shipped: Quantity) -> Self {
        let none = Quantity::ZERO;
        TransferLine { sku, unit, shipped, received: none, damaged: none, returned: none }
    }

    /// What is on its way.
    pub fn outstanding(&self) -> Quantity {
        let settled = self.received.plus(self.damaged).plus(self.returned);
        Quantity::of_counter(self.shipped.thousandths().saturating_sub(settled.thousandths()))
    }
}

/// What one step settles of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Position of the line.
    pub line: u32,
    /// Arrived fit for sale.
    pub received: Quantity,
    /// Arrived damaged.
    pub damaged: Quantity,
    /// Back at the source.
    pub returned: Quantity,
}

impl Settled {
    /// What it takes from what is on its way.
    pub fn total(&self) -> Quantity {
        self.received.plus(self.damaged).plus(self.returned)
    }
}

/// Of one SKU, what somebody says arrived or is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What.
    pub sku: String,
    /// Fit for sale; of a rejection: what is refused.
    pub quantity: Quantity,
    /// Damaged; of a receipt only.
    pub damaged: Quantity,
}

/// What a step asks of each line, fit for sale and damaged: what is `counted` of its SKU, or where nothing is counted
/// all that is open. `lines` are their SKUs and what is open of each.
///
/// # Errors
/// The SKU of a count that no line is of.
pub(crate) fn wanted(
    lines: &[(&str, Quantity)],
    counted: Option<&[Counted]>,
) -> Result<Vec<(Quantity, Quantity)>, String> {
    let Some(counted) = counted else {
        return Ok(lines.iter().map(|(_, open)| (*open, Quantity::ZERO)).collect());
    };
    let mut wanted: Vec<(Quantity, Quantity)> = vec![Default::default(); lines.len()];
    for count in counted {
        let at = lines.iter().position(|(sku, _)| *sku == count.sku);
        let wanted = at.and_then(|at| wanted.get_mut(at)).ok_or_else(|| count.sku.clone())?;
        *wanted = (wanted.0.plus(count.quantity), wanted.1.plus(count.damaged));
    }
    Ok(wanted)
}

/// Why a transfer does not take a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Nothing of it is on its way.
    #[error("nothing of the transfer is on its way any more: it is {}", .0.name())]
    Closed(TransferStatus),
    /// Some of it was settled.
    #[error("some of the transfer was received or refused already; reject the rest instead")]
    NotCancellable,
    /// It has no such line.
    #[error("the transfer has no {0}")]
    UnknownSku(String),
    /// More than is on its way.
    #[error("of {sku} {outstanding} thousandths are on their way, fewer than {wanted}")]
    AboveShipped {
        /// What.
        sku: String,
        /// On its way, in thousandths.
        outstanding: i64,
        /// Said to have arrived or refused, in thousandths.
        wanted: i64,
    },
    /// It says nothing.
    #[error("say what arrived or is refused: all quantities are 0")]
    Nothing,
    /// Too many steps.
    #[error("a transfer is settled in at most {EVENTS_MAX} steps of {EVENT_LINES_MAX} lines in all")]
    TooManySteps,
}

impl TransferStatus {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            TransferStatus::InTransit => "in_transit",
            TransferStatus::PartlyReceived => "partly_received",
            TransferStatus::Received => "received",
            TransferStatus::Rejected => "rejected",
            TransferStatus::Cancelled => "cancelled",
        }
    }

    /// Whether nothing of it is on its way.
    pub fn is_closed(self) -> bool {
        !matches!(self, TransferStatus::InTransit | TransferStatus::PartlyReceived)
    }
}

/// Where a transfer stands, from its lines and what was done to it, in order.
pub fn status(lines: &[TransferLine], actions: impl IntoIterator<Item = TransferAction>) -> TransferStatus {
    let on_its_way = lines.iter().any(|line| line.outstanding() > Quantity::ZERO);
    let (mut settled, mut received, mut cancelled) = (false, false, false);
    for action in actions {
        settled |= action != TransferAction::Ship;
        received |= action == TransferAction::Receive;
        cancelled |= action == TransferAction::Cancel;
    }
    match (on_its_way, settled) {
        (true, false) => TransferStatus::InTransit,
        (true, true) => TransferStatus::PartlyReceived,
        (false, _) if cancelled => TransferStatus::Cancelled,
        (false, _) if received => TransferStatus::Received,
        (false, _) => TransferStatus::Rejected,
    }
}

/// What a step settles: of the lines that are `counted`, as they were, of all that is on its way where none
/// is. Counts of one SKU are added up.
///
/// # Errors
/// [`TransferError`], for the first count that cannot be.
pub fn settle(
    lines: &[TransferLine],
    stands: TransferStatus,
    action: TransferAction,
    counted: Option<&[Counted]>,
) -> Result<Vec<Settled>, TransferError> {
    if stands.is_closed() {
        return Err(TransferError::Closed(stands));
    }
    if action == TransferAction::Cancel && stands != TransferStatus::InTransit {
        return Err(TransferError::NotCancellable);
    }
    let open: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.outstanding())).collect();
    let wanted = wanted(&open, counted).map_err(TransferError::UnknownSku)?;
    let mut settled = Vec::new();
    for (at, (line, (quantity, damaged))) in (0_u32..).zip(lines.iter().zip(wanted)) {
        let outstanding = line.outstanding();
        let total = quantity.plus(damaged);
        if total > outstanding {
            return Err(TransferError::AboveShipped {
                sku: line.sku.clone(),
                outstanding: outstanding.thousandths(),
                wanted: total.thousandths(),
            });
        }
        if total == Quantity::ZERO {
            continue;
        }
        let none = Quantity::ZERO;
        let (received, damaged, returned) = match action {
            TransferAction::Ship | TransferAction::Receive => (quantity, damaged, none),
            TransferAction::Damage => (none, total, none),
            TransferAction::Return | TransferAction::Cancel => (none, none, total),
        };
        settled.push(Settled { line: at, received, damaged, returned });
    }
    if settled.is_empty() { Err(TransferError::Nothing) } else { Ok(settled) }
}

/// Adds what a step settled to its lines.
pub fn apply(lines: &mut [TransferLine], settled: &[Settled]) {
    for settled in settled {
        let line = usize::try_from(settled.line).ok().and_then(|at| lines.get_mut(at));
        if let Some(line) = line {
            line.received = line.received.plus(settled.received);
            line.damaged = line.damaged.plus(settled.damaged);
            line.returned = line.returned.plus(settled.returned);
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

    fn lines() -> Vec<TransferLine> {
        ["A", "B"].into_iter().map(|sku| TransferLine::shipped(sku.into(), Unit::Piece, pieces(10))).collect()
    }

    fn count(sku: &str, quantity: i64, damaged: i64) -> Counted {
        Counted { sku: sku.into(), quantity: pieces(quantity), damaged: pieces(damaged) }
    }

    #[test]
    fn a_transfer_is_settled_line_by_line() {
        let mut lines = lines();
        let mut done = vec![TransferAction::Ship];
        let stands = |lines: &[TransferLine], done: &[TransferAction]| status(lines, done.iter().copied());
        assert_eq!(stands(&lines, &done), TransferStatus::InTransit);
        let steps: [(_, Option<Vec<Counted>>, _); 3] = [
            (
                TransferAction::Receive,
                Some(vec![count("A", 3, 1), count("A", 1, 0)]),
                TransferStatus::PartlyReceived,
            ),
            (TransferAction::Damage, Some(vec![count("A", 2, 0)]), TransferStatus::PartlyReceived),
            (TransferAction::Return, None, TransferStatus::Received),
        ];
        for (action, counted, then) in steps {
            let settled = settle(&lines, stands(&lines, &done), action, counted.as_deref()).unwrap();
            apply(&mut lines, &settled);
            done.push(action);
            assert_eq!(stands(&lines, &done), then);
        }
        let found: Vec<_> = lines.iter().map(|l| (l.received, l.damaged, l.returned)).collect();
        assert_eq!(found, [(pieces(4), pieces(3), pieces(3)), (pieces(0), pieces(0), pieces(10))]);
        let more = settle(&lines, TransferStatus::Received, TransferAction::Receive, None);
        assert_eq!(more, Err(TransferError::Closed(TransferStatus::Received)));
    }

    #[test]
    fn what_is_refused_settles_nothing() {
        let lines = lines();
        let stands = TransferStatus::InTransit;
        let refused = |counted: &[Counted]| settle(&lines, stands, TransferAction::Receive, Some(counted));
        assert_eq!(refused(&[count("C", 1, 0)]), Err(TransferError::UnknownSku("C".into())));
        assert_eq!(refused(&[count("A", 0, 0)]), Err(TransferError::Nothing));
        assert_eq!(refused(&[]), Err(TransferError::Nothing));
        let above = TransferError::AboveShipped { sku: "A".into(), outstanding: 10_000, wanted: 11_000 };
        assert_eq!(refused(&[count("A", 6, 0), count("A", 4, 1)]), Err(above));
        let partly = TransferStatus::PartlyReceived;
        let late = settle(&lines, partly, TransferAction::Cancel, None);
        assert_eq!(late, Err(TransferError::NotCancellable));
    }

    #[test]
    fn who_closed_it_tells_how_it_ended() {
        use TransferAction::{Cancel, Damage, Receive, Return, Ship};
        let mut lines = lines();
        let all = settle(&lines, TransferStatus::InTransit, Return, None).unwrap();
        apply(&mut lines, &all);
        for (actions, expected) in [
            (vec![Ship, Cancel], TransferStatus::Cancelled),
            (vec![Ship, Return], TransferStatus::Rejected),
            (vec![Ship, Damage], TransferStatus::Rejected),
            (vec![Ship, Receive], TransferStatus::Received),
            (vec![Ship, Receive, Return], TransferStatus::Received),
        ] {
            assert_eq!(status(&lines, actions), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_comes_from_nowhere(steps in prop::collection::vec((0..4_u8, 0..8_i64, 0..4_i64), 1..20)) {
            let mut lines = lines();
            let mut done = vec![TransferAction::Ship];
            for (kind, quantity, damaged) in steps {
                let action = match kind {
                    0 | 1 => TransferAction::Receive,
                    2 => TransferAction::Return,
                    _ => TransferAction::Damage,
                };
                let stands = status(&lines, done.iter().copied());
                let counted = [count("A", quantity, damaged)];
                if let Ok(settled) = settle(&lines, stands, action, Some(&counted)) {
                    apply(&mut lines, &settled);
                    done.push(action);
                }
                for line in &lines {
                    prop_assert!(line.outstanding() >= Quantity::ZERO);
                    prop_assert!(line.received.plus(line.damaged).plus(line.returned) <= line.shipped);
                }
            }
        }
    }
}
