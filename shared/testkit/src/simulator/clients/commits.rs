//! Commits of reservations that name the lot now and then, read off the goods or read wrongly.

use std::collections::BTreeMap;
use std::time::Duration;

use tillstream_contracts::lots::CommitLine;

use super::super::books::Of;
use super::super::set_up;
use super::super::world::{Tenant, World};

/// Of goods that are kept by lots, in hundredths: those whose lot somebody reads who commits them.
const READ: u64 = 60;
/// Of lots that are read, in hundredths: those that nobody ever heard of.
const UNHEARD_OF: u64 = 8;
/// One of these.
const NOBODYS: &str = "L-of-nobody";

/// For what a commit that names a lot may be refused: others were quicker, it is kept aside, or was misread.
const OF_LOTS: [&str; 6] = [
    "lot_short",
    "lot_expired",
    "lot_quarantined",
    "lot_recalled",
    "lot_unknown",
    "lots_of_long_reservation",
];

/// Lots of what is committed next, by tenant and reservation, then by location and SKU: how much of each, in thousandths.
pub type NamedCommits = BTreeMap<Of<String>, BTreeMap<(String, String), BTreeMap<String, i64>>>;

/// What is committed: location, SKU and thousandths of each, and the lot that it is of, as it was read.
pub struct Taken(Vec<(String, String, i64, Option<String>)>);

impl Taken {
    /// Goods, and the lots that somebody reads on them.
    pub fn read(
        world: &World,
        owner: &Tenant,
        goods: impl IntoIterator<Item = (String, String, i64)>,
    ) -> Self {
        let read = |(location, sku, quantity): (String, String, i64)| {
            let lot = world.lot_read_by(READ, owner, &location, (&sku, quantity));
            let lot = lot.map(|lot| if world.chance.percent(UNHEARD_OF) { NOBODYS.to_owned() } else { lot });
            (location, sku, quantity, lot)
        };
        Taken(goods.into_iter().map(read).collect())
    }

    /// The same goods, of whatever lots.
    #[must_use]
    pub fn without_lots(self) -> Self {
        let of_any = |(location, sku, quantity, _): (String, String, i64, Option<String>)| {
            (location, sku, quantity, None)
        };
        Taken(self.0.into_iter().map(of_any).collect())
    }

    /// Whether any lot is named.
    pub fn names_lots(&self) -> bool {
        self.0.iter().any(|(.., lot)| lot.is_some())
    }

    /// For what of its lots it may be refused.
    pub fn refusals(&self) -> &'static [&'static str] {
        if self.names_lots() { &OF_LOTS } else { &[] }
    }

    /// As lines of a request; `None` where a quantity is none.
    pub fn lines(&self, owner: &Tenant) -> Option<Vec<CommitLine>> {
        let line = |(location, sku, quantity, lot): &(String, String, i64, Option<String>)| {
            let quantity = serde_json::from_value(set_up::quantity(owner, sku, *quantity)).ok()?;
            let location_id = Some(location.clone());
            Some(CommitLine { location_id, sku: sku.clone(), quantity, lot: lot.clone() })
        };
        self.0.iter().map(line).collect()
    }

    /// Says which lots are to leave with the next commit of a reservation, before it is sent.
    pub async fn announce(&self, world: &World, owner: &Tenant, reservation: &str) {
        let key = (owner.id.clone(), reservation.to_owned());
        let was_named = world.named_commits.borrow().contains_key(&key);
        if !was_named && !self.names_lots() {
            return;
        }
        // What was committed by now is seen a moment later.
        world.sleep(Duration::from_millis(1)).await;
        let mut lots = BTreeMap::<(String, String), BTreeMap<String, i64>>::new();
        for (location, sku, quantity, lot) in &self.0 {
            if let Some(lot) = lot {
                let of_goods = lots.entry((location.clone(), sku.clone())).or_default();
                *of_goods.entry(lot.clone()).or_default() += quantity;
            }
        }
        let mut named = world.named_commits.borrow_mut();
        if lots.is_empty() {
            named.remove(&key);
        } else {
            named.insert(key, lots);
        }
    }
}
