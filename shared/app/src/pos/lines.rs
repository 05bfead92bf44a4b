//! Lines of a sale: product and price as of now.

use jiff::Timestamp;
use tillstream_contracts::pos::{AddLineItem, LineReference, ModifierInput, UpdateLineItem};
use tillstream_domain::approval::{ApprovalAction, Binding};
use tillstream_domain::cart::{ApprovedPart, Cart, CartKind, LineTerms, NewLine, Outcome, PricedBy};
use tillstream_domain::identifier::check_gtin;
use tillstream_domain::money::{Currency, UnitPrice};
use tillstream_domain::pricing::{MODIFIERS_PER_LINE_MAX, Modifier};
use tillstream_domain::product::{Product, price_at, segment_prices_at};
use tillstream_domain::quantity::{Quantity, QuantityInput};

use super::cart_holding::CartHolding;
use super::cart_item::cart_of;
use super::cart_stock::CartStockCheck;
use super::cart_write::{Executed, cart_get, change_cart, replay};
use super::claims::Changed;
use super::context::CommandContext;
use crate::approvals::permission::{Permission, expect_none};
use crate::catalog::barcodes::sku_of_barcode;
use crate::catalog::items::{catalog_get, prices_of, product_if_any};
use crate::catalog::kits::{ReadIfKit, require_sellable};
use crate::database::Item;
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::fields::{TEXT_CHARS_MAX, sku as check_sku, text, typed_id};
use crate::ports::Ports;
use crate::tenant_rules::tenant_rules;

/// The refusal of an unknown SKU.
pub fn sku_not_found(field: &str, sku: &str) -> Refusal {
    let detail = format!("there is no product {sku}");
    Refusal::not_found("sku_not_found", detail.clone()).with_error(field, "sku_not_found", detail)
}

/// A quantity above zero for a product.
///
/// # Errors
/// 422 `quantity_invalid`, saying what form this product takes.
pub fn positive_quantity(field: &str, input: &QuantityInput, product: &Product) -> Result<Quantity> {
    input
        .resolve(product.unit)
        .and_then(Quantity::positive)
        .map_err(|e| Refusal::field(field, "quantity_invalid", e.to_string()).into())
}

/// Checks that the stock of a product of which a lot is named is kept by lots.
///
/// # Errors
/// 422 `sku_without_lots`.
pub fn require_lots(product: &Product, field: &str) -> Result<()> {
    if product.lots {
        return Ok(());
    }
    let message = format!("the stock of {} is not kept by lots", product.sku);
    Err(Refusal::field(field, "sku_without_lots", message).into())
}

/// The price of a product at a store and a time.
///
/// # Errors
/// 422 `product_unpriced`: it has no price in the store's currency, and is never sold at 0 for that.
pub fn price_of(
    product: &Product,
    prices: Option<&Item>,
    location_id: &str,
    currency: Currency,
    at: Timestamp,
) -> Result<UnitPrice> {
    price_at(product, &prices_of(prices)?, location_id, currency, at).ok_or_else(|| {
        let detail = format!("product {} has no price in {currency}", product.sku);
        Refusal::new(RefusalKind::Invalid, "product_unpriced", detail).into()
    })
}

/// What the catalogue says of a line's product beside its price. `has_happened`: it was sold already, so what is chosen
/// once only is not asked after.
///
/// # Errors
/// 422 `modifier_not_found`, `modifier_invalid`, `modifier_repeated`, `too_many_modifiers`; a bug where the prices are
/// none.
pub fn line_terms(
    product: &Product,
    prices: Option<&Item>,
    (location_id, currency, at): (&str, Currency, Timestamp),
    list_price: UnitPrice,
    (chosen, has_happened): (&[ModifierInput], bool),
) -> Result<LineTerms> {
    let segment_prices = segment_prices_at(&prices_of(prices)?, location_id, currency, at);
    Ok(LineTerms {
        tax_category: product.tax_category.clone(),
        tax_exempt: product.tax_exempt,
        undiscountable: !product.discountable,
        modifiers: modifiers_of(product, chosen, has_happened)?,
        list_price: (!segment_prices.is_empty()).then_some(list_price),
        segment_prices,
    })
}

/// Longest wish in words, in characters.
const WISH_CHARS_MAX: usize = 100;

