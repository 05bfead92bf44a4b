//! A register that was cut off: it sold on, and uploads what it did, from two places at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::Error;
use tillstream_app::pos::batch;
use tillstream_app::pos::execute::Answered;

use super::super::books::{AskedTotal, Line as Sold, Paid};
use super::super::rules::Rules;
use super::super::set_up::decimal;
use super::till::{Cart, Till, pounds};
use super::{Request, Stopped, shift_lead, till_rules};

/// What names of carts begin with that a register made which was cut off.
pub const OFFLINE: char = 'f';

/// Sells a few carts without a line to the system, then uploads them.
pub async fn sell(till: &mut Till) -> Result<(), Stopped> {
    let is_plain = till.rules().is_some_and(Rules::is_plain);
    let mut commands: Vec<Value> = Vec::new();
    let mut carts = Vec::new();
    for _ in 0..1 + till.world().chance.below(3) {
        let at = till.now();
        till.line.think(Duration::from_secs(90)).await;
        let mut cart = Cart { offline: true, ..till.begin_cart(OFFLINE) };
        let (customer, coupon, promotion) = presented(till);
        commands.push(till.envelope("create_cart", &json!({ "cart_id": cart.id }), at));
        cart.employee = till.employee();
        if let Some(customer) = customer {
            cart.segments = till.rules().map(|rules| rules.segments_of(&customer)).unwrap_or_default();
            let payload = json!({ "cart_id": cart.id, "customer_id": customer });
            commands.push(till.envelope("set_customer", &payload, at));
        }
        for number in 1..=1 + till.world().chance.below(3) {
            let Some((sku, mut quantity)) = till.pick() else { return Err(Stopped) };
            // What the register believed the price to be.
            let mut price = till.world().chance.between(1, 90_000);
            if !is_plain {
                // Some of it is left whatever is taken off, so that it can be paid.
                (quantity, price) = (quantity.max(1_000), price + 200_000);
            }
            let mut payload = json!({
                "cart_id": cart.id, "sku": sku, "quantity": till.quantity(&sku, quantity),
                "unit_price_override": decimal(price),
            });
            let lot = till.lot_of(&sku, quantity);
            if let Some(lot) = &lot {
                payload["lot"] = json!(lot);
            }
            commands.push(till.envelope("add_line_item", &payload, at));
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            cart.lines.insert(number, Sold { lot, ..Sold::of(number, sku, quantity, price) });
        }
        // A register that is cut off cannot tell whether it is used up: what it gave is given.
        if let Some(code) = coupon {
            let payload = json!({ "cart_id": cart.id, "coupon_code": code });
            commands.push(till.envelope("apply_coupon", &payload, at));
            cart.coupons.insert(code);
        }
        if let Some(id) = promotion {
            let payload = json!({ "cart_id": cart.id, "promo_id": id });
            commands.push(till.envelope("apply_promo", &payload, at));
        }
        commands.push(till.envelope("set_tendering", &json!({ "cart_id": cart.id }), at));
        let due = cart.due();
        let asked = if is_plain { due + asked_beside(till, &cart, due) } else { due };
        if !is_plain {
            // The customer hands over more than it can come to, and gets change.
            let given = due * 2 + 100;
            let payload = json!({ "cart_id": cart.id, "tender": "cash", "amount": pounds(given) });
            commands.push(till.envelope("add_payment", &payload, at));
        } else if asked > 0 {
            let payload = json!({ "cart_id": cart.id, "tender": "card", "amount": pounds(asked) });
            commands.push(till.envelope("add_payment", &payload, at));
            cart.payments.insert("p-1".to_owned(), Paid::by("card", asked));
            cart.rounding = asked - due;
        }
        let mut payload = json!({ "cart_id": cart.id });
        if is_plain {
            // What it comes to by a tenant's rules nobody at the till can tell.
            payload["total"] = pounds(asked);
        }
        commands.push(till.envelope("finalize_order", &payload, at));
        carts.push((cart, commands.len() - 1, at));
    }
    for command in &commands {
        till.line.begin(|| format!("offline {command}"))?;
    }
    let outcomes = upload(till, &commands).await?;
    // First what is sold: the day may end with one that is not.
    let mut waiting = Vec::new();
    for (mut cart, last, at) in carts {
        match outcomes.get(last) {
            Some(Ok(answered)) => {
                if !is_plain {
                    learn(till, &mut cart, answered);
                }
                till.enter(&cart, None, &[], answered, at, "pos");
            }
            Some(Err(Error::Rejected(refusal))) if till.may_lack_a_shift(refusal) => {
                if let Some(Ok(answered)) = last.checked_sub(1).and_then(|at| outcomes.get(at))
                    && !is_plain
                {
                    learn(till, &mut cart, answered);
                }
                waiting.push(cart);
            }
            // What was sold is sold, also where it was not there.
            Some(Err(Error::Rejected(refusal))) => till.line.expect_refusal(refusal, &[]),
            other => {
                let seen = format!("{} of {}: {other:?}", last, commands.len());
                till.world().fail("an upload comes to its end", seen);
                return Err(Stopped);
            }
        }
    }
    for cart in waiting {
        let cart = Cart { offline: false, ..cart };
        // The register has no shift: whoever is there opens one, and makes the sale final.
        shift_lead::open_for(till).await?;
        till.finalize(cart, "pos").await?;
    }
    Ok(())
}

