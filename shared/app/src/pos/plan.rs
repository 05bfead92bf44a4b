//! Finalising a cart of more SKUs than one transaction takes.
//!
//! A plan holds the stock chunk by chunk, then commits the order in one transaction, then settles the
//! chunks; or, where stock is short, releases them. Every step is conditional on the plan's state and
//! recorded in the same transaction, so whoever meets a plan can continue it, any number at once, and
//! a crash at any step loses nothing.
//!
//! `reserving → committed → settled`, or `reserving → releasing → released`.
//!
//! What is held may be found less while it is: by a count, a recall, or the end of a lot's day. Before the order is
//! final, that is told and all is given back; afterwards the sale stands, and what is missing is entered.

mod bringing_back;
mod settling;
mod under_way;

use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use tillstream_domain::cart::applied::CommandIdentity;
use tillstream_domain::cart::{Cart, CartHolds, CartKind, HOLDS_PER_SKU_MAX, Outcome, StockMove};
use tillstream_domain::compact;
use tillstream_domain::money::Money;
use tillstream_domain::quantity::Quantity;

use self::bringing_back::SETTLED_MOVES;
use self::settling::end_chunks;
pub use self::under_way::{held_by_plans, is_under_way};
use super::asked_total;
use super::cart_item::cart_of;
use super::cart_write::lost_race;
use super::claims::refused_claim;
use super::context::CommandContext;
use super::counted_since::{KnownCounts, tell};
use super::final_transaction::{Attempt, StockWrites, Takable, read_reasons};
use super::finalize::{final_writes, mark_final, returned_writes};
use super::held_sale::{chunk_writes, held_of};
use super::identity::spread;
use super::lane_write::{LaneState, lane_get};
use super::limited_uses::use_claims;
use super::named_lots::{leaving_of, taker};
use super::offline_oversell::{Covered, OfflineSale, cover};
use super::shortage::{Shortage, free_expired_holds, refused_of};
use crate::catalog::items::{catalog_get, location_of};
use crate::database::{
    Cancellation, Change, Condition, Consistency, DatabaseError, Get, Index, Item, Key, Partition, Query,
    TRANSACTION_ACTIONS_MAX, Table, Write,
};
use crate::environment::Retries;
use crate::error::{Error, Result};
use crate::keeper::due::{DueWork, postpone, walk_due};
use crate::keys;
use crate::ports::Ports;
use crate::stock::counters::{Counters, Delta, Movement, no_lot_is_due, stock_update};
use crate::stock::expiry::HoldReads;
use crate::stock::lots::back::{Origins, origins, parts_of};
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::lots::leaving::{self, Leaves};
use crate::stock::split::make_whole;
use crate::stock::taken_beyond::{Beyond, found_less_write};
use crate::stored_value::claims::stored_value_writes;
use crate::tenancy::TenantScope;
use crate::tenant_rules::tenant_rules;

/// Stock updates per chunk: a transaction takes 100 actions, two are the plan and the chunk record.
pub const CHUNK_MOVES: usize = 98;
/// The same where the cart holds what it sells: as many hold lines end for each as there can be.
const CHUNK_MOVES_HELD: usize = CHUNK_MOVES / (1 + HOLDS_PER_SKU_MAX);
/// The same where lots are named: what comes back of a lot writes two actions more.
const CHUNK_MOVES_OF_LOTS: usize = 24;

/// Attribute of a plan whose cart holds what it sells: moves in each of its chunks.
const CHUNK_MOVES_NAME: &str = "chunk_moves";

/// After this time without an end, scheduled recovery continues a plan.
const RECOVERY_AFTER_SECONDS: i64 = 30;
/// Attribute of a plan of a return: it may be known of which lots goods of it are.
const BRINGS_LOTS: &str = "brings_lots";
/// Attribute: when the order became final by our clock, in epoch milliseconds.
const COMMITTED_AT: &str = "committed_at";
/// A plan that recovery could not continue is let be for this time.
const POSTPONED_MILLIS: i64 = 120_000;

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanState {
    /// Chunks are being held.
    Reserving,
    /// The order is final; chunks are being settled.
    Committed,
    /// All done.
    Settled,
    /// Stock was short; chunks are being given back.
    Releasing,
    /// All given back; the cart is free again.
    Released,
}

