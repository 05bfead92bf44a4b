//! The taxes of an order as its documents tell them: the one place that reads them from a cart.

use tillstream_documents::{LineTax, TaxTotal};
use tillstream_domain::cart::{Cart, Line};

/// Tax by rate, over the whole order. None: no cart is taxed yet.
pub(super) fn of_order(_: &Cart) -> Vec<TaxTotal> {
    Vec::new()
}

/// Taxes of one line. None: no cart is taxed yet.
pub(super) fn of_line(_: &Cart, _: &Line) -> Vec<LineTax> {
    Vec::new()
}
