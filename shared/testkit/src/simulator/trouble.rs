//! What goes wrong in a run, of all that can: each kind of fault is on or off for the whole of it, and some that are on
//! come twice as often.
//!
//! Where everything fails in every run, each run fails alike: what goes unnoticed as long as something else goes wrong,
//! too, is never seen. So each run has a combination of its own.

use std::collections::BTreeMap;

use super::chance::Chance;
use super::world::Weather;
use crate::faults::Rates;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Tables throttle.
    Throttling,
    /// Others are at an item.
    Conflicts,
    /// Calls to tables time out, and nothing was done.
    Timeouts,
    /// Calls to tables take effect, and their answers are lost.
    LostWrites,
    /// Processes are frozen between two calls.
    Freezes,
    /// Processes die.
    Deaths,
    /// Functions hang, and their event source gives them up.
    Hangs,
    /// Event sources go back, and messages are seen again too early.
    Repeats,
    /// Answers of functions, and requests to them, are lost.
    LostAnswers,
    /// Calls to the stream and the queue fail, wholly or in part.
    Sends,
    /// The line to HQ fails.
    Line,
    /// HQ is down, hangs, or fails.
    Moods,
    /// Clients do not wait for answers.
    Impatience,
    /// Eventual reads are behind.
    Lag,
    /// The stream is cut anew.
    Resharding,
    /// HQ's secret changes.
    Rotations,
    /// Hours pass in which nobody does anything.
    Nights,
    /// Clocks of machines and registers are wrong.
    WrongClocks,
    /// The keeper does not run until the day is over.
    KeeperAway,
    /// The orders are restored from a backup.
    Restores,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 20] = [
        Kind::Throttling,
        Kind::Conflicts,
        Kind::Timeouts,
        Kind::LostWrites,
        Kind::Freezes,
        Kind::Deaths,
        Kind::Hangs,
        Kind::Repeats,
        Kind::LostAnswers,
        Kind::Sends,
        Kind::Line,
        Kind::Moods,
        Kind::Impatience,
        Kind::Lag,
        Kind::Resharding,
        Kind::Rotations,
        Kind::Nights,
        Kind::WrongClocks,
        Kind::KeeperAway,
        Kind::Restores,
    ];

    /// Of runs, in hundredths: those that have it.
    fn runs(self) -> u64 {
        match self {
            Kind::KeeperAway => 30,
            Kind::Restores => 28,
            _ => 72,
        }
    }
}

/// Of what a run has, in hundredths: what comes twice as often.
const DOUBLED: u64 = 33;

/// The kinds of faults that a run has, and how many times as often as usual each comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trouble(BTreeMap<Kind, u64>);

impl Trouble {
    /// That of a seed. It is drawn by chances of its own.
    pub fn drawn(seed: u64) -> Self {
        let chance = Chance::apart(seed, "trouble");
        let mut drawn = BTreeMap::new();
        for kind in Kind::ALL {
            let (is_on, is_doubled) = (chance.percent(kind.runs()), chance.percent(DOUBLED));
            if is_on {
                drawn.insert(kind, if is_doubled { 2 } else { 1 });
            }
        }
        Trouble(drawn)
    }

    /// Those of these kinds, as often as usual.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Trouble(kinds.into_iter().map(|kind| (kind, 1)).collect())
    }

    /// The kinds that it has.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0.keys().copied()
    }

    /// Whether it has faults of a kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.0.contains_key(&kind)
    }

    /// How many times as often as usual faults of a kind come.
    pub fn times(&self, kind: Kind) -> u64 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// What of some weather befalls the run.
    pub fn weather(&self, usual: Weather) -> Weather {
        let of_tables = [Kind::Throttling, Kind::Conflicts, Kind::Timeouts, Kind::LostWrites];
        let tables_fail = of_tables.into_iter().any(|kind| self.has(kind));
        Weather {
            tables: if tables_fail { usual.tables } else { 0 },
            freezes: usual.freezes * self.times(Kind::Freezes),
            deaths: usual.deaths * self.times(Kind::Deaths),
            hangs: usual.hangs * self.times(Kind::Hangs),
            repeats: usual.repeats * self.times(Kind::Repeats),
            answers_lost: usual.answers_lost * self.times(Kind::LostAnswers),
            sends: usual.sends * self.times(Kind::Sends),
            line: usual.line * self.times(Kind::Line),
            impatience: usual.impatience * self.times(Kind::Impatience),
        }
    }

    /// How often calls to tables fail, where usually so many in a thousand do in each way.
    pub fn rates(&self, usual: u64) -> Rates {
        Rates {
            throttled: usual * self.times(Kind::Throttling),
            conflict: usual * self.times(Kind::Conflicts),
            refused: 0,
            timed_out_before: usual * self.times(Kind::Timeouts),
            answer_lost: usual * self.times(Kind::LostWrites),
        }
    }
}
