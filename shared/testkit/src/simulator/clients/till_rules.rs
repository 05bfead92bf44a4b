//! What a till learns of the rules that a tenant prices by: what its lines were charged, which coupons and
//! promotions take something off, and what it goes on without when they are used up.

use serde_json::json;
use tillstream_app::Refusal;
use tillstream_contracts::pos::{CartView, LineView};

use super::super::books::Line as Sold;
use super::Stopped;
use super::till::{Cart, Till, line_number};
use super::till_payments::NOT_SPENT;

/// What a line was charged, as it is shown.
pub fn charge(line: &mut Sold, shown: &LineView) {
    line.worth = shown.subtotal.amount;
    line.tax = shown.tax.iter().map(|tax| tax.amount.amount).sum();
    line.off = line.worth + line.tax - shown.total.amount;
    line.shown_off = shown.discounts.iter().map(|given| given.amount.amount).sum();
    line.is_charged = !(shown.tax.is_empty() && shown.discounts.is_empty() && shown.modifiers.is_empty());
}

/// What the lines of a cart were charged, as it is shown. That it is right is asked at rest.
pub fn learn(till: &Till, cart: &mut Cart, view: &CartView) {
    for shown in view.lines.iter().flatten() {
        match cart.lines.get_mut(&line_number(&shown.line_id)) {
            Some(line) if line.sku == shown.sku => charge(line, shown),
            known => {
                let seen = format!("{}: {} is {}, not {known:?}", cart.id, shown.line_id, shown.sku);
                till.world().fail("a cart is what its commands made of it", seen);
            }
        }
    }
    cart.rounding = view.totals.cash_rounding.amount;
    let redeemed = |given: &&tillstream_contracts::pos::AdjustmentView| {
        given.kind == "coupon" && given.not_applied.is_none()
    };
    cart.redeemed = view.discounts.iter().filter(redeemed).map(|given| given.id.clone()).collect();
}

/// Coupons are presented, and promotions given by hand; some are taken off again.
pub async fn present(till: &mut Till, cart: &mut Cart) -> Result<(), Stopped> {
    let Some(rules) = till.rules() else { return Ok(()) };
    let by_hand: Vec<String> = rules.by_hand().map(str::to_owned).collect();
    let chance = &till.world().chance;
    let coupon = chance.one_of(&rules.coupons).filter(|_| chance.percent(55)).map(|one| one.code.clone());
    let promotion = chance.one_of(&by_hand).filter(|_| chance.percent(30)).cloned();
    if let Some(code) = coupon {
        present_coupon(till, cart, &code).await?;
    }
    if let Some(id) = promotion {
        let payload = json!({ "cart_id": cart.id, "promo_id": id });
        let answered = till.must("apply_promo", payload.clone()).await?;
        till.compare(cart, &answered);
        if till.world().chance.percent(20) {
            let answered = till.must("remove_promo", payload).await?;
            till.compare(cart, &answered);
        }
    }
    Ok(())
}

async fn present_coupon(till: &mut Till, cart: &mut Cart, code: &str) -> Result<(), Stopped> {
    let payload = json!({ "cart_id": cart.id, "coupon_code": code });
    let at = till.now();
    match till.command("apply_coupon", payload.clone(), at).await? {
        Ok(answered) => {
            cart.coupons.insert(code.to_owned());
            till.compare(cart, &answered);
        }
        Err(refusal) => {
            till.line.expect_refusal(&refusal, &["coupon_limit_reached", "coupon_needs_customer"]);
            return Ok(());
        }
    }
    if till.world().chance.percent(15) {
        let answered = till.must("remove_coupon", payload).await?;
        cart.coupons.remove(code);
        till.compare(cart, &answered);
    }
    Ok(())
}

/// What comes of a sale that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// It was refused for something else.
    Else,
    /// It goes on without what was used up.
    GoesOn,
    /// It cannot go on.
    Over,
}

/// Takes off what a sale was refused for: the coupon or promotion of which all uses are gone.
pub async fn do_without(till: &mut Till, cart: &mut Cart, refusal: &Refusal) -> Result<Without, Stopped> {
    if NOT_SPENT.contains(&refusal.code) && cart.payments.values().any(|paid| paid.gift_card.is_some()) {
        // Another till was quicker with the same gift card.
        till.do_without_gift_cards(cart).await?;
        return Ok(Without::GoesOn);
    }
    let (kind, action, field) = match refusal.code {
        "coupon_limit_reached" | "coupon_unavailable" => ("coupon", "remove_coupon", "coupon_code"),
        "promotion_limit_reached" | "promotion_unavailable" => ("promotion", "remove_promo", "promo_id"),
        _ => return Ok(Without::Else),
    };
    let which = refusal.extra.get(kind).and_then(|id| id.as_str()).unwrap_or_default().to_owned();
    let is_limited = till.rules().is_some_and(|rules| match kind {
        "coupon" => rules.coupon(&which).is_some_and(|coupon| {
            (coupon.total_limit.is_some() || coupon.per_customer_limit.is_some())
                && cart.coupons.contains(&which)
        }),
        _ => rules.promotion_limit(&which).is_some(),
    });
    if !is_limited {
        till.line.expect_refusal(refusal, &[]);
        return Ok(Without::Over);
    }
    let mut payload = json!({ "cart_id": cart.id });
    payload[field] = json!(which);
    let at = till.now();
    match till.command(action, payload, at).await? {
        Ok(answered) => {
            cart.coupons.remove(&which);
            till.compare(cart, &answered);
            Ok(Without::GoesOn)
        }
        Err(refusal) => {
            // Another promotion takes more off than this one did, and more was paid than that leaves; or a share that was
            // approved of what it left would be taken of more.
            till.line.expect_refusal(&refusal, &["payments_present", "approval_does_not_match"]);
            Ok(Without::Over)
        }
    }
}
