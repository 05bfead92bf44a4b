//! How much of a SKU to order, from what it sold, what is there and what is to come. Whole numbers throughout: all
//! quantities are thousandths of the product's unit.

/// Most days of sales that are looked at.
pub const SALES_DAYS_MAX: u32 = 90;
/// Longest time between two looks at what to order, in days.
pub const REVIEW_DAYS_MAX: u32 = 90;

/// What is known of one SKU at one location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Physically there.
    pub on_hand: i64,
    /// Held.
    pub reserved: i64,
    /// Not to be sold.
    pub safety_stock: i64,
    /// Where to order again; 0 where none is set.
    pub reorder_point: i64,
    /// Ordered from suppliers and not here yet.
    pub incoming: i64,
    /// On its way here from another location.
    pub in_transit: i64,
    /// What customers wait for.
    pub backordered: i64,
}

/// What an order is reckoned by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What was sold in the days that were looked at.
    pub sold: i64,
    /// How many days these are, at least one.
    pub days: u32,
    /// Days from an order to its delivery.
    pub lead_time_days: u32,
    /// Days until somebody looks again.
    pub review_days: u32,
    /// How many come in one pack, above zero.
    pub pack_size: i64,
}

/// What is reckoned of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reckoned {
    /// On hand less what is held and what is kept back.
    pub available: i64,
    /// What will be available once all that is under way is here and whoever waits was served.
    pub position: i64,
    /// What will probably be sold until a delivery is here.
    pub lead_time_demand: i64,
    /// What will probably be sold until the delivery after it could be here.
    pub demand: i64,
    /// How much is to be available then: that demand, and no less than the reorder point.
    pub target: i64,
    /// How much to order, in whole packs; 0 where nothing needs to be.
    pub quantity: i64,
}

/// What probably will be sold in so many days, rounded up: sales go on as they went.
fn demand(terms: &Terms, days: u32) -> i64 {
    let sold = i128::from(terms.sold.max(0)) * i128::from(days);
    let over = i128::from(terms.days.max(1));
    narrow((sold + over - 1) / over)
}

