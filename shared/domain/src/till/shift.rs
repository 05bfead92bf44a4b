//! A shift: from the float in the drawer to the Z report.
//!
//! Every command of a shift leaves one entry in it: the opening, then movements, then the closing. The
//! key of a command stands at the place of its entry, so a repeated command is answered from it.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::cash_count::{Denomination, amount_of};
use super::{LaneTotals, TillError};
use crate::cart::applied::{CommandIdentity, FINGERPRINT_BYTES, KEY_HASH_BYTES};
use crate::lane::EpochEnd;
use crate::money::{Currency, Money};

/// Most movements of one shift: one every three minutes of ten hours. With the longest reasons and counts
/// that many take 300 KB, and a DynamoDB item ends at 400. The closing always finds room.
pub const MOVEMENTS_MAX: usize = 200;

/// A lane as it stood when a shift opened, closed, or was asked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LaneMark {
    /// Raised after a restore from backup.
    pub epoch: u32,
    /// Last number given; 0 before the first.
    pub last: u64,
    /// Running totals up to that number, over all epochs.
    pub totals: LaneTotals,
    /// Where the epochs before ended, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EpochEnd>,
}

/// Receipt numbers of one epoch, first and last included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRange {
    /// The epoch.
    pub epoch: u32,
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// How a shift began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// When, as the register told it.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// The store's business day of that time; a shift that goes on past midnight stays of that day.
    pub business_day: Date,
    /// What lay in the drawer, in minor units.
    pub float: i64,
    /// In which coins and notes, if they were told.
    #[serde(default)]
    pub denominations: Vec<Denomination>,
    /// The lane.
    pub lane: LaneMark,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// When, as the register told it.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Counts the closings of the register, from 1, without gaps.
    pub z_number: u64,
    /// What was counted in the drawer, in minor units.
    pub counted: i64,
    /// In which coins and notes, if they were told.
    #[serde(default)]
    pub denominations: Vec<Denomination>,
    /// What was to be said of it.
    #[serde(default)]
    pub reason: Option<String>,
    /// The lane.
    pub lane: LaneMark,
}

/// What a movement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Cash put into the drawer beside sales.
    PaidIn,
    /// Cash taken out of it beside refunds.
    PaidOut,
    /// The drawer was opened, and nothing moved.
    NoSale,
    /// The drawer was counted.
    CashCount,
}

impl MovementKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            MovementKind::PaidIn => "paid_in",
            MovementKind::PaidOut => "paid_out",
            MovementKind::NoSale => "no_sale",
            MovementKind::CashCount => "cash_count",
        }
    }
}

/// Something that happened to a drawer beside sales and returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// What it is.
    pub kind: MovementKind,
    /// What was put in, taken out or counted, in minor units; 0 where nothing moved.
    pub amount: i64,
    /// Cash that was to be in the drawer after it.
    pub expected: i64,
    /// Coins and notes of a count, if they were told.
    pub denominations: Vec<Denomination>,
    /// Why.
    pub reason: Option<String>,
    /// Approval by a supervisor, where one was given.
    pub approval_id: Option<String>,
    /// When, as the register told it.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// A movement as it is asked for.
#[derive(Debug, Clone)]
pub struct NewMovement {
    /// What it is.
    pub kind: MovementKind,
    /// What is put in, taken out or counted; nothing where nothing moves.
    pub amount: Option<Money>,
    /// Coins and notes of a count, in minor units.
    pub denominations: Vec<Denomination>,
    /// Why.
    pub reason: Option<String>,
    /// Approval by a supervisor.
    pub approval_id: Option<String>,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Whether it happened while nobody could refuse it: then it is recorded, whatever the drawer holds by what is
    /// known.
    pub has_happened: bool,
}

/// What a command did to a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It opened it.
    Opening,
    /// It made the movement at this position.
    Movement(usize),
    /// It closed it.
    Closing,
}

/// How a key relates to what a shift took before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// New here.
    Never,
    /// The same command made this entry.
    Same(Entry),
    /// The key was used for another command.
    Reused,
}

/// Hashes of the keys of a shift's commands and of what they were sent with, in the order of its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShiftKeys(Vec<([u8; KEY_HASH_BYTES], [u8; FINGERPRINT_BYTES])>);

impl ShiftKeys {
    /// Keys of a shift that `identity` opens.
    pub fn opened_by(identity: &CommandIdentity) -> Self {
        ShiftKeys(vec![(identity.key, identity.fingerprint)])
    }

