//! How fast stock moves, over HTTP.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;

/// What went in and out of the stock of a SKU in some days, and how fast that was. Of the ledger alone, which follows the
/// stock within moments: its rows (`GET /v1/inventory/movements`) add up to each figure. Always
/// `opening + received - sold + other = closing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockTurnover {
    /// What.
    pub sku: String,
    /// What customers took, less what they brought back in whatever state; below zero where they brought more. What a kit
    /// took of its components is theirs.
    #[schema(value_type = QuantitySchema)]
    pub sold: QuantityInput,
    /// What was delivered in whatever state: restocked, received of purchase orders and of transfers.
    #[schema(value_type = QuantitySchema)]
    pub received: QuantityInput,
    /// All else that changed on hand: counts, corrections, what was sent to other locations, what was damaged or kept aside.
    #[schema(value_type = QuantitySchema)]
    pub other: QuantityInput,
    /// On hand at the beginning of the first day, or at `since`.
    #[schema(value_type = QuantitySchema)]
    pub opening: QuantityInput,
    /// On hand at the end of the last day.
    #[schema(value_type = QuantitySchema)]
    pub closing: QuantityInput,
    /// On hand on average, weighted by time, to the nearest thousandth. Null where `since` is after the last day.
    #[schema(value_type = Option<QuantitySchema>)]
    pub average_on_hand: Option<QuantityInput>,
    /// Sold by day, cut to thousandths for reading; it is reckoned with the exact one.
    #[schema(value_type = QuantitySchema)]
    pub sold_per_day: QuantityInput,
    /// Physically there now, as the stock item says.
    #[schema(value_type = QuantitySchema)]
    pub on_hand: QuantityInput,
    /// To be sold now: on hand − reserved − safety stock.
    #[schema(value_type = QuantitySchema)]
    pub available: QuantityInput,
    /// Under way now: ordered from suppliers, and sent here by other locations.
    #[schema(value_type = QuantitySchema)]
    pub coming: QuantityInput,
    /// Stock cover: for how many days `available` lasts if it sells on like that, with one decimal; `0.0` where that is below
    /// zero. Null where no more was sold than came back.
    #[schema(example = "13.3")]
    pub cover_days: Option<String>,
    /// Sell-through: sold ÷ (opening + received), with three decimals. Null where that is not above zero.
    #[schema(example = "0.094")]
    pub sell_through: Option<String>,
    /// Stock turn: sold ÷ average on hand, within these days, with two decimals. Null where that is not above zero.
    #[schema(example = "0.13")]
    pub turns: Option<String>,
    /// Absent where all of the days was looked at. Of a SKU that moved too often for that the figures are of the time from
    /// this moment on; where it is after the last day nothing of the days is known, and `opening` and `closing` are what was
    /// on hand at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

/// A page of them. It may hold fewer than asked for, or none, although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockTurnoverPage {
    /// Where.
    pub location_id: String,
    /// First of the business days that were looked at.
    #[schema(value_type = String, format = Date)]
    pub from: Date,
    /// The last one, which is closed: the day before the current one.
    #[schema(value_type = String, format = Date)]
    pub to: Date,
    /// By SKU.
    pub items: Vec<StockTurnover>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Query of `GET /v1/inventory/turnover`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StockTurnoverQuery {
    /// Where.
    pub location_id: String,
    /// Only this one.
    pub sku: Option<String>,
    /// So many closed business days are looked at, 1 to 90; 28 where absent.
    #[param(minimum = 1, maximum = 90, default = 28)]
    pub days: Option<u32>,
    /// At most so many, 1 to 50; 20 where absent.
    #[param(minimum = 1, maximum = 50, default = 20)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
