//! Returns: against a known sale, or blind with an approval.

use std::collections::BTreeMap;

use tillstream_contracts::pos::{ReturnLineItem, StartReturn};
use tillstream_domain::approval::{ApprovalAction, Binding};
use tillstream_domain::cart::order_status::OrderStatus;
use tillstream_domain::cart::{
    ApprovedPart, Cart, CartKind, CartState, Charges, CustomerTerms, Disposition, Kits, LineTerms, Lots,
    NewLine, OriginalLine, OriginalSale, Outcome, ReturnHead, Returned,
};
use tillstream_domain::quantity::Quantity;

use super::cart_item::cart_of;
use super::cart_write::{Executed, cart_get, change_cart, create_cart, replay};
use super::carts::{NewCart, new_cart};
use super::context::CommandContext;
use super::identity::derived_id;
use super::lines::{positive_quantity, sku_not_found};
use super::undo::new_order_id;
use crate::approvals::permission::{Permission, expect_none};
use crate::catalog::items::{catalog_get, product_if_any};
use crate::catalog::kits::ReadIfKit;
use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields::{id, sku as check_sku, text};
use crate::ports::Ports;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 200;

/// The read of what came back of a sale.
pub fn returned_get(scope: &TenantScope, order_id: &str) -> Get {
    Get { table: Table::Orders, key: scope.returned(order_id), consistency: Consistency::Strong }
}

/// Reads what came back of a sale; nothing where there is no item.
///
/// # Errors
/// A bug if the item is not one.
pub fn returned_of(item: Option<&Item>) -> Result<Returned> {
    item.map_or_else(|| Ok(Returned::default()), |item| item.json("data"))
}

/// The id of the return that `start_return` makes: the client's, or one that follows from the command's key.
pub fn new_return_id(context: &CommandContext, named: Option<&str>, key: &str) -> String {
    let parts =
        [context.caller.scope.tenant_id(), &context.store_id, &context.register_id, "start_return", key];
    named.map_or_else(|| derived_id("r", &parts), str::to_owned)
}

/// `start_return`.
///
/// # Errors
/// 404 `order_not_found`, 409 `order_not_final`; 403 and 409 for a blind return's approval; 422 for fields.
pub async fn start(
    ports: &Ports,
    context: &CommandContext,
    payload: StartReturn,
    key: &str,
) -> Result<Executed> {
    text("payload.reason", &payload.reason, REASON_CHARS_MAX)?;
    if payload.reason.trim().is_empty() {
        return Err(Refusal::field("payload.reason", "reason_required", "say why").into());
    }
    if let Some(order_id) = &payload.original_order_id {
        id("payload.original_order_id", order_id)?;
    }
    if let Some(return_id) = &payload.return_id {
        new_order_id("payload.return_id", return_id)?;
    }
    let return_id = new_return_id(context, payload.return_id.as_deref(), key);
    let approval_id = payload.approval_id.as_deref();
    let permission = match &payload.original_order_id {
        None => Some(Permission::of(ports, context, ApprovalAction::BlindReturn, 0, approval_id).await?),
        Some(_) => {
            expect_none(approval_id)?;
            None
        }
    };
    let mut gets =
        vec![catalog_get(context.caller.scope.location(&context.store_id)), cart_get(context, &return_id)];
    if let Some(order_id) = &payload.original_order_id {
        gets.push(cart_get(context, order_id));
        gets.push(returned_get(&context.caller.scope, order_id));
    }
    gets.extend(permission.as_ref().and_then(|permission| permission.get(context)));
    let read = ports.database.get_many(gets).await?;
    let at = |position: usize| read.get(position).and_then(Option::as_ref);
    if let Some(existing) = at(1) {
        let existing = cart_of(existing)?;
        if let Some(executed) = replay(context, &existing)? {
            return Ok(executed);
        }
    }
    let location = context.till(at(0))?;
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    // What the sale's lines were charged: a return is worth its part of that.
    let mut sold = Charges::default();
    // Returns count for whom their sales counted.
    let (mut customer_id, mut customer) = (None, CustomerTerms::default());
    // What was taken from gift cards and accounts goes back to them.
    let mut paid_from = Vec::new();
    let (mut kits, mut lots) = (Kits::default(), Lots::default());
    let original = match &payload.original_order_id {
        None => None,
        Some(order_id) => {
            let unknown = || Refusal::not_found("order_not_found", format!("there is no order {order_id}"));
            let sale = cart_of(at(2).ok_or_else(unknown)?)?;
            context.caller.require_store(&sale.store_id)?;
            if sale.kind != CartKind::Sale || sale.state != CartState::Finalized {
                let detail = format!("order {order_id} is not a final sale");
                return Err(Refusal::conflict("order_not_final", detail).into());
            }
            if sale.order_status().is_some_and(OrderStatus::is_undone) {
                let detail = format!("order {order_id} is undone: all of it came back");
                return Err(Refusal::conflict("order_undone", detail).into());
            }
            if sale.currency != location.currency {
                let detail = format!("order {order_id} is in {}", sale.currency);
                return Err(Refusal::new(RefusalKind::Invalid, "currency_mismatch", detail).into());
            }
            let original = original_sale(&sale, &returned_of(at(3))?);
            kits = Kits::sold_in(&sale.kits);
            lots = Lots::sold_in(&sale.lots);
            (customer_id, customer) = (sale.customer_id, sale.terms.customer);
            sold = sale.charges;
            paid_from = sale.course.stored_value;
            Some(original)
        }
    };
    let mut cart =
        new_cart(context, &location, NewCart { id: return_id, kind: CartKind::Return, ..NewCart::default() });
    (cart.customer_id, cart.terms.customer) = (customer_id, customer);
    cart.terms.cash_increment = rules.settings.pricing.cash_increment_of(location.currency);
    cart.charges.discounts = sold.discounts;
    cart.charges.taxes = sold.taxes;
    cart.charges.sold = sold.lines;
    (cart.kits, cart.lots, cart.course.paid_from) = (kits, lots, paid_from);
    cart.return_of = Some(ReturnHead { reason: payload.reason, original });
    let mut claims = Vec::new();
    if let Some(permission) = permission {
        let asked = Binding::blind_return_in(location.currency);
        // Of a blind return no sale is read, so the approval stands where the sale would.
        if let Some(grant) = permission.permit(context, at(2), asked)? {
            let most = grant.maximum_refund().ok_or_else(|| Error::bug("a blind return without a limit"))?;
            cart.approvals.record(grant.used_for(ApprovedPart::Return { most }))?;
            claims.push(grant.claim(context, &cart.id, None)?);
        }
    }
    create_cart(ports, context, cart, &claims).await
}