    fn push(&mut self, identity: &CommandIdentity) {
        self.0.push((identity.key, identity.fingerprint));
    }
}

/// How many, and what they came to in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// What they came to.
    pub total: i64,
}

/// What a report says of a shift. Amounts in minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShiftFigures {
    /// First and last number of its receipts, if it has any, and if they are of one epoch.
    pub receipts: Option<(u64, u64)>,
    /// The same by epoch, over a restore from backup too.
    pub ranges: Vec<ReceiptRange>,
    /// What its sales and returns came to.
    pub totals: LaneTotals,
    /// Cash put in beside them.
    pub paid_in: Tally,
    /// Cash taken out beside them.
    pub paid_out: Tally,
    /// How often the drawer was opened for nothing.
    pub no_sales: u64,
    /// Cash that is to be in the drawer.
    pub expected: i64,
}

/// A shift of a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shift {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Counts its writes.
    pub version: u64,
    /// Store.
    pub store_id: String,
    /// Register.
    pub register_id: String,
    /// The store's currency.
    pub currency: Currency,
    /// How it began.
    pub opening: Opening,
    /// What happened to its drawer, in order.
    pub movements: Vec<Movement>,
    /// Keys of its commands.
    pub keys: ShiftKeys,
    /// How it ended, if it did. With it the shift is fixed for ever.
    pub closing: Option<Closing>,
}

/// The numbers that a lane gave out between two of its states, by epoch.
fn receipts_between(begin: &LaneMark, end: &LaneMark) -> Vec<ReceiptRange> {
    let before = end.earlier.iter().map(|ended| (ended.epoch, ended.last));
    let epochs = before.filter(|(epoch, _)| *epoch < end.epoch).chain([(end.epoch, end.last)]);
    epochs
        .filter(|(epoch, _)| *epoch >= begin.epoch)
        .map(|(epoch, last)| {
            let first = if epoch == begin.epoch { begin.last.saturating_add(1) } else { 1 };
            ReceiptRange { epoch, first, last }
        })
        .filter(|range| range.first <= range.last)
        .collect()
}

impl Shift {
    /// Looks a command up by its key.
    pub fn seen(&self, identity: &CommandIdentity) -> Seen {
        match self.keys.0.iter().enumerate().find(|(_, (key, _))| *key == identity.key) {
            None => Seen::Never,
            Some((_, (_, fingerprint))) if *fingerprint != identity.fingerprint => Seen::Reused,
            Some((0, _)) => Seen::Same(Entry::Opening),
            Some((at, _)) if at <= self.movements.len() => Seen::Same(Entry::Movement(at - 1)),
            Some(_) => Seen::Same(Entry::Closing),
        }
    }

    fn tally(&self, kind: MovementKind) -> Tally {
        let of = self.movements.iter().filter(|movement| movement.kind == kind);
        of.fold(Tally::default(), |sum, movement| Tally {
            count: sum.count + 1,
            total: sum.total.saturating_add(movement.amount),
        })
    }

    /// Cash that is to be in the drawer, when the lane stands at `lane`: the float, what sales and returns
    /// left of cash and its tips, what was paid in, less what was paid out.
    pub fn expected(&self, lane: &LaneMark) -> i64 {
        let (paid_in, paid_out) = (self.tally(MovementKind::PaidIn), self.tally(MovementKind::PaidOut));
        self.opening
            .float
            .saturating_add(lane.totals.since(&self.opening.lane.totals).drawer())
            .saturating_add(paid_in.total)
            .saturating_sub(paid_out.total)
    }

    /// What a report says: of a closed shift as of its end, of an open one with its lane as it stands.
    pub fn figures(&self, lane: &LaneMark) -> ShiftFigures {
        let lane = self.closing.as_ref().map_or(lane, |closing| &closing.lane);
        let begin = &self.opening.lane;
        let ranges = receipts_between(begin, lane);
        ShiftFigures {
            receipts: match ranges.as_slice() {
                [range] => Some((range.first, range.last)),
                _ => None,
            },
            ranges,
            totals: lane.totals.since(&begin.totals),
            paid_in: self.tally(MovementKind::PaidIn),
            paid_out: self.tally(MovementKind::PaidOut),
            no_sales: self.tally(MovementKind::NoSale).count,
            expected: self.expected(lane),
        }
    }

    /// Most that can be in the drawer: what is expected, corrected by what the last count found more or
    /// less. Nobody takes out more than there is; who tells of more mistyped it, or has to count first.
    fn most_in_drawer(&self, lane: &LaneMark) -> i64 {
        let last_count = self.movements.iter().rev().find(|m| m.kind == MovementKind::CashCount);
        let found = last_count.map_or(0, |count| count.amount.saturating_sub(count.expected));
        self.expected(lane).saturating_add(found)
    }

