//! What one command changes of what its cart holds: more of what was added, less of what was taken away, nothing of
//! what was given up. All of it goes into the transaction that writes the cart.
//!
//! What a command would do is reckoned from the cart as it was read, and from stock that is looked at where that is
//! needed; each write stands on what was seen. Where that is so no more, nothing is written and all is looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tillstream_domain::cart::{Cart, CartHold, HOLDS_PER_SKU_MAX, StockMove};
use tillstream_domain::quantity::Quantity;
use tillstream_domain::stock_policies::{CartStock, StockPolicies, UnsyncedStock};

use super::cart_holds::{hold_movement, line_of, named};
use super::cart_write::Executed;
use super::claims::Claim;
use super::context::CommandContext;
use super::shortage::Shortage;
use crate::database::{Condition, Consistency, Write};
use crate::environment::Retries;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::expiry::{HoldReads, free_enough};
use crate::stock::holds::{Ending, Located, end_holds, locate, standing_lines};
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::listing::StockName;
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::split::make_whole;
use crate::stock::standing::{Standing, standing_together, standings};

/// Most writes of holds beside a cart, its marker and an approval.
const WRITES_MAX: usize = 96;
/// So often a command looks again at once; then it waits in between.
const LOOKS_AT_ONCE: u32 = 8;
/// Why a command is tried again: what it held on was not so any more.
const MOVED: &str = "what a cart would hold has changed";

/// What was looked at of one SKU.
struct Seen {
    /// What the cart named of it.
    record: Vec<CartHold>,
    /// What stands of that, and where it counts.
    lines: Vec<Located>,
    /// Its stock.
    stock: Option<Standing>,
    /// Whether all parts of that are as of one moment.
    is_of_one_moment: bool,
}

/// What must be done before a command can be tried again.
enum First {
    /// These SKUs are looked at, of which the cart names these holds.
    Look(Vec<(String, Vec<CartHold>)>),
    /// All parts of a layout are looked at as of one moment.
    LookTogether(String, i64),
    /// So many thousandths are freed of what others do not hold any more.
    Free(String, i64),
    /// Split stock is merged.
    Merge(String),
}

/// What becomes of the holds of one SKU.
enum Step {
    /// It has to be looked at first.
    Look,
    /// Something else comes first.
    First(First),
    /// There is too little.
    Short(Shortage),
    /// Nothing.
    AsIs,
    /// The cart holds these, by these writes.
    Holds(Vec<CartHold>, Vec<Write>),
}

/// What one command changes of what its cart holds. A cart that holds nothing, at a store that has no such policy,
/// costs nothing.
pub(super) struct CartHolding<'a> {
    ports: &'a Ports,
    context: &'a CommandContext,
    cart_id: String,
    /// When what is held from now on is over, in epoch milliseconds; `None`: nothing more is held.
    until: Option<i64>,
    allows_unsynced: bool,
    seen: BTreeMap<String, Seen>,
    first: Option<First>,
    /// SKUs of which there is nothing more to free.
    nothing_expired: BTreeSet<String>,
    /// What was read of hold lines.
    hold_reads: HoldReads,
    /// Lines are looked for that the cart does not name, too.
    looks_for_unnamed: bool,
    looks: u32,
    retries: Retries<'a>,
    /// What the cart would be, and what is short of it.
    short: Option<(Cart, Vec<Shortage>)>,
}

impl<'a> CartHolding<'a> {
    /// Of a command that may add: as the policies of its store have it. What a register did while it was cut off holds
    /// nothing.
    pub fn new(
        ports: &'a Ports,
        context: &'a CommandContext,
        cart_id: &str,
        policies: StockPolicies,
    ) -> Self {
        let holds = policies.at_cart == CartStock::Hold && !context.offline;
        let millis = i64::from(policies.hold_minutes).saturating_mul(60_000);
        let until = holds.then(|| context.now.as_millisecond().saturating_add(millis));
        let allows_unsynced = policies.unsynced == UnsyncedStock::Allow;
        CartHolding { until, allows_unsynced, ..Self::giving_back(ports, context, cart_id) }
    }

