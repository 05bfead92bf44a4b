//! The rounds of one request that makes a cart final: read, decide, write, and again where a race was lost.

use std::collections::BTreeMap;

use tillstream_domain::cart::{Cart, CartKind, Outcome, StockMove};
use tillstream_domain::location::Location;
use tillstream_domain::quantity::Quantity;

use super::cart_item::cart_of;
use super::cart_write::{Executed, cart_get};
use super::claims::Claim;
use super::context::CommandContext;
use super::counted_since::{KnownCounts, tell};
use super::final_transaction::{Attempt, FinalWrites, StockWrites, Takable, commit};
use super::finalize::{delta_of, final_writes, mark_final, movement_of, needs_plan};
use super::held_sale::{self, ends_of, held_of};
use super::lane_write::LaneState;
use super::limited_uses::{SPREAD_MAX, use_claims};
use super::named_lots::{leaving_of, lot_field, lot_terms, shortage_of};
use super::offline_oversell::{Covered, OfflineSale, cover};
use super::plan::{self, PlanEnd};
use super::shortage::{Shortage, free_expired_holds, insufficient_stock, refused_of};
use crate::database::{Condition, Consistency, Get, Item, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::environment::Retries;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement, stock_update_at};
use crate::stock::expiry::{FreedHolds, HoldReads};
use crate::stock::holds::Located;
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::lots::back::{ComeBack, is_of_known_sale, of_return, origins};
use crate::stock::lots::leaving::{self, Leaves, Leaving, Terms, enter};
use crate::stock::split::make_whole;
use crate::stock::take::{Taken, take};
use crate::stock::taken_beyond::Beyond;
use crate::stored_value::claims::{StoredValueWrites, look};
use crate::tenancy::TenantScope;

/// Most actions beside the cart, its lane and its stock; of limited uses one more each, where they are above their
/// limit.
const BESIDE_MAX: usize = 60 + SPREAD_MAX;

/// How often a claim may meet others before it is given up: some half a second.
const CONTENDED_MAX: u32 = 8;

