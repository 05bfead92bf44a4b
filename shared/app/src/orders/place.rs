//! `POST /v1/orders`: a whole order in one request, by the same rules and writes as a till's sale. Its
//! number comes from one of the store's virtual lanes.

use std::collections::BTreeSet;

use serde_json::Value;
use tillstream_contracts::orders::PlaceOrder;
use tillstream_domain::cart::applied::Seen;
use tillstream_domain::cart::{CASH, Cart, CartKind, CartState, LINES_MAX, Outcome, Recorded, StockMove};
use tillstream_domain::lane::Lane;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Money;
use tillstream_domain::product::Product;

use super::as_cart::{Buyer, cart_of_order, located};
use super::checks::check;
use super::discounts::Discounts;
use crate::catalog::items::{catalog_get, location_if_any, product_if_any};
use crate::catalog::kits::Components;
use crate::database::{Item, TRANSACTION_ACTIONS_MAX};
use crate::error::{Error, Refusal, Result};
use crate::orders::reserved::{reserved_writes, settle};
use crate::ports::Ports;
use crate::pos::cart_item::cart_of;
use crate::pos::cart_write::{Executed, cart_get, cart_put, lost_race, replay};
use crate::pos::carts::{customer_get, customer_terms};
use crate::pos::context::CommandContext;
use crate::pos::finalize_rounds::{Beside, Rounds, StoreRead};
use crate::pos::identity::{command_identity, derived_id, spread};
use crate::pos::lane_write::lane_get;
use crate::pos::limited_uses::{LimitedPromotions, coupon_use_get, refused_promotion};
use crate::stock::long_reservations::find_at_rest;
use crate::stock::reservation_item::Reservation;
use crate::stored_value::claims::stored_value_writes;
use crate::stored_value::tender::OrderTenders;
use crate::tenancy::{Caller, Role};
use crate::tenant_rules::tenant_rules;

/// Roles that may place orders.
pub const PLACERS: [Role; 3] = [Role::Integration, Role::StoreManager, Role::Cashier];

/// Most different components of all kits of an order: as many products as an order has lines.
const COMPONENTS_MAX: usize = LINES_MAX;

/// Places an order, once.
///
/// # Errors
/// 404 `store_not_found`, `sku_not_found`, `coupon_not_found`, `promotion_not_found`; 409 `order_exists`,
/// `insufficient_stock`, `overpaid`, `underpaid`, `no_open_shift` for a shop's own people's cash, where sales need an
/// open shift, and for coupons, promotions and discounts that are not given now; 403 and 409 for approvals; 422 for
/// fields, `variant_required`, `too_many_components`, `cart_too_large`, for a kit that cannot be made of its components,
/// and `idempotency_key_reused`.
pub async fn place(ports: &Ports, caller: &Caller, key: &str, order: PlaceOrder) -> Result<Executed> {
    caller.require_role(&PLACERS)?;
    check(&order)?;
    caller.require_store(&order.store_id)?;
    let payload: Value = serde_json::to_value(&order).map_err(Error::bug)?;
    let tenant = caller.scope.tenant_id();
    let order_id = match &order.order_id {
        Some(order_id) => order_id.clone(),
        None => derived_id("o", &[tenant, &order.store_id, &caller.subject, "place_order", key]),
    };
    let now = ports.environment.now();
    let context = CommandContext {
        caller: caller.clone(),
        store_id: order.store_id.clone(),
        // Spread by order, so that orders from elsewhere do not all queue for one number.
        register_id: Lane::virtual_register(spread(&order_id)),
        employee_id: caller.subject.clone(),
        occurred_at: now,
        now,
        offline: false,
        uses_above_limit: false,
        refused_before: None,
        identity: command_identity(key, &[tenant, &caller.subject, "place_order"], &payload),
    };
    let price_by_hand = order.lines.iter().any(|line| line.unit_price.is_some());
    if price_by_hand && !caller.has(&[Role::Integration]) {
        context.require_no_approval()?;
    }
    let takes_cash = order.payments.iter().any(|payment| payment.tender == CASH);
    if takes_cash && !caller.has(&[Role::Integration]) {
        // A shop's own people take cash into a drawer, which counts it.
        let rules = tenant_rules(ports, &caller.scope, now).await?;
        if rules.settings.sale_needs_open_shift {
            let detail =
                "cash is taken at a till with an open shift: sell it there, or let another tender pay";
            return Err(Refusal::conflict("no_open_shift", detail).into());
        }
    }
    let placing = Placing { order: &order, recorded: None, asked: None };
    run(ports, &context, &order_id, &placing).await
}