impl PlanState {
    const ALL: [PlanState; 5] = [
        PlanState::Reserving,
        PlanState::Committed,
        PlanState::Settled,
        PlanState::Releasing,
        PlanState::Released,
    ];

    fn name(self) -> &'static str {
        match self {
            PlanState::Reserving => "reserving",
            PlanState::Committed => "committed",
            PlanState::Settled => "settled",
            PlanState::Releasing => "releasing",
            PlanState::Released => "released",
        }
    }
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanEnd {
    /// The order is final and its stock is settled.
    Finalized,
    /// Nothing happened: this was short.
    Released(Vec<Shortage>),
}

/// What the plan remembers of the command that began it, so that anyone can end it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Terms {
    moves: Vec<StockMove>,
    key: [u8; 10],
    fingerprint: [u8; 6],
    employee_id: String,
    occurred_at: Timestamp,
}

struct Plan {
    cart_id: String,
    attempt: u32,
    state: PlanState,
    cart_version: u64,
    store_id: String,
    register_id: String,
    kind: CartKind,
    terms: Terms,
    /// What it takes has left the shop: it is covered where it is short, never given up.
    offline: bool,
    /// What it used is counted above limits too.
    uses_above_limit: bool,
    /// What its register asked for it while it was cut off, where its lines do not come to that: minor units.
    asked_total: Option<i64>,
    /// When it was committed; `None` before, and of plans that did not note it.
    committed_at: Option<Timestamp>,
    /// Lines of the cart name lots.
    names_lots: bool,
    /// It may be known of which lots goods are that it brings back.
    brings_lots: bool,
    shortages: Vec<Shortage>,
    /// Moves in each of its chunks.
    chunk_moves: usize,
    /// Whether the cart holds what it sells, or did when the plan was made.
    is_held: bool,
}

impl Plan {
    fn of(item: &Item) -> Result<Plan> {
        let state = item.text("state")?;
        Ok(Plan {
            cart_id: item.text("cart_id")?.to_owned(),
            attempt: u32::try_from(item.number("attempt")?).map_err(Error::bug)?,
            state: PlanState::ALL
                .into_iter()
                .find(|s| s.name() == state)
                .ok_or_else(|| Error::Bug(format!("unknown plan state {state}")))?,
            cart_version: u64::try_from(item.number("cart_version")?).map_err(Error::bug)?,
            store_id: item.text("store_id")?.to_owned(),
            register_id: item.text("register_id")?.to_owned(),
            kind: if item.text("kind")? == "return" { CartKind::Return } else { CartKind::Sale },
            terms: compact::decode(item.bytes("terms")?).map_err(Error::bug)?,
            offline: item.opt_number("offline").is_some(),
            uses_above_limit: item.opt_number("offline").is_some()
                && item.opt_number("uses_within_limit").is_none(),
            asked_total: item.opt_number("asked_total"),
            committed_at: item
                .opt_number(COMMITTED_AT)
                .map(Timestamp::from_millisecond)
                .transpose()
                .map_err(Error::bug)?,
            names_lots: item.opt_number("names_lots").is_some(),
            brings_lots: item.opt_number(BRINGS_LOTS).is_some(),
            shortages: match item.opt_text("shortages") {
                Some(_) => item.json("shortages")?,
                None => Vec::new(),
            },
            chunk_moves: match item.opt_number(CHUNK_MOVES_NAME) {
                Some(moves) => usize::try_from(moves).map_err(Error::bug)?.max(1),
                None => CHUNK_MOVES,
            },
            is_held: item.opt_number(CHUNK_MOVES_NAME).is_some(),
        })
    }

    /// The sale, as it was made while its register was cut off, or before its stock was told.
    fn offline_sale<'p>(&'p self, cart: &'p Cart, now: Timestamp) -> OfflineSale<'p> {
        OfflineSale {
            beyond: if self.offline { Beyond::Offline } else { Beyond::Unsynced },
            cart,
            register_id: &self.register_id,
            employee_id: &self.terms.employee_id,
            at: self.terms.occurred_at,
            now,
        }
    }