/// The rounds of one request that makes a cart final: read, decide, write, and again where a race was
/// lost. A long order takes at least two: one that runs its plan, one that finds it final.
pub struct Rounds<'a> {
    ports: &'a Ports,
    context: &'a CommandContext,
    retries: Retries<'a>,
    /// All expired holds on what was short were freed for this request already.
    nothing_expired: bool,
    /// What was read of hold lines for it.
    hold_reads: HoldReads,
    /// This request covered what it is short of already.
    covered: bool,
    /// This request entered goods as of the lots that they were sold as already.
    entered: bool,
    /// This request put the plan that makes the cart final.
    planned: bool,
    /// This request saw the plan of the cart to its end.
    ended: bool,
    /// A part of a counter of uses was found used up: all are looked at.
    look_at_uses: bool,
    /// What the cart holds may be otherwise than it names: its lines are looked at.
    look_at_holds: bool,
    /// How often a claim met others.
    contended: u32,
    /// Layouts of the SKUs that were met split.
    layouts: BTreeMap<String, i64>,
    /// Counts that this request told of, since what it sold had left the shop before.
    known_counts: KnownCounts,
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
            nothing_expired: false,
            hold_reads: HoldReads::default(),
            covered: false,
            entered: false,
            planned: false,
            ended: false,
            look_at_uses: false,
            look_at_holds: false,
            contended: 0,
            layouts,
            known_counts: KnownCounts::default(),
        }
    }

    /// What it works with.
    pub(super) fn ports(&self) -> &'a Ports {
        self.ports
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
        let read = self.ports.database.get_many(gets).await;
        self.retries.answered(read).await
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
        let beside = BESIDE_MAX + cart.charges.uses.len();
        // What comes back may be of more lots than one transaction takes, however few its SKUs are.
        let may_have_plan = needs_plan(cart, beside) || is_of_known_sale(cart);
        if !self.ended && cart.finalized.is_some() && may_have_plan {
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
        if !self.context.offline && !self.lots_fit(cart, moves).await? {
            return Ok(());
        }
        match look(self.ports, scope, &[cart], self.context.now).await {
            // Balances are read after the cart: what is missing may have gone to this very cart.
            Err(Error::Rejected(_)) if self.is_outdated(&cart.id, Some(cart.version)).await? => {
                return self.retries.again("the cart changed while balances were looked at").await;
            }
            Err(error @ Error::Retryable { .. }) => return self.retries.again(&error.to_string()).await,
            looked => looked?,
        }
        let brings_lots = match origins(self.ports, scope, cart).await {
            Err(error @ Error::Retryable { .. }) => return self.retries.again(&error.to_string()).await,
            origins => !origins?.is_empty(),
        };
        if let Some(why) = plan::begin(self.ports, self.context, cart, moves, brings_lots).await? {
            return self.retries.again(&why).await;
        }
        self.planned = true;
        self.continue_plan(cart).await
    }

    /// Whether the lots that a cart names have what is taken of them, before a plan begins, which takes them only once
    /// the cart is final. `false`: another round is due.
    ///
    /// # Errors
    /// As [`Self::lots`], stock that is short apart: the plan finds that out.
    async fn lots_fit(&mut self, cart: &Cart, moves: &[StockMove]) -> Result<bool> {
        let (ports, context) = (self.ports, self.context);
        let movement = movement_of(cart, &context.employee_id, context.occurred_at);
        let goods = leaving_of(cart, moves, &movement);
        if goods.is_empty() {
            return Ok(true);
        }
        let looked =
            match leaving::look(ports, &context.caller.scope, &lot_terms(context, cart), &goods).await {
                Err(error @ Error::Retryable { .. }) => {
                    self.retries.again(&error.to_string()).await?;
                    return Ok(false);
                }
                looked => looked?,
            };
        if looked.misfits.is_empty() {
            return Ok(true);
        }
        if self.is_outdated(&cart.id, Some(cart.version)).await? {
            self.retries.again("the cart changed while its lots were looked at").await?;
            return Ok(false);
        }
        let field = |misfit: &leaving::Misfit| lot_field(cart, misfit);
        Err(leaving::refusal(&cart.store_id, &looked.misfits, field).into())
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
                self.refuse_short(cart, &shortages).await
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
        let beyond = self.context.beyond_limits(cart);
        match use_claims(self.ports, scope, cart, look, beyond.as_ref()).await {
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

    /// What a return brings back as lots; nothing is read for a sale. `None`: another round is due.
    ///
    /// # Errors
    /// Those of the database that repeating would not change; [`Error::Conflict`] after too many rounds.
    pub(super) async fn come_back(&mut self, cart: &Cart, moves: &[StockMove]) -> Result<Option<ComeBack>> {
        let (ports, context) = (self.ports, self.context);
        let movement = movement_of(cart, &context.employee_id, context.occurred_at);
        match of_return(ports, &context.caller.scope, cart, moves, (&movement, context.now)).await {
            Err(error @ Error::Retryable { .. }) => {
                self.retries.again(&error.to_string()).await?;
                Ok(None)
            }
            back => back.map(Some),
        }
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
        let Some(holds) = self.holds_of(&cart).await? else { return Ok(None) };
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
        let mut goods = leaving_of(&cart, moves, &movement);
        for one in &mut goods {
            one.held = held_of(&holds, &one.sku).thousandths();
        }
        let tried = Tried { cart: &cart, stored, with: None, moves, holds: &holds };
        let Some(named) = self.lots(&tried, &goods).await? else { return Ok(None) };
        let of_lots = goods.iter().zip(&named).filter(|(_, writes)| writes.is_some());
        let skus: Vec<&str> = of_lots.map(|(one, _)| one.sku.as_str()).collect();
        let is_other = |one: &&StockMove| !skus.contains(&one.sku.as_str());
        let unnamed: Vec<StockMove> = moves.iter().filter(is_other).cloned().collect();
        let moves = unnamed.as_slice();
        fixed.extend(ends_of(context, &holds, |sku| skus.contains(&sku)));
        fixed.extend(named.into_iter().flatten().flatten());
        let (of_lots, moves) = beside.back.beside(moves);
        fixed.extend(of_lots);
        let moves = moves.as_slice();
        let others = fixed.len() + claims.len();
        let attempt = match self.stock_writes((&cart, &holds), moves, &movement, others).await? {
            Ok(stock) => commit(ports, FinalWrites { fixed, stock, moves, claims }).await?,
            Err(attempt) => attempt,
        };
        let tried = Tried { cart: &cart, stored, with: None, moves, holds: &holds };
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
        let holds = tried.holds;
        if matches!(attempt, Attempt::LostRace(_) | Attempt::Split(_)) {
            // It may be a hold that is not as the cart names it.
            self.look_at_holds = true;
        }
        match attempt {
            Attempt::Done => return Ok(true),
            Attempt::LostRace(why) => self.retries.again(&why).await?,
            // One part of a counter said so: the next round looks at all of them.
            Attempt::Refused(_) if !self.look_at_uses => {
                self.look_at_uses = true;
                self.retries.again("a part of a counter is used up").await?;
            }
            Attempt::Refused(Error::Conflict(why)) => self.retries.again(&why).await?,
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
                let beside = |short: Shortage| match held_of(holds, &short.sku) {
                    Quantity::ZERO => short,
                    held => short.beside(held),
                };
                let shortages: Vec<Shortage> = shortages.into_iter().map(beside).collect();
                let counted = match context.offline {
                    true => self.known_counts.unknown(&shortages, context.occurred_at),
                    false => Vec::new(),
                };
                if !counted.is_empty() {
                    self.tell_counted(tried, &counted).await?;
                    return Ok(false);
                }
                let freed = match self.nothing_expired {
                    true => FreedHolds::default(),
                    false => {
                        let reads = &mut self.hold_reads;
                        free_expired_holds(ports, scope, &cart.store_id, &shortages, reads, now).await?
                    }
                };
                self.nothing_expired |= !freed.left;
                if freed.any {
                    self.retries.again("expired holds were freed").await?;
                    return Ok(false);
                }
                let refused = match context.offline {
                    true => Vec::new(),
                    false => refused_of(ports, scope, &cart.store_id, &shortages, now).await?,
                };
                if refused.is_empty() {
                    self.cover(tried, &shortages).await?;
                } else if self.is_outdated(&cart.id, tried.stored).await? {
                    // Parts are read after the cart, and looking for expired holds takes its time: what is
                    // short may have gone to a twin of this request.
                    self.retries.again("the cart changed while its stock was looked at").await?;
                } else {
                    self.refuse_short(cart, &refused).await?;
                }
            }
        }
        Ok(false)
    }

    /// What is written of goods of which lots are named, by position; nothing for those that leave as any goods. `None`:
    /// another round is due.
    ///
    /// # Errors
    /// 409 `lot_short`, `lot_expired`, `lot_quarantined`, `lot_recalled`, `insufficient_stock`; 422 `lot_unknown`,
    /// `lot_of_another_sku`, `sku_without_lots`; the refusals of claims; [`Error::Conflict`] after too many rounds.
    pub(super) async fn lots(
        &mut self,
        tried: &Tried<'_>,
        goods: &[Leaving<'_>],
    ) -> Result<Option<Vec<Option<Vec<Write>>>>> {
        if goods.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let (ports, context, cart) = (self.ports, self.context, tried.cart);
        let scope = &context.caller.scope;
        let known_counts = self.known_counts.clone();
        let left = context.offline.then_some((context.occurred_at, &known_counts));
        let terms = Terms { left, ..lot_terms(context, cart) };
        let looked = match leaving::look(ports, scope, &terms, goods).await {
            Err(error @ Error::Retryable { .. }) => {
                self.retries.again(&error.to_string()).await?;
                return Ok(None);
            }
            looked => looked?,
        };
        // After the lots: what is counted from here on fails the conditions on them.
        let counted = match self.counted_before(&cart.store_id, goods).await {
            Err(error @ Error::Retryable { .. }) => {
                self.retries.again(&error.to_string()).await?;
                return Ok(None);
            }
            counted => counted?,
        };
        if !counted.is_empty() {
            self.tell_counted(tried, &counted).await?;
            return Ok(None);
        }
        let is_refused = terms.gone.is_none() && !looked.misfits.is_empty();
        if is_refused && self.is_outdated(&cart.id, tried.stored).await? {
            // Lots are read after the cart: what is missing may have gone to a twin of this request.
            self.retries.again("the cart changed while its lots were looked at").await?;
            return Ok(None);
        }
        if is_refused {
            let field = |misfit: &leaving::Misfit| lot_field(cart, misfit);
            return Err(leaving::refusal(&cart.store_id, &looked.misfits, field).into());
        }
        let short: Vec<Shortage> = goods.iter().zip(&looked.goods).filter_map(shortage_of).collect();
        if !short.is_empty() {
            self.is_done(Attempt::Short(short), tried).await?;
            return Ok(None);
        }
        if !looked.misfits.is_empty() || !looked.entries.is_empty() {
            if !self.is_only_short(tried).await? {
                return Ok(None);
            }
            leaving::tell(ports, scope, &terms, &looked.misfits).await?;
        }
        if !looked.entries.is_empty() {
            enter(ports, looked.entries, &tried.not_final(scope)?).await?;
            if self.entered {
                self.retries.again("goods were entered as of their lots").await?;
            }
            self.entered = true;
            return Ok(None);
        }
        let writes = |leaves: Leaves| match leaves {
            Leaves::So(writes) => Some(writes),
            Leaves::AsAnyGoods | Leaves::Short(..) => None,
        };
        Ok(Some(looked.goods.into_iter().map(writes).collect()))
    }

    /// Refuses what is short. Where what is to come of it cannot be read now, another round is due, which finds it
    /// short again.
    async fn refuse_short(&mut self, cart: &Cart, shortages: &[Shortage]) -> Result<()> {
        match insufficient_stock(self.ports, &self.context.caller.scope, cart, shortages).await {
            Ok(refusal) => Err(refusal.into()),
            Err(error @ Error::Retryable { .. }) => self.retries.again(&error.to_string()).await,
            Err(error) => Err(error),
        }
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
            Ok(()) => {
                let beyond = self.context.beyond_limits(cart);
                use_claims(ports, scope, cart, true, beyond.as_ref()).await.map(drop)
            }
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

    /// Covers what a sale is short of that stands all the same, on the cart's version as it was read: the next round finds
    /// enough, unless another till does before it.
    async fn cover(&mut self, tried: &Tried<'_>, shortages: &[Shortage]) -> Result<()> {
        if !self.is_only_short(tried).await? {
            return Ok(());
        }
        let (ports, scope, cart) = (self.ports, &self.context.caller.scope, tried.cart);
        let not_final = tried.not_final(scope)?;
        let beyond = if self.context.offline { Beyond::Offline } else { Beyond::Unsynced };
        let sale = OfflineSale { beyond, ..self.context.offline_sale(cart) };
        match cover(ports, scope, &sale, &not_final, shortages).await? {
            Covered::Done if !self.covered => {
                self.covered = true;
                Ok(())
            }
            Covered::Done => self.retries.again("others took the stock that was covered").await,
            Covered::Again(why) => self.retries.again(&why).await,
        }
    }

    /// What a cart holds, as far as it can be used; nothing is read where it names nothing. `None`: another round.
    ///
    /// # Errors
    /// Those of the database that repeating would not change; [`Error::Conflict`] after too many rounds.
    pub(super) async fn holds_of(&mut self, cart: &Cart) -> Result<Option<Vec<Located>>> {
        let (scope, now) = (&self.context.caller.scope, self.context.now);
        match held_sale::usable(self.ports, scope, cart, self.look_at_holds, now).await {
            Err(error @ Error::Retryable { .. }) => {
                self.retries.again(&error.to_string()).await?;
                Ok(None)
            }
            holds => holds.map(Some),
        }
    }

    /// Tells of what left the shop before it was counted, on the cart's version as it was read: the next round takes it.
    async fn tell_counted(&mut self, tried: &Tried<'_>, counted: &[Shortage]) -> Result<()> {
        if !self.is_only_short(tried).await? {
            return Ok(());
        }
        let (ports, scope) = (self.ports, &self.context.caller.scope);
        let sale = self.context.offline_sale(tried.cart);
        match tell(ports, scope, &sale, &tried.not_final(scope)?, counted).await? {
            Covered::Done => {
                self.known_counts.learn(counted);
                Ok(())
            }
            Covered::Again(why) => self.retries.again(&why).await,
        }
    }

    /// What must be so of the stock that this request takes.
    pub(super) fn takable(&self) -> Takable<'_> {
        let left = self.context.offline.then_some((self.context.occurred_at, &self.known_counts));
        Takable { good_at: self.context.good_at(), left }
    }

    /// Split stock that was counted since what this request sold had left the shop, where that is not told yet. It is
    /// counted whole, so no count comes while it is split as it is.
    ///
    /// # Errors
    /// Those of the database.
    pub(super) async fn counted_before_its_split(
        &self,
        store_id: &str,
        wanted: &StockMove,
    ) -> Result<Option<Shortage>> {
        if !self.context.offline {
            return Ok(None);
        }
        let key = self.context.caller.scope.stock(store_id, &wanted.sku);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        let first = self.ports.database.get(get).await?;
        let first = Shortage::of(wanted, first.as_ref());
        let unknown = self.known_counts.unknown(std::slice::from_ref(&first), self.context.occurred_at);
        Ok(unknown.into_iter().next())
    }

    /// Goods that leave as their lots were named and that were counted since this request's sale had left the shop, where
    /// that is not told yet.
    async fn counted_before(&self, store_id: &str, goods: &[Leaving<'_>]) -> Result<Vec<Shortage>> {
        let taken: Vec<StockMove> = goods
            .iter()
            .filter(|one| self.context.offline && one.taken() > 0)
            .map(|one| StockMove {
                sku: one.sku.clone(),
                sellable: Quantity::of_counter(one.taken()),
                damaged: Quantity::ZERO,
            })
            .collect();
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let get = |wanted: &StockMove| Get {
            table: Table::Stock,
            key: self.context.caller.scope.stock(store_id, &wanted.sku),
            consistency: Consistency::Strong,
        };
        let items = self.ports.database.get_many(taken.iter().map(get).collect()).await?;
        let found = taken.iter().zip(&items).map(|(wanted, item)| Shortage::of(wanted, item.as_ref()));
        let found: Vec<Shortage> = found.collect();
        Ok(self.known_counts.unknown(&found, self.context.occurred_at))
    }

    /// The updates of stock beside `others` actions: of the whole, and from the parts of what was met split.
    /// `Err`: how the attempt ended already.
    pub(super) async fn stock_writes(
        &self,
        (cart, holds): (&Cart, &[Located]),
        moves: &[StockMove],
        movement: &Movement,
        others: usize,
    ) -> Result<std::result::Result<StockWrites, Attempt>> {
        let (ports, scope) = (self.ports, &self.context.caller.scope);
        if !holds.is_empty() {
            let held = (cart, holds, &self.layouts);
            return held_sale::stock_writes(ports, self, held, (moves, movement), others).await;
        }
        let delta = |wanted: &StockMove| delta_of(cart.kind, wanted);
        if cart.kind == CartKind::Return || self.layouts.is_empty() {
            return Ok(Ok(StockWrites::of_whole(
                scope,
                &cart.store_id,
                moves,
                delta,
                movement,
                &self.takable(),
            )));
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
                        if let Some(counted) = self.counted_before_its_split(name.0, wanted).await? {
                            short.push(counted);
                            continue;
                        }
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
                let more = self.takable().conditions(&wanted.sku);
                stock.writes.push(stock_update_at(scope, what, delta, movement, more, Vec::new()));
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
    /// What the cart holds.
    pub holds: &'t [Located],
}

impl Tried<'_> {
    /// That neither cart is final yet: checks, at most two.
    fn not_final(&self, scope: &TenantScope) -> Result<Vec<Write>> {
        let own = (self.cart.id.as_str(), self.stored);
        let mut not_final = Vec::new();
        for (cart_id, version) in
            std::iter::once(own).chain(self.with.map(|(id, version)| (id, Some(version))))
        {
            let condition = match version {
                Some(version) => Condition::Eq("version", i64::try_from(version).map_err(Error::bug)?.into()),
                None => Condition::NotExists,
            };
            not_final.push(Write::Check { table: Table::Orders, key: scope.cart(cart_id), condition });
        }
        Ok(not_final)
    }
}

/// What is written beside a cart that becomes final, its lane and its stock.
#[derive(Debug, Default)]
pub struct Beside {
    /// Conditions on versions: a failure is a lost race.
    pub writes: Vec<Write>,
    /// A failure is an answer.
    pub claims: Vec<Claim>,
    /// What comes back as lots.
    pub(crate) back: ComeBack,
}

impl Beside {
    /// How many actions of a transaction it takes beside one for each move of stock.
    pub fn len(&self) -> usize {
        self.writes.len() + self.claims.len() + self.back.more()
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
