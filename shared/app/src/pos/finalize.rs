//! Making a cart final: its number, its stock and its payment in one transaction, after one read.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind, Finalized, Outcome, StockMove};
use tillstream_domain::lane::Lane;
use tillstream_domain::location::Location;

use super::cart_item::{cart_item, cart_of};
use super::cart_write::{Executed, cart_get, lost_race, replay};
use super::claims::{Claim, contended_claim, refused_claim};
use super::context::CommandContext;
use super::lane_write::{LaneState, lane_get, take_numbers};
use super::limited_uses::use_claims;
use super::offline_oversell::{Covered, OfflineSale, cover};
use super::plan::{self, PlanEnd};
use super::refusals::cart_not_found;
use super::returns::{returned_get, returned_of};
use super::shortage::{Shortage, free_expired_holds, insufficient_stock};
use super::undo::undoing_writes;
use crate::catalog::items::catalog_get;
use crate::database::{
    Cancellation, Condition, DatabaseError, Get, Item, TRANSACTION_ACTIONS_MAX, Table, Write,
};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, stock_update, stock_update_at};
use crate::stock::layout::{LAYOUT_WHOLE, Place, layout_of};
use crate::stock::split::make_whole;
use crate::stock::take::{Taken, take};
use crate::stored_value::claims::{StoredValueWrites, look, stored_value_writes};
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// What an order is called once it is final: a sale made at a till, or recorded, is `completed`; an order
/// from elsewhere is `paid`, or `placed` where it is on account; a return is `returned`.
fn final_status(cart: &Cart, register_id: &str) -> &'static str {
    match cart.kind {
        CartKind::Return => "returned",
        CartKind::Sale if !Lane::is_virtual(register_id) || cart.course.recorded.is_some() => "completed",
        CartKind::Sale if cart.owed_on_account() > 0 => "placed",
        CartKind::Sale => "paid",
    }
}

/// Makes `cart` final in memory: number, time and business day.
///
/// # Errors
/// A bug if the store's zone is wrong; it was checked when the location was written.
pub fn mark_final(
    cart: &mut Cart,
    location: &Location,
    lane: &LaneState,
    register_id: &str,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let hour = location.calendar().and_then(|calendar| calendar.locate(at)).map_err(Error::bug)?;
    cart.finalize(Finalized {
        number: lane.next(&cart.store_id, register_id),
        order_version: 1,
        status: final_status(cart, register_id).to_owned(),
        at,
        recorded_at: now,
        business_day: hour.business_day,
        hour_start: hour.hour_start,
        offset_seconds: hour.offset_seconds,
    });
    cart.version += 1;
    cart.written_at = now;
    Ok(())
}

/// Why stock moves when `cart` becomes final.
pub fn movement_of(cart: &Cart, actor: &str, at: Timestamp) -> Movement {
    Movement {
        kind: match cart.kind {
            CartKind::Sale => "sale",
            CartKind::Return => "return",
        },
        reference: cart.id.clone(),
        actor: actor.to_owned(),
        at,
        reason: cart.return_of.as_ref().map(|r| r.reason.clone()),
    }
}

/// What one move does to the counters when it happens at once.
pub fn delta_of(kind: CartKind, wanted: &StockMove) -> Delta {
    match kind {
        CartKind::Sale => Delta::sale(wanted.sellable),
        CartKind::Return => {
            Delta { damaged: wanted.damaged.thousandths(), ..Delta::restock(wanted.sellable) }
        }
    }
}

/// For a return of a known sale: what came back of it, with this return added; and where it undoes the
/// whole of it, what else that writes.
///
/// # Errors
/// 409 `return_above_sold`, `refund_above_paid`; those of [`undoing_writes`].
pub async fn returned_writes(ports: &Ports, scope: &TenantScope, cart: &Cart) -> Result<Vec<Write>> {
    if let Some(undoing) = cart.course.undoes {
        return undoing_writes(ports, scope, cart, undoing, None).await;
    }
    let Some(original) = cart.return_of.as_ref().and_then(|r| r.original.as_ref()) else {
        return Ok(Vec::new());
    };
    let item = ports.database.get(returned_get(scope, &original.order_id)).await?;
    let mut returned = returned_of(item.as_ref())?;
    returned.add(cart, original)?;
    let version = item.as_ref().map(|item| item.number("version")).transpose()?;
    let put = Item::new(&scope.returned(&original.order_id))
        .with("version", version.unwrap_or(0) + 1)
        .with_json("data", &returned)?;
    let condition = match version {
        Some(version) => Condition::Eq("version", version.into()),
        None => Condition::NotExists,
    };
    Ok(vec![Write::Put { table: Table::Orders, item: put, condition: Some(condition) }])
}