    /// When what it takes must be good: now, or when a register sold it that was cut off then.
    fn good_at(&self, now: Timestamp) -> Timestamp {
        if self.offline { self.terms.occurred_at } else { now }
    }

    /// When what it took was sold.
    fn sold_at(&self) -> Timestamp {
        self.good_at(self.committed_at.unwrap_or(self.terms.occurred_at))
    }

    fn chunks(&self) -> impl Iterator<Item = (u32, &[StockMove])> {
        let most = if self.names_lots { CHUNK_MOVES_OF_LOTS } else { CHUNK_MOVES };
        (0_u32..).zip(self.terms.moves.chunks(self.chunk_moves.min(most)))
    }

    fn movement(&self, kind: &'static str) -> Movement {
        Movement {
            kind,
            reference: self.cart_id.clone(),
            actor: self.terms.employee_id.clone(),
            at: self.terms.occurred_at,
            reason: None,
        }
    }

    /// The condition that this attempt is still in `state`.
    fn is_in(&self, state: PlanState) -> Condition {
        Condition::All(vec![
            Condition::Eq("attempt", i64::from(self.attempt).into()),
            Condition::Eq("state", state.name().into()),
        ])
    }

    fn advance(
        &self,
        scope: &TenantScope,
        from: PlanState,
        to: PlanState,
        mut changes: Vec<Change>,
    ) -> Write {
        changes.push(Change::Set("state", to.name().into()));
        if matches!(to, PlanState::Settled | PlanState::Released) {
            changes.extend([Change::Remove("due_pk"), Change::Remove("due_at")]);
        }
        Write::Update {
            table: Table::Orders,
            key: scope.plan(&self.cart_id),
            changes,
            condition: Some(self.is_in(from)),
        }
    }

    fn advance_chunk(&self, scope: &TenantScope, chunk: u32, to: &'static str) -> Write {
        Write::Update {
            table: Table::Orders,
            key: scope.chunk(&self.cart_id, self.attempt, chunk),
            changes: vec![Change::Set("state", to.into())],
            condition: Some(Condition::Eq("state", "held".into())),
        }
    }
}

/// Puts a plan for `cart` and marks the cart. Answers why it should be looked at again, or `None`. `brings_lots`: it may
/// be known of which lots goods are that come back.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub async fn begin(
    ports: &Ports,
    context: &CommandContext,
    cart: &Cart,
    moves: &[StockMove],
    brings_lots: bool,
) -> Result<Option<String>> {
    let scope = &context.caller.scope;
    let key = scope.plan(&cart.id);
    let get = Get { table: Table::Orders, key: key.clone(), consistency: Consistency::Strong };
    let previous = ports.database.get(get).await?;
    let (attempt, condition) = match &previous {
        None => (1, Condition::NotExists),
        Some(item) => {
            let before = item.number("attempt")?;
            let condition = Condition::All(vec![
                Condition::Eq("attempt", before.into()),
                Condition::Eq("state", PlanState::Released.name().into()),
            ]);
            (before + 1, condition)
        }
    };
    let terms = Terms {
        moves: moves.to_vec(),
        key: context.identity.key,
        fingerprint: context.identity.fingerprint,
        employee_id: context.employee_id.clone(),
        occurred_at: context.occurred_at,
    };
    let stored = i64::try_from(cart.version).map_err(Error::bug)?;
    let held =
        if cart.holds.is_empty() { None } else { Some(i64::try_from(CHUNK_MOVES_HELD).map_err(Error::bug)?) };
    let due = context.now.checked_add(Span::new().seconds(RECOVERY_AFTER_SECONDS)).map_err(Error::bug)?;
    let item = Item::new(&key)
        .with(
            "kind",
            match cart.kind {
                CartKind::Sale => "sale",
                CartKind::Return => "return",
            },
        )
        .with("tenant_id", scope.tenant_id())
        .with("cart_id", cart.id.as_str())
        .with("attempt", attempt)
        .with("state", PlanState::Reserving.name())
        .with("cart_version", stored + 1)
        .with("store_id", cart.store_id.as_str())
        .with("register_id", context.register_id.as_str())
        .with("terms", compact::encode(&terms).map_err(Error::bug)?)
        .with("due_pk", due_partition(&cart.id).value())
        .with("due_at", due.as_millisecond())
        .with_some(CHUNK_MOVES_NAME, held)
        .with_some("offline", context.offline.then_some(1))
        .with_some("names_lots", (!cart.lots.is_empty()).then_some(1))
        .with_some(BRINGS_LOTS, brings_lots.then_some(1))
        .with_some("uses_within_limit", (context.offline && !context.uses_above_limit).then_some(1))
        .with_some("asked_total", cart.course.asked_total);
    let mark = Write::Update {
        table: Table::Orders,
        key: scope.cart(&cart.id),
        changes: vec![
            Change::Set("plan_attempt", attempt.into()),
            Change::Set("version", (stored + 1).into()),
        ],
        condition: Some(Condition::All(vec![
            Condition::Eq("version", stored.into()),
            Condition::Lacks("plan_attempt"),
        ])),
    };
    let put = Write::Put { table: Table::Orders, item, condition: Some(condition) };
    match ports.database.transact(vec![put, mark]).await {
        Ok(()) => Ok(None),
        Err(error) => lost_race(error).map(Some),
    }
}

