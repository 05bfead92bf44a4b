//! Gift cards and customers' accounts: balances that tenders are taken from.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::money::{Currency, Money};
use utoipa::{IntoParams, ToSchema};

use crate::schema::MoneySchema;

/// What holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StoredValueKind)]
pub enum StoredValueKindBody {
    /// Whoever has its number may spend it.
    GiftCard,
    /// A customer's.
    Account,
}

/// Body of `POST /v1/stored-value`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueStoredValue {
    /// The gift card's number: 6 to 40 of `A-Z a-z 0-9 -`, no payment card's; or the account's id. Where absent, the
    /// account's customer, else a number that nobody guesses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$", example = "GC-7Q2M-PX41")]
    pub id: Option<String>,
    /// What holds the value.
    pub kind: StoredValueKindBody,
    /// Its currency, for good: an ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// What it holds to begin with, in minor units: 0 to 10¹².
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub amount: i64,
    /// Whose it is: an account pays only what this customer buys. Of an account, the customer that it is called
    /// after, where absent; it names one of the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// First instant at which it is spent no more; it lasts for ever where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Why: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Body of `POST /v1/stored-value/{id}/credit` and `/debit`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveStoredValue {
    /// How much, in minor units of its currency: 1 to 10¹².
    #[schema(minimum = 1, maximum = 1_000_000_000_000_i64)]
    pub amount: i64,
    /// Why: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Body of `POST /v1/stored-value/{id}/block` and `/unblock`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockStoredValue {
    /// Why: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// Whether it can be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = StoredValueStatus)]
pub enum StoredValueStatusView {
    /// Yes.
    Active,
    /// It is blocked.
    Blocked,
    /// Its time is over.
    Expired,
}

/// A gift card or account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredValue)]
pub struct StoredValueView {
    /// The gift card's number, or the account's id.
    pub id: String,
    /// What it is.
    pub kind: StoredValueKindBody,
    /// Whether it can be spent.
    pub status: StoredValueStatusView,
    /// What it holds; never below zero.
    #[schema(value_type = MoneySchema)]
    pub balance: Money,
    /// Whose it is.
    pub customer_id: Option<String>,
    /// First instant at which it is spent no more.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// Why it is blocked, while it is.
    pub blocked_reason: Option<String>,
    /// When it was issued.
    #[schema(value_type = String, format = DateTime)]
    pub issued_at: Timestamp,
    /// Counts its changes; the `ETag` holds it.
    pub version: u64,
}

/// Query of `GET /v1/stored-value/{id}/movements`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StoredValueMovementFilter {
    /// Most items of the page; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// A movement of a balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredValueMovement)]
pub struct StoredValueMovementView {
    /// `issue`, `credit`, `debit`, `block`, `unblock`, `sale`, `refund`, `void` or `cancellation`.
    #[schema(example = "sale")]
    pub kind: String,
    /// What was added; below zero where it was taken.
    #[schema(value_type = MoneySchema)]
    pub amount: Money,
    /// When, by our clock.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Who did it: of a sale or return the employee, else the `sub` of the token.
    pub by: String,
    /// Why, where that was told.
    pub reason: Option<String>,
    /// The order or return that did it.
    pub order_id: Option<String>,
    /// Its payment.
    pub payment_id: Option<String>,
    /// Its store.
    pub store_id: Option<String>,
    /// Its register.
    pub register_id: Option<String>,
}

/// A page of movements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StoredValueMovementList)]
pub struct StoredValueMovementList {
    /// Newest first, by when a payment was taken or a request came. All pages together sum to the balance.
    pub items: Vec<StoredValueMovementView>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}