/// How one attempt to commit ended.
#[derive(Debug)]
pub enum Attempt {
    /// It is final.
    Done,
    /// Somebody else changed the cart or took the number, or the answer was lost: look again.
    LostRace(String),
    /// Stock is short.
    Short(Vec<Shortage>),
    /// A claim was refused.
    Refused(Error),
    /// A claim met others; what to answer if it goes on meeting them.
    Contended(Refusal),
    /// The stock of these moves, by position, is split otherwise than was thought; with the layout.
    Split(Vec<(usize, i64)>),
}

/// The stock updates of a transaction, and which move each is of.
#[derive(Debug, Default)]
pub struct StockWrites {
    /// Updates, in the order of the moves.
    pub writes: Vec<Write>,
    /// By update: position of its move, and the layout it names; none where any will do.
    pub of: Vec<(usize, Option<i64>)>,
}

impl StockWrites {
    /// One update for each move, of stock that is whole, or of its first part where nothing is taken.
    pub fn of_whole(
        scope: &TenantScope,
        location_id: &str,
        moves: &[StockMove],
        delta: impl Fn(&StockMove) -> Delta,
        movement: &Movement,
    ) -> Self {
        let mut stock = StockWrites::default();
        for (at, wanted) in moves.iter().enumerate() {
            let delta = delta(wanted);
            let sku = wanted.sku.as_str();
            stock.writes.push(stock_update(scope, location_id, sku, delta, movement, Vec::new(), Vec::new()));
            stock.of.push((at, (delta.available() < 0).then_some(LAYOUT_WHOLE)));
        }
        stock
    }
}

/// What is written to make a cart final, or two.
#[derive(Debug)]
pub(super) struct FinalWrites<'a> {
    /// Conditions on versions and numbers: a failure is a lost race.
    pub fixed: Vec<Write>,
    /// Updates of stock: a failure is a business answer.
    pub stock: StockWrites,
    /// Of what the updates of stock are.
    pub moves: &'a [StockMove],
    /// Claims: a failure is a business answer too.
    pub claims: &'a [Claim],
}

/// Writes all of it in one transaction.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub(super) async fn commit(ports: &Ports, writes: FinalWrites<'_>) -> Result<Attempt> {
    let FinalWrites { fixed, stock, moves, claims } = writes;
    let first_move = fixed.len();
    let first_claim = first_move + stock.writes.len();
    let mut writes = fixed;
    writes.extend(stock.writes);
    writes.extend(claims.iter().map(|claim| claim.write.clone()));
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Attempt::Done),
        Err(DatabaseError::Cancelled(reasons)) => {
            if let Some(refusal) = refused_claim(&reasons, first_claim, claims) {
                return Ok(Attempt::Refused(refusal));
            }
            if let Some(refusal) = contended_claim(&reasons, first_claim, claims) {
                return Ok(Attempt::Contended(refusal));
            }
            // Where stock and a claim are refused both, stock is told: it may be freed yet.
            let own = reasons.get(..first_claim).unwrap_or(&reasons);
            read_reasons(own, first_move, moves, &stock.of)
        }
        Err(error) => Ok(Attempt::LostRace(lost_race(error)?)),
    }
}