fn due_partition(cart_id: &str) -> Partition {
    keys::due("plan", spread(cart_id))
}

/// Continues the plan of a cart to its end, wherever it stands.
///
/// # Errors
/// [`Error::Conflict`] when too many races were lost; [`Error::Retryable`]; 409 where a return has
/// meanwhile come back another way (its plan is released first).
pub async fn drive(ports: &Ports, scope: &TenantScope, cart_id: &str, now: Timestamp) -> Result<PlanEnd> {
    let mut retries = Retries::new(ports.environment.as_ref(), now);
    let mut covers = 0;
    let mut known = (KnownCounts::default(), HoldReads::default());
    loop {
        let get = Get { table: Table::Orders, key: scope.plan(cart_id), consistency: Consistency::Strong };
        let Some(item) = retries.answered(ports.database.get(get).await).await? else { continue };
        let item = item.ok_or_else(|| Error::Bug(format!("cart {cart_id} has no plan")))?;
        let plan = Plan::of(&item)?;
        let step = match plan.state {
            PlanState::Settled => return Ok(PlanEnd::Finalized),
            PlanState::Released => return Ok(PlanEnd::Released(plan.shortages)),
            PlanState::Reserving => match reserve(ports, scope, &plan, &mut known, now).await? {
                Step::Done => commit(ports, scope, &plan, now).await?,
                other => other,
            },
            PlanState::Committed => end_chunks(ports, scope, &plan, (PlanState::Settled, now)).await?,
            PlanState::Releasing => end_chunks(ports, scope, &plan, (PlanState::Released, now)).await?,
        };
        match step {
            // Each step moves the plan on; what it is now is read again.
            Step::Done => {}
            Step::Again(why) => retries.again(&why).await?,
            Step::Covered => {
                covers += 1;
                if covers > plan.chunks().count() {
                    retries.again("others took the stock that was covered").await?;
                }
            }
            Step::GiveUp(shortages) => {
                let changes = vec![Change::Set(
                    "shortages",
                    serde_json::to_string(&shortages).map_err(Error::bug)?.into(),
                )];
                let give_up = plan.advance(scope, PlanState::Reserving, PlanState::Releasing, changes);
                match ports.database.write(give_up).await {
                    Ok(()) | Err(DatabaseError::ConditionFailed(_)) => {}
                    Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
                    Err(error) => retries.again(&error.to_string()).await?,
                }
            }
        }
    }
}

/// Sees the plan of a cart that was found final to its end, if it was made final by one.
///
/// # Errors
/// Those of [`drive`].
pub async fn end(ports: &Ports, scope: &TenantScope, cart_id: &str, now: Timestamp) -> Result<()> {
    let get = Get { table: Table::Orders, key: scope.plan(cart_id), consistency: Consistency::Strong };
    if ports.database.get(get).await?.is_some() {
        drive(ports, scope, cart_id, now).await?;
    }
    Ok(())
}

