//! What a tenant decides about its tills.

use serde::{Deserialize, Serialize};

use crate::approval::ApprovalSettings;
use crate::pricing::{PricingSettings, RuleError, TaxMode, TaxRounding};

/// Shortest age that a tenant may set for commands, in seconds: a register's clock may be off, and it may be
/// without a network for a while.
pub const COMMAND_AGE_SECONDS_MIN: u32 = 3_600;
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
}

fn default_pricing() -> PricingSettings {
    PricingSettings { tax_mode: TaxMode::Exclusive, tax_rounding: TaxRounding::PerLine, cash_increment: 0 }
}

impl Default for TenantSettings {
    fn default() -> Self {
        TenantSettings {
            pricing: default_pricing(),
            sale_needs_open_shift: false,
            approvals: ApprovalSettings::default(),
            command_age_max_seconds: None,
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
