//! What became of a cart, as attributes of its item: readable texts, absent where there is nothing to say.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tillstream_domain::cart::{Cart, Course};

use crate::database::{Change, Condition, Item, Table, Write};
use crate::error::{Error, Result};
use crate::keeper::versions::due_changes;
use crate::tenancy::TenantScope;

const PARKED: &str = "parked";
const RECORDED: &str = "recorded";
const UNDOES: &str = "undoes";
const EXCHANGE: &str = "exchange";
const HISTORY: &str = "history";
const STORED_VALUE: &str = "stored_value";
const PAID_FROM: &str = "paid_from";
const TAKEN_BACK: &str = "taken_back";
const ASKED_TOTAL: &str = "asked_total";
/// Of an order whose debt was settled: what is left of it on the account, so that a return can be conditional on it.
pub const LEFT_ON_ACCOUNT: &str = "left_on_account";

fn with_some<T: Serialize>(item: Item, name: &str, value: Option<&T>) -> Result<Item> {
    match value {
        Some(value) => item.with_json(name, value),
        None => Ok(item),
    }
}

fn some_of<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>> {
    item.opt_text(name).map(|_| item.json(name)).transpose()
}

/// The item with what became of its cart.
///
/// # Errors
/// A bug if it cannot be JSON.
pub fn with_course(item: Item, course: &Course) -> Result<Item> {
    let item = with_some(item, PARKED, course.parked.as_ref())?;
    let item = with_some(item, RECORDED, course.recorded.as_ref())?;
    let item = with_some(item, UNDOES, course.undoes.as_ref())?;
    let item = with_some(item, STORED_VALUE, Some(&course.stored_value).filter(|parts| !parts.is_empty()))?;
    let item = with_some(item, PAID_FROM, Some(&course.paid_from).filter(|parts| !parts.is_empty()))?;
    let item = with_some(item, TAKEN_BACK, Some(&course.taken_back).filter(|payments| !payments.is_empty()))?;
    let item = item.with_some(ASKED_TOTAL, course.asked_total);
    let item = with_some(item, EXCHANGE, course.exchange.as_ref())?;
    with_some(item, HISTORY, Some(&course.history).filter(|history| !history.is_empty()))
}

/// What became of the cart of an item.
///
/// # Errors
/// A bug if an attribute is not of its shape.
pub fn course_of(item: &Item) -> Result<Course> {
    Ok(Course {
        parked: some_of(item, PARKED)?,
        recorded: some_of(item, RECORDED)?,
        undoes: some_of(item, UNDOES)?,
        exchange: some_of(item, EXCHANGE)?,
        history: some_of(item, HISTORY)?.unwrap_or_default(),
        stored_value: some_of(item, STORED_VALUE)?.unwrap_or_default(),
        paid_from: some_of(item, PAID_FROM)?.unwrap_or_default(),
        taken_back: some_of(item, TAKEN_BACK)?.unwrap_or_default(),
        asked_total: item.opt_number(ASKED_TOTAL),
    })
}

/// The write of an order whose status changed, stored before as `stored`. Of the rest of it nothing is
/// written: it never changes.
///
/// # Errors
/// A bug if it is not final or cannot be encoded.
pub fn status_write(scope: &TenantScope, order: &Cart, stored: u64) -> Result<Write> {
    let done = order.finalized.as_ref().ok_or_else(|| Error::bug("an order is final"))?;
    let number = |version: u64| i64::try_from(version).map_err(Error::bug);
    let keys = tillstream_domain::compact::encode(&order.applied).map_err(Error::bug)?;
    let history = serde_json::to_string(&order.course.history).map_err(Error::bug)?;
    // Left out as long as `written_at` says the same, which it does no longer.
    let recorded_at = done.recorded_at.to_string();
    let [due_pk, due_at] = due_changes(&order.id, order.written_at)?;
    let mut changes = vec![
        due_pk,
        due_at,
        Change::Set("status", done.status.as_str().into()),
        Change::Set("order_version", i64::from(done.order_version).into()),
        Change::Set("version", number(order.version)?.into()),
        Change::Set("written_at", order.written_at.to_string().into()),
        Change::Set("recorded_at", recorded_at.into()),
        Change::Set("keys", keys.into()),
        Change::Set(HISTORY, history.into()),
    ];
    changes.extend(order.left_on_account().map(|left| Change::Set(LEFT_ON_ACCOUNT, left.into())));
    Ok(Write::Update {
        table: Table::Orders,
        key: scope.cart(&order.id),
        changes,
        condition: Some(Condition::Eq("version", number(stored)?.into())),
    })
}