    fn require_open(&self) -> Result<(), TillError> {
        if self.closing.is_some() { Err(TillError::Closed) } else { Ok(()) }
    }

    /// Records a movement, with the lane as it stands.
    ///
    /// # Errors
    /// [`TillError::Closed`], [`TillError::TooManyMovements`], [`TillError::NotPositive`],
    /// [`TillError::CurrencyMismatch`], [`TillError::Money`]; [`TillError::DrawerShort`] where more is taken
    /// out than can be there, unless it has happened: what else the drawer held, its count shows.
    pub fn record(
        &mut self,
        new: NewMovement,
        lane: &LaneMark,
        identity: &CommandIdentity,
    ) -> Result<(), TillError> {
        self.require_open()?;
        if self.movements.len() >= MOVEMENTS_MAX {
            return Err(TillError::TooManyMovements);
        }
        let amount = new.amount.map_or(Ok(0), |money| amount_of(money, self.currency))?;
        if matches!(new.kind, MovementKind::PaidIn | MovementKind::PaidOut) && amount <= 0 {
            return Err(TillError::NotPositive);
        }
        if new.kind == MovementKind::PaidOut && !new.has_happened {
            let most = self.most_in_drawer(lane);
            if amount > most {
                return Err(TillError::DrawerShort { most });
            }
        }
        self.movements.push(Movement {
            kind: new.kind,
            amount,
            expected: 0,
            denominations: new.denominations,
            reason: new.reason,
            approval_id: new.approval_id,
            at: new.at,
            by: new.by,
        });
        let expected = self.expected(lane);
        if let Some(movement) = self.movements.last_mut() {
            movement.expected = expected;
        }
        self.keys.push(identity);
        Ok(())
    }

    /// Closes it.
    ///
    /// # Errors
    /// [`TillError::Closed`].
    pub fn close(&mut self, closing: Closing, identity: &CommandIdentity) -> Result<(), TillError> {
        self.require_open()?;
        self.closing = Some(closing);
        self.keys.push(identity);
        Ok(())
    }

    /// The shift as it was right after `entry`: what that command answered, it answers again.
    #[must_use]
    pub fn as_of(&self, entry: Entry) -> Shift {
        let mut then = self.clone();
        let kept = match entry {
            Entry::Closing => return then,
            Entry::Opening => 0,
            Entry::Movement(at) => at + 1,
        };
        then.movements.truncate(kept);
        then.closing = None;
        then
    }