enum Step {
    Done,
    Again(String),
    /// What a chunk was short of is there now.
    Covered,
    GiveUp(Vec<Shortage>),
}

/// The record of a chunk.
struct Chunk {
    state: String,
    /// How many of its moves are settled, from the first on, while it is held.
    settled_moves: usize,
}

impl Chunk {
    fn of(item: &Item) -> Result<Chunk> {
        let settled_moves = item.opt_number(SETTLED_MOVES).unwrap_or(0);
        Ok(Chunk {
            state: item.text("state")?.to_owned(),
            settled_moves: usize::try_from(settled_moves).map_err(Error::bug)?,
        })
    }
}

/// Which chunks have a record.
async fn chunks_of(ports: &Ports, scope: &TenantScope, plan: &Plan) -> Result<Vec<Option<Chunk>>> {
    let gets = plan
        .chunks()
        .map(|(chunk, _)| Get {
            table: Table::Orders,
            key: scope.chunk(&plan.cart_id, plan.attempt, chunk),
            consistency: Consistency::Strong,
        })
        .collect();
    let items = ports.database.get_many(gets).await?;
    items.iter().map(|item| item.as_ref().map(Chunk::of).transpose()).collect()
}

/// Holds every chunk that is not held yet.
async fn reserve(
    ports: &Ports,
    scope: &TenantScope,
    plan: &Plan,
    (known_counts, hold_reads): &mut (KnownCounts, HoldReads),
    now: Timestamp,
) -> Result<Step> {
    let chunks = chunks_of(ports, scope, plan).await?;
    let movement = plan.movement("hold");
    // No command changes the cart while its plan runs.
    let holds =
        if plan.is_held { cart_of_plan(ports, scope, plan).await?.holds } else { CartHolds::default() };
    for (chunk, moves) in plan.chunks() {
        let position = usize::try_from(chunk).unwrap_or(usize::MAX);
        if chunks.get(position).is_some_and(Option::is_some) {
            continue;
        }
        let check = Write::Check {
            table: Table::Orders,
            key: scope.plan(&plan.cart_id),
            condition: plan.is_in(PlanState::Reserving),
        };
        let record = Write::Put {
            table: Table::Orders,
            item: Item::new(&scope.chunk(&plan.cart_id, plan.attempt, chunk)).with("state", "held"),
            condition: Some(Condition::NotExists),
        };
        let mut writes = vec![check, record];
        let (mut of, mut held) = (Vec::new(), Vec::new());
        let left = plan.offline.then_some((plan.terms.occurred_at, &*known_counts));
        let takable = Takable { good_at: plan.good_at(now), left };
        // What comes back needs no holding: a return's chunks are held by their record alone.
        if plan.is_held {
            let what = (plan.cart_id.as_str(), plan.store_id.as_str(), &holds);
            match chunk_writes(ports, scope, what, (moves, &movement, &takable), now).await? {
                Ok((stock, located)) => {
                    writes.extend(stock.writes);
                    writes.extend(stock.lines);
                    (of, held) = (stock.of, located);
                }
                Err(why) => return Ok(Step::Again(why)),
            }
        } else if plan.kind == CartKind::Sale {
            let hold = |m: &StockMove| Delta::hold(m.sellable);
            let stock = StockWrites::of_whole(scope, &plan.store_id, moves, hold, &movement, &takable);
            writes.extend(stock.writes);
            of = stock.of;
        }
        match ports.database.transact(writes).await {
            Ok(()) => {}
            Err(DatabaseError::Cancelled(reasons)) => {
                if let Some(Cancellation::ConditionFailed(_)) = reasons.first() {
                    return Ok(Step::Again("the plan has moved on".to_owned()));
                }
                if let Some(Cancellation::ConditionFailed(_)) = reasons.get(1) {
                    // Somebody else holds this chunk already.
                    continue;
                }
                match read_reasons(&reasons, 2, moves, &of)? {
                    Attempt::Short(shortages) => {
                        let beside = |short: Shortage| match held_of(&held, &short.sku) {
                            Quantity::ZERO => short,
                            held => short.beside(held),
                        };
                        let shortages: Vec<Shortage> = shortages.into_iter().map(beside).collect();
                        let counted = match plan.offline {
                            true => known_counts.unknown(&shortages, plan.terms.occurred_at),
                            false => Vec::new(),
                        };
                        if !counted.is_empty() {
                            let told = tell_counted(ports, scope, plan, chunk, &counted, now).await?;
                            if matches!(told, Step::Covered) {
                                known_counts.learn(&counted);
                            }
                            return Ok(told);
                        }
                        let what = (plan.store_id.as_str(), shortages.as_slice());
                        if free_expired_holds(ports, scope, what.0, what.1, hold_reads, now).await?.any {
                            return Ok(Step::Again("expired holds were freed".to_owned()));
                        }
                        let refused = match plan.offline {
                            true => Vec::new(),
                            false => match refused_of(ports, scope, &plan.store_id, &shortages, now).await {
                                Ok(refused) => refused,
                                Err(Error::Retryable { reason, .. }) => return Ok(Step::Again(reason)),
                                Err(error) => return Err(error),
                            },
                        };
                        if refused.is_empty() {
                            return cover_chunk(ports, scope, plan, chunk, &shortages, now).await;
                        }
                        return Ok(Step::GiveUp(refused));
                    }
                    Attempt::Split(split) => {
                        // What a chunk holds, it holds of the whole: it stays in the first part, however
                        // often the stock is split before the chunk ends.
                        for m in split.iter().filter_map(|(at, _)| moves.get(*at)) {
                            make_whole(ports, scope, &plan.store_id, &m.sku).await?;
                        }
                        return Ok(Step::Again("split stock was merged".to_owned()));
                    }
                    Attempt::LostRace(why) => return Ok(Step::Again(why)),
                    // No chunk claims anything.
                    Attempt::Refused(_) | Attempt::Contended(_) => {
                        return Err(Error::bug("a chunk has no claims"));
                    }
                    Attempt::Done => {}
                }
            }
            Err(DatabaseError::Invalid(what)) => return Err(Error::Bug(what)),
            Err(error) => return Ok(Step::Again(error.to_string())),
        }
    }
    Ok(Step::Done)
}

