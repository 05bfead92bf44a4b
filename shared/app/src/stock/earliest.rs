//! `earliest_expiry` raised to the truth, beside whoever makes holds.
//!
//! It says before which time no hold of a part expires. Making a hold keeps it early enough ([`Hold::place`]); it is
//! too early once that hold has ended, and then whoever looks reads hold lines for nothing. So who has read them all
//! raises it to the earliest end among them, `t`. That must not hide a hold that was made while the lines were read.
//!
//! Where `seq` is as it was before the lines were read, none was made. A busy item changes faster than anybody reads,
//! so there is another way: a *look* that is open. Its number (`look`) is random and never used again. From when it is
//! opened, making a hold keeps a second time early enough: `placed_earliest`, which begins after all times. It is in
//! the same write as the hold, and conditional: who read the item before the look was opened finds its condition
//! failed, and reads again.
//!
//! Who read the item with that look open, then all lines, then finds it still open sets `earliest_expiry` to the
//! earlier of `t` and `placed_earliest`, on condition that the look is open and `placed_earliest` no earlier. No hold
//! is lost by that: a hold that counts in the part was made
//!
//! - before the look was opened: its line was there when the lines were read, and `t` is no later than it ends;
//! - while it is open: `placed_earliest` is no later, and only falls until the look ends;
//! - after it ended: making it looked at `earliest_expiry` as it is now; what was read before fails, as
//!   `placed_earliest` is gone;
//! - elsewhere, and counts here by a merge: merging ends the look.
//!
//! Lines end later than they were read to, or not at all, but never sooner: extending, following a header and amending
//! only move ends away.
//!
//! [`Hold::place`]: crate::stock::holds::Hold::place

use jiff::Timestamp;

use crate::database::{Change, Condition, DatabaseError, Key, Table, Write};
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::{Counters, LOOK, PLACED_EARLIEST};
use crate::stock::request_identity::request_number;

/// Writes that one raise takes at most. The first loses where the item is busy, the second where a hold was made
/// meanwhile that ends sooner than any since the look was opened.
const WRITES_MAX: u32 = 3;
/// After all times: no hold was made yet since the look was opened. The end of the year 9999.
const NONE_PLACED: i64 = 253_402_300_799_999;

/// What was seen of the holds that count in one part.
pub(super) struct PartSum {
    /// `seq` of the part as it was read, our own changes added.
    pub(super) seq: i64,
    /// The look that was open then.
    look: Option<i64>,
    /// The earliest end of what has not expired.
    earliest: Option<i64>,
    /// Whether what was seen is no later than the truth.
    pub(super) certain: bool,
    /// Whether all its holds were read.
    pub(super) looked_at: bool,
}

impl PartSum {
    /// Of a part that was read before its hold lines.
    pub(super) fn new(part: &Counters) -> Self {
        PartSum { seq: part.seq, look: part.look, earliest: None, certain: true, looked_at: false }
    }

    /// Notes a hold that goes on until then.
    pub(super) fn sees(&mut self, expires_at: i64) {
        self.earliest = Some(self.earliest.map_or(expires_at, |earliest| earliest.min(expires_at)));
    }
}

/// What making a hold owes a look: the condition that `seen` is not from before it was opened or has ended, and what
/// changes where the hold ends sooner than those made since.
pub(super) fn noted_for_look(seen: &Counters, expires_at: i64) -> (Condition, Option<Change>) {
    match seen.placed_earliest {
        None => (Condition::Lacks(PLACED_EARLIEST), None),
        Some(earliest) if earliest <= expires_at => (Condition::Le(PLACED_EARLIEST, expires_at.into()), None),
        Some(_) => (
            Condition::Gt(PLACED_EARLIEST, expires_at.into()),
            Some(Change::Set(PLACED_EARLIEST, expires_at.into())),
        ),
    }
}

/// Ends the look that is open, if one is.
pub(super) fn no_look() -> [Change; 2] {
    [Change::Remove(LOOK), Change::Remove(PLACED_EARLIEST)]
}

/// Sets a part's `earliest_expiry` to the truth; where somebody moved the part meanwhile, by a look that was open
/// before, and else opens one for whoever looks next. `forget_past`: no hold partition has lines of a past layout any
/// more. An expiry that is too early costs the next reader a query; it is never wrong.
///
/// # Errors
/// As the database, but for lost races and what repeating may help.
pub(super) async fn raise_earliest(
    ports: &Ports,
    key: &Key,
    sum: &PartSum,
    forget_past: bool,
    now: Timestamp,
) -> Result<()> {
    let now = now.as_millisecond();
    let raise = |earliest: Option<i64>, condition: Condition| {
        let mut changes = vec![match earliest {
            Some(earliest) => Change::Set("earliest_expiry", earliest.into()),
            None => Change::Remove("earliest_expiry"),
        }];
        changes.extend(no_look());
        changes.extend(forget_past.then_some(Change::Remove("hold_parts")));
        Write::Update { table: Table::Stock, key: key.clone(), changes, condition: Some(condition) }
    };
    let mut write = raise(sum.earliest, Condition::Eq("seq", sum.seq.into()));
    for _ in 0..WRITES_MAX {
        let item = match ports.database.write(write).await {
            Err(DatabaseError::ConditionFailed(Some(item))) => item,
            Ok(()) | Err(DatabaseError::ConditionFailed(None)) => return Ok(()),
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let found = Counters::of(&item)?;
        if found.earliest_expiry.is_none_or(|earliest| earliest > now) {
            // Somebody else has raised it.
            return Ok(());
        }
        write = match (found.look, found.placed_earliest) {
            (Some(open), Some(placed)) if placed > now => {
                let earliest = sum.earliest.map_or(placed, |earliest| earliest.min(placed));
                if sum.look != Some(open) || earliest <= now {
                    // It was opened after we had begun to read: whoever reads next ends it. Or nothing is gained.
                    return Ok(());
                }
                let still_open = Condition::Eq(LOOK, open.into());
                let none_sooner = Condition::Ge(PLACED_EARLIEST, placed.into());
                let earliest = (earliest < NONE_PLACED).then_some(earliest);
                raise(earliest, Condition::All(vec![still_open, none_sooner]))
            }
            // None is open, or one from so long ago that it tells nothing any more.
            (open, _) => {
                let condition = match open {
                    Some(open) => Condition::Eq(LOOK, open.into()),
                    None => Condition::Lacks(LOOK),
                };
                let number = request_number(ports.environment.as_ref());
                let changes =
                    vec![Change::Set(LOOK, number.into()), Change::Set(PLACED_EARLIEST, NONE_PLACED.into())];
                let open = Write::Update {
                    table: Table::Stock,
                    key: key.clone(),
                    changes,
                    condition: Some(condition),
                };
                return match ports.database.write(open).await {
                    Ok(()) | Err(DatabaseError::ConditionFailed(_)) => Ok(()),
                    Err(error) if error.is_transient() => Ok(()),
                    Err(error) => Err(error.into()),
                };
            }
        };
    }
    Ok(())
}
