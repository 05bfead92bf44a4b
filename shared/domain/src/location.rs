//! Locations: where stock lies and where sales are made.

use serde::{Deserialize, Serialize};

use crate::business_day::{CalendarError, StoreCalendar};
use crate::coordinates::Coordinates;
use crate::money::Currency;
use crate::stock_policies::StockOverrides;

/// What a location is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocationKind {
    /// Sells to people, has registers.
    Store,
    /// Holds stock only.
    Warehouse,
}

impl LocationKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            LocationKind::Store => "store",
            LocationKind::Warehouse => "warehouse",
        }
    }
}

/// A store or a warehouse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Store or warehouse.
    pub kind: LocationKind,
    /// What people call it.
    pub name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The currency it sells in.
    pub currency: Currency,
    /// Local time at which its business day begins, `HH:MM`.
    pub business_day_start: String,
    /// Region, for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its tax registration, as the law wants it on receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_number: Option<String>,
    /// How much it holds, in its own words or units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<i64>,
    /// Opening hours as text, by day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// Where on the earth it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
    /// What it decides about its stock otherwise than its tenant.
    #[serde(default, skip_serializing_if = "StockOverrides::is_empty")]
    pub stock: StockOverrides,
    /// Ids of its registers.
    #[serde(default)]
    pub registers: Vec<String>,
    /// Version of the feed line that wrote it last, or the count of its changes by API.
    #[serde(default)]
    pub version: u64,
}

impl Location {
    /// How this location tells days.
    ///
    /// # Errors
    /// [`CalendarError`] if its zone or day start is wrong.
    pub fn calendar(&self) -> Result<StoreCalendar, CalendarError> {
        StoreCalendar::new(&self.time_zone, &self.business_day_start)
    }

    /// Whether `register_id` is one of its registers.
    pub fn has_register(&self, register_id: &str) -> bool {
        self.registers.iter().any(|r| r == register_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_as_they_are_written() {
        for (kind, name) in [(LocationKind::Store, "store"), (LocationKind::Warehouse, "warehouse")] {
            assert_eq!(kind.name(), name);
        }
    }
}