/// An order, and what is said of it beside.
pub(super) struct Placing<'a> {
    /// It.
    pub order: &'a PlaceOrder,
    /// For a sale that another system made: what it is called there, and whether its goods leave the stock now.
    pub recorded: Option<Recorded>,
    /// And what that asked for it, where it says so.
    pub asked: Option<Money>,
}

impl Placing<'_> {
    /// Whether its goods left the stock before.
    fn has_moved_stock(&self) -> bool {
        self.recorded.as_ref().is_some_and(|recorded| recorded.stock_already_moved == Some(true))
    }
}

/// Makes an order final, once.
///
/// # Errors
/// As [`place`].
pub(super) async fn run(
    ports: &Ports,
    context: &CommandContext,
    order_id: &str,
    placing: &Placing<'_>,
) -> Result<Executed> {
    let order = placing.order;
    let scope = &context.caller.scope;
    let rules = tenant_rules(ports, scope, context.now).await?;
    let by = rules.priced_by(context.occurred_at);
    let is_recorded = placing.recorded.is_some();
    let stored_value = OrderTenders::of(rules.settings.stored_value, order, is_recorded);
    let (by_all, by_customer) = (LimitedPromotions::by_all(&by), LimitedPromotions::by_customer(&by));
    // Nobody is there to take a promotion off: the order is priced without one that was refused.
    let mut refused: BTreeSet<String> = BTreeSet::new();
    // But not one that was asked for.
    let can_do_without =
        |refusal: &Refusal| refused_promotion(refusal).filter(|id| !order.promotions.contains(id));
    let discounts = Discounts::of(ports, context, order).await?;
    let names_limited =
        !order.coupons.is_empty() || !order.promotions.is_empty() || discounts.name_approvals();
    let mut rounds = Rounds::new(ports, context);
    loop {
        let mut gets = vec![
            cart_get(context, order_id),
            lane_get(scope, &context.store_id, &context.register_id),
            catalog_get(scope.location(&context.store_id)),
        ];
        gets.extend(customer_get(context, order.customer_id.as_deref()));
        let by_all_at = gets.len();
        gets.extend(by_all.gets(scope, None));
        let by_customer_at = gets.len();
        if order.customer_id.is_some() {
            gets.extend(by_customer.gets(scope, order.customer_id.as_deref()));
        }
        let approvals_at = gets.len();
        gets.extend(discounts.gets(context));
        let coupons_at = gets.len();
        for code in &order.coupons {
            gets.push(catalog_get(scope.coupon(code)));
            gets.push(coupon_use_get(scope, code));
        }
        let fixed_gets = gets.len();
        let mut skus: Vec<&str> = order.lines.iter().map(|line| line.sku.as_str()).collect();
        skus.sort_unstable();
        skus.dedup();
        for sku in &skus {
            gets.push(catalog_get(scope.product(sku)));
            gets.push(catalog_get(scope.prices(sku)));
        }
        let balances_at = gets.len();
        gets.extend(stored_value.gets(scope));
        let Some(read) = rounds.read(gets).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let existing = at(0).map(cart_of).transpose()?;
        if let Some(existing) = existing.as_ref().filter(|existing| !is_unborn(existing)) {
            let Some(executed) = replay(context, existing)? else {
                let detail = format!("there is an order {order_id} already");
                return Err(Refusal::conflict("order_exists", detail).into());
            };
            // Whoever placed it may have died before the stock of its reservation followed.
            settle(ports, context, order).await?;
            return rounds.found(Executed { outcome: Outcome::Finalized, ..executed }).await;
        }
        if let Some(existing) = existing.as_ref().filter(|existing| existing.plan_attempt.is_some()) {
            let ended = rounds.continue_plan(existing).await;
            let is_own = matches!(existing.applied.seen(&context.identity), Seen::Same(_));
            match ended {
                // What another request could not have says nothing about this one.
                Err(Error::Rejected(_)) if !is_own => {}
                ended => ended?,
            }
            continue;
        }
        let location = web_store(context, at(2))?;
        let product = |sku: &str| {
            let found = skus.binary_search(&sku).ok().map(|n| fixed_gets + 2 * n);
            (found.and_then(at), found.and_then(|n| at(n + 1)))
        };
        let Some(known) = read_known(ports, &mut rounds, order, read.get(fixed_gets..balances_at)).await?
        else {
            continue;
        };
        let stored = existing.map(|existing| existing.version);
        let customer = customer_terms(order.customer_id.as_ref().and_then(|_| at(3)))?;
        let seen = |range: std::ops::Range<usize>| read.get(range).unwrap_or_default();
        let above = context.uses_above_limit;
        let mut by_all_left = by_all.uses_left(seen(by_all_at..by_customer_at), above);
        by_all_left.extend(refused.iter().map(|promotion| (promotion.clone(), 0)));
        let uses_left = (by_all_left, by_customer.uses_left(seen(by_customer_at..approvals_at), above));
        let coupons = (coupons_at..fixed_gets).step_by(2).map(|n| (at(n), at(n + 1))).collect();
        let approvals = seen(approvals_at..coupons_at);
        let buyer = Buyer { terms: customer, uses_left, coupons, discounts: &discounts, approvals };
        let goods = (product, &known.kits);
        let built = cart_of_order(context, (&location, buyer, &by), (order_id, placing), goods);
        let (mut cart, approved) = match built {
            // Counters and approvals are read beside the order: the last use may have gone to this very one.
            Err(Error::Rejected(_)) if names_limited && rounds.is_outdated(order_id, stored).await? => {
                continue;
            }
            built => built?,
        };
        cart.version = stored.unwrap_or(cart.version);
        match stored_value.mark(&mut cart, seen(balances_at..read.len()), context.now) {
            // Balances are read beside the order: what is missing may have gone to this very one.
            Err(Error::Rejected(_)) if rounds.is_outdated(order_id, stored).await? => continue,
            marked => marked?,
        }
        cart.course.recorded.clone_from(&placing.recorded);
        let moves = if placing.has_moved_stock() { Vec::new() } else { cart.stock_moves() };
        let named = (order, known.reservation);
        let reserved = match reserved_writes(ports, context, named, &cart, &moves).await {
            // The reservation was read after the cart: it may have gone to this very order.
            Err(Error::Rejected(_)) if rounds.is_outdated(order_id, stored).await? => continue,
            reserved => reserved?,
        };
        let is_reserved = reserved.is_some();
        let is_long = reserved.as_ref().is_some_and(|reserved| reserved.is_long);
        let (reserved, moves) = match reserved {
            Some(reserved) => (reserved.writes, Vec::new()),
            None => (Vec::new(), moves),
        };
        let claims = match rounds.claims(&cart, stored).await {
            Err(Error::Rejected(refusal)) if can_do_without(&refusal).is_some() => {
                refused.extend(can_do_without(&refusal));
                continue;
            }
            claims => claims.map_err(|error| located(order, error))?,
        };
        let Some(mut claims) = claims else { continue };
        let is_approved = !approved.is_empty();
        claims.extend(approved);
        let beside = Beside { writes: reserved, claims, ..Beside::default() };
        let beside = beside.with(stored_value_writes(scope, &[&cart], context.now)?);
        let actions = moves.len() + beside.len() + 2;
        if actions > TRANSACTION_ACTIONS_MAX && (is_reserved || is_approved) {
            // A plan takes stock that is free: it knows nothing of what is held. And an approval is used with what
            // it is for: a plan that gives up would have used it for nothing.
            return Err(too_long(actions).into());
        }
        if actions > TRANSACTION_ACTIONS_MAX {
            begin_long(ports, context, &mut rounds, cart, stored, &moves).await?;
            continue;
        }
        cart.applied.record_last(&context.identity, Outcome::Finalized);
        let read = StoreRead { location: &location, lane: at(1), needs_shift: false };
        match rounds.commit(cart, stored, &read, &moves, beside).await {
            Ok(Some(executed)) => {
                if is_long {
                    settle(ports, context, order).await?;
                }
                return Ok(executed);
            }
            Ok(None) => {}
            Err(Error::Rejected(refusal)) if can_do_without(&refusal).is_some() => {
                refused.extend(can_do_without(&refusal));
            }
            Err(error) => return Err(located(order, error)),
        }
    }
}

