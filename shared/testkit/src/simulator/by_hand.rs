//! Counters that somebody with a console changes by hand, as nobody may, and what is known of them until they are
//! corrected.
//!
//! That befalls goods of their own at a location of their own, which nobody else moves: so what must hold of all other
//! stock stays as strict as it is. And of these it must hold, too, but for exactly what was changed.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Of;
use super::chance::Chance;

/// The location that is set aside.
pub const ASIDE: &str = "w-aside";
/// What lies there.
pub const GOODS: [&str; 4] = ["aside-1", "aside-2", "aside-3", "aside-4"];
/// How much of each, in thousandths.
pub const OPENING: i64 = 60_000;

/// Of runs, in hundredths: those in which somebody has a console.
const RUNS: u64 = 50;
/// Sets what is drawn for a console apart from all else that is drawn.
const OF_CONSOLE: u64 = 0x636f_6e73_6f6c_6500;

/// The chances of whoever has a console, in runs with one. They are of their own: a run without one is what it would be.
pub fn console_of(seed: u64) -> Option<Chance> {
    let chance = Chance::new(seed ^ OF_CONSOLE);
    chance.percent(RUNS).then_some(chance)
}

/// Counters, or by how much they change; thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// On hand.
    pub on_hand: i64,
    /// Damaged.
    pub damaged: i64,
}

impl Sums {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Sums) -> Sums {
        Sums { on_hand: self.on_hand + other.on_hand, damaged: self.damaged + other.damaged }
    }
}

/// A change by hand that is not corrected yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// By how much.
    pub by: Sums,
    /// After which movement it was seen; `None` before.
    pub after_seq: Option<i64>,
}

/// One of the stock items that are set aside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Item {
    /// What its movements come to, corrections left out.
    pub sound: Sums,
    /// What is changed by hand.
    pub edit: Option<Edit>,
    /// Corrections that were movements of it.
    pub corrections: u32,
    /// Keys of requests whose senders were told that they corrected it.
    pub told: BTreeSet<String>,
}

impl Item {
    /// By how much its counters are not what its movements say.
    pub fn off(&self) -> Sums {
        self.edit.filter(|edit| edit.after_seq.is_some()).map(|edit| edit.by).unwrap_or_default()
    }
}

/// All that are set aside, by tenant and SKU.
#[derive(Debug, Clone, Default)]
pub struct ByHand(BTreeMap<Of<String>, Item>);

impl ByHand {
    /// What is known of one.
    pub fn item(&self, tenant: &str, sku: &str) -> Item {
        self.0.get(&(tenant.to_owned(), sku.to_owned())).cloned().unwrap_or_default()
    }

    /// The same, to change it.
    pub fn item_mut(&mut self, tenant: &str, sku: &str) -> &mut Item {
        self.0.entry((tenant.to_owned(), sku.to_owned())).or_default()
    }
}