fn modifiers_of(product: &Product, chosen: &[ModifierInput], has_happened: bool) -> Result<Vec<Modifier>> {
    if chosen.len() > MODIFIERS_PER_LINE_MAX {
        let message = format!("a line takes at most {MODIFIERS_PER_LINE_MAX} modifiers");
        return Err(Refusal::field("payload.modifiers", "too_many_modifiers", message).into());
    }
    let one = |(position, input): (usize, &ModifierInput)| {
        let field = |name: &str| format!("payload.modifiers[{position}].{name}");
        match (&input.modifier_id, &input.name) {
            (Some(id), None) => {
                let found =
                    product.modifiers.iter().find(|modifier| modifier.id == *id).ok_or_else(|| {
                        let ids: Vec<&str> =
                            product.modifiers.iter().map(|m| m.id.as_str()).take(20).collect();
                        let message =
                            format!("product {} has the modifiers [{}]", product.sku, ids.join(", "));
                        Refusal::field(field("modifier_id"), "modifier_not_found", message)
                    })?;
                let ten_thousandths = found.unit_price.ten_thousandths();
                // What is left out is left out once: as often as anybody likes, it would make the product free.
                let mut earlier = chosen.iter().take(position);
                let is_once = ten_thousandths < 0 && !has_happened;
                if is_once && earlier.any(|one| one.modifier_id.as_ref() == Some(id)) {
                    let message = format!("{id} takes off the price, so a line has it once");
                    return Err(Refusal::field(field("modifier_id"), "modifier_repeated", message).into());
                }
                Ok(Modifier { name: found.name.clone(), ten_thousandths })
            }
            (None, Some(name)) if !name.trim().is_empty() => {
                text(&field("name"), name, WISH_CHARS_MAX)?;
                Ok(Modifier { name: name.clone(), ten_thousandths: 0 })
            }
            _ => {
                let message = "send modifier_id of the product, or a wish by name";
                Err(Refusal::field(field("modifier_id"), "modifier_invalid", message).into())
            }
        }
    };
    chosen.iter().enumerate().map(one).collect()
}

/// `add_line_item`.
///
/// # Errors
/// 404 `sku_not_found`, `barcode_not_found`; 422 for fields, `variant_required`, `sku_without_lots`, and for a kit
/// that cannot be made of its components; 403 for a price override without approval; 409 `insufficient_stock` where the
/// store's policy checks or holds it; the cart's own refusals.
pub async fn add(ports: &Ports, context: &CommandContext, payload: AddLineItem) -> Result<Executed> {
    if let Some(notes) = &payload.notes {
        text("payload.notes", notes, TEXT_CHARS_MAX)?;
    }
    if let Some(lot) = &payload.lot {
        typed_id("payload.lot", lot)?;
    }
    let approval_id = payload.approval_id.as_deref();
    let permission = match payload.unit_price_override {
        Some(_) => Some(Permission::of(ports, context, ApprovalAction::PriceOverride, 0, approval_id).await?),
        None => {
            expect_none(approval_id)?;
            None
        }
    };
    let scope = &context.caller.scope;
    let sku = match (&payload.sku, &payload.barcode) {
        (Some(sku), None) => sku.clone(),
        (None, Some(barcode)) => match barcode_sku(ports, context, barcode).await {
            // It may have been another product's since this was done.
            Err(error @ Error::Rejected(_)) => {
                let found = ports.database.get(cart_get(context, &payload.cart_id)).await?;
                let done = found.as_ref().map(cart_of).transpose()?;
                let done = done.map(|cart| replay(context, &cart)).transpose()?.flatten();
                return done.ok_or(error);
            }
            sku => sku?,
        },
        _ => {
            return Err(
                Refusal::field("payload.sku", "sku_or_barcode_required", "send sku or barcode").into()
            );
        }
    };
    check_sku("payload.sku", &sku)?;
    let rules = tenant_rules(ports, scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let mut more = vec![catalog_get(scope.product(&sku)), catalog_get(scope.prices(&sku))];
    more.extend(permission.as_ref().and_then(|permission| permission.get(context)));
    let mut kit = ReadIfKit::default();
    let mut stock = CartStockCheck::new(ports, context, &payload.cart_id, &rules);
    // Mostly it is no kit, and takes itself.
    stock.look(vec![sku.clone()]).await?;
    loop {
        let adding =
            Adding { context, payload: &payload, sku: &sku, permission: permission.as_ref(), by: &by };
        let added = change_cart(ports, context, &payload.cart_id, more.clone(), |cart, more| {
            adding.to(cart, more, &mut kit, &mut stock)
        });
        let added = added.await;
        if kit.again(ports, scope).await? {
            continue;
        }
        if let Some(executed) = stock.answer(added).await? {
            return Ok(executed);
        }
    }
}

/// A line to be added.
struct Adding<'a> {
    context: &'a CommandContext,
    payload: &'a AddLineItem,
    sku: &'a str,
    permission: Option<&'a Permission>,
    by: &'a PricedBy<'a>,
}

