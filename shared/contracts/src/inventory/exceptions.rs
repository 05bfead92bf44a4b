//! Stock exceptions over HTTP: where the books and the shop disagree.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::Money;
use tillstream_domain::quantity::QuantityInput;
use utoipa::{IntoParams, ToSchema};

use crate::lots::LotProblem;
use crate::schema::{MoneySchema, QuantitySchema};

/// Why somebody must look into something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionKind {
    /// A register that was cut off sold more than there was. A movement of kind `discrepancy` entered as much.
    OversoldOffline,
    /// A count or a raised safety stock left less than is promised.
    BelowPromised,
    /// Goods were sold or held at a location before anybody told its stock of them, as its policy allows. A movement of
    /// kind `discrepancy` entered as many as were missing.
    UnsyncedStock,
    /// A register that was cut off, or another system, gave a coupon or promotion more often than its limit allows.
    UsesAboveLimit,
    /// A register that was cut off, or another system, told of a sale after the goods had been counted, and the books
    /// been brought to that: so `quantity` was taken off twice, less what `oversold_offline` of the same order entered.
    /// Whoever looks what lies there brings the books to it (`POST /v1/inventory/update`), and resolves this.
    SoldBeforeCount,
    /// Goods that have left the shop were said to be of a lot that they cannot be of, or that was not for sale
    /// (`lot_id`, `lot_problem`).
    LotMismatch,
    /// What stock says of itself differs: counters, ledger, holds, orders. It is corrected by
    /// `POST /v1/inventory/exceptions/{id}/correct`.
    Difference,
    /// A register that was cut off asked another total for a sale than its lines come to here, by more than rounding
    /// explains. The sale is kept at what it asked; that of an exchange at this and what the return is worth. Or it made an
    /// exchange without stating a total, and change went back that no payment told of. Or it gave back more cash for a
    /// return than its lines come to here; the return is kept at that.
    TotalDiffers,
    /// A register that was cut off moved cash, opened its drawer, voided a sale or took goods back without their sale,
    /// without the approval that it needed, or with one that was not good for it. It is recorded: money was moved.
    CashNotApproved,
}

/// Why stock differs, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceCause {
    /// A counter changed without a movement.
    CounterWithoutMovement,
    /// Rows of the ledger are gone.
    LedgerGap,
    /// The ledger lacks a movement that the counters and the holds both have.
    MovementMissing,
    /// `available` is not on hand − reserved − safety stock.
    AvailableMiscalculated,
    /// Somebody holds what is not counted as reserved.
    HoldWithoutReserved,
    /// What is counted as reserved is held by nobody.
    ReservedWithoutHold,
    /// The ledger tells of an order that is not there.
    MovementWithoutOrder,
    /// An order is final, and its stock did not move, or not by as much.
    OrderWithoutMovement,
}

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockDifference {
    /// `on_hand`, `reserved`, `available`, `damaged`, `in_transit` or `on_order`; `ledger` where that alone is wrong; `movements`
    /// where rows of it are gone, which are counted.
    pub what: String,
    /// In which part, where the stock was split over several for the sake of speed; absent for the first, which is
    /// also the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u32>,
    /// Why, likely.
    pub cause: DifferenceCause,
    /// What it would be by the rest: a correction brings it there.
    #[schema(value_type = QuantitySchema)]
    pub expected: QuantityInput,
    /// What it is.
    #[schema(value_type = QuantitySchema)]
    pub found: QuantityInput,
    /// Found less expected.
    #[schema(value_type = QuantitySchema)]
    pub difference: QuantityInput,
    /// It differs since this movement at the latest.
    pub since_seq: i64,
    /// The holds or orders that it is about, where they are known; at most ten.
    pub references: Vec<String>,
}

/// Whether somebody has settled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExceptionStatus {
    /// Nobody has.
    Open,
    /// Somebody has.
    Resolved,
}

