//! What a tenant says about its own rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tillstream_domain::money::Currency;
use tillstream_domain::stock_policies::{CartStock, StockOverrides, UnsyncedStock};
use utoipa::ToSchema;

/// When a manual discount needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DiscountApprovalRule)]
pub struct DiscountRuleBody {
    /// Whether it ever does.
    pub required: bool,
    /// Only where all that a cashier takes off without an approval is more than this share of what would be left to pay
    /// without it of the lines that it is taken off together, after promotions, or what is taken off a line by itself is
    /// more than that of the line, in basis points: 0 to 10,000. Lines that may not be discounted, or that an exclusive
    /// promotion keeps, do not count.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    pub above_bps: Option<u32>,
    /// Only where all that a cashier takes off a cart without an approval is more than this, in minor units
    /// of the store's currency: 0 to 10¹². With `above_bps`: where it is more than either.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub above_amount: Option<i64>,
}

/// When a movement of cash, or the closing of a count sheet, needs an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CashApprovalRule)]
pub struct CashRuleBody {
    /// Whether it ever does.
    pub required: bool,
    /// Only where it is more than this, in minor units of the store's currency: 0 to 10¹².
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub above_amount: Option<i64>,
}

/// What needs an approval where a cashier does it, and how long an approval lasts. What is left out is as
/// without settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ApprovalSettings)]
pub struct ApprovalSettingsBody {
    /// A price override; `true` where absent.
    pub price_override: Option<bool>,
    /// A manual discount; always where absent.
    pub manual_discount: Option<DiscountRuleBody>,
    /// A blind return; `true` where absent.
    pub blind_return: Option<bool>,
    /// A void of a final order; `true` where absent.
    pub void_order: Option<bool>,
    /// Cash into the drawer; never where absent.
    pub paid_in: Option<CashRuleBody>,
    /// Cash out of the drawer; never where absent.
    pub paid_out: Option<CashRuleBody>,
    /// The drawer opened without a sale; `false` where absent.
    pub no_sale: Option<bool>,
    /// The closing of a count sheet by whoever is no store manager, by the value that it is off by, surplus and
    /// shortage added up; never where absent.
    pub count_variance: Option<CashRuleBody>,
    /// How long a request waits for its decision, in seconds: 30 to 86,400; 900 where absent.
    #[schema(minimum = 30, maximum = 86_400)]
    pub pending_seconds: Option<u32>,
    /// How long a grant waits for its use, in seconds: 30 to 86,400; 300 where absent.
    #[schema(minimum = 30, maximum = 86_400)]
    pub granted_seconds: Option<u32>,
}

/// Whether prices contain tax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaxMode)]
pub enum TaxModeBody {
    /// Prices contain it.
    Inclusive,
    /// It comes on top.
    Exclusive,
}

/// What of the tax is rounded to the minor unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TaxRounding)]
pub enum TaxRoundingBody {
    /// That of each line.
    PerLine,
    /// That of the whole order, by rule.
    PerOrder,
}

/// How prices and tax are reckoned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PricingSettings)]
pub struct PricingSettingsBody {
    /// Whether prices contain tax.
    pub tax_mode: TaxModeBody,
    /// What is rounded.
    pub tax_rounding: TaxRoundingBody,
    /// Smallest coin, in minor units: 0 to 10,000; 0 or 1 for no rounding of cash. Of a store whose currency
    /// has none in `cash_increments`.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    pub cash_increment: u32,
    /// Smallest coins by currency (`{"CHF": 5, "GBP": 0}`), each 0 to 10,000; at most 50.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, u32>)]
    pub cash_increments: BTreeMap<Currency, u32>,
}

/// Which tenders are taken from balances that are kept here (`/v1/stored-value`). What is left out is recorded
/// only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = StoredValueSettings)]
pub struct StoredValueSettingsBody {
    /// `gift_card`: each payment names the card; `false` where absent.
    pub gift_card: Option<bool>,
    /// `account`: each payment is from the account that it names, or else the cart's customer's; `false` where
    /// absent.
    pub account: Option<bool>,
}

/// What becomes of uses of coupons and promotions above their limit, where a register that was cut off uploads them
/// (`POST /v1/pos/commands`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OfflineUses)]
pub enum OfflineUsesBody {
    /// They are counted, and an exception asks somebody to look into each (`GET /v1/inventory/exceptions`).
    Allow,
    /// They are refused as online, and the sale waits until somebody settles it.
    Refuse,
}

/// What becomes of a sale for which a register that was cut off asked less than its lines come to here, by more than a
/// minor unit for each line (`finalize_order` or `finalize_exchange` with `total` in `POST /v1/pos/commands`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OfflineTotals)]
pub enum OfflineTotalsBody {
    /// It is kept at what was asked, and an exception asks somebody to look into it (`GET /v1/inventory/exceptions`).
    Accept,
    /// It is refused as online (`total_differs`), and waits until somebody settles it.
    Refuse,
}

/// Whether customers may wait for what is not there (`/v1/inventory/backorders`). What is left out is as without
/// settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = BackorderSettings)]
pub struct BackorderSettingsBody {
    /// Whether they may, at locations that `locations` does not name; `false` where absent.
    pub allowed: Option<bool>,
    /// How long what was reserved for one waits to be fetched, in seconds: 60 to 2,592,000 (30 days); 259,200 (three
    /// days) where absent. One keeps what stood when it was made.
    #[schema(minimum = 60, maximum = 2_592_000)]
    pub hold_seconds: Option<u32>,
    /// Whether they may at these locations (`{"w-midlands": true}`); at most 500.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, bool>)]
    pub locations: BTreeMap<String, bool>,
}