impl Adding<'_> {
    /// Adds it to `cart`. `more` is the product, its prices, and the approval if one is named.
    fn to(
        &self,
        cart: &mut Cart,
        more: &[Option<Item>],
        kit: &mut ReadIfKit,
        stock: &mut CartStockCheck<'_>,
    ) -> Result<Changed> {
        let Adding { context, payload, sku, permission, by } = self;
        let by = &by.for_cart(cart);
        // State before content: a client that adds to a final cart learns that first.
        cart.require(CartKind::Sale)?;
        let product = more.first().and_then(Option::as_ref);
        let product = product_if_any(product)?.ok_or_else(|| sku_not_found("payload.sku", sku))?;
        if !context.offline {
            // What a register sold while it was cut off has left the shop, whatever it is by now.
            require_sellable(&product, "payload.sku")?;
            if payload.lot.is_some() {
                require_lots(&product, "payload.lot")?;
            }
        }
        let parts = kit.parts(&product, "payload.sku")?;
        let quantity = positive_quantity("payload.quantity", &payload.quantity, &product)?;
        let prices = more.get(1).and_then(Option::as_ref);
        let unit_price = match payload.unit_price_override {
            Some(price) => price,
            None => price_of(&product, prices, &cart.store_id, cart.currency, by.at)?,
        };
        let sold = (cart.store_id.as_str(), cart.currency, by.at);
        let terms =
            line_terms(&product, prices, sold, unit_price, (payload.modifiers.as_slice(), context.offline))?;
        let number = cart.add_line(NewLine {
            sku: product.sku,
            name: product.name,
            category: product.category,
            quantity,
            unit: product.unit,
            stocked: product.stocked,
            unit_price,
            price_overridden: payload.unit_price_override.is_some(),
            notes: payload.notes.clone().filter(|notes| !notes.is_empty()),
            terms,
        })?;
        if let Some(parts) = parts {
            cart.set_kit(number, parts);
        }
        if let Some(lot) = &payload.lot {
            cart.set_lot(number, lot.clone());
        }
        cart.reprice(by)?;
        let mut changed = Changed::from(Outcome::Line(number));
        if let (Some(permission), Some(unit_price)) = (permission, payload.unit_price_override) {
            let (cart_id, sku) = (cart.id.clone(), (*sku).to_owned());
            // What was approved is what it is sold at: what its modifiers take off is part of that.
            let unit_price = cart.price_with_reductions(number, unit_price)?;
            let asked = Binding::PriceOverride { cart_id, sku, unit_price, quantity };
            let approval = more.get(2).and_then(Option::as_ref);
            if let Some(grant) = permission.permit(context, approval, asked)? {
                cart.approvals.record(grant.used_for(ApprovedPart::Line { number, most: quantity }))?;
                changed.claims.push(grant.claim(context, &cart.id, Some(format!("l-{number}")))?);
            }
        }
        changed.claims.extend(stock.settle(cart, Some(number))?);
        Ok(changed)
    }
}

async fn barcode_sku(ports: &Ports, context: &CommandContext, barcode: &str) -> Result<String> {
    check_gtin(barcode).map_err(|e| Refusal::field("payload.barcode", "barcode_malformed", e.to_string()))?;
    sku_of_barcode(ports, &context.caller.scope, barcode).await?.ok_or_else(|| {
        let detail = format!("no product has the barcode {barcode}");
        Refusal::not_found("barcode_not_found", detail.clone())
            .with_error("payload.barcode", "barcode_not_found", detail)
            .into()
    })
}

