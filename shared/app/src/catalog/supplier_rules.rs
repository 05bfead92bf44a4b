//! What a supplier must be to be written.

use std::collections::BTreeSet;

use tillstream_contracts::suppliers::SupplierBody;
use tillstream_domain::card_number::contains_card_number;
use tillstream_domain::identifier::check_sku;
use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};
use tillstream_domain::supplier::{
    LEAD_TIME_DAYS_MAX, OVER_DELIVERY_PERCENT_MAX, SUPPLIED_SKUS_MAX, SuppliedSku, Supplier,
};

use super::location_rules::is_text;
use super::product_rules::{FieldErrors, is_plain_text};
use crate::error::Refusal;

/// Longest mail address, in characters (RFC 5321, section 4.5.3.1.3, less the angle brackets).
const EMAIL_CHARACTERS_MAX: usize = 254;
/// Longest telephone number with its signs, in characters.
const PHONE_CHARACTERS_MAX: usize = 32;

fn is_email(text: &str) -> bool {
    let has_both = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    has_both && is_plain_text(text, EMAIL_CHARACTERS_MAX) && !text.contains(char::is_whitespace)
}

fn is_phone(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_digit() || "+-()./ x".contains(c);
    let digits = text.chars().filter(char::is_ascii_digit).count();
    is_plain_text(text, PHONE_CHARACTERS_MAX) && text.chars().all(allowed) && digits >= 3
}

/// Whether it can be a number of units of some product: which form it must have, the product's unit tells.
fn is_pack_size(input: &QuantityInput) -> bool {
    let unit = match input {
        QuantityInput::Whole(_) => Unit::Piece,
        QuantityInput::Decimal(_) => Unit::Kg,
    };
    input.resolve(unit).and_then(Quantity::positive).is_ok()
}

fn demand_contact(errors: &mut FieldErrors, body: &SupplierBody) {
    if let Some(name) = &body.contact_name {
        errors.demand_name("contact_name", name);
    }
    errors.demand(
        body.email.as_deref().is_none_or(is_email),
        "email",
        "email_malformed",
        "a mail address is such as orders@example.com, of at most 254 characters",
    );
    errors.demand(
        body.phone.as_deref().is_none_or(is_phone),
        "phone",
        "phone_malformed",
        "a telephone number is 3 to 32 of digits, spaces and + - ( ) . / x",
    );
    errors.demand(
        body.address.as_deref().is_none_or(is_text),
        "address",
        "address_malformed",
        "an address is 1 to 500 printable characters",
    );
    let texts = [
        ("name", Some(&body.name)),
        ("contact_name", body.contact_name.as_ref()),
        ("phone", body.phone.as_ref()),
        ("address", body.address.as_ref()),
    ];
    for (field, text) in texts {
        errors.demand(
            text.is_none_or(|text| !contains_card_number(text)),
            field,
            "card_number_refused",
            "card numbers are not stored",
        );
    }
}

fn demand_supplies(errors: &mut FieldErrors, body: &SupplierBody) {
    errors.demand(
        body.supplies.len() <= SUPPLIED_SKUS_MAX,
        "supplies",
        "too_many_supplies",
        "a supplier supplies at most 1000 SKUs",
    );
    let mut seen = BTreeSet::new();
    for (position, supplied) in body.supplies.iter().enumerate().take(SUPPLIED_SKUS_MAX) {
        let field = |name: &str| format!("supplies[{position}].{name}");
        errors.demand(
            check_sku(&supplied.sku).is_ok(),
            &field("sku"),
            "sku_malformed",
            "a SKU is 1 to 64 bytes of printable text without leading or trailing spaces",
        );
        errors.demand(
            seen.insert(&supplied.sku),
            &field("sku"),
            "sku_repeated",
            "the SKU stands there twice",
        );
        errors.demand(
            supplied.lead_time_days.is_none_or(|days| days <= LEAD_TIME_DAYS_MAX),
            &field("lead_time_days"),
            "lead_time_out_of_range",
            "a lead time goes from 0 to 730 days",
        );
        errors.demand(
            supplied.pack_size.as_ref().is_none_or(is_pack_size),
            &field("pack_size"),
            "quantity_invalid",
            "a pack has more than nothing: a whole number, or a decimal string such as \"12.5\", up to 1000000",
        );
    }
    errors.demand(
        body.currency.is_some() || body.supplies.iter().all(|supplied| supplied.unit_cost.is_none()),
        "currency",
        "currency_missing",
        "costs have a currency: name the supplier's",
    );
}

/// The supplier that `body` describes. Its version is set when it is written.
///
/// # Errors
/// 422 `field_invalid` with every field that is wrong.
pub fn supplier_from(body: SupplierBody) -> Result<Supplier, Refusal> {
    let mut errors = FieldErrors::default();
    errors.demand_id("id", &body.id);
    errors.demand_name("name", &body.name);
    errors.demand(
        body.lead_time_days <= LEAD_TIME_DAYS_MAX,
        "lead_time_days",
        "lead_time_out_of_range",
        "a lead time goes from 0 to 730 days",
    );
    errors.demand(
        body.over_delivery_percent <= OVER_DELIVERY_PERCENT_MAX,
        "over_delivery_percent",
        "over_delivery_out_of_range",
        "at most 100 per cent beyond an order may be delivered",
    );
    demand_contact(&mut errors, &body);
    demand_supplies(&mut errors, &body);
    errors.refuse()?;
    Ok(Supplier {
        id: body.id,
        name: body.name,
        lead_time_days: body.lead_time_days,
        currency: body.currency,
        over_delivery_percent: body.over_delivery_percent,
        contact_name: body.contact_name,
        email: body.email,
        phone: body.phone,
        address: body.address,
        supplies: body.supplies.into_iter().map(SuppliedSku::from).collect(),
        version: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_to_reach_somebody_has_a_form() {
        let long = format!("{}@x", "a".repeat(EMAIL_CHARACTERS_MAX - 2));
        for email in ["a@b", "orders+2@example.com", &long] {
            assert!(is_email(email), "{email}");
        }
        for email in ["", "a", "@b", "a@", "a b@c", " a@b", "a@b\n", &format!("x{long}")] {
            assert!(!is_email(email), "{email:?}");
        }
        for phone in ["112", "+44 (0)113 496-0000 x7", &"1".repeat(32)] {
            assert!(is_phone(phone), "{phone}");
        }
        for phone in ["", "12", "+-() ./", "call me", "113;496", " 112", &"1".repeat(33)] {
            assert!(!is_phone(phone), "{phone:?}");
        }
    }

    #[test]
    fn a_pack_has_something_in_it() {
        let decimal = |text: &str| QuantityInput::Decimal(text.to_owned());
        for size in [QuantityInput::Whole(1), QuantityInput::Whole(1_000_000), decimal("0.001")] {
            assert!(is_pack_size(&size), "{size:?}");
        }
        let wrong = [QuantityInput::Whole(0), QuantityInput::Whole(-6), QuantityInput::Whole(1_000_001)];
        for size in wrong.into_iter().chain(["0", "-1", "1e3", "1.0001", ""].map(decimal)) {
            assert!(!is_pack_size(&size), "{size:?}");
        }
    }
}
