//! What is made sure of when something is added to a cart: with the policy `check`, that as much is available as the
//! cart has of it by then. Nothing is held: whoever becomes final first has it. What a register sold while it was cut off
//! has left the shop, and is never asked for.

use tillstream_domain::cart::Cart;
use tillstream_domain::stock_policies::{CartStock, UnsyncedStock};

use super::cart_write::Executed;
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
    /// The SKU that was looked at, with its stock.
    seen: Option<(String, Option<Counters>)>,
    /// The SKU that must be looked at first.
    unseen: Option<String>,
    /// What the cart would be, and what is short of it.
    short: Option<(Cart, Shortage)>,
}

impl<'a> CartStockCheck<'a> {
    /// As the policies of the command's store have it.
    pub fn new(ports: &'a Ports, context: &'a CommandContext, rules: &TenantRules) -> Self {
        let policies = rules.stock_policies(&context.store_id);
        CartStockCheck {
            ports,
            context,
            is_on: policies.at_cart == CartStock::Check && !context.offline,
            allows_unsynced: policies.unsynced == UnsyncedStock::Allow,
            seen: None,
            unseen: None,
            short: None,
        }
    }

    /// Looks at a SKU that will be asked for, if there is a policy.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn look(&mut self, sku: &str) -> Result<()> {
        if !self.is_on {
            return Ok(());
        }
        let context = self.context;
        let name = StockName { location_id: context.store_id.clone(), sku: sku.to_owned() };
        let scope = &context.caller.scope;
        // Expired holds are free, also before anybody wrote that.
        let mut found = read_many(self.ports, scope, vec![name], Consistency::Strong, context.now).await?;
        self.seen = Some((sku.to_owned(), found.pop().map(|(_, stock)| stock)));
        Ok(())
    }

    /// Whether `cart`, as a command would leave it, has no more of a SKU than is available.
    ///
    /// # Errors
    /// What [`Self::answer`] makes an answer of.
    pub fn check(&mut self, cart: &Cart, sku: &str) -> Result<()> {
        if !self.is_on {
            return Ok(());
        }
        let moves = cart.stock_moves();
        // What no stock is kept of is always there.
        let Some(wanted) = moves.iter().find(|wanted| wanted.sku == sku) else { return Ok(()) };
        let Some((_, stock)) = self.seen.as_ref().filter(|(seen, _)| seen == sku) else {
            self.unseen = Some(sku.to_owned());
            return Err(Error::retryable("the stock is looked at first"));
        };
        let is_unsynced = stock.is_none_or(|stock| stock.unsynced);
        let available = stock.map_or(0, |stock| stock.available);
        if available >= wanted.sellable.thousandths() || (is_unsynced && self.allows_unsynced) {
            return Ok(());
        }
        let shortage = Shortage::over_all_parts(wanted, stock.as_ref());
        self.short = Some((cart.clone(), shortage));
        Err(Refusal::conflict("insufficient_stock", "not enough is available").into())
    }

    /// What the command answers; `None`: it is to be tried again, now that the stock was looked at.
    ///
    /// # Errors
    /// 409 `insufficient_stock` with what is available and what is to come; those of the command.
    pub async fn answer(&mut self, done: Result<Executed>) -> Result<Option<Executed>> {
        let error = match done {
            Ok(executed) => return Ok(Some(executed)),
            Err(error) => error,
        };
        if let Some(sku) = self.unseen.take() {
            self.look(&sku).await?;
            return Ok(None);
        }
        let Some((cart, shortage)) = self.short.take() else { return Err(error) };
        let scope = &self.context.caller.scope;
        let mut refusal = insufficient_stock(self.ports, scope, &cart, &[shortage]).await?;
        for error in &mut refusal.errors {
            // The line is not as it would have been.
            "payload.quantity".clone_into(&mut error.field);
        }
        Err(refusal.into())
    }
}