/// What is read of an order once its products are known.
struct Known {
    kits: Components,
    /// The reservation that the order names, if it is there.
    reservation: Option<Reservation>,
}

/// Reads the reservation that an order names, and the components of the kits among its products; nothing where
/// there are none. `products` are its products and their prices, as they were read. What was reserved is
/// what it was then. `None`: another round.
async fn read_known(
    ports: &Ports,
    rounds: &mut Rounds<'_>,
    order: &PlaceOrder,
    products: Option<&[Option<Item>]>,
) -> Result<Option<Known>> {
    let products = products.unwrap_or_default().iter().step_by(2);
    let products: Vec<Product> =
        products.filter_map(|item| product_if_any(item.as_ref()).transpose()).collect::<Result<_>>()?;
    let skus = Components::skus(&products);
    if skus.len() > COMPONENTS_MAX {
        let message = format!(
            "the kits of an order are made of at most {COMPONENTS_MAX} different products, these of {}; order in two",
            skus.len()
        );
        return Err(Refusal::field("lines", "too_many_components", message).into());
    }
    let scope = &rounds.context().caller.scope;
    let mut kits = Components::default();
    if !skus.is_empty() {
        let Some(mut read) = rounds.read(Components::gets(scope, &skus)).await? else { return Ok(None) };
        if read.iter().any(Option::is_none) {
            let Some(strong) = rounds.read(Components::strong_gets(scope, &skus)).await? else {
                return Ok(None);
            };
            read = strong;
        }
        kits = Components::of(skus, &read)?;
    }
    let reservation = match &order.reservation_id {
        Some(id) => find_at_rest(ports, scope, id, rounds.context().now).await?,
        None => None,
    };
    kits.settle(reservation.iter().flat_map(|reservation| reservation.goods_at(&order.store_id)));
    Ok(Some(Known { kits, reservation }))
}

