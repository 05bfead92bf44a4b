//! From what a register asks for to what the approval is bound to.

use tillstream_contracts::approvals::{ApprovalActionInput, AskForApproval};
use tillstream_contracts::pos::{DiscountKind, DiscountValue};
use tillstream_domain::approval::{ApprovalAction, Binding, Goods, Off};
use tillstream_domain::cart::{Cart, CartKind, PricedBy};
use tillstream_domain::money::{Currency, Money};
use tillstream_domain::pricing::ManualDiscountKind;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::Unit;

use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Refusal, Result};
use crate::fields::{id, sku as check_sku};
use crate::pos::cart_item::cart_of;
use crate::pos::discounts::goods_in;
use crate::pos::lines::{positive_quantity, sku_not_found};
use crate::stock::{counts, reconciliation};
use crate::tenancy::TenantScope;

/// Fields that say what an approval is bound to, each with whether it is there.
fn said(sent: &AskForApproval) -> [(&'static str, bool); 14] {
    [
        ("register_id", sent.register_id.is_some()),
        ("cart_id", sent.cart_id.is_some()),
        ("sku", sent.sku.is_some()),
        ("unit_price_override", sent.unit_price_override.is_some()),
        ("quantity", sent.quantity.is_some()),
        ("kind", sent.kind.is_some()),
        ("value", sent.value.is_some()),
        ("line_id", sent.line_id.is_some()),
        ("maximum_goods", sent.maximum_goods.is_some()),
        ("maximum_refund", sent.maximum_refund.is_some()),
        ("order_id", sent.order_id.is_some()),
        ("shift_id", sent.shift_id.is_some()),
        ("count_id", sent.count_id.is_some()),
        ("exception_id", sent.exception_id.is_some()),
    ]
}

/// The action that is asked for.
pub fn action_of(sent: &AskForApproval) -> ApprovalAction {
    match sent.action {
        ApprovalActionInput::PriceOverride => ApprovalAction::PriceOverride,
        ApprovalActionInput::ManualDiscount => ApprovalAction::ManualDiscount,
        ApprovalActionInput::BlindReturn => ApprovalAction::BlindReturn,
        ApprovalActionInput::VoidOrder => ApprovalAction::VoidOrder,
        ApprovalActionInput::PaidIn => ApprovalAction::PaidIn,
        ApprovalActionInput::PaidOut => ApprovalAction::PaidOut,
        ApprovalActionInput::NoSale => ApprovalAction::NoSale,
        ApprovalActionInput::CloseCount => ApprovalAction::CloseCount,
        ApprovalActionInput::CorrectDifference => ApprovalAction::CorrectDifference,
    }
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
        (ApprovalActionInput::CloseCount, _) => &["count_id"],
        (ApprovalActionInput::CorrectDifference, _) => &["exception_id"],
    }
}

/// Whether it is asked for a share off a cart or a line.
pub fn is_of_share(sent: &AskForApproval) -> bool {
    let is_percent = matches!(sent.kind, Some(DiscountKind::PercentCart | DiscountKind::PercentLine));
    sent.action == ApprovalActionInput::ManualDiscount && is_percent
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
        let is_taken = match field {
            "register_id" => action_of(sent).is_at_a_register(),
            // Said where the goods are not in the cart yet.
            "maximum_goods" if is_of_share(sent) => continue,
            field => takes.contains(&field),
        };
        match (is_taken, is_there) {
            (true, false) => return Err(required(field)),
            (false, true) => {
                let message = format!("this action takes {}", takes.join(", "));
                return Err(Refusal::field(field, "field_not_expected", message).into());
            }
            _ => {}
        }
    }
    let ids = [
        ("cart_id", &sent.cart_id),
        ("order_id", &sent.order_id),
        ("shift_id", &sent.shift_id),
        ("count_id", &sent.count_id),
        ("exception_id", &sent.exception_id),
    ];
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
            goods: None,
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
        ApprovalActionInput::CloseCount | ApprovalActionInput::CorrectDifference => {
            return Err(crate::Error::bug("what is done to stock is bound to what stands there"));
        }
    };
    Ok((binding, Unit::Piece))
}

