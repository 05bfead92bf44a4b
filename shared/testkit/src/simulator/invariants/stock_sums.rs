//! What stock items come to with all their parts: what is for sale of them is what is on hand beyond what is reserved and
//! beyond the safety stock that HQ told. And how much of it there was while somebody asked, for whoever is told that
//! there is enough, or too little.

use std::collections::BTreeMap;

use tillstream_app::database::Item;
use tillstream_app::stock::layout::LAYOUT_WHOLE;

use super::super::books::Of;
use super::super::by_hand::ASIDE;
use super::stock_watch::{Fault, Where, number, text};
use crate::memory_database::StreamChange;

/// So much may clocks differ, in milliseconds.
const CLOCKS_DIFFER: i64 = 1_000;

const FOR_SALE: &str = "what is for sale is what is on hand beyond what is reserved and kept back";
const KEPT_BACK: &str = "safety stock is what HQ told";

/// Counters of all parts of a stock item together; thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    on_hand: i64,
    reserved: i64,
    available: i64,
    safety_stock: i64,
    /// Number of its layout.
    layout: i64,
}

/// What there was of a stock item while somebody asked; thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The least that was available.
    pub least: i64,
    /// The most that may have been: what was held by somebody whose time was over is included.
    pub most: i64,
    /// Whether it was split meanwhile, or before: whoever adds up parts may see what stood at no moment.
    pub is_split: bool,
}

/// What was seen of stock items.
#[derive(Debug, Default)]
pub struct StockSums {
    sums: BTreeMap<Of<Where>, Sums>,
    /// Safety stock, as HQ told it.
    told: BTreeMap<Of<Where>, i64>,
    /// Hold lines by their keys: how much, and until when, in epoch milliseconds.
    lines: BTreeMap<Of<Where>, BTreeMap<String, (i64, i64)>>,
    /// Who asks, by number.
    asking: BTreeMap<Of<Where>, BTreeMap<u64, Seen>>,
    /// How many asked.
    asked: u64,
}

fn key_of(item: &Item) -> String {
    format!("{} {}", text(item, "pk"), text(item, "sk"))
}

impl StockSums {
    /// HQ tells so much safety stock.
    pub fn tell(&mut self, place: Of<Where>, safety_stock: i64) {
        self.told.insert(place, safety_stock);
    }

    /// Whether there is such a stock item.
    pub fn has(&self, place: &Of<Where>) -> bool {
        self.sums.contains_key(place)
    }

    /// Looks at a change of a stock item, or of a part of one.
    pub fn stock(&mut self, change: &StreamChange, place: &Of<Where>) {
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        let sums = self.sums.entry(place.clone()).or_default();
        let by = |name: &str| number(new, name) - number(old, name);
        sums.on_hand += by("on_hand");
        sums.reserved += by("reserved");
        sums.available += by("available");
        sums.safety_stock += by("safety_stock");
        let is_part = new.or(old).is_some_and(|item| item.get("part").is_some());
        if !is_part {
            sums.layout = number(new, "layout");
        }
        let (available, is_split) = (sums.available, sums.layout != LAYOUT_WHOLE);
        for seen in self.asking.get_mut(place).into_iter().flat_map(BTreeMap::values_mut) {
            seen.least = seen.least.min(available);
            seen.most = seen.most.max(available);
            seen.is_split |= is_split || is_part;
        }
    }

    /// Looks at a change of a hold line, at a time in epoch milliseconds.
    pub fn hold(&mut self, change: &StreamChange, place: &Of<Where>, now: i64) {
        let Some(item) = change.new.as_ref().or(change.old.as_ref()) else { return };
        let lines = self.lines.entry(place.clone()).or_default();
        let key = key_of(item);
        match &change.new {
            Some(new) => {
                lines.insert(key, (number(Some(new), "quantity"), number(Some(new), "expires_at")));
            }
            None => {
                let gone = lines.remove(&key);
                let over = gone.filter(|(_, until)| *until <= now + CLOCKS_DIFFER);
                let freed = over.map_or(0, |(quantity, _)| quantity);
                // Whoever looked before saw it as free, and whoever looks now does.
                for seen in self.asking.get_mut(place).into_iter().flat_map(BTreeMap::values_mut) {
                    seen.most += freed;
                }
            }
        }
    }

    /// Somebody asks for a stock item, and goes on asking; answers the number by which to end it.
    pub fn ask(&mut self, place: &Of<Where>) -> u64 {
        let sums = self.sums.get(place).copied().unwrap_or_default();
        let seen =
            Seen { least: sums.available, most: sums.available, is_split: sums.layout != LAYOUT_WHOLE };
        self.asked += 1;
        self.asking.entry(place.clone()).or_default().insert(self.asked, seen);
        self.asked
    }

    /// They ask no more; what there was meanwhile.
    pub fn answered(&mut self, place: &Of<Where>, number: u64, now: i64) -> Option<Seen> {
        let all = self.asking.get_mut(place)?;
        let seen = all.remove(&number)?;
        if all.is_empty() {
            self.asking.remove(place);
        }
        let lines = self.lines.get(place).into_iter().flat_map(BTreeMap::values);
        let over: i64 =
            lines.filter(|(_, until)| *until <= now + CLOCKS_DIFFER).map(|(quantity, _)| quantity).sum();
        Some(Seen { most: seen.most + over, ..seen })
    }

    /// What must hold of a stock item, now that all changes there are were seen.
    pub fn settled(&self, place: &Of<Where>) -> Result<(), Fault> {
        // What is set aside is changed by hand, and has invariants of its own.
        let Some(sums) = self.sums.get(place).filter(|_| place.1.0 != ASIDE) else { return Ok(()) };
        let told = self.told.get(place).copied().unwrap_or(0);
        if sums.safety_stock != told {
            return Err((KEPT_BACK, format!("{place:?}: {sums:?}, told {told}")));
        }
        if sums.available != sums.on_hand - sums.reserved - told {
            return Err((FOR_SALE, format!("{place:?}: {sums:?}, told {told}")));
        }
        Ok(())
    }
}