/// What becomes of a sale or reservation of a product at a location whose stock of it nobody has told yet: by a count,
/// a feed line, a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = UnsyncedStock)]
pub enum UnsyncedStockBody {
    /// It is refused: nothing is there.
    Refuse,
    /// It is allowed: as much as is missing is entered as a `discrepancy`, and an exception `unsynced_stock` asks
    /// somebody to look into it. So until on hand is set, by a count or a feed line.
    Allow,
}

/// What is made sure of when something is added to a cart, or more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CartStock)]
pub enum CartStockBody {
    /// Nothing: stock is taken when the cart becomes final.
    None,
    /// That as much is available as the cart has of it by then; else `insufficient_stock`. Nothing is held.
    Check,
    /// The same, and the cart holds it for `hold_minutes`: nobody else sells it, and finalising takes what is held.
    /// What is over is free for everybody; the cart takes stock anew then, as without a hold.
    Hold,
}

/// What a sale or reservation makes of stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = StockPolicies)]
pub struct StockPoliciesBody {
    /// Stock that nobody has told yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<UnsyncedStockBody>,
    /// Adding to a cart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_cart: Option<CartStockBody>,
    /// For how long a cart holds a product from when it was added, or more of it, in minutes: 1 to 1,440 (a day); 30
    /// where nobody says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_440)]
    pub hold_minutes: Option<u32>,
}

impl From<UnsyncedStock> for UnsyncedStockBody {
    fn from(policy: UnsyncedStock) -> Self {
        match policy {
            UnsyncedStock::Refuse => UnsyncedStockBody::Refuse,
            UnsyncedStock::Allow => UnsyncedStockBody::Allow,
        }
    }
}

impl From<CartStock> for CartStockBody {
    fn from(policy: CartStock) -> Self {
        match policy {
            CartStock::None => CartStockBody::None,
            CartStock::Check => CartStockBody::Check,
            CartStock::Hold => CartStockBody::Hold,
        }
    }
}

impl From<StockOverrides> for StockPoliciesBody {
    fn from(own: StockOverrides) -> Self {
        StockPoliciesBody {
            unsynced: own.unsynced.map(Into::into),
            at_cart: own.at_cart.map(Into::into),
            hold_minutes: own.hold_minutes,
        }
    }
}

/// Body of `PUT /v1/settings`: the whole of them. What is left out is as without settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SettingsBody)]
pub struct SettingsBody {
    /// How prices and tax are reckoned; tax on top, rounded per line, where absent.
    pub pricing: Option<PricingSettingsBody>,
    /// What needs an approval where a cashier does it.
    pub approvals: Option<ApprovalSettingsBody>,
    /// How old a command of a till may be when it arrives, in seconds: 60 (a minute) to 63,072,000 (two
    /// years); any age where absent. What took effect before is answered again at any age. Prices, promotions and
    /// coupons are those of the time that a register tells, so what has ended is given for so long still: who has happy
    /// hours sets it short. What a register uploads that was cut off for longer is refused, and so are old days that are
    /// sent anew.
    #[schema(minimum = 60, maximum = 63_072_000)]
    pub command_age_max_seconds: Option<u32>,
    /// Whether sales and returns need an open shift at their register, as movements of cash always do; `false` where
    /// absent. Orders from elsewhere have none: their cash is taken by integrations only, then.
    pub sale_needs_open_shift: Option<bool>,
    /// Which tenders are taken from balances that are kept here; none where absent.
    pub stored_value: Option<StoredValueSettingsBody>,
    /// What becomes of uses of coupons and promotions above their limit in an upload of what a register did
    /// while it was cut off; `allow` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_uses_above_limit: Option<OfflineUsesBody>,
    /// What becomes of a sale in such an upload for which its register asked less than its lines come to here;
    /// `accept` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_total_below_lines: Option<OfflineTotalsBody>,
    /// Whether customers may wait for what is not there; nowhere where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backorders: Option<BackorderSettingsBody>,
    /// What a sale or reservation makes of stock, where its location does not decide otherwise: what nobody has told
    /// yet is refused, and nothing is checked at the cart, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<StockPoliciesBody>,
}

/// A tenant's settings, as they are in force; tills know a change after 15 seconds at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Settings)]
pub struct SettingsReply {
    /// How prices and tax are reckoned.
    pub pricing: PricingSettingsBody,
    /// What needs an approval where a cashier does it; every one of them is told.
    pub approvals: ApprovalSettingsBody,
    /// How old a command may be when it arrives, in seconds; any age where null.
    pub command_age_max_seconds: Option<u32>,
    /// Whether sales and returns need an open shift at their register, as movements of cash always do.
    pub sale_needs_open_shift: bool,
    /// Which tenders are taken from balances that are kept here.
    pub stored_value: StoredValueSettingsBody,
    /// What becomes of uses of coupons and promotions above their limit in an upload of what a register did
    /// while it was cut off.
    pub offline_uses_above_limit: OfflineUsesBody,
    /// What becomes of a sale in such an upload for which its register asked less than its lines come to here.
    pub offline_total_below_lines: OfflineTotalsBody,
    /// Whether customers may wait for what is not there.
    pub backorders: BackorderSettingsBody,
    /// What a sale or reservation makes of stock, where its location does not decide otherwise.
    pub stock: StockPoliciesBody,
    /// Grows with every change, 0 before the first; the `ETag` holds it.
    pub version: u64,
}
