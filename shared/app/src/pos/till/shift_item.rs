//! How a shift stands in the orders table.
//!
//! Headlines are plain attributes; opening and closing are JSON, so that new figures of a lane can join
//! them; movements and keys are compact binary ([`tillstream_domain::compact`]). A closed shift has its Z
//! number as `lane_number`, by which the relay knows that it is final.

use jiff::Timestamp;
use tillstream_contracts::till::ShiftState;
use tillstream_domain::compact;
use tillstream_domain::till::{Closing, Movement, Shift, ShiftKeys};

use crate::database::{Condition, Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::pos::cart_item::store_sort_key;
use crate::tenancy::TenantScope;

/// The read of a shift: what is decided on it is written on its version, so it must be current.
pub fn shift_get(scope: &TenantScope, shift_id: &str) -> Get {
    Get { table: Table::Orders, key: scope.shift(shift_id), consistency: Consistency::Strong }
}

/// Sort key of a shift among its store's: by its opening, then register and id. The register stands in it,
/// so that a list of one register passes over the others without reading them; the state does, too.
pub fn shift_sort_key(shift: &Shift) -> String {
    let opened = store_sort_key(shift.opening.at, "");
    format!("{opened}{}#{}", shift.register_id, shift.id)
}

/// The register in a [`shift_sort_key`].
pub fn register_in(sort_key: &str) -> Option<&str> {
    // Ids hold no `#`.
    sort_key.split('#').nth(1)
}

/// The item of a shift.
///
/// # Errors
/// A bug if it cannot be encoded.
pub fn shift_item(scope: &TenantScope, shift: &Shift) -> Result<Item> {
    let state = if shift.closing.is_some() { ShiftState::Closed } else { ShiftState::Open };
    let item = Item::new(&scope.shift(&shift.id))
        .with("tenant_id", scope.tenant_id())
        .with("kind", "shift")
        .with("shift_id", shift.id.as_str())
        .with("version", i64::try_from(shift.version).map_err(Error::bug)?)
        .with("status", state.name())
        .with("store_id", shift.store_id.as_str())
        .with("register_id", shift.register_id.as_str())
        .with("currency", shift.currency.code())
        .with("business_day", shift.opening.business_day.to_string())
        .with("store_pk", scope.store_shifts(&shift.store_id).value())
        .with("store_sk", shift_sort_key(shift))
        .with_json("opening", &shift.opening)?
        .with("movements", compact::encode(&shift.movements).map_err(Error::bug)?)
        .with("keys", compact::encode(&shift.keys).map_err(Error::bug)?);
    let Some(closing) = &shift.closing else { return Ok(item) };
    let partition = scope.lane_shifts(&shift.store_id, &shift.register_id, closing.lane.epoch);
    item.with("lane_pk", partition.value())
        .with("lane_number", i64::try_from(closing.z_number).map_err(Error::bug)?)
        .with_json("closing", closing)
}

/// Reads a shift.
///
/// # Errors
/// A bug if the item is not a shift.
pub fn shift_of(item: &Item) -> Result<Shift> {
    let movements: Vec<Movement> = compact::decode(item.bytes("movements")?).map_err(Error::bug)?;
    let keys: ShiftKeys = compact::decode(item.bytes("keys")?).map_err(Error::bug)?;
    let closing: Option<Closing> = match item.opt_text("closing") {
        Some(_) => Some(item.json("closing")?),
        None => None,
    };
    Ok(Shift {
        id: item.text("shift_id")?.to_owned(),
        version: u64::try_from(item.number("version")?).map_err(Error::bug)?,
        store_id: item.text("store_id")?.to_owned(),
        register_id: item.text("register_id")?.to_owned(),
        currency: item.text("currency")?.parse().map_err(Error::bug)?,
        opening: item.json("opening")?,
        movements,
        keys,
        closing,
    })
}

/// The put of a shift whose stored version is `stored`; `None` where it must not exist yet.
///
/// # Errors
/// A bug if it cannot be encoded.
pub fn shift_put(scope: &TenantScope, shift: &Shift, stored: Option<u64>, now: Timestamp) -> Result<Write> {
    let condition = match stored {
        Some(version) => Condition::Eq("version", i64::try_from(version).map_err(Error::bug)?.into()),
        None => Condition::NotExists,
    };
    // It makes the write of one request differ from that of another with the same command, so that a duplicate
    // loses on the condition instead of passing for the first.
    let item = shift_item(scope, shift)?.with("written_at", now.to_string());
    Ok(Write::Put { table: Table::Orders, item, condition: Some(condition) })
}
