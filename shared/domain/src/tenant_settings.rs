//! What a tenant decides about its tills.

use serde::{Deserialize, Serialize};

use crate::pricing::{PricingSettings, RuleError, TaxMode, TaxRounding};

/// A tenant's settings. Without any, prices contain no tax rules' tax, and nothing is asked for that a till
/// did not need before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSettings {
    /// How prices and tax are reckoned.
    #[serde(default = "default_pricing")]
    pub pricing: PricingSettings,
    /// Whether sales, returns and cash movements at a register need a shift that is open there.
    #[serde(default)]
    pub sale_needs_open_shift: bool,
}

fn default_pricing() -> PricingSettings {
    PricingSettings { tax_mode: TaxMode::Exclusive, tax_rounding: TaxRounding::PerLine, cash_increment: 0 }
}

impl Default for TenantSettings {
    fn default() -> Self {
        TenantSettings { pricing: default_pricing(), sale_needs_open_shift: false }
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