/// The read of the cart whose goods a share is to be taken off.
pub fn share_get(scope: &TenantScope, sent: &AskForApproval) -> Option<Get> {
    let cart_id = sent.cart_id.as_deref().filter(|_| is_of_share(sent))?;
    Some(Get { table: Table::Orders, key: scope.cart(cart_id), consistency: Consistency::Strong })
}

/// What an approval of a share is bound to: what is left to pay of the goods in the cart that it would fall on now, or
/// what it is said that this may be. The fields are checked.
///
/// # Errors
/// Those of [`binding_of`]; 409 `too_many_discounts`; 422 `maximum_goods_required` where there are no such goods, and
/// nothing is said.
pub fn of_share(
    sent: &AskForApproval,
    currency: Currency,
    cart: Option<&Item>,
    by: &PricedBy<'_>,
) -> Result<Binding> {
    let (mut binding, _) = binding_of(sent, currency, None)?;
    let Binding::ManualDiscount { line, off: Off::BasisPoints(bps), goods, .. } = &mut binding else {
        return Err(crate::Error::bug("a share is a manual discount in basis points"));
    };
    let (line, bps) = (*line, *bps);
    let said = sent.maximum_goods.map(|most| amount("maximum_goods", Some(most), currency)).transpose()?;
    // Of a cart elsewhere nothing is told: the command would be refused for it.
    let is_here = |cart: &Cart| cart.kind == CartKind::Sale && cart.store_id == sent.store_id;
    let cart = cart.map(cart_of).transpose()?.filter(is_here);
    let share = match line {
        Some(line) => ManualDiscountKind::PercentLine { line, bps },
        None => ManualDiscountKind::PercentCart { bps },
    };
    let worth = match (said, &cart) {
        (Some(said), _) => said.amount,
        (None, Some(cart)) => cart.goods_for(share, &by.for_cart(cart))?,
        (None, None) => 0,
    };
    if worth == 0 {
        let message = "it would be taken off no goods that are in the cart now: say what they may come to";
        return Err(Refusal::field("maximum_goods", "maximum_goods_required", message).into());
    }
    *goods = Some(match &cart {
        Some(cart) => goods_in(cart, line, worth),
        None => Goods { worth: Money { amount: worth, currency }, sku: None },
    });
    Ok(binding)
}

/// The read of what an approval of something done to stock is bound to.
pub fn stock_get(scope: &TenantScope, sent: &AskForApproval) -> Option<Get> {
    let key = match (&sent.count_id, &sent.exception_id) {
        (Some(count_id), _) => scope.count_sheet(count_id),
        (_, Some(exception_id)) => scope.stock_exception(exception_id),
        _ => return None,
    };
    Some(Get { table: Table::Stock, key, consistency: Consistency::Strong })
}

/// What an approval of something done to stock is bound to, from what stands there; nothing for another action.
///
/// # Errors
/// 404 `count_not_found`, `exception_not_found`, also where it is of another location; 409 `count_closed`,
/// `count_cancelled`, `exception_resolved`, `exception_not_correctable`.
pub fn of_stock(sent: &AskForApproval, item: Option<&Item>) -> Result<Option<Binding>> {
    let bound = match sent.action {
        ApprovalActionInput::CloseCount => {
            let not_found = || counts::not_found(sent.count_id.as_deref().unwrap_or_default());
            let sheet = item.map(counts::StoredCount::of).transpose()?.ok_or_else(not_found)?;
            if sheet.location_id != sent.store_id {
                return Err(not_found().into());
            }
            sheet.require_open()?;
            counts::bound_of(&sheet)
        }
        ApprovalActionInput::CorrectDifference => reconciliation::bound_of(
            item.filter(|item| item.opt_text("location_id") == Some(&sent.store_id)),
        )?,
        _ => return Ok(None),
    };
    Ok(Some(bound.binding))
}

fn line_number(line_id: &str) -> Result<u32> {
    let number = line_id.strip_prefix("l-").and_then(|n| n.parse::<u32>().ok());
    // As carts write it, and no other way: `l-01` would be another text for the same line.
    number
        .filter(|number| format!("l-{number}") == line_id)
        .ok_or_else(|| Refusal::field("line_id", "line_malformed", "a line is called such as l-1").into())
}
