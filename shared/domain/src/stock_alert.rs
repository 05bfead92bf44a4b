//! How low stock is, by its reorder point.

/// How low the stock of a SKU is at a location. A later one is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum StockLow {
    /// Above the reorder point, or there is none.
    #[default]
    No,
    /// At the reorder point or below.
    Low,
    /// Nothing is available.
    Out,
}

impl StockLow {
    /// How low it is where so much is available, in thousandths. Without a reorder point (0) nobody asked to be told.
    pub fn of(available: i64, reorder_point: i64) -> Self {
        if reorder_point <= 0 || available > reorder_point {
            StockLow::No
        } else if available <= 0 {
            StockLow::Out
        } else {
            StockLow::Low
        }
    }

    /// Its name, stored and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            StockLow::No => "ok",
            StockLow::Low => "low",
            StockLow::Out => "out",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        [StockLow::No, StockLow::Low, StockLow::Out].into_iter().find(|level| level.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_is_low_at_its_reorder_point_and_out_at_nothing() {
        let of = |available| StockLow::of(available, 5_000);
        assert_eq!(
            [5_001, 5_000, 1, 0, -1].map(of),
            [StockLow::No, StockLow::Low, StockLow::Low, StockLow::Out, StockLow::Out]
        );
        for available in [-7_000, 0, 1, 9_000] {
            assert_eq!(StockLow::of(available, 0), StockLow::No, "nobody asked to be told");
        }
        // The smallest point asks for the last only.
        assert_eq!(
            [2, 1, 0].map(|available| StockLow::of(available, 1)),
            [StockLow::No, StockLow::Low, StockLow::Out]
        );
        assert!(StockLow::No < StockLow::Low && StockLow::Low < StockLow::Out);
    }

    #[test]
    fn levels_are_told_by_their_names() {
        for level in [StockLow::No, StockLow::Low, StockLow::Out] {
            assert_eq!(StockLow::parse(level.name()), Some(level));
        }
        assert_eq!(StockLow::parse("empty"), None);
    }
}
