//! What is made sure of when something is added to a cart: with the policy `check`, that as much is available as the
//! cart has of it by then. Nothing is held: whoever becomes final first has it. With `hold`, that the cart holds it
//! ([`super::cart_holding`]). What a register sold while it was cut off has left the shop, and is never asked for.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_domain::cart::{Cart, StockMove};
use tillstream_domain::stock_policies::{CartStock, UnsyncedStock};

use super::cart_holding::CartHolding;
use super::cart_write::Executed;
use super::claims::Claim;
use super::context::CommandContext;
use super::shortage::{Shortage, insufficient_stock};
use crate::database::Consistency;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::listing::StockName;
use crate::stock::read::read_many;
use crate::tenant_rules::TenantRules;

/// The check of one command. Without the policy it reads nothing.
pub struct CartStockCheck<'a> {
    ports: &'a Ports,
    context: &'a CommandContext,
    is_on: bool,
    allows_unsynced: bool,
    /// The SKUs that were looked at, with their stock.
    seen: BTreeMap<String, Option<Counters>>,
    /// The SKUs that must be looked at first.
    unseen: Vec<String>,
    /// What the cart would be, and what is short of it.
    short: Option<(Cart, Vec<Shortage>)>,
    /// What the cart holds.
    holding: CartHolding<'a>,
}

impl<'a> CartStockCheck<'a> {
    /// Of a command on a cart, as the policies of its store have it.
    pub fn new(ports: &'a Ports, context: &'a CommandContext, cart_id: &str, rules: &TenantRules) -> Self {
        let policies = rules.stock_policies(&context.store_id);
        CartStockCheck {
            ports,
            context,
            is_on: policies.at_cart == CartStock::Check && !context.offline,
            allows_unsynced: policies.unsynced == UnsyncedStock::Allow,
            seen: BTreeMap::new(),
            unseen: Vec::new(),
            short: None,
            holding: CartHolding::new(ports, context, cart_id, policies),
        }
    }

    /// Looks at SKUs that will be asked for, if there is a policy.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look(&mut self, skus: Vec<String>) -> Result<()> {
        if self.holding.holds() {
            return self.holding.look_ahead(skus).await;
        }
        if !self.is_on {
            return Ok(());
        }
        let context = self.context;
        let name = |sku: &String| StockName { location_id: context.store_id.clone(), sku: sku.clone() };
        let names = skus.iter().map(name).collect();
        let scope = &context.caller.scope;
        // Expired holds are free, also before anybody wrote that.
        let found = read_many(self.ports, scope, names, Consistency::Strong, context.now).await?;
        self.seen.extend(skus.into_iter().map(|sku| (sku, None)));
        self.seen.extend(found.into_iter().map(|(name, stock)| (name.sku, Some(stock))));
        Ok(())
    }

    /// Sees to `cart` as a command would leave it: that it has no more than is available of what the line `more_of` takes,
    /// or holds that; and holds nothing that it does not sell any more. Answers with what that writes.
    ///
    /// # Errors
    /// What [`Self::answer`] makes an answer of.
    pub fn settle(&mut self, cart: &mut Cart, more_of: Option<u32>) -> Result<Vec<Claim>> {
        if let Some(number) = more_of {
            self.check(cart, number)?;
        }
        self.holding.settle(cart, more_of)
    }

    /// Whether `cart` has no more than is available of what a line takes: of itself, or of the components of a kit. All
    /// lines count that take the same.
    fn check(&mut self, cart: &Cart, number: u32) -> Result<()> {
        if !self.is_on {
            return Ok(());
        }
        // What no stock is kept of is always there: it takes nothing.
        let Some(line) = cart.lines.iter().find(|line| line.number == number) else { return Ok(()) };
        let taken: BTreeSet<&str> = cart.stock_of(line).map(|(sku, ..)| sku).collect();
        let is_unseen = |sku: &&str| !self.seen.contains_key(*sku);
        let unseen: Vec<String> = taken.iter().copied().filter(is_unseen).map(str::to_owned).collect();
        if !unseen.is_empty() {
            self.unseen = unseen;
            return Err(Error::retryable("the stock is looked at first"));
        }
        let moves = cart.stock_moves();
        let wanted = moves.iter().filter(|wanted| taken.contains(wanted.sku.as_str()));
        let short: Vec<Shortage> = wanted.filter_map(|wanted| self.shortage(cart, wanted)).collect();
        if short.is_empty() {
            return Ok(());
        }
        self.short = Some((cart.clone(), short));
        Err(Refusal::conflict("insufficient_stock", "not enough is available").into())
    }

    /// What is short of what the whole cart takes of a SKU, if anything is.
    fn shortage(&self, cart: &Cart, wanted: &StockMove) -> Option<Shortage> {
        let stock = self.seen.get(&wanted.sku).and_then(Option::as_ref);
        let is_unsynced = stock.is_none_or(|stock| stock.unsynced);
        // What it holds since before the policy changed is there for it.
        let held = cart.holds.held(&wanted.sku, self.context.now.as_millisecond());
        let available = stock.map_or(0, |stock| stock.available).saturating_add(held.thousandths());
        let is_there = available >= wanted.sellable.thousandths() || (is_unsynced && self.allows_unsynced);
        (!is_there).then(|| Shortage::over_all_parts(wanted, stock).beside(held))
    }

    /// What the command answers; `None`: it is to be tried again, now that the stock was looked at.
    ///
    /// # Errors
    /// 409 `insufficient_stock` with what is available and what is to come; those of the command.
    pub async fn answer(&mut self, done: Result<Executed>) -> Result<Option<Executed>> {
        if self.holding.again(&done).await? {
            return Ok(None);
        }
        let error = match done {
            Ok(executed) => return Ok(Some(executed)),
            Err(error) => error,
        };
        let unseen = std::mem::take(&mut self.unseen);
        if !unseen.is_empty() {
            self.look(unseen).await?;
            return Ok(None);
        }
        let short = self.short.take().or_else(|| self.holding.short());
        let Some((cart, short)) = short else { return Err(error) };
        let scope = &self.context.caller.scope;
        let mut refusal = insufficient_stock(self.ports, scope, &cart, &short).await?;
        for error in &mut refusal.errors {
            // The line is not as it would have been.
            "payload.quantity".clone_into(&mut error.field);
        }
        Err(refusal.into())
    }
}