/// The cart that a plan makes final, or has.
async fn cart_of_plan(ports: &Ports, scope: &TenantScope, plan: &Plan) -> Result<Cart> {
    let get = Get { table: Table::Orders, key: scope.cart(&plan.cart_id), consistency: Consistency::Strong };
    let item = ports.database.get(get).await?;
    cart_of(item.as_ref().ok_or_else(|| Error::Bug(format!("plan without cart {}", plan.cart_id)))?)
}

/// That nobody holds a chunk yet, and somebody still wants to.
fn not_held(scope: &TenantScope, plan: &Plan, chunk: u32) -> [Write; 2] {
    [
        Write::Check {
            table: Table::Orders,
            key: scope.plan(&plan.cart_id),
            condition: plan.is_in(PlanState::Reserving),
        },
        Write::Check {
            table: Table::Orders,
            key: scope.chunk(&plan.cart_id, plan.attempt, chunk),
            condition: Condition::NotExists,
        },
    ]
}

/// Tells of what of a chunk left the shop before it was counted, while nobody holds the chunk.
async fn tell_counted(
    ports: &Ports,
    scope: &TenantScope,
    plan: &Plan,
    chunk: u32,
    counted: &[Shortage],
    now: Timestamp,
) -> Result<Step> {
    let cart = cart_of_plan(ports, scope, plan).await?;
    let sale = plan.offline_sale(&cart, now);
    Ok(match tell(ports, scope, &sale, &not_held(scope, plan, chunk), counted).await? {
        Covered::Done => Step::Covered,
        Covered::Again(why) => Step::Again(why),
    })
}

