//! Who does what, where and when: the same for every command.

use jiff::Timestamp;
use tillstream_domain::cart::applied::CommandIdentity;
use tillstream_domain::cart::{Cart, CartState, PricedBy};
use tillstream_domain::location::{Location, LocationKind};

use super::offline_oversell::OfflineSale;
use crate::catalog::items::{catalog_get, location_if_any};
use crate::database::Item;
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::taken_beyond::Beyond;
use crate::tenancy::{Caller, Role};

/// Roles that may sell.
pub const SELLERS: [Role; 2] = [Role::Cashier, Role::StoreManager];

/// The refusal of what needs an approval.
pub fn approval_required() -> Error {
    Refusal::forbidden("approval_required", "a store manager must do this or approve it").into()
}

/// Who does what, where and when.
#[derive(Debug, Clone)]
pub struct CommandContext {
    /// Who asks.
    pub caller: Caller,
    /// Store.
    pub store_id: String,
    /// Register.
    pub register_id: String,
    /// Who sells.
    pub employee_id: String,
    /// When it happened, as the register tells it.
    pub occurred_at: Timestamp,
    /// One reading of our clock for the whole request.
    pub now: Timestamp,
    /// Whether it happened while the register was cut off: what it sold has left the shop.
    pub offline: bool,
    /// Whether what it gave for coupons and promotions is counted above their limits too: somebody looks into it
    /// then. Of what happened online never.
    pub uses_above_limit: bool,
    /// Of an upload: where a command on the same cart was refused before this one.
    pub refused_before: Option<usize>,
    /// The command's identity.
    pub identity: CommandIdentity,
}

impl CommandContext {
    /// When goods that are sold must be good: now, or when a register sold them that was cut off then.
    pub fn good_at(&self) -> Timestamp {
        if self.offline { self.occurred_at } else { self.now }
    }

    /// Checks that a cart that is being paid, and was priced by `by` just now, takes off no more by hand than may be given
    /// without an approval, and than was approved. While lines are added, it may.
    ///
    /// # Errors
    /// [`CartError::DiscountsAboveAllowed`], [`CartError::ShareOfMore`]; [`CartError::Pricing`], [`CartError::Money`].
    pub fn check_discounts(&self, cart: &Cart, by: &PricedBy<'_>) -> Result<()> {
        if cart.state == CartState::Open || self.needs_no_approval() || cart.charges.manual.is_empty() {
            return Ok(());
        }
        let falls_on = cart.falls_on(by)?;
        cart.check_allowed_discounts(&falls_on)?;
        Ok(cart.check_approved_discounts(&falls_on)?)
    }

    /// Refuses to make a cart final of which something was refused in the same upload: who uploads says what
    /// happened, and this would be counted as another sale.
    ///
    /// # Errors
    /// 409 `earlier_command_failed`.
    pub fn check_refused_before(&self) -> Result<()> {
        let Some(position) = self.refused_before else { return Ok(()) };
        let detail = format!(
            "command {position} of this upload, on the same cart, was refused, so this is not the sale that was made: \
             put the cart right and send this again under its key, or send it alone to have it final as it is"
        );
        Err(Refusal::conflict("earlier_command_failed", detail).with_extra("position", position).into())
    }

    /// Whether the caller may do without an approval.
    pub fn needs_no_approval(&self) -> bool {
        self.caller.has(&[Role::StoreManager])
    }

    /// The sale as whoever looks into it is told of it, where what it used is counted above limits too.
    pub fn beyond_limits<'c>(&'c self, cart: &'c Cart) -> Option<OfflineSale<'c>> {
        self.uses_above_limit.then(|| self.offline_sale(cart))
    }

    /// A sale that was made while the register was cut off.
    pub fn offline_sale<'c>(&'c self, cart: &'c Cart) -> OfflineSale<'c> {
        OfflineSale {
            beyond: Beyond::Offline,
            cart,
            register_id: &self.register_id,
            employee_id: &self.employee_id,
            at: self.occurred_at,
            now: self.now,
        }
    }

    /// Refuses whoever needs an approval, where none can be given.
    ///
    /// # Errors
    /// 403 `approval_required`.
    pub fn require_no_approval(&self) -> Result<()> {
        if self.needs_no_approval() { Ok(()) } else { Err(approval_required()) }
    }

    /// Checks that the cart belongs to the envelope's store and register.
    ///
    /// # Errors
    /// 404 `store_not_found` or `register_not_found` where the envelope names none of ours; 409
    /// `cart_of_another_store` or `cart_of_another_register` where it names the wrong one.
    pub async fn require_own(&self, ports: &Ports, cart: &Cart) -> Result<()> {
        if cart.store_id == self.store_id && cart.register_id == self.register_id {
            return Ok(());
        }
        // Only now, so that the common case costs no read.
        let item = ports.database.get(catalog_get(self.caller.scope.location(&self.store_id))).await?;
        self.till(item.as_ref())?;
        Err(if cart.store_id == self.store_id {
            Refusal::conflict(
                "cart_of_another_register",
                format!("the cart belongs to register {}", cart.register_id),
            )
        } else {
            Refusal::conflict("cart_of_another_store", "the cart belongs to another store")
        }
        .into())
    }

    /// Checks that the envelope names a register of ours.
    ///
    /// # Errors
    /// 404 `store_not_found`, `register_not_found`.
    pub async fn require_till(&self, ports: &Ports) -> Result<()> {
        let item = ports.database.get(catalog_get(self.caller.scope.location(&self.store_id))).await?;
        self.till(item.as_ref()).map(|_| ())
    }

    /// The same for a cart of the envelope's store; its own register is known.
    ///
    /// # Errors
    /// 404 `store_not_found`, `register_not_found`.
    pub async fn require_till_beside(&self, ports: &Ports, cart: &Cart) -> Result<()> {
        if cart.register_id == self.register_id { Ok(()) } else { self.require_till(ports).await }
    }

    /// The store, from its item, provided that it has the envelope's register.
    ///
    /// # Errors
    /// 404 `store_not_found`, `register_not_found`.
    pub fn till(&self, location: Option<&Item>) -> Result<Location> {
        till_of(location, &self.store_id, &self.register_id)
    }
}

/// The store `store_id`, from its item, provided that it has the register.
///
/// # Errors
/// 404 `store_not_found`, `register_not_found`.
pub fn till_of(location: Option<&Item>, store_id: &str, register_id: &str) -> Result<Location> {
    let unknown = || Refusal::not_found("store_not_found", format!("there is no store {store_id}"));
    let location = location_if_any(location)?.ok_or_else(unknown)?;
    if location.kind != LocationKind::Store {
        return Err(unknown().into());
    }
    if !location.has_register(register_id) {
        let detail = format!("store {store_id} has no register {register_id}");
        return Err(Refusal::not_found("register_not_found", detail).into());
    }
    Ok(location)
}
