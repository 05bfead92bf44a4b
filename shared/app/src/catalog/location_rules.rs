//! What a location must be to be written.

use std::collections::BTreeSet;

use tillstream_contracts::catalog::LocationBody;
use tillstream_domain::business_day::{CalendarError, StoreCalendar};
use tillstream_domain::coordinates::{Coordinates, CoordinatesError};
use tillstream_domain::lane::Lane;
use tillstream_domain::location::{Location, LocationKind};

use super::product_rules::{FieldErrors, is_plain_text};
use super::settings::overrides_from;
use crate::error::Refusal;

/// Most registers of one location.
pub const REGISTERS_MAX: usize = 200;
/// Longest region, in characters.
pub const REGION_CHARACTERS_MAX: usize = 64;
/// Longest tax number, in characters: the longest there are have some twenty, with what countries write before
/// and between them.
pub const TAX_NUMBER_CHARACTERS_MAX: usize = 64;
/// Longest address or hours, in characters. These may have several lines.
pub const TEXT_CHARACTERS_MAX: usize = 500;

/// Whether `text` is 1 to [`TEXT_CHARACTERS_MAX`] characters, none of them a control character but line feeds.
pub(super) fn is_text(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= TEXT_CHARACTERS_MAX
        && !text.chars().any(|c| c.is_control() && c != '\n')
}

/// The location that `body` describes. Its version is set when it is written.
///
/// # Errors
/// 422 `field_invalid` with every field that is wrong.
pub fn location_from(body: LocationBody) -> Result<Location, Refusal> {
    let mut errors = FieldErrors::default();
    errors.demand_id("id", &body.id);
    errors.demand_name("name", &body.name);
    match StoreCalendar::new(&body.time_zone, &body.business_day_start) {
        Ok(_) => {}
        Err(CalendarError::MalformedStart) => errors.demand(
            false,
            "business_day_start",
            "business_day_start_malformed",
            "a business day starts at a local time such as \"00:00\" or \"04:30\"",
        ),
        Err(_) => errors.demand(
            false,
            "time_zone",
            "time_zone_unknown",
            "a time zone is an IANA name such as \"Europe/London\"",
        ),
    }
    errors.demand(
        body.region.as_deref().is_none_or(|r| is_plain_text(r, REGION_CHARACTERS_MAX)),
        "region",
        "region_malformed",
        "a region is 1 to 64 printable characters without leading or trailing spaces",
    );
    errors.demand(
        body.address.as_deref().is_none_or(is_text),
        "address",
        "address_malformed",
        "an address is 1 to 500 printable characters",
    );
    errors.demand(
        body.tax_number.as_deref().is_none_or(|t| is_plain_text(t, TAX_NUMBER_CHARACTERS_MAX)),
        "tax_number",
        "tax_number_malformed",
        "a tax number is 1 to 64 printable characters without leading or trailing spaces",
    );
    errors.demand(
        body.hours.as_deref().is_none_or(is_text),
        "hours",
        "hours_malformed",
        "opening hours are 1 to 500 printable characters",
    );
    errors.demand(
        body.capacity.is_none_or(|c| c >= 0),
        "capacity",
        "capacity_negative",
        "a capacity is zero or more",
    );
    let coordinates = match (body.latitude, body.longitude) {
        (None, None) => None,
        (Some(latitude), Some(longitude)) => coordinates_from(latitude, longitude, &mut errors),
        (latitude, _) => {
            let missing = if latitude.is_none() { "latitude" } else { "longitude" };
            errors.demand(
                false,
                missing,
                "coordinates_incomplete",
                "send latitude and longitude, or neither",
            );
            None
        }
    };
    errors.demand(
        body.registers.len() <= REGISTERS_MAX,
        "registers",
        "too_many_registers",
        "a location has at most 200 registers",
    );
    errors.demand(
        body.kind == LocationKind::Store || body.registers.is_empty(),
        "registers",
        "registers_not_allowed",
        "only a store has registers",
    );
    let mut seen = BTreeSet::new();
    for (position, register) in body.registers.iter().enumerate().take(REGISTERS_MAX) {
        let field = format!("registers[{position}]");
        errors.demand_id(&field, register);
        // Receipt numbers name their lane as store/register~epoch, and web orders have lanes of their own.
        errors.demand(
            !register.contains('~') && !Lane::is_virtual(register),
            &field,
            "register_reserved",
            "a register's id has no ~ and does not begin with virtual-",
        );
        errors.demand(seen.insert(register), &field, "register_repeated", "the register stands there twice");
    }
    let stock = body.stock.map(|stock| overrides_from(stock, &mut errors)).unwrap_or_default();
    errors.refuse()?;
    Ok(Location {
        id: body.id,
        kind: body.kind,
        name: body.name,
        time_zone: body.time_zone,
        currency: body.currency,
        business_day_start: body.business_day_start,
        region: body.region,
        address: body.address,
        tax_number: body.tax_number,
        capacity: body.capacity,
        hours: body.hours,
        coordinates,
        stock,
        registers: body.registers,
        version: 0,
    })
}

fn coordinates_from(latitude: i64, longitude: i64, errors: &mut FieldErrors) -> Option<Coordinates> {
    match Coordinates::new(latitude, longitude) {
        Ok(coordinates) => Some(coordinates),
        Err(error) => {
            let (field, code) = named_in(error);
            errors.demand(false, field, code, &error.to_string());
            None
        }
    }
}

/// Field and code of what is wrong with coordinates.
pub(crate) fn named_in(error: CoordinatesError) -> (&'static str, &'static str) {
    match error {
        CoordinatesError::Latitude => ("latitude", "latitude_out_of_range"),
        CoordinatesError::Longitude => ("longitude", "longitude_out_of_range"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_have_lines_and_nothing_else_that_is_not_printed() {
        let longest = "ä".repeat(TEXT_CHARACTERS_MAX);
        for text in ["1 High Street\nLeeds", " x ", longest.as_str()] {
            assert!(is_text(text), "{text:?}");
        }
        for text in ["", " \n ", "a\tb", "a\u{7}", &format!("{longest}x")] {
            assert!(!is_text(text), "{text:?}");
        }
    }
}
