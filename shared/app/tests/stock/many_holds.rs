//! Many holds on one stock item, without the requests that would have made them.

use tillstream_app::database::{Change, Database, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Delta, stock_update};
use tillstream_app::stock::holds::Hold;
use tillstream_app::stock::layout::LAYOUT_WHOLE;
use tillstream_domain::quantity::Quantity;

use crate::fixture::Fixture;

impl Fixture {
    /// So many holds of one piece each, as they would stand, which all end in so many seconds, on an item that says
    /// that the first ends in `earliest` seconds.
    pub async fn many_holds(&self, (location_id, sku): (&str, &str), count: i64, ends: i64, earliest: i64) {
        let now = self.environment.now().as_millisecond();
        let line = |n| {
            let hold = Hold {
                location_id: location_id.into(),
                sku: sku.into(),
                reservation_id: format!("h-{n:05}"),
                part: 0,
                layout: LAYOUT_WHOLE,
                quantity: Quantity::from_pieces(1).unwrap(),
                attempt: None,
                expires_at: now + ends * 1_000,
            };
            hold.item(self.scope())
        };
        let lines: Vec<Item> = (0..count).map(line).collect();
        self.memory.put_many(Table::Stock, lines).await.unwrap();
        let held = Delta { reserved: count * 1_000, ..Delta::default() };
        let earliest = vec![Change::Set("earliest_expiry", (now + earliest * 1_000).into())];
        let (scope, movement) = (self.scope(), self.movement());
        let write = stock_update(scope, location_id, sku, held, &movement, Vec::new(), earliest);
        self.memory.write(write).await.unwrap();
    }
}