fn narrow(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// Reckons how much to order. It is time to order where what is available is at the reorder point or below, or will be
/// before an order of today is here. What is available lacks the safety stock already, so that it is not added again.
pub fn reckon(stock: &Position, terms: &Terms) -> Reckoned {
    let wide = i128::from;
    let available = wide(stock.on_hand) - wide(stock.reserved) - wide(stock.safety_stock);
    let position = available + wide(stock.incoming) + wide(stock.in_transit) - wide(stock.backordered);
    let lead_time_demand = demand(terms, terms.lead_time_days);
    let demand = demand(terms, terms.lead_time_days.saturating_add(terms.review_days));
    let target = demand.max(stock.reorder_point);
    let point = wide(stock.reorder_point);
    let is_due = available <= point || position - wide(lead_time_demand) <= point;
    let missing = wide(target) - position;
    let pack = wide(terms.pack_size.max(1));
    let quantity = if is_due && missing > 0 { (missing + pack - 1) / pack * pack } else { 0 };
    Reckoned {
        available: narrow(available),
        position: narrow(position),
        lead_time_demand,
        demand,
        target,
        quantity: narrow(quantity),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PIECE: i64 = 1_000;

    fn stock(on_hand: i64, reorder_point: i64) -> Position {
        Position { on_hand: on_hand * PIECE, reorder_point: reorder_point * PIECE, ..Position::default() }
    }

    /// So many pieces in 28 days, a week's lead time, looked at each week, loose.
    fn terms(sold: i64) -> Terms {
        Terms { sold: sold * PIECE, days: 28, lead_time_days: 7, review_days: 7, pack_size: PIECE }
    }

    /// By hand: 56 in 28 days are 2 a day, 28 in a fortnight; 10 are there, 3 held, 2 kept back, 4 to come, 1 on its
    /// way, and 6 are waited for: 28 − (10 − 3 − 2 + 4 + 1 − 6) = 24, in packs of 5: 25.
    #[test]
    fn an_order_is_what_will_be_sold_less_what_will_be_there() {
        let stock = Position {
            on_hand: 10 * PIECE,
            reserved: 3 * PIECE,
            safety_stock: 2 * PIECE,
            reorder_point: 6 * PIECE,
            incoming: 4 * PIECE,
            in_transit: PIECE,
            backordered: 6 * PIECE,
        };
        let reckoned = reckon(&stock, &Terms { pack_size: 5 * PIECE, ..terms(56) });
        let expected = Reckoned {
            available: 5 * PIECE,
            position: 4 * PIECE,
            lead_time_demand: 14 * PIECE,
            demand: 28 * PIECE,
            target: 28 * PIECE,
            quantity: 25 * PIECE,
        };
        assert_eq!(reckoned, expected);
    }

    #[test]
    fn nothing_is_ordered_before_its_time() {
        // 2 a day: 14 until a delivery is here, which leaves 7 of 21, and 6 of 20.
        let quantity = |on_hand| reckon(&stock(on_hand, 6), &terms(56)).quantity / PIECE;
        assert_eq!([22, 21, 20, 7, 6, 0].map(quantity), [0, 0, 8, 21, 22, 28]);
        // What was ordered already is not ordered again, however little is here.
        let under_way = Position { incoming: 40 * PIECE, ..stock(0, 6) };
        assert_eq!(reckon(&under_way, &terms(56)).quantity, 0);
    }

    #[test]
    fn what_does_not_sell_is_brought_to_its_reorder_point() {
        let quantity = |on_hand, point| reckon(&stock(on_hand, point), &terms(0)).quantity / PIECE;
        assert_eq!([quantity(8, 10), quantity(10, 10), quantity(11, 10), quantity(0, 0)], [2, 0, 0, 0]);
        // Sold out, waited for, without a reorder point: what is waited for.
        let waited_for = Position { backordered: 3 * PIECE, ..stock(0, 0) };
        assert_eq!(reckon(&waited_for, &terms(0)).quantity, 3 * PIECE);
    }

    #[test]
    fn parts_of_a_unit_are_rounded_up_once_at_the_end() {
        // 1 in 28 days is half a piece in a fortnight: whole packs round it up, not the demand.
        let reckoned = reckon(&stock(0, 0), &terms(1));
        assert_eq!((reckoned.demand, reckoned.quantity), (500, PIECE));
        let by_weight = reckon(&stock(0, 0), &Terms { pack_size: 1, ..terms(1) });
        assert_eq!(by_weight.quantity, 500);
        // A third is rounded up to a thousandth.
        let third = Terms { sold: PIECE, days: 3, lead_time_days: 1, review_days: 0, pack_size: 1 };
        assert_eq!(reckon(&stock(0, 0), &third).demand, 334);
    }

    #[test]
    fn a_wrong_number_ends_nothing() {
        let terms = Terms { sold: i64::MAX, days: 0, lead_time_days: u32::MAX, review_days: 9, pack_size: 0 };
        let stock = Position { on_hand: i64::MIN, reserved: i64::MAX, ..Position::default() };
        assert_eq!(reckon(&stock, &terms).quantity, i64::MAX);
        assert_eq!(reckon(&stock, &Terms { sold: -5, ..terms }).demand, 0, "returns are no sales");
    }

    proptest! {
        /// What is ordered suffices, is of whole packs, and is no pack more than suffices.
        #[test]
        fn an_order_suffices_and_is_no_larger_than_it_must_be(
            counters in [0..50_000_i64, 0..50_000, 0..9_000, 0..20_000, 0..9_000, 0..9_000, 0..9_000],
            sold in 0..900_000_i64, days in 1..90_u32, lead_time_days in 0..60_u32, review_days in 0..30_u32,
            pack_size in 1..9_000_i64,
        ) {
            let [on_hand, reserved, safety_stock, reorder_point, incoming, in_transit, backordered] = counters;
            let stock =
                Position { on_hand, reserved, safety_stock, reorder_point, incoming, in_transit, backordered };
            let terms = Terms { sold, days, lead_time_days, review_days, pack_size };
            let reckoned = reckon(&stock, &terms);
            prop_assert_eq!(reckoned.quantity % pack_size, 0);
            let after = reckoned.position + reckoned.quantity;
            if reckoned.quantity > 0 {
                prop_assert!(after >= reckoned.target && after - pack_size < reckoned.target);
            } else {
                let is_due = reckoned.available <= reorder_point
                    || reckoned.position - reckoned.lead_time_demand <= reorder_point;
                prop_assert!(!is_due || reckoned.position >= reckoned.target);
            }
            // Sales as they went: demand × days is what was sold in as many days, rounded up.
            let exact = i128::from(sold) * i128::from(lead_time_days + review_days);
            let told = i128::from(reckoned.demand) * i128::from(days);
            prop_assert!(told >= exact && told - exact < i128::from(days));
        }
    }
}