    /// Of a command that only takes away.
    pub fn giving_back(ports: &'a Ports, context: &'a CommandContext, cart_id: &str) -> Self {
        CartHolding {
            ports,
            context,
            cart_id: cart_id.to_owned(),
            until: None,
            allows_unsynced: false,
            seen: BTreeMap::new(),
            first: None,
            nothing_expired: BTreeSet::new(),
            hold_reads: HoldReads::default(),
            looks_for_unnamed: false,
            looks: 0,
            retries: Retries::new(ports.environment.as_ref(), context.now),
            short: None,
        }
    }

    /// Whether what is added is held.
    pub fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// Looks at SKUs of which the cart mostly holds nothing yet.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look_ahead(&mut self, skus: Vec<String>) -> Result<()> {
        self.look(skus.into_iter().map(|sku| (sku, Vec::new())).collect()).await
    }

    /// Makes `cart`, as a command would leave it, hold what its line `more_of` takes, as far as anything is held, and
    /// nothing that it does not sell any more; answers with what that writes.
    ///
    /// # Errors
    /// What [`Self::again`] sees to, or the caller makes a refusal of ([`Self::short`]).
    pub fn settle(&mut self, cart: &mut Cart, more_of: Option<u32>) -> Result<Vec<Claim>> {
        let steps = self.steps(cart, more_of);
        self.apply(cart, steps)
    }

    /// What becomes of the holds of each SKU that a command is about.
    fn steps(&self, cart: &Cart, more_of: Option<u32>) -> Vec<(String, Step)> {
        let line = more_of.and_then(|number| cart.lines.iter().find(|line| line.number == number));
        let taken = line.into_iter().flat_map(|line| cart.stock_of(line)).map(|(sku, ..)| sku.to_owned());
        let (more, until): (BTreeSet<String>, i64) = match self.until {
            Some(until) => (taken.collect(), until),
            None => (BTreeSet::new(), 0),
        };
        if more.is_empty() && cart.holds.is_empty() {
            return Vec::new();
        }
        let moves = cart.stock_moves();
        let sold = |sku: &str| {
            let at = moves.binary_search_by(|one| one.sku.as_str().cmp(sku)).ok();
            at.and_then(|at| moves.get(at))
        };
        let mut steps = Vec::new();
        for sku in &more {
            if let Some(wanted) = sold(sku) {
                steps.push((sku.clone(), self.grow(cart, wanted, until)));
            }
        }
        for sku in cart.holds.skus().filter(|sku| !more.contains(*sku)) {
            let left = sold(sku).map_or(Quantity::ZERO, |one| one.sellable);
            if left < cart.holds.named(sku) {
                steps.push((sku.to_owned(), self.shrink(cart, sku, left)));
            }
        }
        steps
    }

    /// Makes a cart that is given up hold nothing. What is too much for one transaction it goes on naming, for
    /// [`give_back_rest`](super::cart_holds::give_back_rest).
    ///
    /// # Errors
    /// What [`Self::again`] sees to.
    pub fn end(&mut self, cart: &mut Cart) -> Result<Vec<Claim>> {
        if cart.holds.len() * 2 > WRITES_MAX {
            return Ok(Vec::new());
        }
        let given_up: &Cart = cart;
        let step = |sku: &str| (sku.to_owned(), self.shrink(given_up, sku, Quantity::ZERO));
        let steps = given_up.holds.skus().map(step).collect();
        self.apply(cart, steps)
    }

    fn apply(&mut self, cart: &mut Cart, steps: Vec<(String, Step)>) -> Result<Vec<Claim>> {
        let (mut unseen, mut short, mut first, mut done) = (Vec::new(), Vec::new(), None, Vec::new());
        for (sku, step) in steps {
            match step {
                Step::Look => {
                    let record = cart.holds.of(&sku).to_vec();
                    unseen.push((sku, record));
                }
                Step::First(what) => first = first.or(Some(what)),
                Step::Short(shortage) => short.push(shortage),
                Step::AsIs => {}
                Step::Holds(holds, writes) => done.push((sku, holds, writes)),
            }
        }
        if !unseen.is_empty() {
            first = Some(First::Look(unseen));
        }
        if first.is_none() && done.iter().map(|(.., writes)| writes.len()).sum::<usize>() > WRITES_MAX {
            // Held by so many parts no transaction takes it; merged, each SKU is one change of stock.
            let spread = done.iter().find(|(sku, ..)| self.is_spread(sku));
            first = spread.map(|(sku, ..)| First::Merge(sku.clone()));
        }
        if let Some(first) = first {
            self.first = Some(first);
            return Err(Error::retryable("the stock is looked at first"));
        }
        if !short.is_empty() {
            self.short = Some((cart.clone(), short));
            return Err(Refusal::conflict("insufficient_stock", "not enough is available").into());
        }
        let mut claims: Vec<Claim> = Vec::new();
        for (sku, holds, writes) in done {
            if claims.len() + writes.len() > WRITES_MAX {
                // A command is about one line. What is left besides is given back when the cart becomes final.
                continue;
            }
            cart.holds.set(&sku, holds);
            claims.extend(writes.into_iter().map(claim));
        }
        Ok(claims)
    }

    /// Whether what a cart holds of a SKU was seen to count at several parts.
    fn is_spread(&self, sku: &str) -> bool {
        let is_at_part = |line: &Located| matches!(line.place, Place::Part { .. });
        self.seen.get(sku).is_some_and(|seen| seen.lines.iter().any(is_at_part))
    }

    /// What was looked at of a SKU, if the cart names of it what it named then.
    fn seen_of(&self, cart: &Cart, sku: &str) -> Option<&Seen> {
        self.seen.get(sku).filter(|seen| seen.record.as_slice() == cart.holds.of(sku))
    }

    /// Holds what the whole cart takes of a SKU, all of it until then.
    fn grow(&self, cart: &Cart, wanted: &StockMove, until: i64) -> Step {
        let scope = &self.context.caller.scope;
        let Some(seen) = self.seen_of(cart, &wanted.sku) else { return Step::Look };
        let own = seen.lines.iter().fold(Quantity::ZERO, |sum, line| sum.plus(line.hold.quantity));
        let needed = wanted.sellable.minus(own);
        if needed < Quantity::ZERO {
            return self.reduced(&seen.lines, wanted.sellable);
        }
        let (mut holds, mut writes) = (Vec::new(), Vec::new());
        let mut part_of_more = None;
        if needed > Quantity::ZERO {
            let is_there = |stock: &&Standing| stock.total().available >= needed.thousandths();
            let Some(stock) = seen.stock.as_ref().filter(is_there) else {
                return self.lacking(seen, wanted, own);
            };
            let Some((part, counters)) = self.part_for(stock, &seen.lines, needed) else {
                return Step::First(First::Merge(wanted.sku.clone()));
            };
            let more = CartHold { part, layout: stock.layout(), quantity: needed, expires_at: until };
            let more = line_of(&cart.id, &cart.store_id, &wanted.sku, &more);
            let movement = hold_movement(self.context, &cart.id, "hold");
            let [line, stock] = more.place(scope, &counters, &movement);
            writes.push(stock);
            if !seen.lines.iter().any(|line| line.hold.part == part) {
                writes.push(line);
                holds.push(named(&more, needed, until));
            }
            part_of_more = Some(part);
        }
        for line in seen.lines.iter().map(|located| &located.hold) {
            let is_more = part_of_more == Some(line.part);
            let quantity = if is_more { line.quantity.plus(needed) } else { line.quantity };
            // Never sooner than it was: others rely on when the first hold ends.
            let until = until.max(line.expires_at);
            writes.push(line.amend(scope, quantity, until));
            holds.push(named(line, quantity, until));
        }
        holds.sort_by_key(|hold| hold.part);
        Step::Holds(holds, writes)
    }

    /// From which part so many are held: one where the cart holds already, else any that suffices. `None` where only
    /// all together do, or the cart would hold by too many.
    fn part_for(&self, stock: &Standing, lines: &[Located], needed: Quantity) -> Option<(u32, Counters)> {
        let layout = stock.layout();
        let of_parts = lines.iter().filter(|line| line.hold.part > 0).count();
        let may = |part: u32| match lines.iter().find(|line| line.hold.part == part) {
            // A line of a layout that is past counts at the first part, and is in the way of another here.
            Some(line) => part == 0 || line.place == Place::Part { part, layout },
            None => part == 0 || of_parts + 1 < HOLDS_PER_SKU_MAX,
        };
        let fits: Vec<(u32, Counters)> = stock
            .numbered()
            .filter(|(part, seen)| seen.available >= needed.thousandths() && may(*part))
            .map(|(part, seen)| (part, *seen))
            .collect();
        let own = fits.iter().find(|(part, _)| lines.iter().any(|line| line.hold.part == *part));
        let random = self.ports.environment.random();
        let any = u64::try_from(fits.len()).ok().and_then(|count| random.checked_rem(count));
        own.or_else(|| fits.get(usize::try_from(any?).ok()?)).copied()
    }

    /// What becomes of a command that wants more of a SKU than was seen, where the cart holds so many by itself.
    fn lacking(&self, seen: &Seen, wanted: &StockMove, own: Quantity) -> Step {
        let sku = wanted.sku.clone();
        let total = seen.stock.as_ref().map(Standing::total);
        if let Some(stock) = &total {
            if stock.layout != LAYOUT_WHOLE && !seen.is_of_one_moment {
                // Parts were read one after another: what moved meanwhile is there although none showed it.
                return Step::First(First::LookTogether(sku, stock.layout));
            }
            if stock.may_have_expired_holds(self.context.now) && !self.nothing_expired.contains(&sku) {
                let needed = wanted.sellable.minus(own).thousandths() - stock.available;
                return Step::First(First::Free(sku, needed));
            }
        }
        let short = Shortage::over_all_parts(wanted, total.as_ref()).beside(own);
        // What nobody has told the stock of is let be where that is allowed: there is nothing to hold.
        if short.is_unsynced() && self.allows_unsynced { Step::AsIs } else { Step::Short(short) }
    }

    /// Gives back all that a cart holds of a SKU but so many.
    fn shrink(&self, cart: &Cart, sku: &str, left: Quantity) -> Step {
        if let Some(seen) = self.seen_of(cart, sku) {
            return self.reduced(&seen.lines, left);
        }
        let record = cart.holds.of(sku);
        let now = self.context.now.as_millisecond();
        if record.iter().any(|hold| hold.part > 0 || hold.has_expired(now)) {
            return Step::Look;
        }
        // What is not over stands, and what the first part holds counts there.
        let located = |hold: &CartHold| Located {
            hold: line_of(&cart.id, &cart.store_id, sku, hold),
            place: Place::First,
            left: Quantity::ZERO,
        };
        self.reduced(&record.iter().map(located).collect::<Vec<_>>(), left)
    }

    fn reduced(&self, lines: &[Located], left: Quantity) -> Step {
        let held = lines.iter().fold(Quantity::ZERO, |sum, line| sum.plus(line.hold.quantity));
        let mut due = held.minus(left);
        let (mut holds, mut ended) = (Vec::new(), Vec::new());
        for line in lines.iter().rev() {
            let given = line.hold.quantity.min(due).max(Quantity::ZERO);
            let stays = line.hold.quantity.minus(given);
            due = due.minus(given);
            if stays > Quantity::ZERO {
                holds.push(named(&line.hold, stays, line.hold.expires_at));
            }
            if given > Quantity::ZERO {
                ended.push(Located { left: stays, ..line.clone() });
            }
        }
        holds.sort_by_key(|hold| hold.part);
        let movement = hold_movement(self.context, &self.cart_id, "release");
        let ending = Ending::GiveBack(Condition::Exists);
        let ended = end_holds(&self.context.caller.scope, &ended, &ending, &movement);
        Step::Holds(holds, ended.into_iter().map(|(write, _)| write).collect())
    }

    /// What the cart would be, and what is short of it, where a command is refused for that.
    pub fn short(&mut self) -> Option<(Cart, Vec<Shortage>)> {
        self.short.take()
    }

    /// Whether a command is to be tried again, now that was done what comes before it.
    ///
    /// # Errors
    /// Those of the database; [`Error::Conflict`] when too many races were lost.
    pub async fn again(&mut self, done: &Result<Executed>) -> Result<bool> {
        let Err(error) = done else { return Ok(false) };
        let (ports, context) = (self.ports, self.context);
        let (scope, store_id) = (&context.caller.scope, context.store_id.as_str());
        let Some(first) = self.first.take() else {
            if !matches!(error, Error::Conflict(why) if why == MOVED) {
                return Ok(false);
            }
            self.seen.clear();
            self.looks_for_unnamed = true;
            self.retries.again(MOVED).await?;
            return Ok(true);
        };
        self.looks += 1;
        if self.looks > LOOKS_AT_ONCE {
            self.retries.again(MOVED).await?;
        }
        match first {
            First::Look(skus) => self.look(skus).await?,
            First::LookTogether(sku, layout) => {
                let database = ports.database.as_ref();
                match standing_together(database, scope, store_id, &sku, layout).await {
                    Ok(together) => {
                        let together = together?;
                        if together.is_none() {
                            // Another layout stands by now.
                            self.seen.remove(&sku);
                        } else if let Some(seen) = self.seen.get_mut(&sku) {
                            seen.stock = together;
                            seen.is_of_one_moment = true;
                        }
                    }
                    Err(error) if error.is_transient() => self.retries.again(&error.to_string()).await?,
                    Err(error) => return Err(error.into()),
                }
            }
            First::Free(sku, needed) => {
                let reads = &mut self.hold_reads;
                let freed = free_enough(ports, scope, (store_id, &sku), needed, reads, context.now).await?;
                self.seen.remove(&sku);
                if !freed.left {
                    self.nothing_expired.insert(sku);
                }
            }
            First::Merge(sku) => {
                make_whole(ports, scope, store_id, &sku).await?;
                self.seen.remove(&sku);
            }
        }
        Ok(true)
    }

    /// Looks at SKUs of which the cart names these holds.
    async fn look(&mut self, skus: Vec<(String, Vec<CartHold>)>) -> Result<()> {
        let (ports, context) = (self.ports, self.context);
        let (database, scope) = (ports.database.as_ref(), &context.caller.scope);
        let mut lines = Vec::new();
        for (sku, record) in &skus {
            lines.extend(record.iter().map(|hold| line_of(&self.cart_id, &context.store_id, sku, hold)));
            if self.looks_for_unnamed && record.iter().all(|hold| hold.part > 0) {
                // One that the cart does not know of, as after a restore, is in the way of another.
                let any = CartHold { part: 0, layout: 0, quantity: Quantity::ZERO, expires_at: 0 };
                lines.push(line_of(&self.cart_id, &context.store_id, sku, &any));
            }
        }
        // Before the stock: what is freed in between is then seen twice, and a condition tells; never not at all.
        let mut located = match lines.is_empty() {
            true => Vec::new(),
            false => locate(database, scope, standing_lines(database, scope, &lines).await?).await?,
        };
        let name = |(sku, _): &(String, Vec<CartHold>)| StockName {
            location_id: context.store_id.clone(),
            sku: sku.clone(),
        };
        let names: Vec<StockName> = skus.iter().map(name).collect();
        let mut stocks = standings(database, scope, &names, Consistency::Strong).await?;
        let mut was_kept_aside = false;
        for (name, stock) in names.iter().zip(&stocks) {
            let what = (name.location_id.as_str(), name.sku.as_str());
            let first = stock.as_ref().map(Standing::first);
            was_kept_aside |= keep_aside_if_due(ports, scope, what, first.as_ref(), context.now).await?;
        }
        if was_kept_aside {
            stocks = standings(database, scope, &names, Consistency::Strong).await?;
        }
        for ((sku, record), stock) in skus.into_iter().zip(stocks) {
            let (own, others): (Vec<_>, Vec<_>) =
                located.into_iter().partition(|line: &Located| line.hold.sku == sku);
            located = others;
            self.seen.insert(sku, Seen { record, lines: own, stock, is_of_one_moment: false });
        }
        Ok(())
    }
}

/// A write of a hold beside a cart's own. Where it does not hold nothing is refused: all is looked at again.
fn claim(write: Write) -> Claim {
    Claim { write, refused: Arc::new(|_| Error::Conflict(MOVED.to_owned())), unavailable: None }
}