/// By how much what the register asks differs from what the lines come to: mostly by nothing. Where a sale may have to
/// wait for a shift it does not, as it is made final online then, where another total is refused.
fn asked_beside(till: &Till, cart: &Cart, due: i64) -> i64 {
    let (world, chance) = (till.world(), &till.world().chance);
    let may_wait = till.rules().is_none_or(|rules| rules.has_shifts);
    if may_wait || due < 200 || !chance.percent(30) {
        return 0;
    }
    let lines = i64::try_from(cart.lines.len()).unwrap_or(1);
    // A penny a line is rounding, and half of it is another price.
    let most = if chance.percent(50) { lines } else { due / 2 };
    let beside = chance.between(-most, most);
    if beside != 0 {
        let sale = (till.caller.scope.tenant_id().to_owned(), cart.id.clone());
        let asked = AskedTotal { total: due, asked: due + beside, lines };
        world.asked_totals.borrow_mut().insert(sale, asked);
    }
    beside
}

/// Who buys, the coupon that they present, and the promotion that they are given by hand, if any.
fn presented(till: &Till) -> (Option<String>, Option<String>, Option<String>) {
    let Some(rules) = till.rules() else { return (None, None, None) };
    let chance = &till.world().chance;
    let coupon = chance.one_of(&rules.coupons).filter(|_| chance.percent(60));
    let is_personal = coupon.is_some_and(|coupon| coupon.per_customer_limit.is_some());
    let customer = (is_personal || chance.percent(15)).then(|| format!("k-{}", chance.below(9)));
    let by_hand: Vec<&str> = rules.by_hand().collect();
    let promotion = chance.one_of(&by_hand).filter(|_| chance.percent(25));
    (customer, coupon.map(|coupon| coupon.code.clone()), promotion.map(|id| (*id).to_owned()))
}

/// What the sale came to by the tenant's rules, and what of the cash was kept.
fn learn(till: &Till, cart: &mut Cart, answered: &Answered) {
    let Some(view) = &answered.reply.cart else { return };
    till_rules::learn(till, cart, view);
    let kept: i64 = view.payments.iter().map(|paid| paid.amount.amount - paid.change.amount).sum();
    cart.payments.insert("p-1".to_owned(), Paid::by("cash", kept));
}

/// What became of each command. The whole upload is sent until it has come to its end.
async fn upload(till: &Till, commands: &[Value]) -> Result<Vec<batch::Outcome>, Stopped> {
    let caller = till.caller.clone();
    let sent: Vec<Value> = commands.to_vec();
    let partly = Rc::new(RefCell::new(Vec::new()));
    let told = partly.clone();
    let request: Request<Vec<batch::Outcome>> = Rc::new(move |ports| {
        let (caller, sent, told) = (caller.clone(), sent.clone(), told.clone());
        Box::pin(async move {
            let stop_at = ports.environment.now() + jiff::SignedDuration::from_secs(20);
            let (outcomes, go_on) = batch::run(&ports, &caller, sent, stop_at).await;
            let outcomes: Vec<batch::Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
            if go_on.is_some() {
                // What is done is not done again, so the whole may be sent again.
                return Err(Error::retryable("the upload is to go on"));
            }
            let fault = outcomes.iter().find_map(|outcome| outcome.as_ref().err()).cloned();
            match fault {
                // A refusal stands only once no other upload of it is under way.
                Some(fault) => {
                    *told.borrow_mut() = outcomes;
                    Err(fault)
                }
                None => Ok(outcomes),
            }
        })
    });
    let essence = |outcomes: &Vec<batch::Outcome>| {
        let told =
            |outcome: &batch::Outcome| outcome.as_ref().ok().map(|told| format!("{:?}", told.reply.result));
        outcomes.iter().filter_map(told).collect::<Vec<_>>().join(" ")
    };
    match till.line.send_to("POST /v1/pos/commands", request, essence).await {
        Ok(outcomes) => Ok(outcomes),
        Err(refusal) => {
            if !till.may_lack_a_shift(&refusal) {
                till.line.expect_refusal(&refusal, &[]);
            }
            Ok(partly.take())
        }
    }
}