fn too_long(actions: usize) -> Refusal {
    let detail = format!(
        "an order on a reservation or with approvals takes {actions} changes at once, of which there can be \
         {TRANSACTION_ACTIONS_MAX}: pay with fewer gift cards or accounts, use fewer limited coupons and promotions, \
         or order in two"
    );
    Refusal::conflict("order_too_long", detail)
}

/// Whether what stands under an order's id is no order yet: a long order whose plan has not made it final,
/// and perhaps never will, for want of stock or because its request died. Another request may take its
/// place.
fn is_unborn(existing: &Cart) -> bool {
    existing.finalized.is_none()
        // What undoes an order stands so, too, between two of its steps.
        && existing.kind == CartKind::Sale
        && existing.state == CartState::Tendering
        && Lane::is_virtual(&existing.register_id)
}

/// An order of more SKUs than one transaction takes is first put as a cart that is tendering, then
/// finalised by a plan.
async fn begin_long(
    ports: &Ports,
    context: &CommandContext,
    rounds: &mut Rounds<'_>,
    mut cart: Cart,
    stored: Option<u64>,
    moves: &[StockMove],
) -> Result<()> {
    cart.state = CartState::Tendering;
    cart.applied.record_last(&context.identity, Outcome::Created);
    cart.version = stored.map_or(cart.version, |version| version + 1);
    if let Err(error) = ports.database.write(cart_put(context, &cart, stored)?).await {
        return rounds.again(&lost_race(error)?).await;
    }
    rounds.plan(&cart, moves).await
}

fn web_store(context: &CommandContext, location: Option<&Item>) -> Result<Location> {
    let unknown = || Refusal::not_found("store_not_found", format!("there is no store {}", context.store_id));
    let location = location_if_any(location)?.ok_or_else(unknown)?;
    if location.kind == LocationKind::Store { Ok(location) } else { Err(unknown().into()) }
}
