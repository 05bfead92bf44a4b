//! From what a register asks for to what the approval is bound to.

use tillstream_contracts::approvals::{ApprovalActionInput, AskForApproval};
use tillstream_contracts::pos::{DiscountKind, DiscountValue};
use tillstream_domain::approval::{Binding, Off};
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::Unit;

use crate::error::{Refusal, Result};
use crate::fields::{id, sku as check_sku};
use crate::pos::lines::{positive_quantity, sku_not_found};

/// Fields that say what an approval is bound to, each with whether it is there.
fn said(sent: &AskForApproval) -> [(&'static str, bool); 10] {
    [
        ("cart_id", sent.cart_id.is_some()),
        ("sku", sent.sku.is_some()),
        ("unit_price_override", sent.unit_price_override.is_some()),
        ("quantity", sent.quantity.is_some()),
        ("kind", sent.kind.is_some()),
        ("value", sent.value.is_some()),
        ("line_id", sent.line_id.is_some()),
        ("maximum_refund", sent.maximum_refund.is_some()),
        ("order_id", sent.order_id.is_some()),
        ("shift_id", sent.shift_id.is_some()),
    ]
}

fn takes(sent: &AskForApproval) -> &'static [&'static str] {
    match (sent.action, sent.kind) {
        (ApprovalActionInput::PriceOverride, _) => &["cart_id", "sku", "unit_price_override", "quantity"],
        (ApprovalActionInput::ManualDiscount, Some(DiscountKind::PercentLine | DiscountKind::FixedLine)) => {
            &["cart_id", "kind", "value", "line_id"]
        }
        (ApprovalActionInput::ManualDiscount, _) => &["cart_id", "kind", "value"],
        (ApprovalActionInput::BlindReturn, _) => &["maximum_refund"],
        (ApprovalActionInput::VoidOrder, _) => &["order_id"],
        (ApprovalActionInput::PaidIn | ApprovalActionInput::PaidOut, _) => &["shift_id", "amount"],
        (ApprovalActionInput::NoSale, _) => &["shift_id"],
    }
}

fn required(field: &str) -> crate::Error {
    Refusal::field(field, "field_required", "this action needs it").into()
}

/// Checks that exactly the fields of the action are there, and that their ids are ids.
///
/// # Errors
/// 422 `field_required`, `field_not_expected`, `id_malformed`, `sku_malformed`.
pub fn check_fields(sent: &AskForApproval) -> Result<()> {
    let takes = takes(sent);
    for (field, is_there) in said(sent).into_iter().chain([("amount", sent.amount.is_some())]) {
        match (takes.contains(&field), is_there) {
            (true, false) => return Err(required(field)),
            (false, true) => {
                let message = format!("this action takes {}", takes.join(", "));
                return Err(Refusal::field(field, "field_not_expected", message).into());
            }
            _ => {}
        }
    }
    let ids = [("cart_id", &sent.cart_id), ("order_id", &sent.order_id), ("shift_id", &sent.shift_id)];
    for (field, value) in ids {
        if let Some(value) = value {
            id(field, value)?;
        }
    }
    sent.sku.as_deref().map_or(Ok(()), |sku| check_sku("sku", sku))
}

/// Money above zero, of the store's currency.
fn amount(field: &str, sent: Option<Money>, currency: Currency) -> Result<Money> {
    let money = sent.ok_or_else(|| required(field))?;
    if money.currency != currency {
        return Err(Refusal::field(field, "currency_mismatch", format!("the store is in {currency}")).into());
    }
    if money.amount <= 0 {
        return Err(Refusal::field(field, "amount_not_positive", "an amount is above zero").into());
    }
    Money::new(money.amount, currency)
        .map_err(|error| Refusal::field(field, "amount_out_of_range", error.to_string()).into())
}

fn discount(sent: &AskForApproval, currency: Currency) -> Result<Off> {
    let invalid = |message: &str| Refusal::field("value", "discount_value_invalid", message);
    match (sent.kind, sent.value) {
        (
            Some(DiscountKind::PercentCart | DiscountKind::PercentLine),
            Some(DiscountValue::BasisPoints(bps)),
        ) => {
            if (1..=10_000).contains(&bps) {
                Ok(Off::BasisPoints(bps))
            } else {
                Err(invalid("a percentage is 1 to 10000 basis points (10000 is all of it)").into())
            }
        }
        (Some(DiscountKind::FixedCart | DiscountKind::FixedLine), Some(DiscountValue::Amount(money))) => {
            Ok(Off::Amount(amount("value", Some(money), currency)?))
        }
        (Some(DiscountKind::PercentCart | DiscountKind::PercentLine), _) => {
            Err(invalid("a percentage is a whole number of basis points (500 is 5 %)").into())
        }
        _ => Err(invalid("an amount off is money such as {\"amount\": 100, \"currency\": \"GBP\"}").into()),
    }
}

/// What the approval is bound to, and the unit that its quantity is shown by. The fields are checked.
///
/// # Errors
/// 404 `sku_not_found`; 422 `quantity_invalid`, `discount_value_invalid`, `line_malformed`,
/// `amount_not_positive`, `amount_out_of_range`, `currency_mismatch`.
pub fn binding_of(
    sent: &AskForApproval,
    currency: Currency,
    product: Option<&Product>,
) -> Result<(Binding, Unit)> {
    let text = |field: &str, value: &Option<String>| value.clone().ok_or_else(|| required(field));
    let binding = match sent.action {
        ApprovalActionInput::PriceOverride => {
            let sku = text("sku", &sent.sku)?;
            let product = product.ok_or_else(|| sku_not_found("sku", &sku))?;
            let quantity = sent.quantity.as_ref().ok_or_else(|| required("quantity"))?;
            let unit_price = sent.unit_price_override.ok_or_else(|| required("unit_price_override"))?;
            let quantity = positive_quantity("quantity", quantity, product)?;
            let cart_id = text("cart_id", &sent.cart_id)?;
            return Ok((Binding::PriceOverride { cart_id, sku, unit_price, quantity }, product.unit));
        }
        ApprovalActionInput::ManualDiscount => Binding::ManualDiscount {
            cart_id: text("cart_id", &sent.cart_id)?,
            line: sent.line_id.as_deref().map(line_number).transpose()?,
            off: discount(sent, currency)?,
        },
        ApprovalActionInput::BlindReturn => {
            Binding::BlindReturn { maximum_refund: amount("maximum_refund", sent.maximum_refund, currency)? }
        }
        ApprovalActionInput::VoidOrder => Binding::VoidOrder { order_id: text("order_id", &sent.order_id)? },
        ApprovalActionInput::PaidIn => Binding::PaidIn {
            shift_id: text("shift_id", &sent.shift_id)?,
            amount: amount("amount", sent.amount, currency)?,
        },
        ApprovalActionInput::PaidOut => Binding::PaidOut {
            shift_id: text("shift_id", &sent.shift_id)?,
            amount: amount("amount", sent.amount, currency)?,
        },
        ApprovalActionInput::NoSale => Binding::NoSale { shift_id: text("shift_id", &sent.shift_id)? },
    };
    Ok((binding, Unit::Piece))
}

fn line_number(line_id: &str) -> Result<u32> {
    let number = line_id.strip_prefix("l-").and_then(|n| n.parse::<u32>().ok());
    // As carts write it, and no other way: `l-01` would be another text for the same line.
    number
        .filter(|number| format!("l-{number}") == line_id)
        .ok_or_else(|| Refusal::field("line_id", "line_malformed", "a line is called such as l-1").into())
}