/// Reads cancellation reasons by position. `of` says of which move each update from `first_move` on is.
///
/// # Errors
/// A bug if the database refused an action as invalid.
pub fn read_reasons(
    reasons: &[Cancellation],
    first_move: usize,
    moves: &[StockMove],
    of: &[(usize, Option<i64>)],
) -> Result<Attempt> {
    let (mut short, mut split) = (Vec::new(), Vec::new());
    let mut raced = false;
    for (position, reason) in reasons.iter().enumerate() {
        match reason {
            Cancellation::None => {}
            Cancellation::Invalid(what) => return Err(Error::Bug(what.clone())),
            Cancellation::Conflict | Cancellation::Throttled => raced = true,
            Cancellation::ConditionFailed(old) => {
                let update = position.checked_sub(first_move).and_then(|at| of.get(at));
                let Some((at, layout)) = update.copied() else {
                    raced = true;
                    continue;
                };
                let stands = layout_of(old.as_ref());
                match layout {
                    Some(layout) if layout != stands => split.push((at, stands)),
                    // That one part is short by now says nothing of the others.
                    Some(layout) if layout != LAYOUT_WHOLE => raced = true,
                    _ => short.extend(moves.get(at).map(|wanted| Shortage::of(wanted, old.as_ref()))),
                }
            }
        }
    }
    if !split.is_empty() {
        return Ok(Attempt::Split(split));
    }
    // Only if nothing else went wrong is the shortage an answer: after a lost race the cart may be
    // final already, by our own timed-out write.
    if raced || short.is_empty() {
        return Ok(Attempt::LostRace("another transaction was first".to_owned()));
    }
    Ok(Attempt::Short(short))
}

/// The rounds of one request that makes a cart final: read, decide, write, and again where a race was
/// lost. A long order takes at least two: one that runs its plan, one that finds it final.
pub struct Rounds<'a> {
    ports: &'a Ports,
    context: &'a CommandContext,
    retries: Retries<'a>,
    /// Expired holds were freed for this request already.
    freed: bool,
    /// This request covered what it is short of already.
    covered: bool,
    /// This request put the plan that makes the cart final.
    planned: bool,
    /// This request saw the plan of the cart to its end.
    ended: bool,
    /// A part of a counter of uses was found used up: all are looked at.
    look_at_uses: bool,
    /// How often a claim met others.
    contended: u32,
    /// Layouts of the SKUs that were met split.
    layouts: BTreeMap<String, i64>,
}

impl<'a> Rounds<'a> {
    /// Before the first round.
    pub fn new(ports: &'a Ports, context: &'a CommandContext) -> Self {
        let retries = Retries::new(ports.environment.as_ref(), context.now);
        let layouts = BTreeMap::new();
        Rounds {
            ports,
            context,
            retries,
            freed: false,
            covered: false,
            planned: false,
            ended: false,
            look_at_uses: false,
            contended: 0,
            layouts,
        }
    }