/// Covers what a chunk is short of that stands all the same, while nobody holds the chunk.
async fn cover_chunk(
    ports: &Ports,
    scope: &TenantScope,
    plan: &Plan,
    chunk: u32,
    shortages: &[Shortage],
    now: Timestamp,
) -> Result<Step> {
    let cart = cart_of_plan(ports, scope, plan).await?;
    let sale = plan.offline_sale(&cart, now);
    Ok(match cover(ports, scope, &sale, &not_held(scope, plan, chunk), shortages).await? {
        Covered::Done => Step::Covered,
        Covered::Again(why) => Step::Again(why),
    })
}

/// Makes the order final: plan, order, lane and what came back, in one transaction.
async fn commit(ports: &Ports, scope: &TenantScope, plan: &Plan, now: Timestamp) -> Result<Step> {
    let gets = vec![
        Get { table: Table::Orders, key: scope.cart(&plan.cart_id), consistency: Consistency::Strong },
        lane_get(scope, &plan.store_id, &plan.register_id),
        catalog_get(scope.location(&plan.store_id)),
    ];
    let read = match ports.database.get_many(gets).await {
        Ok(read) => read,
        Err(error) if error.is_transient() => return Ok(Step::Again(error.to_string())),
        Err(error) => return Err(error.into()),
    };
    let at = |position: usize| read.get(position).and_then(Option::as_ref);
    let mut cart = cart_of(at(0).ok_or_else(|| Error::Bug(format!("plan without cart {}", plan.cart_id)))?)?;
    if cart.version != plan.cart_version {
        return Ok(Step::Again("the plan has moved on".to_owned()));
    }
    let location = location_of(at(2).ok_or_else(|| Error::Bug(format!("no location {}", plan.store_id)))?)?;
    let mut lane = LaneState::of(at(1))?;
    let needs_shift = match tenant_rules(ports, scope, now).await {
        Ok(rules) => rules.settings.sale_needs_open_shift,
        Err(Error::Retryable { reason, .. }) => return Ok(Step::Again(reason)),
        Err(error) => return Err(error),
    };
    if needs_shift {
        // The shift was closed since the plan began: nothing of it happens, and who asks again is told.
        lane = match lane.within_open_shift(&plan.register_id) {
            Err(Error::Rejected(_)) => return Ok(Step::GiveUp(Vec::new())),
            lane => lane?,
        };
    }
    if let Some(step) = found_less(ports, scope, plan, now).await? {
        return Ok(step);
    }
    if let Some(asked) = plan.asked_total {
        let asked = Money { amount: asked, currency: cart.currency };
        let kept = match plan.kind {
            CartKind::Sale => cart.keep_at_asked_total(asked),
            CartKind::Return => cart.keep_as_given(),
        };
        if kept.is_err() {
            return Ok(Step::GiveUp(Vec::new()));
        }
    }
    let returned = match returned_writes(ports, scope, &cart).await {
        Ok(returned) => returned,
        Err(Error::Rejected(_)) => return Ok(Step::GiveUp(Vec::new())),
        Err(error) => return Err(error),
    };
    let task = asked_total::task_write(scope, &plan.offline_sale(&cart, now))?;
    let beyond = plan.uses_above_limit.then(|| plan.offline_sale(&cart, now));
    let mut claims = match use_claims(ports, scope, &cart, true, beyond.as_ref()).await {
        Ok(claims) => claims,
        Err(Error::Rejected(_)) => return Ok(Step::GiveUp(Vec::new())),
        Err(error) => return Err(error),
    };
    let stored_value = stored_value_writes(scope, &[&cart], now)?;
    claims.extend(stored_value.claims);
    mark_final(&mut cart, &location, &lane, &plan.register_id, plan.terms.occurred_at, now)?;
    let identity = CommandIdentity { key: plan.terms.key, fingerprint: plan.terms.fingerprint };
    cart.applied.record_last(&identity, Outcome::Finalized);
    let committed_at = vec![Change::Set(COMMITTED_AT, now.as_millisecond().into())];
    let mut writes = vec![plan.advance(scope, PlanState::Reserving, PlanState::Committed, committed_at)];
    writes.extend(final_writes(scope, &cart, Some(plan.cart_version), &lane)?);
    writes.extend(returned);
    writes.extend(task);
    writes.extend(stored_value.movements);
    let first_claim = writes.len();
    writes.extend(claims.iter().map(|claim| claim.write.clone()));
    match ports.database.transact(writes).await {
        Ok(()) => Ok(Step::Done),
        Err(DatabaseError::Invalid(what)) => Err(Error::Bug(what)),
        Err(DatabaseError::Cancelled(reasons)) => match refused_claim(&reasons, first_claim, &claims) {
            Some(Error::Conflict(why)) => Ok(Step::Again(why)),
            // Whoever asks next is told why: the cart is free again then.
            Some(_) => Ok(Step::GiveUp(Vec::new())),
            // Not told with the items that were in the way: they may be gift cards.
            None => Ok(Step::Again(lost_race(DatabaseError::Cancelled(reasons))?)),
        },
        Err(error) => Ok(Step::Again(lost_race(error)?)),
    }
}

