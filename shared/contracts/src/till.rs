//! Shifts of a register: the payloads of a till's commands, and shifts as they are read.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::Money;
use utoipa::{IntoParams, ToSchema};

use crate::schema::MoneySchema;

/// Coins or notes of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Denomination)]
pub struct DenominationInput {
    /// The value of one.
    #[schema(value_type = MoneySchema)]
    pub value: Money,
    /// How many.
    #[schema(maximum = 1_000_000)]
    pub count: u32,
}

/// Payload of `open_till`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenTill {
    /// The shift's id; made from the idempotency key where absent.
    #[serde(default)]
    pub shift_id: Option<String>,
    /// The float in the drawer; what the denominations come to where absent, nothing without those.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub amount: Option<Money>,
    /// The float in coins and notes, at most 40 kinds; they come to the amount.
    #[serde(default)]
    #[schema(max_items = 40)]
    pub denominations: Option<Vec<DenominationInput>>,
}

/// Payload of `paid_in` and `paid_out`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CashMovement {
    /// The shift.
    pub shift_id: String,
    /// What is put into the drawer, or taken out of it; above zero. No more is taken out than can be there; what a
    /// register uploads that was cut off is recorded whatever is there by what is known.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// Why: at most 200 characters.
    pub reason: String,
    /// Approval by a supervisor, where one is needed. What a register uploads that was cut off is recorded without, too:
    /// an exception `cash_not_approved` asks somebody to look into it.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// Payload of `no_sale`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSale {
    /// The shift.
    pub shift_id: String,
    /// Why the drawer was opened: at most 200 characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// Approval by a supervisor.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// Payload of `cash_count` and `close_till`: `counted`, `denominations`, or both if they agree.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountTill {
    /// The shift.
    pub shift_id: String,
    /// What was counted in the drawer.
    #[serde(default)]
    #[schema(value_type = Option<MoneySchema>)]
    pub counted: Option<Money>,
    /// What was counted in coins and notes, at most 40 kinds.
    #[serde(default)]
    #[schema(max_items = 40)]
    pub denominations: Option<Vec<DenominationInput>>,
    /// What is to be said of it: at most 200 characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// Refused as `approval_not_expected`: a count needs none.
    #[serde(default)]
    pub approval_id: Option<String>,
}

/// Payload of `get_x_report`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShiftReference {
    /// The shift.
    pub shift_id: String,
}

/// Whether a shift goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShiftState {
    /// It does.
    Open,
    /// It ended: nothing of it changes any more.
    Closed,
}

impl ShiftState {
    /// The name on the wire and in the database.
    pub fn name(self) -> &'static str {
        match self {
            ShiftState::Open => "open",
            ShiftState::Closed => "closed",
        }
    }
}

/// A shift of a register. A command's answer shows it as it was right after the command, also where the
/// command is repeated later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Shift)]
pub struct ShiftView {
    /// Its id.
    pub id: String,
    /// Whether it goes on.
    pub state: ShiftState,
    /// Store.
    pub store_id: String,
    /// Register.
    pub register_id: String,
    /// The store's business day of its opening.
    #[schema(value_type = String, format = Date)]
    pub business_day: Date,
    /// When it was opened, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// By whom.
    pub opened_by: String,
    /// What lay in the drawer then.
    #[schema(value_type = MoneySchema)]
    pub opening_float: Money,
    /// When it was closed, as the register told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<String>,
    /// The number of its Z report: 1, 2, 3 … of the register, without gaps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z_number: Option<u64>,
    /// The epoch of that number. Left out before the first restore from backup: since each restore numbers
    /// begin anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub z_epoch: Option<u32>,
    /// What was said at its closing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closing_reason: Option<String>,
    /// Cash that is to be in the drawer; left out of lists while the shift goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub cash_expected: Option<Money>,
    /// What happened to the drawer beside sales and returns, in order; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub movements: Option<Vec<TillMovementView>>,
    /// The Z report of a closed shift; of an open one the X report, in `get_x_report` and
    /// `GET /v1/shifts/{id}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<ShiftReportView>,
}

/// Something that happened to a drawer beside sales and returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TillMovement)]
pub struct TillMovementView {
    /// Its id within the shift.
    pub movement_id: String,
    /// `paid_in`, `paid_out`, `no_sale` or `cash_count`.
    pub kind: String,
    /// What was put in, taken out, or counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub amount: Option<Money>,
    /// Cash that was to be in the drawer after it.
    #[schema(value_type = MoneySchema)]
    pub cash_expected: Money,
    /// Of a count: counted less expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub difference: Option<Money>,
    /// Of a count: coins and notes, if they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denominations: Vec<DenominationInput>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Approval by a supervisor, where one was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// When, as the register told it.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// By whom.
    pub by: String,
}