/// A task: the books and the shop disagree, about goods, uses of a coupon or promotion, or what was asked for a sale; or
/// cash was moved that nobody allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockException {
    /// Its id.
    #[schema(example = "x-0f3a9c2b7d1e4f5a6b7c8d9e")]
    pub exception_id: String,
    /// Why.
    pub kind: ExceptionKind,
    /// Whether it is settled.
    pub status: ExceptionStatus,
    /// Where.
    #[schema(example = "s-uk-1")]
    pub location_id: String,
    /// Which goods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "85123A")]
    pub sku: Option<String>,
    /// Which lot was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "L-2031")]
    pub lot_id: Option<String>,
    /// Why they cannot be of it, or should not have been sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot_problem: Option<LotProblem>,
    /// Which coupon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon_code: Option<String>,
    /// Which promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion_id: Option<String>,
    /// How many too many: sold beyond what there was, promised beyond what is there, sold before they were counted, or
    /// uses beyond `limit`. Of a difference the most that anything differs by. Of a total that differs 1: the sale. Of
    /// cash 1: the movement.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
    /// Of uses: the limit as of the sale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Of uses: the customer whose own limit it is; absent for that of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Of a total that differs: what the lines of the sale, or of the return, come to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub total: Option<Money>,
    /// Of a total that differs: what the register asked, and the sale is kept at. Of an exchange that stated none: what
    /// its return and its payments brought; what is above `total` went back as change. Of a return: what was given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub asked: Option<Money>,
    /// Of cash: the shift whose drawer it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift_id: Option<String>,
    /// Of cash: `paid_in`, `paid_out` or `no_sale`, of a shift; `void_order` of the sale, `order_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movement: Option<String>,
    /// Of cash: how much was put in, taken out, or given back by all tenders; of a blind return its order tells that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub amount: Option<Money>,
    /// Of cash: what the movement would have been refused with online, as `approval_required` or `approval_expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_problem: Option<String>,
    /// The order, count, feed line or shift that opened it. Of a difference the first hold or order that it is about, or the
    /// version that was compared.
    pub reference: String,
    /// What differs, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<StockDifference>,
    /// Of a difference: the stock item's version that was compared. A correction is of exactly that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_version: Option<i64>,
    /// The order that was sold offline or elsewhere, or that differs from its movements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The register that sold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Who sold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_id: Option<String>,
    /// Of what was sold before a count: when it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub counted_at: Option<Timestamp>,
    /// The count sheet, or the stock update, that counted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_in: Option<String>,
    /// When it happened, as its cause told it.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// When it was opened here.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// How it was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<ExceptionResolution>,
}

/// How an exception was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExceptionResolution {
    /// In a few words.
    #[schema(example = "found in the back room")]
    pub reason: String,
    /// More of it.
    pub note: Option<String>,
    /// Who settled it; `system` or `stock-keeper` where it settled by itself.
    pub resolved_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub resolved_at: Timestamp,
}

/// A page of exceptions, the oldest first. It may hold fewer than asked for although more follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockExceptionPage {
    /// Exceptions.
    pub items: Vec<StockException>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// `POST /v1/inventory/exceptions/{id}/resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveExceptionRequest {
    /// How it was settled, in a few words.
    #[schema(example = "found in the back room", min_length = 1, max_length = 200)]
    pub reason: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub note: Option<String>,
}

/// `POST /v1/inventory/exceptions/{id}/correct`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectDifferenceRequest {
    /// Why it is as it is, for the ledger.
    #[schema(example = "counter changed by hand", min_length = 1, max_length = 200)]
    pub reason: String,
    /// The approval of exactly this difference, which warehouse staff need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub approval_id: Option<String>,
}

/// Query of `GET /v1/inventory/exceptions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExceptionQuery {
    /// Where.
    pub location_id: String,
    /// `open` where absent.
    #[param(inline)]
    pub status: Option<ExceptionStatus>,
    /// At most so many, 1 to 200; 50 where absent.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