/// What is to be done, before an order is final, where less is there than its plan holds: a count found so, or a lot's
/// day is over. `None`: all is there, or has left the shop anyway. What changes after this look is seen to when the
/// chunks are settled.
async fn found_less(ports: &Ports, scope: &TenantScope, plan: &Plan, now: Timestamp) -> Result<Option<Step>> {
    if plan.kind != CartKind::Sale || plan.offline {
        return Ok(None);
    }
    let get = |wanted: &StockMove| Get {
        table: Table::Stock,
        key: scope.stock(&plan.store_id, &wanted.sku),
        consistency: Consistency::Strong,
    };
    let items = match ports.database.get_many(plan.terms.moves.iter().map(get).collect()).await {
        Ok(items) => items,
        Err(error) if error.is_transient() => return Ok(Some(Step::Again(error.to_string()))),
        Err(error) => return Err(error.into()),
    };
    let (mut is_aside, mut short) = (false, Vec::new());
    for (wanted, item) in plan.terms.moves.iter().zip(&items) {
        let seen = item.as_ref().map(Counters::of).transpose()?;
        let name = (plan.store_id.as_str(), wanted.sku.as_str());
        is_aside |= keep_aside_if_due(ports, scope, name, seen.as_ref(), now).await?;
        let on_hand = seen.map_or(0, |seen| seen.on_hand);
        if on_hand < wanted.sellable.thousandths() {
            // What can be taken for this order is what lies there.
            let available = Quantity::of_counter(on_hand.max(0));
            short.push(Shortage { available, ..Shortage::of(wanted, item.as_ref()) });
        }
    }
    if is_aside {
        return Ok(Some(Step::Again("lots past their day were kept aside".to_owned())));
    }
    let refused = match refused_of(ports, scope, &plan.store_id, &short, now).await {
        Ok(refused) => refused,
        Err(Error::Retryable { reason, .. }) => return Ok(Some(Step::Again(reason))),
        Err(error) => return Err(error),
    };
    Ok((!refused.is_empty()).then_some(Step::GiveUp(refused)))
}

/// Continues plans whose time has passed, over all tenants; answers how many were looked at. Of two runs
/// each begins elsewhere, and begins with no plan after `deadline`. A plan that cannot be continued now
/// stands behind the others for a while: some take as long as they are let.
///
/// # Errors
/// [`Error::Retryable`] where the index cannot be read.
pub async fn recover(ports: &Ports, now: Timestamp, most: usize, deadline: Timestamp) -> Result<usize> {
    let work = DueWork { table: Table::Orders, kind: "plan", now, most, deadline };
    walk_due(ports, work, async |item| {
        let scope = TenantScope::from_own_record(item.text("tenant_id")?);
        let cart_id = item.text("cart_id")?;
        // Its time to lose races begins now, not with the run.
        let begun = now.max(ports.environment.now());
        if let Err(error) = drive(ports, &scope, cart_id, begun).await {
            tracing::warn!(cart_id, %error, "a plan could not be continued");
            postpone(ports, Table::Orders, &item, now.as_millisecond().saturating_add(POSTPONED_MILLIS))
                .await;
        }
        Ok(())
    })
    .await
}
