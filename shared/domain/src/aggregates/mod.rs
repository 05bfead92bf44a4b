//! Analytics: the fold of counted facts into pages.
//!
//! A page knows which facts it contains ([`Folded`]), so folding is idempotent and commutative: under
//! duplicates, any order of arrival, any split into batches and any retry, a page equals the fold of
//! its facts done once. Pages are ordered maps of integers, so equal content is equal bytes.
//!
//! Definitions:
//! - `gross`: lines of sales before discounts, without tax; `discounts`: on those lines; `returns`: what
//!   came back, after its discounts, without tax, positive. Net sales = gross − discounts − returns.
//! - `tax`: of sales less that of returns; `tips`: on sales less those given back.
//! - `orders`: sales, zero totals included; `return_orders`: returns. `units`: thousandths sold on all
//!   lines; returns are not subtracted.
//! - By **payment method** the amounts and units of an order are apportioned to its tenders by what
//!   each paid ([`crate::apportion`]); the shares sum to the order exactly. An order counts once under each
//!   tender it used, so these order counts may sum to more than the orders. Orders without payment
//!   stand under [`NO_TENDER`].
//! - By **category** and by **product** an order counts once in each that it has lines of; tips belong
//!   to no line and do not appear there.
//! - What has no category or no segment stands under the empty name.

pub mod coarse_page;
pub mod fact;
pub mod folded;
pub mod hour_page;
pub mod metrics;
pub mod product_page;

pub use fact::{FactKind, FactLine, FactPayment, SaleFact};
pub use folded::Folded;
pub use hour_page::{Dimension, Figures, Groups, HourPage};
pub use metrics::Metrics;
pub use product_page::{PAGES_DEFAULT, ProductPage, Products, page_of};

/// The payment method of an order that needed no payment.
pub const NO_TENDER: &str = "none";
