//! The stores a query is about.

use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::location::Location;

use super::READERS;
use crate::catalog::reach::stores_in_reach;
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::ports::Ports;
use crate::tenancy::Caller;

/// Most stores of one query.
const STORES_MAX: usize = 1_000;

/// A store and how it tells days.
#[derive(Debug, Clone)]
pub struct Store {
    /// The store.
    pub location: Location,
    /// How it tells days.
    pub calendar: StoreCalendar,
}

/// The store named, or all in the caller's reach, closed ones too.
///
/// # Errors
/// 403 `role_required`, `store_out_of_reach`; 404 `store_not_found`; 422 `too_many_stores`.
pub async fn stores(ports: &Ports, caller: &Caller, store_id: Option<&str>) -> Result<Vec<Store>> {
    caller.require_role(READERS)?;
    let Some(stores) = stores_in_reach(ports, caller, store_id, STORES_MAX).await? else {
        let detail =
            format!("more than {STORES_MAX} stores are in reach, one query covers so many: give store_id");
        return Err(Refusal::new(RefusalKind::Invalid, "too_many_stores", detail).into());
    };
    let store = |location: Location| {
        let calendar = location.calendar().map_err(Error::bug)?;
        Ok(Store { location, calendar })
    };
    stores.into_iter().map(store).collect()
}
