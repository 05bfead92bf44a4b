//! What one process remembers of stock that is split, so that a reservation of a hot SKU need not read its
//! first part and its product, which are one partition each: every reservation would meet there.
//!
//! Layouts are hints: whoever writes names the layout in a condition. Of the catalogue only this is
//! remembered, for moments: that product and location are there, that stock is kept, and the unit. The
//! catalogue is read eventually consistent anyway, so a reservation may always meet a product as it was a
//! moment ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tillstream_domain::quantity::Unit;

use crate::stock::layout::LAYOUT_WHOLE;
use crate::tenancy::TenantScope;

/// Most stock items remembered; few are split at any time.
const ITEMS_MAX: usize = 1_000;
/// How old what is remembered of the catalogue may be.
pub const FACTS_AGE_MAX: SignedDuration = SignedDuration::from_secs(5);

/// Tenant, location and SKU: nothing of one tenant is found for another.
type Name = (String, String, String);

#[derive(Debug, Clone, Copy)]
struct Remembered {
    layout: i64,
    /// Parts that were seen empty, one bit each.
    empty: u64,
    /// How the product is sold, and when that was read.
    unit: Option<(Unit, Timestamp)>,
}

/// What one process remembers of split stock.
#[derive(Debug, Default)]
pub struct HotStock {
    items: Mutex<BTreeMap<Name, Remembered>>,
}

fn name(scope: &TenantScope, location_id: &str, sku: &str) -> Name {
    (scope.tenant_id().to_owned(), location_id.to_owned(), sku.to_owned())
}

impl HotStock {
    fn items(&self) -> MutexGuard<'_, BTreeMap<Name, Remembered>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The layout that stood last; whole where nothing is remembered.
    pub fn layout(&self, scope: &TenantScope, location_id: &str, sku: &str) -> i64 {
        self.items().get(&name(scope, location_id, sku)).map_or(LAYOUT_WHOLE, |found| found.layout)
    }

    /// The parts of that layout that were seen empty, one bit each. They may have something again: who finds
    /// the others empty too looks at all.
    pub fn empty_parts(&self, scope: &TenantScope, location_id: &str, sku: &str) -> u64 {
        self.items().get(&name(scope, location_id, sku)).map_or(0, |found| found.empty)
    }

    /// Notes which parts of the layout that was noted before are empty.
    pub fn note_empty_parts(&self, scope: &TenantScope, location_id: &str, sku: &str, empty: u64) {
        if let Some(found) = self.items().get_mut(&name(scope, location_id, sku)) {
            found.empty = empty;
        }
    }

    /// Notes the layout that was found. Of whole stock nothing is remembered.
    pub fn note_layout(&self, scope: &TenantScope, location_id: &str, sku: &str, layout: i64) {
        let name = name(scope, location_id, sku);
        let mut items = self.items();
        if layout == LAYOUT_WHOLE {
            items.remove(&name);
            return;
        }
        if items.len() >= ITEMS_MAX && !items.contains_key(&name) {
            // To begin anew costs a read for each; it happens when a thousand SKUs were hot.
            items.clear();
        }
        let found = items.entry(name).or_insert(Remembered { layout, empty: 0, unit: None });
        if found.layout != layout {
            (found.layout, found.empty) = (layout, 0);
        }
    }

    /// The unit of a product that was there, with stock kept, at a location that was there, not long ago.
    pub fn unit(&self, scope: &TenantScope, location_id: &str, sku: &str, now: Timestamp) -> Option<Unit> {
        let (unit, read_at) = self.items().get(&name(scope, location_id, sku))?.unit?;
        let age = now.duration_since(read_at);
        (SignedDuration::ZERO <= age && age < FACTS_AGE_MAX).then_some(unit)
    }

    /// Notes what the catalogue said at `now`, if the stock is remembered to be split.
    pub fn note_unit(&self, scope: &TenantScope, location_id: &str, sku: &str, unit: Unit, now: Timestamp) {
        if let Some(found) = self.items().get_mut(&name(scope, location_id, sku)) {
            found.unit = Some((unit, now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_in_age_and_number_and_to_its_tenant() {
        let hot = HotStock::default();
        let (a, b) = (TenantScope::from_own_record("a"), TenantScope::from_own_record("b"));
        let now = Timestamp::UNIX_EPOCH;
        hot.note_unit(&a, "l", "s", Unit::Kg, now);
        assert_eq!(hot.unit(&a, "l", "s", now), None, "whole stock is read");
        hot.note_layout(&a, "l", "s", 116);
        assert_eq!(hot.unit(&a, "l", "s", now), None);
        hot.note_unit(&a, "l", "s", Unit::Kg, now);
        assert_eq!(hot.unit(&a, "l", "s", now), Some(Unit::Kg));
        assert_eq!((hot.unit(&b, "l", "s", now), hot.layout(&b, "l", "s")), (None, LAYOUT_WHOLE));
        assert_eq!(hot.unit(&a, "l", "s", now + FACTS_AGE_MAX), None);
        assert_eq!(hot.unit(&a, "l", "s", now - SignedDuration::from_secs(1)), None);
        hot.note_layout(&a, "l", "s", 216);
        assert_eq!((hot.layout(&a, "l", "s"), hot.unit(&a, "l", "s", now)), (216, Some(Unit::Kg)));
        hot.note_empty_parts(&a, "l", "s", 0b101);
        hot.note_layout(&a, "l", "s", 216);
        assert_eq!(hot.empty_parts(&a, "l", "s"), 0b101);
        hot.note_layout(&a, "l", "s", 316);
        assert_eq!(hot.empty_parts(&a, "l", "s"), 0, "other parts");
        hot.note_layout(&a, "l", "s", LAYOUT_WHOLE);
        assert_eq!(hot.layout(&a, "l", "s"), LAYOUT_WHOLE);
        for n in 0..5_000 {
            hot.note_layout(&a, "l", &n.to_string(), 116);
        }
        assert!(hot.items().len() <= ITEMS_MAX);
    }

    #[test]
    fn a_thousand_are_remembered_beside_each_other() {
        let hot = HotStock::default();
        let scope = TenantScope::from_own_record("a");
        let known = || (0..1_001).filter(|n| hot.layout(&scope, "l", &n.to_string()) == 116).count();
        for n in 0..ITEMS_MAX {
            hot.note_layout(&scope, "l", &n.to_string(), 116);
        }
        assert_eq!(known(), ITEMS_MAX);
        hot.note_layout(&scope, "l", "7", 116);
        assert_eq!(known(), ITEMS_MAX, "one that is known needs no room");
        hot.note_layout(&scope, "l", "1000", 116);
        assert_eq!(known(), 1, "then it begins anew");
    }
}