/// `update_line_item`.
///
/// # Errors
/// 403 `approval_required` for more at a price set by hand than was approved; 404 `line_not_found`; 409
/// `insufficient_stock` where the store's policy checks or holds it; 422 for fields; the cart's own refusals.
pub async fn update(ports: &Ports, context: &CommandContext, payload: UpdateLineItem) -> Result<Executed> {
    if payload.quantity.is_none() && payload.notes.is_none() {
        let message = "send quantity, notes or both";
        return Err(Refusal::field("payload.quantity", "nothing_to_update", message).into());
    }
    if let Some(notes) = &payload.notes {
        text("payload.notes", notes, TEXT_CHARS_MAX)?;
    }
    match change_line(ports, context, &payload, context.needs_no_approval()).await {
        // The settings are read only where they matter: where a price set by hand is to be that of more.
        Err(error) if error.code() == Some(PRICE_OF_MORE) => {
            match Permission::of(ports, context, ApprovalAction::PriceOverride, 0, None).await? {
                Permission::Denied => Err(error),
                _ => change_line(ports, context, &payload, true).await,
            }
        }
        done => done,
    }
}

/// Code of the refusal of more at a price that was set by hand.
const PRICE_OF_MORE: &str = "approval_required";

/// `any_quantity`: whether more than was approved may be sold at a price that was set by hand.
async fn change_line(
    ports: &Ports,
    context: &CommandContext,
    payload: &UpdateLineItem,
    any_quantity: bool,
) -> Result<Executed> {
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let mut stock = CartStockCheck::new(ports, context, &payload.cart_id, &rules);
    loop {
        let changed = change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
            change_line_of(cart, payload, &by, any_quantity, &mut stock)
        })
        .await;
        // With a policy it may be that the stock of its SKU must be looked at first.
        if let Some(executed) = stock.answer(changed).await? {
            return Ok(executed);
        }
    }
}

fn change_line_of(
    cart: &mut Cart,
    payload: &UpdateLineItem,
    by: &PricedBy<'_>,
    any_quantity: bool,
    stock: &mut CartStockCheck<'_>,
) -> Result<Changed> {
    cart.require(CartKind::Sale)?;
    let quantity = match &payload.quantity {
        Some(input) => Some(
            input
                .resolve(cart.line(&payload.line_id)?.unit)
                .and_then(Quantity::positive)
                .map_err(|e| Refusal::field("payload.quantity", "quantity_invalid", e.to_string()))?,
        ),
        None => None,
    };
    let notes = payload.notes.clone().map(|notes| Some(notes).filter(|n| !n.is_empty()));
    let line = cart.line(&payload.line_id)?;
    let overridden = line.price_overridden;
    let is_more = quantity.is_some_and(|quantity| quantity > line.quantity);
    let approved = cart.approved_quantity(&payload.line_id)?;
    let number = cart.update_line(&payload.line_id, quantity, notes)?;
    cart.reprice(&by.for_cart(cart))?;
    if !any_quantity && overridden && quantity.is_some_and(|quantity| quantity > approved) {
        let detail = format!("its price was approved for {approved}; add the rest as a line of its own");
        return Err(Refusal::forbidden(PRICE_OF_MORE, detail).into());
    }
    let claims = stock.settle(cart, is_more.then_some(number))?;
    Ok(Changed { outcome: Outcome::Line(number), claims })
}

/// `remove_line_item`.
///
/// # Errors
/// 404 `line_not_found`; the cart's own refusals.
pub async fn remove(ports: &Ports, context: &CommandContext, payload: LineReference) -> Result<Executed> {
    let rules = tenant_rules(ports, &context.caller.scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let mut holding = CartHolding::giving_back(ports, context, &payload.cart_id);
    loop {
        let removed = change_cart(ports, context, &payload.cart_id, Vec::new(), |cart, _| {
            let number = cart.remove_line(&payload.line_id)?;
            cart.reprice(&by.for_cart(cart))?;
            let claims = holding.settle(cart, None)?;
            Ok(Changed { outcome: Outcome::Line(number), claims })
        })
        .await;
        // It may be that what the cart holds must be looked at first.
        if !holding.again(&removed).await? {
            return removed;
        }
    }
}