    /// Cash that was to be in the drawer right after the last entry, without asking the lane.
    pub fn last_expected(&self) -> i64 {
        match (&self.closing, self.movements.last()) {
            (Some(closing), _) => self.expected(&closing.lane),
            (None, Some(movement)) => movement.expected,
            (None, None) => self.opening.float,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::till::TenderTotals;

    fn identity(n: u8) -> CommandIdentity {
        CommandIdentity { key: [n; KEY_HASH_BYTES], fingerprint: [n; FINGERPRINT_BYTES] }
    }

    fn mark(last: u64, cash: i64, tips: i64) -> LaneMark {
        let by = TenderTotals { payments: 1, paid: cash, ..TenderTotals::default() };
        let tenders = [("cash".to_owned(), by)].into();
        let totals = LaneTotals { cash_tips: tips, tenders, ..LaneTotals::default() };
        LaneMark { last, totals, ..LaneMark::default() }
    }

    fn shift(float: i64) -> Shift {
        Shift {
            id: "sh".to_owned(),
            version: 1,
            store_id: "s".to_owned(),
            register_id: "r".to_owned(),
            currency: Currency::GBP,
            opening: Opening {
                at: Timestamp::UNIX_EPOCH,
                by: "e".to_owned(),
                business_day: Date::constant(2010, 12, 1),
                float,
                denominations: Vec::new(),
                lane: mark(7, 1_000, 0),
            },
            movements: Vec::new(),
            keys: ShiftKeys::opened_by(&identity(0)),
            closing: None,
        }
    }

    fn new(kind: MovementKind, amount: i64) -> NewMovement {
        NewMovement {
            kind,
            amount: (kind != MovementKind::NoSale).then_some(Money { amount, currency: Currency::GBP }),
            denominations: Vec::new(),
            reason: None,
            approval_id: None,
            at: Timestamp::UNIX_EPOCH,
            by: "e".to_owned(),
            has_happened: false,
        }
    }

    fn closing(lane: LaneMark) -> Closing {
        Closing {
            at: Timestamp::UNIX_EPOCH,
            by: "e".to_owned(),
            z_number: 1,
            counted: 0,
            denominations: Vec::new(),
            reason: None,
            lane,
        }
    }

    #[test]
    fn a_drawer_worked_by_hand() {
        use MovementKind::{CashCount, NoSale, PaidIn, PaidOut};
        let mut shift = shift(10_000);
        // 15.00 of sales in cash and 0.50 of tips since the opening.
        let lane = mark(9, 2_500, 50);
        assert_eq!(shift.expected(&lane), 11_550);
        shift.record(new(PaidIn, 2_000), &lane, &identity(1)).unwrap();
        shift.record(new(PaidOut, 550), &lane, &identity(2)).unwrap();
        shift.record(new(NoSale, 0), &lane, &identity(3)).unwrap();
        shift.record(new(CashCount, 12_990), &lane, &identity(4)).unwrap();
        let expected: Vec<i64> = shift.movements.iter().map(|movement| movement.expected).collect();
        assert_eq!(expected, [13_550, 13_000, 13_000, 13_000]);
        let figures = shift.figures(&lane);
        assert_eq!(figures.receipts, Some((8, 9)));
        assert_eq!((figures.paid_in, figures.paid_out), (tally(1, 2_000), tally(1, 550)));
        assert_eq!((figures.no_sales, figures.expected), (1, 13_000));
        assert_eq!(shift.figures(&mark(7, 1_000, 0)).receipts, None, "nothing was sold");
        let earlier = vec![EpochEnd { epoch: 0, last: 11, z_number: 2 }];
        let restored = LaneMark { epoch: 1, earlier, ..mark(9, 2_500, 50) };
        let over = shift.figures(&restored);
        assert_eq!(over.receipts, None, "numbers of two epochs are no range");
        let range = |epoch, first, last| ReceiptRange { epoch, first, last };
        assert_eq!(over.ranges, [range(0, 8, 11), range(1, 1, 9)]);
        // 0.10 is missing since the count.
        let refused = Err(TillError::DrawerShort { most: 12_990 });
        assert_eq!(shift.record(new(PaidOut, 12_991), &lane, &identity(5)), refused);
        shift.record(new(PaidOut, 12_990), &lane, &identity(5)).unwrap();
        assert_eq!(shift.expected(&lane), 10);
        let refused = Err(TillError::DrawerShort { most: 0 });
        assert_eq!(shift.record(new(PaidOut, 1), &lane, &identity(6)), refused);
    }

    fn tally(count: u64, total: i64) -> Tally {
        Tally { count, total }
    }

    #[test]
    fn what_a_count_found_more_may_be_taken_out() {
        use MovementKind::{CashCount, PaidOut};
        let (mut shift, lane) = (shift(100), mark(7, 1_000, 0));
        assert_eq!(
            shift.record(new(PaidOut, 120), &lane, &identity(1)),
            Err(TillError::DrawerShort { most: 100 })
        );
        shift.record(new(CashCount, 120), &lane, &identity(1)).unwrap();
        shift.record(new(PaidOut, 120), &lane, &identity(2)).unwrap();
        assert_eq!(shift.expected(&lane), -20);
        let more = shift.record(new(PaidOut, 1), &lane, &identity(3));
        assert_eq!(more, Err(TillError::DrawerShort { most: 0 }));
    }

    /// Money that left the drawer is gone, whatever is known of how it came there.
    #[test]
    fn what_has_happened_is_recorded_below_nothing() {
        use MovementKind::PaidOut;
        let (mut shift, lane) = (shift(100), mark(7, 1_000, 0));
        let out = |amount| NewMovement { has_happened: true, ..new(PaidOut, amount) };
        shift.record(out(120), &lane, &identity(1)).unwrap();
        assert_eq!((shift.last_expected(), shift.figures(&lane).expected), (-20, -20));
        assert_eq!(shift.record(out(0), &lane, &identity(2)), Err(TillError::NotPositive));
        let online = shift.record(new(PaidOut, 1), &lane, &identity(2));
        assert_eq!(online, Err(TillError::DrawerShort { most: -20 }));
        shift.close(closing(lane.clone()), &identity(3)).unwrap();
        assert_eq!(shift.figures(&lane).paid_out, tally(1, 120));
    }

    #[test]
    fn a_closed_shift_takes_nothing_and_keeps_its_figures() {
        use MovementKind::NoSale;
        let mut shift = shift(0);
        for _ in 0..MOVEMENTS_MAX {
            shift.record(new(NoSale, 0), &mark(7, 1_000, 0), &identity(1)).unwrap();
        }
        let full = shift.record(new(NoSale, 0), &mark(7, 1_000, 0), &identity(2));
        assert_eq!(full, Err(TillError::TooManyMovements));
        shift.close(closing(mark(8, 1_500, 0)), &identity(3)).unwrap();
        let later = mark(20, 9_000, 9);
        assert_eq!(shift.record(new(NoSale, 0), &later, &identity(4)), Err(TillError::Closed));
        assert_eq!(shift.close(closing(later.clone()), &identity(4)), Err(TillError::Closed));
        let figures = shift.figures(&later);
        assert_eq!((figures.receipts, figures.expected), (Some((8, 8)), 500));
        assert_eq!(shift.last_expected(), 500);
    }

    #[test]
    fn amounts_are_of_the_store_and_within_bounds() {
        use crate::money::{AMOUNT_MAX, MoneyError};
        let (mut shift, lane) = (shift(0), mark(7, 1_000, 0));
        let range = TillError::Money(MoneyError::OutOfRange);
        for (amount, refused) in [
            (0, TillError::NotPositive),
            (-1, TillError::NotPositive),
            (AMOUNT_MAX + 1, range.clone()),
            (-AMOUNT_MAX - 1, range),
        ] {
            for kind in [MovementKind::PaidIn, MovementKind::PaidOut] {
                assert_eq!(shift.record(new(kind, amount), &lane, &identity(1)), Err(refused.clone()));
            }
        }
        let mut euro = new(MovementKind::PaidIn, 1);
        euro.amount = Some(Money { amount: 1, currency: "EUR".parse().unwrap() });
        let refused = Err(TillError::CurrencyMismatch(Currency::GBP));
        assert_eq!(shift.record(euro, &lane, &identity(1)), refused);
        assert_eq!(shift.movements, []);
    }

    proptest! {
        /// Whatever happens to a drawer, each command is found by its key at the entry it made, and what
        /// it answered then can be told again.
        #[test]
        fn every_command_is_found_again(
            steps in prop::collection::vec((0_usize..4, 1_i64..500, 0_i64..300), 0..40), ends in any::<bool>(),
        ) {
            let mut shift = shift(1_000);
            let (mut cash, mut told) = (1_000, vec![shift.clone()]);
            for (n, (kind, amount, sold)) in (1..).zip(steps) {
                use MovementKind::{CashCount, NoSale, PaidIn, PaidOut};
                cash += sold;
                let kind = [PaidIn, PaidOut, NoSale, CashCount][kind];
                let before = shift.clone();
                match shift.record(new(kind, amount), &mark(8, cash, 0), &identity(n)) {
                    Ok(()) => told.push(shift.clone()),
                    Err(_) => prop_assert_eq!(&shift, &before),
                }
            }
            let last = mark(9, cash, 0);
            if ends {
                shift.close(closing(last.clone()), &identity(255)).unwrap();
                prop_assert_eq!(shift.seen(&identity(255)), Seen::Same(Entry::Closing));
                prop_assert_eq!(shift.as_of(Entry::Closing), shift.clone());
            }
            for (at, then) in told.iter().enumerate() {
                let entry = if at == 0 { Entry::Opening } else { Entry::Movement(at - 1) };
                let (key, fingerprint) = shift.keys.0[at];
                prop_assert_eq!(shift.seen(&CommandIdentity { key, fingerprint }), Seen::Same(entry));
                let other = CommandIdentity { key, fingerprint: [9; FINGERPRINT_BYTES] };
                prop_assert_eq!(shift.seen(&other), if fingerprint == [9; FINGERPRINT_BYTES] {
                    Seen::Same(entry)
                } else {
                    Seen::Reused
                });
                let as_of = shift.as_of(entry);
                prop_assert_eq!((&as_of.movements, &as_of.closing), (&then.movements, &None));
                prop_assert_eq!(as_of.last_expected(), then.last_expected());
            }
            prop_assert_eq!(shift.seen(&identity(254)), Seen::Never);
            // The movements explain all of the drawer that sales do not.
            let sum = |kind| shift.tally(kind).total;
            let (paid_in, paid_out) = (sum(MovementKind::PaidIn), sum(MovementKind::PaidOut));
            prop_assert_eq!(shift.figures(&last).expected, 1_000 + cash - 1_000 + paid_in - paid_out);
        }
    }
}
