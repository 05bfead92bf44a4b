//! What a tenant decides about stock that a sale or reservation meets, and what one location decides otherwise.

use serde::{Deserialize, Serialize};

/// What becomes of a sale or reservation of a product at a location whose stock of it nobody has told yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnsyncedStock {
    /// It is refused: nothing is there.
    #[default]
    Refuse,
    /// It is allowed: as much as is missing is entered, and somebody is asked to look into it.
    Allow,
}

/// What is made sure of when something is added to a cart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartStock {
    /// Nothing: stock is taken when the cart becomes final.
    #[default]
    None,
    /// That as much is available as the cart has of it by then.
    Check,
    /// That it stays so: the cart holds it, for a time.
    Hold,
}

/// Shortest time for which a cart holds, in minutes.
pub const HOLD_MINUTES_MIN: u32 = 1;
/// Longest, in minutes: a day, as of any reservation.
pub const HOLD_MINUTES_MAX: u32 = 1_440;
/// The time for which a cart holds where nobody says otherwise, in minutes.
pub const HOLD_MINUTES_DEFAULT: u32 = 30;

/// What is decided for a location. Without any decision all is as each begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StockPolicies {
    /// Stock that is not synced.
    pub unsynced: UnsyncedStock,
    /// Adding to a cart.
    pub at_cart: CartStock,
    /// For how long a cart holds what was added to it, in minutes.
    pub hold_minutes: u32,
}

impl Default for StockPolicies {
    fn default() -> Self {
        StockPolicies {
            unsynced: UnsyncedStock::default(),
            at_cart: CartStock::default(),
            hold_minutes: HOLD_MINUTES_DEFAULT,
        }
    }
}

/// What a location decides otherwise than its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StockOverrides {
    /// Stock that is not synced; as the tenant has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsynced: Option<UnsyncedStock>,
    /// Adding to a cart; as the tenant has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_cart: Option<CartStock>,
    /// For how long a cart holds, in minutes; as the tenant has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_minutes: Option<u32>,
}

impl StockOverrides {
    /// Whether it decides nothing.
    pub fn is_empty(&self) -> bool {
        *self == StockOverrides::default()
    }
}

impl StockPolicies {
    /// What is in force at a location that decides so of its own: the one place where this is resolved.
    #[must_use]
    pub fn overridden_by(self, own: StockOverrides) -> Self {
        StockPolicies {
            unsynced: own.unsynced.unwrap_or(self.unsynced),
            at_cart: own.at_cart.unwrap_or(self.at_cart),
            hold_minutes: own.hold_minutes.unwrap_or(self.hold_minutes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_decides_each_for_itself_or_leaves_it() {
        for tenant in [UnsyncedStock::Refuse, UnsyncedStock::Allow] {
            for at_cart in [CartStock::None, CartStock::Check, CartStock::Hold] {
                let policies = StockPolicies { unsynced: tenant, at_cart, hold_minutes: 7 };
                assert_eq!(policies.overridden_by(StockOverrides::default()), policies);
                for own in [UnsyncedStock::Refuse, UnsyncedStock::Allow] {
                    let overrides = StockOverrides { unsynced: Some(own), ..StockOverrides::default() };
                    let resolved = policies.overridden_by(overrides);
                    assert_eq!(resolved, StockPolicies { unsynced: own, ..policies });
                    assert!(!overrides.is_empty());
                }
                for own in [CartStock::None, CartStock::Check, CartStock::Hold] {
                    let overrides = StockOverrides { at_cart: Some(own), ..StockOverrides::default() };
                    let resolved = policies.overridden_by(overrides);
                    assert_eq!(resolved, StockPolicies { at_cart: own, ..policies });
                }
                let overrides = StockOverrides { hold_minutes: Some(9), ..StockOverrides::default() };
                let resolved = policies.overridden_by(overrides);
                assert_eq!(resolved, StockPolicies { hold_minutes: 9, ..policies });
            }
        }
        assert!(StockOverrides::default().is_empty());
    }

    /// What is stored before another policy is known is read as without it.
    #[test]
    fn older_policies_are_read() {
        let older: StockPolicies = serde_json::from_str(r#"{"unsynced":"allow"}"#).unwrap();
        assert_eq!(older, StockPolicies { unsynced: UnsyncedStock::Allow, ..StockPolicies::default() });
        assert_eq!((older.at_cart, older.hold_minutes), (CartStock::None, HOLD_MINUTES_DEFAULT));
        let older: StockOverrides = serde_json::from_str("{}").unwrap();
        assert!(older.is_empty());
        assert_eq!(serde_json::to_string(&older).unwrap(), "{}");
    }
}