/// Figures of a shift: an X report while it goes on, the Z report once it is closed. Change is no figure of
/// its own: what was handed over and given back was never taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ShiftReport)]
pub struct ShiftReportView {
    /// As of when, by our clock for an X report, by the register's for a Z report.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// First receipt number, if there is one, and if all are of one epoch.
    pub first_receipt: Option<u64>,
    /// Last receipt number.
    pub last_receipt: Option<u64>,
    /// Receipt numbers by epoch, where a restore from backup raised it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptRangeView>,
    /// How many sales.
    pub sales_count: u64,
    /// What they came to: discounts off, tax in, without tips.
    #[schema(value_type = MoneySchema)]
    pub sales_total: Money,
    /// How many returns.
    pub returns_count: u64,
    /// What they came to, above zero.
    #[schema(value_type = MoneySchema)]
    pub returns_total: Money,
    /// By tender.
    pub tenders: Vec<TenderFiguresView>,
    /// Discounts of the sales.
    #[schema(value_type = MoneySchema)]
    pub discounts: Money,
    /// Tax of the sales.
    #[schema(value_type = MoneySchema)]
    pub tax: Money,
    /// Tax of the returns, above zero.
    #[schema(value_type = MoneySchema)]
    pub returns_tax: Money,
    /// Tips, on top of the sales.
    #[schema(value_type = MoneySchema)]
    pub tips: Money,
    /// Those of them that came with cash and lie in the drawer.
    #[schema(value_type = MoneySchema)]
    pub cash_tips: Money,
    /// What was added to sales, and less of returns, so that they could be paid in coins; below zero where
    /// it was taken off. Sales less returns with it come to payments less refunds. Left out where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub cash_rounding: Option<Money>,
    /// How often cash was put in.
    pub paid_in_count: u64,
    /// What that came to.
    #[schema(value_type = MoneySchema)]
    pub paid_in: Money,
    /// How often cash was taken out.
    pub paid_out_count: u64,
    /// What that came to.
    #[schema(value_type = MoneySchema)]
    pub paid_out: Money,
    /// How often the drawer was opened for nothing.
    pub no_sale_count: u64,
    /// Cash that is to be in the drawer: float, cash sales with their tips, less cash refunds, paid in, less
    /// paid out. Below zero where more was taken out than is known to have come in.
    #[schema(value_type = MoneySchema)]
    pub cash_expected: Money,
    /// Cash that was counted at the closing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub cash_counted: Option<Money>,
    /// Counted less expected: above zero the drawer is over, below it is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MoneySchema>)]
    pub cash_difference: Option<Money>,
    /// Coins and notes of that count, if they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denominations: Vec<DenominationInput>,
}

/// Receipt numbers of one epoch of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReceiptRange)]
pub struct ReceiptRangeView {
    /// The epoch: 0 before the first restore from backup.
    pub epoch: u32,
    /// The first number.
    pub first: u64,
    /// The last number.
    pub last: u64,
}

/// What came in and went out by one tender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TenderFigures)]
pub struct TenderFiguresView {
    /// `cash`, `card`, ….
    pub tender: String,
    /// How many payments.
    pub payments_count: u64,
    /// What they came to, less change and without tips.
    #[schema(value_type = MoneySchema)]
    pub payments: Money,
    /// How many refunds.
    pub refunds_count: u64,
    /// What they came to, above zero.
    #[schema(value_type = MoneySchema)]
    pub refunds: Money,
}

/// Filters of `GET /v1/shifts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ShiftFilter {
    /// Only this store; all in reach where absent.
    pub store_id: Option<String>,
    /// Only this register; with `store_id`.
    pub register_id: Option<String>,
    /// Only open or closed ones.
    pub state: Option<ShiftState>,
    /// How many a page: 1 to 200, 50 where absent.
    pub limit: Option<u32>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// One page of shifts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ShiftPage {
    /// Newest opening first.
    pub items: Vec<ShiftView>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A shift's figures held against the orders of its receipt numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShiftProof {
    /// The shift.
    pub shift_id: String,
    /// First receipt number, if there is one, and if all are of one epoch.
    pub first_receipt: Option<u64>,
    /// Last receipt number.
    pub last_receipt: Option<u64>,
    /// Receipt numbers by epoch, where a restore from backup raised it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receipts: Vec<ReceiptRangeView>,
    /// Orders that were found and summed.
    pub orders: u64,
    /// Numbers that no order was found of, epoch by epoch; none is missing but for a moment after a sale.
    pub missing: Vec<u64>,
    /// Whether every figure is the sum over the orders.
    pub proved: bool,
    /// Figures that differ.
    pub differences: Vec<FigureDifference>,
}

/// A figure that two ways of counting disagree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FigureDifference {
    /// Which (`sales_total`, `tenders.cash.paid`, …).
    pub figure: String,
    /// What the shift says.
    pub shift: i64,
    /// What the orders come to.
    pub orders: i64,
}
