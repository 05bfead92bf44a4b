//! Reading a cart and writing it back: one conditional put on its version per command.

use tillstream_domain::cart::applied::Seen;
use tillstream_domain::cart::{Cart, CartState, Outcome};

use super::cart_item::{cart_item, cart_of};
use super::claims::{Changed, Claim, Written, write_with_claims};
use super::context::CommandContext;
use super::identity::reused_key;
use super::parking::marker_write;
use super::refusals::cart_not_found;
use crate::database::{Cancellation, Condition, Consistency, DatabaseError, Get, Item, Table, Write};
use crate::environment::Retries;
use crate::error::{Error, Result};
use crate::ports::Ports;

/// Commands of tendering that a cart takes beyond its limit of commands.
const TENDER_COMMANDS: usize = 500;

/// What a command did.
#[derive(Debug, Clone)]
pub struct Executed {
    /// Its outcome, now or when it first took effect.
    pub outcome: Outcome,
    /// The cart as it is now.
    pub cart: Cart,
    /// Whether it took effect before.
    pub replayed: bool,
}

/// The read of a cart: what is decided on it is written on its version, so it must be current.
pub fn cart_get(context: &CommandContext, cart_id: &str) -> Get {
    Get { table: Table::Orders, key: context.caller.scope.cart(cart_id), consistency: Consistency::Strong }
}

/// The put of a cart whose stored version is `stored`; `None` where it must not exist yet.
///
/// # Errors
/// 422 `cart_too_large`.
pub fn cart_put(context: &CommandContext, cart: &Cart, stored: Option<u64>) -> Result<Write> {
    let condition = match stored {
        Some(version) => Condition::Eq("version", i64::try_from(version).map_err(Error::bug)?.into()),
        None => Condition::NotExists,
    };
    Ok(Write::Put {
        table: Table::Orders,
        item: cart_item(&context.caller.scope, cart)?,
        condition: Some(condition),
    })
}

/// Answers a command that took effect before, or refuses a reused key; `None` for a new command.
///
/// # Errors
/// 422 `idempotency_key_reused`.
pub fn replay(context: &CommandContext, cart: &Cart) -> Result<Option<Executed>> {
    match cart.applied.seen(&context.identity) {
        Seen::Never => Ok(None),
        Seen::Same(outcome) => Ok(Some(Executed { outcome, cart: cart.clone(), replayed: true })),
        Seen::Reused => Err(reused_key().into()),
    }
}

/// Whether a write that did not succeed is worth another attempt: a lost race on the version, or
/// trouble on the way. It may have taken effect, so the next attempt looks for its own key first.
///
/// # Errors
/// A bug if the database refused the request itself.
pub fn lost_race(error: DatabaseError) -> Result<String> {
    match error {
        DatabaseError::ConditionFailed(_) => Ok("another command changed the cart".to_owned()),
        DatabaseError::Invalid(what) => Err(Error::Bug(what)),
        DatabaseError::Cancelled(reasons) => {
            let invalid = reasons.into_iter().find_map(|reason| match reason {
                Cancellation::Invalid(what) => Some(what),
                _ => None,
            });
            invalid
                .map_or_else(|| Ok("another transaction was first".to_owned()), |what| Err(Error::Bug(what)))
        }
        other => Ok(other.to_string()),
    }
}

/// Whose carts a command may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of its register.
    Register,
    /// Those too that another register of the store has parked.
    StoreWhileParked,
}

/// Runs `change` on the cart `cart_id` and writes the result, once, with what it claims beside. `more` is
/// read in the same round trip and handed to `change` by position.
///
/// # Errors
/// Whatever `change` refuses, and its claims; 404 `cart_not_found`; 409 for another store's or register's cart; 422
/// `idempotency_key_reused`; [`Error::Conflict`] when too many races were lost.
pub async fn change_cart<F, C>(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    more: Vec<Get>,
    change: F,
) -> Result<Executed>
where
    F: FnMut(&mut Cart, &[Option<Item>]) -> Result<C>,
    C: Into<Changed>,
{
    change_cart_in_reach(ports, context, cart_id, Reach::Register, more, change).await
}