fn original_sale(sale: &Cart, returned: &Returned) -> OriginalSale {
    let mut tenders: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    // What was owed on account and settled meanwhile goes back to what settled it.
    for paid in sale.refunds_of_all() {
        tenders.entry(paid.tender).or_default().0 += paid.amount;
    }
    for (tender, refunded) in &returned.refunded {
        tenders.entry(tender.clone()).or_default().1 += refunded;
    }
    let lines = sale
        .lines
        .iter()
        .map(|line| OriginalLine {
            number: line.number,
            sku: line.sku.clone(),
            name: line.name.clone(),
            category: line.category.clone(),
            sold: line.quantity,
            returned: returned.lines.get(&line.number).copied().unwrap_or_default(),
            unit: line.unit,
            stocked: line.stocked,
            unit_price: line.unit_price,
        })
        .collect();
    OriginalSale { order_id: sale.id.clone(), lines, tenders }
}

/// `return_line_item`.
///
/// # Errors
/// 403 `approval_required` in a blind return that was begun without an approval, of who needs one; 409
/// `return_above_sold`; 404 `line_not_found`, `sku_not_found`; 422 for fields, and for a kit in a blind return that
/// cannot be made of its components.
pub async fn add_line(ports: &Ports, context: &CommandContext, payload: ReturnLineItem) -> Result<Executed> {
    let disposition = Disposition::from(payload.disposition);
    match (&payload.line_id, &payload.sku, payload.unit_price) {
        (Some(line_id), None, None) => {
            change_cart(ports, context, &payload.return_id, Vec::new(), |cart, _| {
                cart.require(CartKind::Return)?;
                let original = cart.return_of.as_ref().and_then(|r| r.original.as_ref());
                let original = original.ok_or(tillstream_domain::cart::CartError::NeedsSkuAndPrice)?;
                let quantity = payload
                    .quantity
                    .resolve(original.line(line_id)?.unit)
                    .and_then(Quantity::positive)
                    .map_err(|e| Refusal::field("payload.quantity", "quantity_invalid", e.to_string()))?;
                Ok(Outcome::Line(cart.return_known_line(line_id, quantity, disposition)?))
            })
            .await
        }
        (None, Some(sku), Some(unit_price)) => {
            check_sku("payload.sku", sku)?;
            let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
            let by = rules.priced_by(context.occurred_at);
            let permission = Permission::of(ports, context, ApprovalAction::BlindReturn, 0, None).await?;
            let mut kit = ReadIfKit::default();
            loop {
                let more = vec![catalog_get(context.caller.scope.product(sku))];
                let added = change_cart(ports, context, &payload.return_id, more, |cart, more| {
                    cart.require(CartKind::Return)?;
                    // Without an approval nothing says how much it may come to: whoever needs none begins it, and
                    // another at the same register would go on with it.
                    if cart.approvals.refund_limit().is_none() {
                        permission.permit(context, None, Binding::blind_return_in(cart.currency))?;
                    }
                    let product = more.first().and_then(Option::as_ref);
                    let product =
                        product_if_any(product)?.ok_or_else(|| sku_not_found("payload.sku", sku))?;
                    let quantity = positive_quantity("payload.quantity", &payload.quantity, &product)?;
                    let parts = kit.parts(&product, "payload.sku")?;
                    let terms = LineTerms {
                        tax_category: product.tax_category,
                        tax_exempt: product.tax_exempt,
                        ..LineTerms::default()
                    };
                    let line = NewLine {
                        sku: product.sku,
                        name: product.name,
                        category: product.category,
                        quantity,
                        unit: product.unit,
                        stocked: product.stocked,
                        unit_price,
                        price_overridden: true,
                        notes: None,
                        terms,
                    };
                    let number = cart.return_blind_line(line, disposition)?;
                    if let Some(parts) = parts {
                        cart.set_kit(number, parts);
                    }
                    cart.reprice(&by)?;
                    Ok(Outcome::Line(number))
                });
                let added = added.await;
                if !kit.again(ports, &context.caller.scope).await? {
                    return added;
                }
            }
        }
        _ => {
            let message = "send line_id of the known sale, or sku and unit_price in a blind return";
            Err(Refusal::field("payload.line_id", "line_or_sku_required", message).into())
        }
    }
}
