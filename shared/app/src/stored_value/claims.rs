//! Taking what carts pay by stored value, and giving back what they refund, in the transaction that makes them
//! final.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::money::Currency;
use tillstream_domain::stored_value::StoredValueKind;

use super::item::{Stored, balance_update, part_movement, signed, stored_value_get};
use super::not_found;
use crate::database::{Item, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::pos::claims::Claim;
use crate::tenancy::TenantScope;

/// What carts write of stored value.
#[derive(Debug, Default)]
pub struct StoredValueWrites {
    /// Movements, one for each payment. One that is there already was written by whoever made the cart final:
    /// a lost race.
    pub movements: Vec<Write>,
    /// Updates of balances, one for each gift card or account: a failure is an answer.
    pub claims: Vec<Claim>,
}

impl StoredValueWrites {
    /// How many actions of a transaction they take.
    pub fn len(&self) -> usize {
        self.movements.len() + self.claims.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one gift card or account gives or gets.
struct Net {
    kind: StoredValueKind,
    currency: Currency,
    /// What is added; below zero where it is taken.
    amount: i64,
}

/// What `carts` add to each gift card or account, all of them and all their payments together: a transaction may
/// touch an item once.
fn nets<'a>(carts: &[&'a Cart]) -> Result<BTreeMap<&'a str, Net>> {
    let mut nets = BTreeMap::<&str, Net>::new();
    for cart in carts {
        for part in &cart.course.stored_value {
            let kind = StoredValueKind::of_tender(&part.tender)
                .ok_or_else(|| Error::bug("a tender without stored value"))?;
            let net = nets.entry(&part.account).or_insert(Net { kind, currency: cart.currency, amount: 0 });
            if (net.kind, net.currency) != (kind, cart.currency) {
                return Err(Error::bug("stored value of two kinds or currencies at once"));
            }
            net.amount = net.amount.saturating_add(signed(cart, part));
        }
    }
    Ok(nets)
}

/// What is written of stored value beside `carts` that become final in one transaction: a sale takes, a return
/// gives. Of a return and a sale together only the difference needs to be there.
///
/// # Errors
/// A bug if a cart names stored value that can be none.
pub fn stored_value_writes(
    scope: &TenantScope,
    carts: &[&Cart],
    now: Timestamp,
) -> Result<StoredValueWrites> {
    let mut writes = StoredValueWrites::default();
    for cart in carts {
        let parts = cart.course.stored_value.iter();
        writes.movements.extend(parts.map(|part| part_movement(scope, cart, part, now)));
    }
    let taken = nets(carts)?.into_iter().filter(|(_, net)| net.amount != 0);
    writes.claims.extend(taken.map(|(id, net)| claim(scope, id, net, now)));
    Ok(writes)
}

fn claim(scope: &TenantScope, id: &str, net: Net, now: Timestamp) -> Claim {
    Claim {
        write: balance_update(scope, id, net.amount, net.currency.code(), now),
        refused: Arc::new(move |item: Option<&Item>| match check(item, &net, now) {
            Err(error) => error,
            Ok(()) => Error::Conflict("the balance changed meanwhile".to_owned()),
        }),
        // Where others are at the same balance, repeating helps.
        unavailable: None,
    }
}

fn check(item: Option<&Item>, net: &Net, now: Timestamp) -> Result<()> {
    let stored = Stored::of(item.ok_or_else(not_found)?)?;
    if net.amount < 0 {
        stored.value.check_spend(net.kind, net.currency, net.amount.saturating_neg(), now)?;
    }
    Ok(())
}

/// Looks whether the balances suffice that `carts` take from, before anything is written: what a plan would be
/// refused for at its end is told before it begins.
///
/// # Errors
/// 409 `insufficient_balance`, `stored_value_blocked`, `stored_value_expired`; 404 `stored_value_not_found`;
/// those of the database.
pub async fn look(ports: &Ports, scope: &TenantScope, carts: &[&Cart], now: Timestamp) -> Result<()> {
    if carts.iter().all(|cart| cart.kind == CartKind::Return || cart.course.stored_value.is_empty()) {
        return Ok(());
    }
    let nets = nets(carts)?;
    let gets = nets.keys().map(|id| stored_value_get(scope, id)).collect();
    let items = ports.database.get_many(gets).await?;
    nets.values().zip(&items).try_for_each(|(net, item)| check(item.as_ref(), net, now))
}
