//! What a tenant decides about its tills.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::approval::ApprovalSettings;
use crate::backorder::HOLD_SECONDS_DEFAULT;
use crate::pricing::{PricingSettings, RuleError, TaxMode, TaxRounding};
use crate::stock_policies::StockPolicies;
use crate::stored_value::StoredValueKind;

/// Shortest age that a tenant may set for commands, in seconds: a register repeats what it got no answer to. What ended
/// is given for so long still to whoever tells an earlier time, so it may be as short as a till can do with.
pub const COMMAND_AGE_SECONDS_MIN: u32 = 60;
/// Longest, in seconds: two years. Who wants more sets none.
pub const COMMAND_AGE_SECONDS_MAX: u32 = 2 * 365 * 24 * 3_600;

/// A tenant's settings. Without any, prices contain no tax rules' tax, and nothing is asked for that a till
/// did not need before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSettings {
    /// How prices and tax are reckoned.
    #[serde(default = "default_pricing")]
    pub pricing: PricingSettings,
    /// Whether sales, returns and cash movements at a register need a shift that is open there.
    #[serde(default)]
    pub sale_needs_open_shift: bool,
    /// What needs an approval where a cashier does it.
    #[serde(default)]
    pub approvals: ApprovalSettings,
    /// How old a command may be when it arrives, in seconds; any age where absent.
    #[serde(default)]
    pub command_age_max_seconds: Option<u32>,
    /// Which tenders are taken from balances that are kept here.
    #[serde(default)]
    pub stored_value: StoredValueSettings,
    /// What becomes of uses above their limit that a register gave while it was cut off.
    #[serde(default)]
    pub offline_uses_above_limit: OfflineUses,
    /// What becomes of a sale for which a register that was cut off asked less than its lines come to here.
    #[serde(default)]
    pub offline_total_below_lines: OfflineTotals,
    /// Whether customers may wait for what is not there.
    #[serde(default)]
    pub backorders: BackorderSettings,
    /// What a sale or reservation makes of stock, where its location does not decide otherwise.
    #[serde(default)]
    pub stock: StockPolicies,
}

/// Most locations that say by themselves whether customers may wait there.
pub const BACKORDER_LOCATIONS_MAX: usize = 500;

/// Whether customers may wait for what is not there, and how long what arrived waits for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackorderSettings {
    /// Whether they may, at locations that are not named.
    pub allowed: bool,
    /// How long what was reserved for one waits to be fetched, in seconds.
    pub hold_seconds: u32,
    /// Whether they may at these locations.
    pub locations: BTreeMap<String, bool>,
}

impl Default for BackorderSettings {
    fn default() -> Self {
        BackorderSettings { allowed: false, hold_seconds: HOLD_SECONDS_DEFAULT, locations: BTreeMap::new() }
    }
}

impl BackorderSettings {
    /// Whether customers may wait at a location.
    pub fn allows(&self, location_id: &str) -> bool {
        self.locations.get(location_id).copied().unwrap_or(self.allowed)
    }
}

/// What becomes of uses of coupons and promotions above their limit, where a register that was cut off uploads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineUses {
    /// They are counted, and somebody is asked to look into them: the customer has paid.
    #[default]
    Allow,
    /// They are refused as at a till that is online, and the sale waits until somebody settles it.
    Refuse,
}

/// What becomes of a sale for which a register that was cut off asked less than its lines come to here, by more than
/// rounding explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineTotals {
    /// It is kept at what was asked, and somebody is asked to look into it: the goods have left the shop.
    #[default]
    Accept,
    /// It is refused as at a till that is online, and waits until somebody settles it.
    Refuse,
}

/// Which tenders are taken from balances that are kept here; the others are recorded only, as all are without
/// settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredValueSettings {
    /// `gift_card`.
    #[serde(default)]
    pub gift_card: bool,
    /// `account`.
    #[serde(default)]
    pub account: bool,
}

impl StoredValueSettings {
    /// What `tender` is taken from; nothing where it is recorded only.
    pub fn kind_of(self, tender: &str) -> Option<StoredValueKind> {
        StoredValueKind::of_tender(tender).filter(|kind| match kind {
            StoredValueKind::GiftCard => self.gift_card,
            StoredValueKind::Account => self.account,
        })
    }
}

fn default_pricing() -> PricingSettings {
    PricingSettings {
        tax_mode: TaxMode::Exclusive,
        tax_rounding: TaxRounding::PerLine,
        cash_increment: 0,
        cash_increments: BTreeMap::new(),
    }
}

impl Default for TenantSettings {
    fn default() -> Self {
        TenantSettings {
            pricing: default_pricing(),
            sale_needs_open_shift: false,
            approvals: ApprovalSettings::default(),
            command_age_max_seconds: None,
            stored_value: StoredValueSettings::default(),
            offline_uses_above_limit: OfflineUses::default(),
            offline_total_below_lines: OfflineTotals::default(),
            backorders: BackorderSettings::default(),
            stock: StockPolicies::default(),
        }
    }
}

impl TenantSettings {
    /// Checks every bound, as they are taken in.
    ///
    /// # Errors
    /// [`RuleError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), RuleError> {
        self.pricing.check()
    }
}