/// As [`change_cart`], with a say in whose carts may be changed.
///
/// # Errors
/// Those of [`change_cart`].
pub async fn change_cart_in_reach<F, C>(
    ports: &Ports,
    context: &CommandContext,
    cart_id: &str,
    reach: Reach,
    more: Vec<Get>,
    mut change: F,
) -> Result<Executed>
where
    F: FnMut(&mut Cart, &[Option<Item>]) -> Result<C>,
    C: Into<Changed>,
{
    let mut retries = Retries::new(ports.environment.as_ref(), context.now);
    loop {
        let mut gets = vec![cart_get(context, cart_id)];
        gets.extend(more.iter().cloned());
        let Some(read) = retries.answered(ports.database.get_many(gets).await).await? else { continue };
        let (item, more) = read.split_first().ok_or_else(|| Error::bug("a read answered nothing"))?;
        let mut cart = cart_of(item.as_ref().ok_or_else(|| cart_not_found(cart_id))?)?;
        // What took effect is answered again whoever has the cart by now: another register may have recalled
        // it. Only who sent it from that register can have sent it.
        if let Seen::Same(outcome) = cart.applied.seen(&context.identity) {
            return Ok(Executed { outcome, cart, replayed: true });
        }
        match reach {
            Reach::StoreWhileParked
                if cart.state == CartState::Parked && cart.store_id == context.store_id =>
            {
                context.require_till_beside(ports, &cart).await?;
            }
            _ => context.require_own(ports, &cart).await?,
        }
        if let Some(executed) = replay(context, &cart)? {
            return Ok(executed);
        }
        let parked_before = cart.course.parked.clone();
        let stored = cart.version;
        let Changed { outcome, claims } = change(&mut cart, more)?.into();
        match cart.state {
            CartState::Open => cart.applied.record(&context.identity, outcome, 0)?,
            CartState::Voided => cart.applied.record_last(&context.identity, outcome),
            _ => cart.applied.record(&context.identity, outcome, TENDER_COMMANDS)?,
        }
        cart.version += 1;
        cart.written_at = context.now;
        let put = cart_put(context, &cart, Some(stored))?;
        let marker = marker_write(&context.caller.scope, parked_before.as_ref(), &cart)?;
        let writes = std::iter::once(put).chain(marker).collect();
        match write_with_claims(ports.database.as_ref(), writes, &claims).await? {
            Written::Done => return Ok(Executed { outcome, cart, replayed: false }),
            Written::LostRace(why) => retries.again(&why).await?,
        }
    }
}

/// Puts a new cart with what it claims beside, or answers the command that made it before.
///
/// # Errors
/// 409 `cart_exists` where another command made it; 422 `idempotency_key_reused`; the refusals of claims.
pub async fn create_cart(
    ports: &Ports,
    context: &CommandContext,
    cart: Cart,
    claims: &[Claim],
) -> Result<Executed> {
    let mut retries = Retries::new(ports.environment.as_ref(), context.now);
    let mut cart = cart;
    cart.applied.record(&context.identity, Outcome::Created, 0)?;
    let put = cart_put(context, &cart, None)?;
    loop {
        let why = match write_with_claims(ports.database.as_ref(), vec![put.clone()], claims).await? {
            Written::Done => return Ok(Executed { outcome: Outcome::Created, cart, replayed: false }),
            Written::LostRace(why) => why,
        };
        match ports.database.get(cart_get(context, &cart.id)).await {
            Ok(Some(item)) => return existing(context, &cart_of(&item)?),
            Ok(None) => retries.again(&why).await?,
            Err(error) if error.is_transient() => retries.again(&error.to_string()).await?,
            Err(error) => return Err(error.into()),
        }
    }
}

fn existing(context: &CommandContext, cart: &Cart) -> Result<Executed> {
    match replay(context, cart)? {
        Some(executed) => Ok(executed),
        None => {
            Err(crate::Refusal::conflict("cart_exists", format!("there is a cart {} already", cart.id))
                .into())
        }
    }
}