    /// The request.
    pub fn context(&self) -> &'a CommandContext {
        self.context
    }

    /// Reads, by position; `None` where that is worth another round.
    ///
    /// # Errors
    /// Those of the database that repeating would not change; [`Error::Conflict`] after too many rounds.
    pub async fn read(&mut self, gets: Vec<Get>) -> Result<Option<Vec<Option<Item>>>> {
        match self.ports.database.get_many(gets).await {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.is_transient() => {
                self.retries.again(&error.to_string()).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the cart was written since it was read at `version` (`None`: it was not there).
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_outdated(&self, cart_id: &str, version: Option<u64>) -> Result<bool> {
        let item = self.ports.database.get(cart_get(self.context, cart_id)).await?;
        Ok(item.as_ref().map(cart_of).transpose()?.map(|now| now.version) != version)
    }

    /// What is found final is a replay, unless it is by this request's own plan. Whoever made it final may
    /// have died before its stock was settled: then this request settles it before it answers, so that
    /// nothing is shown as reserved that was sold.
    ///
    /// # Errors
    /// Those of [`plan::drive`] where a plan is left to be ended.
    pub async fn found(&self, executed: Executed) -> Result<Executed> {
        let (scope, cart) = (&self.context.caller.scope, &executed.cart);
        if !self.ended && cart.finalized.is_some() && needs_plan(cart, BESIDE_MAX) {
            plan::end(self.ports, scope, &cart.id, self.context.now).await?;
        }
        Ok(Executed { replayed: executed.replayed && !self.planned, ..executed })
    }

    /// Makes `cart` final by a plan. The next round finds it so.
    ///
    /// # Errors
    /// 409 `insufficient_balance`; those of [`plan::begin`] and [`Self::continue_plan`]; [`Error::Conflict`] after
    /// too many rounds.
    pub async fn plan(&mut self, cart: &Cart, moves: &[StockMove]) -> Result<()> {
        let scope = &self.context.caller.scope;
        match look(self.ports, scope, &[cart], self.context.now).await {
            // Balances are read after the cart: what is missing may have gone to this very cart.
            Err(Error::Rejected(_)) if self.is_outdated(&cart.id, Some(cart.version)).await? => {
                return self.retries.again("the cart changed while balances were looked at").await;
            }
            Err(error @ Error::Retryable { .. }) => return self.retries.again(&error.to_string()).await,
            looked => looked?,
        }
        if let Some(why) = plan::begin(self.ports, self.context, cart, moves).await? {
            return self.retries.again(&why).await;
        }
        self.planned = true;
        self.continue_plan(cart).await
    }

    /// Continues the plan of a cart to its end; the cart is then looked at again.
    ///
    /// # Errors
    /// 409 `insufficient_stock` where the plan was released for that; those of [`plan::drive`].
    pub async fn continue_plan(&mut self, cart: &Cart) -> Result<()> {
        let scope = &self.context.caller.scope;
        match plan::drive(self.ports, scope, &cart.id, self.context.now).await? {
            // A plan that was begun online gives up; the next, of what was sold offline, does not.
            PlanEnd::Released(shortages) if !shortages.is_empty() && !self.context.offline => {
                Err(insufficient_stock(cart, &shortages).into())
            }
            // Why is told by the next round, unless it changed meanwhile.
            PlanEnd::Released(_) => self.retries.again("the plan gave up").await,
            PlanEnd::Finalized => {
                self.ended = true;
                Ok(())
            }
        }
    }

    /// What a sale claims that becomes final. `Ok(None)`: the cart changed since it was read.
    ///
    /// # Errors
    /// 409 `coupon_limit_reached`, `promotion_limit_reached`, `coupon_needs_customer`.
    pub async fn claims(&self, cart: &Cart, stored: Option<u64>) -> Result<Option<Vec<Claim>>> {
        let scope = &self.context.caller.scope;
        // A plan has no second look: what it would be refused for is told before it begins.
        let look = self.look_at_uses || needs_plan(cart, cart.charges.uses.len() * 2);
        match use_claims(self.ports, scope, cart, look).await {
            // Counters are read after the cart: the last use may have gone to this very sale.
            Err(Error::Rejected(_)) if self.is_outdated(&cart.id, stored).await? => Ok(None),
            claims => claims.map(Some),
        }
    }

    /// Another round, after a lost race.
    ///
    /// # Errors
    /// [`Error::Conflict`] after too many.
    pub async fn again(&mut self, why: &str) -> Result<()> {
        self.retries.again(why).await
    }

    /// Numbers `cart`, which was stored as `stored` (`None`: not yet), and writes it, its lane, its stock
    /// and what is `beside` in one transaction. `None`: another round.
    ///
    /// # Errors
    /// 409 `insufficient_stock`; the refusals of claims; [`Error::Conflict`] after too many rounds; a bug if the database refuses
    /// the request itself.
    pub async fn commit(
        &mut self,
        mut cart: Cart,
        stored: Option<u64>,
        read: &StoreRead<'_>,
        moves: &[StockMove],
        beside: Beside,
    ) -> Result<Option<Executed>> {
        let (ports, context) = (self.ports, self.context);
        let scope = &context.caller.scope;
        let movement = movement_of(&cart, &context.employee_id, context.occurred_at);
        let mut lane = LaneState::of(read.lane)?;
        if read.needs_shift {
            lane = lane.within_open_shift(&context.register_id)?;
        }
        let (at, now) = (context.occurred_at, context.now);
        mark_final(&mut cart, read.location, &lane, &context.register_id, at, now)?;
        let mut fixed = final_writes(scope, &cart, stored, &lane)?;
        fixed.extend(beside.writes);
        let claims = beside.claims.as_slice();
        let attempt = match self.stock_writes(&cart, moves, &movement, fixed.len() + claims.len()).await? {
            Ok(stock) => commit(ports, FinalWrites { fixed, stock, moves, claims }).await?,
            Err(attempt) => attempt,
        };
        let tried = Tried { cart: &cart, stored, with: None, moves };
        let is_done = self.is_done(attempt, &tried).await?;
        Ok(is_done.then_some(Executed { outcome: Outcome::Finalized, cart, replayed: false }))
    }

    /// Whether an attempt made its cart final; if not, another round is due, for which what was in the way is
    /// seen to.
    ///
    /// # Errors
    /// 409 `insufficient_stock`; the refusals of claims; [`Error::Conflict`] after too many rounds.
    pub(super) async fn is_done(&mut self, attempt: Attempt, tried: &Tried<'_>) -> Result<bool> {
        let (ports, context) = (self.ports, self.context);
        let (scope, cart) = (&context.caller.scope, tried.cart);
        match attempt {
            Attempt::Done => return Ok(true),
            Attempt::LostRace(why) => self.retries.again(&why).await?,
            // One part of a counter said so: the next round looks at all of them.
            Attempt::Refused(_) if !self.look_at_uses => {
                self.look_at_uses = true;
                self.retries.again("a part of a counter is used up").await?;
            }
            Attempt::Refused(refusal) => return Err(refusal),
            // Trouble with a coupon is refused, so that the sale can go on without it.
            Attempt::Contended(refusal) if self.contended >= CONTENDED_MAX => return Err(refusal.into()),
            Attempt::Contended(refusal) => {
                self.contended += 1;
                self.retries.again(&refusal.detail).await?;
            }
            Attempt::Split(split) => {
                for (at, layout) in split {
                    if let Some(wanted) = tried.moves.get(at) {
                        self.layouts.insert(wanted.sku.clone(), layout);
                    }
                }
                self.retries.again("the stock was laid out anew").await?;
            }
            Attempt::Short(shortages) => {
                let now = context.now;
                let free =
                    !self.freed && free_expired_holds(ports, scope, &cart.store_id, &shortages, now).await?;
                if free {
                    self.freed = true;
                } else if context.offline {
                    self.cover(tried, &shortages).await?;
                } else if self.is_outdated(&cart.id, tried.stored).await? {
                    // Parts are read after the cart, and looking for expired holds takes its time: what is
                    // short may have gone to a twin of this request.
                    self.retries.again("the cart changed while its stock was looked at").await?;
                } else {
                    return Err(insufficient_stock(cart, &shortages).into());
                }
            }
        }
        Ok(false)
    }

    /// Whether the stock of a SKU was met split.
    pub(super) fn met_split(&self, sku: &str) -> bool {
        self.layouts.get(sku).is_some_and(|layout| *layout != LAYOUT_WHOLE)
    }

    /// Merges the stock of a SKU that was met split.
    ///
    /// # Errors
    /// [`Error::Retryable`] where it cannot be merged now.
    pub(super) async fn merge(&mut self, location_id: &str, sku: &str) -> Result<()> {
        make_whole(self.ports, &self.context.caller.scope, location_id, sku).await?;
        self.layouts.remove(sku);
        Ok(())
    }

    /// Whether nothing but stock is in the way of `tried`: what is refused for its coupons or gift cards leaves no
    /// cover behind, for its goods are not sold. `false`: another round.
    async fn is_only_short(&mut self, tried: &Tried<'_>) -> Result<bool> {
        let (ports, scope, cart) = (self.ports, &self.context.caller.scope, tried.cart);
        let looked = match look(ports, scope, &[cart], self.context.now).await {
            Ok(()) => use_claims(ports, scope, cart, true).await.map(drop),
            refused => refused,
        };
        match looked {
            Err(Error::Rejected(_)) if self.is_outdated(&cart.id, tried.stored).await? => {
                self.retries.again("the cart changed while its claims were looked at").await?;
                Ok(false)
            }
            looked => looked.map(|()| true),
        }
    }

    /// Covers what an offline sale is short of, on the cart's version as it was read: the next round finds
    /// enough, unless another till does before it.
    async fn cover(&mut self, tried: &Tried<'_>, shortages: &[Shortage]) -> Result<()> {
        if !self.is_only_short(tried).await? {
            return Ok(());
        }
        let (ports, scope, cart) = (self.ports, &self.context.caller.scope, tried.cart);
        let own = (cart.id.as_str(), tried.stored.unwrap_or(0));
        let mut not_final = Vec::new();
        for (cart_id, version) in std::iter::once(own).chain(tried.with) {
            let version = i64::try_from(version).map_err(Error::bug)?;
            not_final.push(Write::Check {
                table: Table::Orders,
                key: scope.cart(cart_id),
                condition: Condition::Eq("version", version.into()),
            });
        }
        let sale = OfflineSale {
            cart,
            register_id: &self.context.register_id,
            employee_id: &self.context.employee_id,
            at: self.context.occurred_at,
            now: self.context.now,
        };
        match cover(ports, scope, &sale, &not_final, shortages).await? {
            Covered::Done if !self.covered => {
                self.covered = true;
                Ok(())
            }
            Covered::Done => self.retries.again("others took the stock that was covered").await,
            Covered::Again(why) => self.retries.again(&why).await,
        }
    }

    /// The updates of stock beside `others` actions: of the whole, and from the parts of what was met split.
    /// `Err`: how the attempt ended already.
    pub(super) async fn stock_writes(
        &self,
        cart: &Cart,
        moves: &[StockMove],
        movement: &Movement,
        others: usize,
    ) -> Result<std::result::Result<StockWrites, Attempt>> {
        let (ports, scope) = (self.ports, &self.context.caller.scope);
        let delta = |wanted: &StockMove| delta_of(cart.kind, wanted);
        if cart.kind == CartKind::Return || self.layouts.is_empty() {
            return Ok(Ok(StockWrites::of_whole(scope, &cart.store_id, moves, delta, movement)));
        }
        let mut stock = StockWrites::default();
        let mut short = Vec::new();
        let mut most_parts: Option<(usize, &str)> = None;
        for (at, wanted) in moves.iter().enumerate() {
            let name = (cart.store_id.as_str(), wanted.sku.as_str());
            let shares = match self.layouts.get(&wanted.sku) {
                None => vec![(Place::Whole, wanted.sellable)],
                Some(layout) => match take(ports, scope, name, wanted.sellable, *layout).await? {
                    Taken::Shares(shares, _) => {
                        shares.iter().map(|share| (share.place(), share.quantity)).collect()
                    }
                    Taken::Short(seen) => {
                        short.push(Shortage::over_all_parts(wanted, seen.as_ref()));
                        continue;
                    }
                    Taken::Again(why) => return Ok(Err(Attempt::LostRace(why))),
                },
            };
            if shares.len() > most_parts.map_or(1, |(most, _)| most) {
                most_parts = Some((shares.len(), &wanted.sku));
            }
            for (place, quantity) in shares {
                let what = (name.0, name.1, place);
                let delta = Delta::sale(quantity);
                stock.writes.push(stock_update_at(scope, what, delta, movement, Vec::new(), Vec::new()));
                let layout = if let Place::Part { layout, .. } = place { layout } else { LAYOUT_WHOLE };
                stock.of.push((at, Some(layout)));
            }
        }
        if !short.is_empty() {
            return Ok(Err(Attempt::Short(short)));
        }
        match most_parts {
            Some((_, sku)) if others + stock.writes.len() > TRANSACTION_ACTIONS_MAX => {
                make_whole(ports, scope, &cart.store_id, sku).await?;
                Ok(Err(Attempt::LostRace("stock was split over too many parts".to_owned())))
            }
            _ => Ok(Ok(stock)),
        }
    }
}

/// An attempt to make a cart final, or two.
pub(super) struct Tried<'t> {
    /// The cart whose stock may be short.
    pub cart: &'t Cart,
    /// The version that it was stored as.
    pub stored: Option<u64>,
    /// The other cart, and its version.
    pub with: Option<(&'t str, u64)>,
    /// Of what the updates of stock are.
    pub moves: &'t [StockMove],
}

/// What is written beside a cart that becomes final, its lane and its stock.
#[derive(Debug, Default)]
pub struct Beside {
    /// Conditions on versions: a failure is a lost race.
    pub writes: Vec<Write>,
    /// A failure is an answer.
    pub claims: Vec<Claim>,
}

impl Beside {
    /// How many actions of a transaction it takes.
    pub fn len(&self) -> usize {
        self.writes.len() + self.claims.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// With what carts take from stored value, or give to it.
    #[must_use]
    pub fn with(mut self, stored_value: StoredValueWrites) -> Self {
        self.writes.extend(stored_value.movements);
        self.claims.extend(stored_value.claims);
        self
    }
}

/// What a commit needs to know of the store.
pub struct StoreRead<'a> {
    /// It.
    pub location: &'a Location,
    /// The lane's record, if it gave a number before.
    pub lane: Option<&'a Item>,
    /// Whether its registers sell within an open shift only.
    pub needs_shift: bool,
}

/// `finalize_order` and `finalize_return`.
///
/// # Errors
/// 409 `insufficient_stock`, `insufficient_balance`, `underpaid`, `cart_empty`, `wrong_cart_state`, `return_above_sold`,
/// `refund_above_paid`, `no_open_shift`; 404; 422 `idempotency_key_reused`; [`Error::Conflict`] when too many races
/// were lost.
pub async fn finalize(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    kind: CartKind,
) -> Result<Executed> {
    let scope = &context.caller.scope;
    let needs_shift = tenant_rules(ports, scope, context.now).await?.settings.sale_needs_open_shift;
    let mut rounds = Rounds::new(ports, context);
    loop {
        let gets = vec![
            cart_get(context, cart_id),
            lane_get(scope, &context.store_id, &context.register_id),
            catalog_get(scope.location(&context.store_id)),
        ];
        let Some(read) = rounds.read(gets).await? else { continue };
        let at = |position: usize| read.get(position).and_then(Option::as_ref);
        let mut cart = cart_of(at(0).ok_or_else(|| cart_not_found(cart_id))?)?;
        context.require_own(ports, &cart).await?;
        if let Some(executed) = replay(context, &cart)? {
            return rounds.found(executed).await;
        }
        cart.check_finalizable(kind)?;
        if cart.plan_attempt.is_some() {
            // Somebody began a long finalise; whoever meets it continues it.
            rounds.continue_plan(&cart).await?;
            continue;
        }
        let location = context.till(at(2))?;
        if needs_shift {
            match LaneState::of(at(1))?.within_open_shift(&context.register_id) {
                // The lane was read after the cart: it may be this very sale that the shift was closed after.
                Err(Error::Rejected(_)) if rounds.is_outdated(cart_id, Some(cart.version)).await? => continue,
                checked => checked?,
            };
        }
        let moves = cart.stock_moves();
        let returned = match returned_writes(ports, scope, &cart).await {
            // What came back was read after the cart: it may hold this very return.
            Err(Error::Rejected(_)) if rounds.is_outdated(cart_id, Some(cart.version)).await? => continue,
            returned => returned?,
        };
        let Some(claims) = rounds.claims(&cart, Some(cart.version)).await? else { continue };
        let beside =
            Beside { writes: returned, claims }.with(stored_value_writes(scope, &[&cart], context.now)?);
        if needs_plan(&cart, beside.len()) {
            rounds.plan(&cart, &moves).await?;
            continue;
        }
        let stored = Some(cart.version);
        cart.applied.record_last(&context.identity, Outcome::Finalized);
        let read = StoreRead { location: &location, lane: at(1), needs_shift };
        if let Some(executed) = rounds.commit(cart, stored, &read, &moves, beside).await? {
            return Ok(executed);
        }
    }
}

/// Whether `cart` is of more SKUs than one transaction takes, with `beside` other actions.
fn needs_plan(cart: &Cart, beside: usize) -> bool {
    cart.stock_moves().len() + 2 + beside > TRANSACTION_ACTIONS_MAX
}

/// Most actions beside the cart, its lane and its stock.
const BESIDE_MAX: usize = 60;

/// How often a claim may meet others before it is given up: some half a second.
const CONTENDED_MAX: u32 = 8;

/// The writes that make a cart final, stock apart: the cart itself on its version (`None`: it must not
/// exist yet), and its lane's number.
///
/// # Errors
/// A bug if the cart has no number or cannot be encoded.
pub fn final_writes(
    scope: &TenantScope,
    cart: &Cart,
    stored: Option<u64>,
    lane: &LaneState,
) -> Result<Vec<Write>> {
    Ok(vec![final_put(scope, cart, stored)?, take_numbers(scope, lane, &[cart])?])
}

/// The put of a cart that became final, on its version; `None`: it must not exist yet.
///
/// # Errors
/// A bug if it cannot be encoded.
pub(super) fn final_put(scope: &TenantScope, cart: &Cart, stored: Option<u64>) -> Result<Write> {
    let condition = match stored {
        Some(version) => Condition::Eq("version", i64::try_from(version).map_err(Error::bug)?.into()),
        None => Condition::NotExists,
    };
    Ok(Write::Put { table: Table::Orders, item: cart_item(scope, cart)?, condition: Some(condition) })
}

#[cfg(test)]
mod tests {
    use tillstream_domain::quantity::Quantity;

    use super::*;

    /// What a cancelled transaction of two fixed writes and three updates of stock says: stock is short only
    /// where nothing else went wrong, and one part of several never is.
    #[test]
    fn a_shortage_is_told_only_where_nothing_was_raced() {
        use Cancellation::{ConditionFailed, Conflict, Invalid, None as Fine, Throttled};
        let one = |sku: &str| StockMove {
            sku: sku.to_owned(),
            sellable: Quantity::from_pieces(1).unwrap(),
            damaged: Quantity::ZERO,
        };
        let moves = [one("A"), one("B")];
        // A is whole; of B one part of layout 208 is asked for, then what any layout has.
        let of = [(0, Some(LAYOUT_WHOLE)), (1, Some(208)), (1, None)];
        let seen =
            |layout: i64| ConditionFailed(Some(Item::default().with("layout", layout).with("available", 0)));
        let gone = || ConditionFailed(None);
        let read = |reasons: [Cancellation; 5]| match read_reasons(&reasons, 2, &moves, &of) {
            Ok(Attempt::Done) => "done".to_owned(),
            Ok(Attempt::LostRace(_)) => "lost race".to_owned(),
            Ok(Attempt::Short(short)) => {
                format!(
                    "short of {}",
                    short.iter().map(|one| one.sku.as_str()).collect::<Vec<_>>().join(", ")
                )
            }
            Ok(Attempt::Split(split)) => format!("split {split:?}"),
            Ok(Attempt::Refused(_) | Attempt::Contended(_)) => "a claim".to_owned(),
            Err(error) => format!("{error}"),
        };
        for (reasons, expected) in [
            ([Fine, Fine, gone(), Fine, Fine], "short of A"),
            ([Fine, Fine, seen(0), Fine, Fine], "short of A"),
            ([Fine, Fine, seen(0), Fine, seen(208)], "short of A, B"),
            ([Fine, Fine, seen(0), Conflict, Fine], "lost race"),
            ([Fine, Fine, seen(0), Throttled, Fine], "lost race"),
            ([Fine, gone(), seen(0), Fine, Fine], "lost race"),
            ([Fine, Fine, Conflict, Fine, Fine], "lost race"),
            ([Fine, Fine, Fine, seen(208), Fine], "lost race"),
            ([Fine, Fine, seen(0), seen(208), Fine], "lost race"),
            ([Fine, Fine, Fine, Fine, Fine], "lost race"),
            ([Fine, Fine, seen(104), Fine, Fine], "split [(0, 104)]"),
            ([Fine, Fine, Fine, seen(0), Fine], "split [(1, 0)]"),
            ([Fine, gone(), seen(104), seen(304), Fine], "split [(0, 104), (1, 304)]"),
            ([Fine, Fine, seen(0), Invalid("too large".to_owned()), Fine], "bug: too large"),
        ] {
            assert_eq!(read(reasons.clone()), expected, "{reasons:?}");
        }
    }
}
