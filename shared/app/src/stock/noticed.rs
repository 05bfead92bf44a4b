//! What a change of stock may ask for beside its ledger row: a queue of backorders to be served, an alert to be raised or
//! closed. The images of one change are a hint; what is done rests on what stands when it is looked at.

use futures::StreamExt;
use jiff::Timestamp;
use tillstream_domain::stock_alert::StockLow;

use crate::database::Item;
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::alerts::{self, Hint};
use crate::stock::backorders;
use crate::stock::counters::Counters;
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::standing::standing;
use crate::tenancy::TenantScope;

/// Stock items looked at at once.
const AT_ONCE: usize = 8;

/// What is to be looked at of a stock item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looks {
    /// Whether somebody in its queue may be served.
    pub queue: bool,
    /// Whether its alert may be otherwise, and whether it got lower by a change that was seen.
    pub alert: Option<bool>,
}

impl Looks {
    /// All that several changes of one stock item ask for.
    pub fn join(&mut self, other: Looks) {
        self.queue |= other.queue;
        self.alert = match (self.alert, other.alert) {
            (Some(one), Some(other)) => Some(one | other),
            (one, other) => one.or(other),
        };
    }

    /// Whether nothing is.
    pub fn is_nothing(&self) -> bool {
        *self == Looks::default()
    }

    /// What the change of a stock item, or of a part of one, may ask for.
    ///
    /// # Errors
    /// A bug if an image is no stock item's.
    pub fn of(old: Option<&Item>, new: &Item) -> Result<Looks> {
        let after = Counters::of(new)?;
        let before = old.filter(|old| old.opt_number("seq").is_some()).map(Counters::of).transpose()?;
        if after.layout != LAYOUT_WHOLE || before.is_some_and(|before| before.layout != LAYOUT_WHOLE) {
            // A part says nothing of the whole, and only the first knows who waits and where to order again.
            let is_first = new.opt_number("part").is_none();
            let cares = |stock: &Counters| stock.backordered > 0 || stock.reorder_point > 0;
            if is_first && !cares(&after) && !before.as_ref().is_some_and(cares) {
                return Ok(Looks::default());
            }
            return Ok(Looks { queue: true, alert: Some(true) });
        }
        let Some(before) = before else {
            return Ok(Looks { queue: after.backordered > 0 && after.available > 0, alert: None });
        };
        let may_serve = before.available < after.available || before.backordered != after.backordered;
        let [was, is] = [before, after].map(|stock| StockLow::of(stock.available, stock.reorder_point));
        Ok(Looks {
            queue: after.backordered > 0 && after.available > 0 && may_serve,
            alert: (was != is).then_some(was < is),
        })
    }
}

/// Looks at a stock item. That a queue was not served is no failure: the keeper serves it.
///
/// # Errors
/// As the database, where its alert could not be looked at.
pub async fn look(
    ports: &Ports,
    scope: &TenantScope,
    name: &StockName,
    looks: Looks,
    now: Timestamp,
) -> Result<()> {
    let what = (name.location_id.as_str(), name.sku.as_str());
    // A split one is looked at for each batch of its changes: it tells by itself whether anybody cares.
    let found = standing(ports.database.as_ref(), scope, what.0, what.1, LAYOUT_WHOLE).await?;
    let Some(stock) = found.map(|found| found.total()) else { return Ok(()) };
    if looks.queue
        && stock.backordered > 0
        && let Err(error) = backorders::serve(ports, scope, what, now).await
    {
        tracing::warn!(location_id = what.0, sku = what.1, %error, "a queue of backorders was not served");
    }
    // One whose reorder point was taken away is looked at too: its alert is to be closed. None is while it is split.
    let is_of_none = stock.layout != LAYOUT_WHOLE && stock.reorder_point <= 0;
    if let Some(crossed) = looks.alert.filter(|_| !is_of_none) {
        let hint = if crossed { Hint::Crossed } else { Hint::Unknown };
        alerts::settle(ports, scope, what, hint, now).await?;
    }
    Ok(())
}

/// Looks at several; answers those that failed, by position.
pub async fn look_at_all(
    ports: &Ports,
    all: Vec<(TenantScope, StockName, Looks)>,
    now: Timestamp,
) -> Vec<(usize, Error)> {
    let looks: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(position, (scope, name, looks))| async move {
            (position, look(ports, &scope, &name, looks, now).await)
        })
        .collect();
    let looked: Vec<(usize, Result<()>)> =
        futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
    looked.into_iter().filter_map(|(position, looked)| Some((position, looked.err()?))).collect()
}

/// What the keeper does where a change of a stock item was lost: all that it may have asked for.
///
/// # Errors
/// As the database.
pub async fn look_after_loss(
    ports: &Ports,
    scope: &TenantScope,
    name: &StockName,
    now: Timestamp,
) -> Result<()> {
    look(ports, scope, name, Looks { queue: true, alert: Some(true) }, now).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(available: i64, backordered: i64) -> Item {
        Item::default()
            .with("seq", 7)
            .with("available", available)
            .with("reorder_point", 5)
            .with("backordered", backordered)
    }

    fn looks(old: Option<Item>, new: Item) -> Looks {
        Looks::of(old.as_ref(), &new).unwrap()
    }

    #[test]
    fn only_what_may_change_something_is_looked_at() {
        let none = Looks::default();
        let queue = Looks { queue: true, alert: None };
        assert_eq!(looks(Some(stock(9, 0)), stock(6, 0)), none, "above the point before and after");
        assert_eq!(looks(Some(stock(5, 0)), stock(1, 0)), none, "low before and after");
        assert_eq!(looks(Some(stock(6, 0)), stock(5, 0)).alert, Some(true));
        assert_eq!(looks(Some(stock(1, 0)), stock(0, 0)).alert, Some(true));
        assert_eq!(looks(Some(stock(0, 0)), stock(1, 0)).alert, Some(false));
        assert_eq!(looks(None, stock(0, 0)), none, "what begins low has crossed nothing");
        let without = |available| stock(available, 0).with("reorder_point", 0);
        assert_eq!(looks(Some(without(6)), without(0)), none, "nobody asked to be told");
        assert_eq!(looks(Some(stock(3, 0)), without(3)).alert, Some(false), "the point was taken away");
        assert_eq!(looks(Some(without(3)), stock(3, 0)).alert, Some(true), "or raised above what is there");

        assert_eq!(looks(Some(stock(7, 4)), stock(8, 4)), queue);
        assert_eq!(looks(Some(stock(8, 4)), stock(8, 2)), queue, "the first has left the queue");
        assert_eq!(looks(Some(stock(8, 4)), stock(7, 4)), none, "less is there than before");
        assert_eq!(looks(Some(stock(7, 0)), stock(8, 0)), none, "nobody waits");
        assert!(!looks(Some(stock(-2, 4)), stock(0, 4)).queue, "nothing is there");
        let split = |available| stock(available, 0).with("layout", 104);
        let all = Looks { queue: true, alert: Some(true) };
        assert_eq!((looks(Some(split(7)), split(6)), looks(None, split(6))), (all, all));
        let of_no_interest = |available| split(available).with("reorder_point", 0);
        assert_eq!(looks(Some(of_no_interest(7)), of_no_interest(6)), none);
        let part = of_no_interest(6).with("part", 2);
        assert_eq!(looks(Some(of_no_interest(7).with("part", 2)), part), all, "it does not know");
        assert_eq!(looks(Some(split(7)), stock(6, 0)), all, "it was merged");
    }

    #[test]
    fn several_changes_ask_for_all_that_one_of_them_does() {
        let mut sum = Looks::default();
        assert!(sum.is_nothing());
        sum.join(Looks { queue: false, alert: Some(false) });
        assert_eq!(sum.alert, Some(false));
        sum.join(Looks { queue: true, alert: Some(true) });
        sum.join(Looks { queue: false, alert: None });
        assert_eq!(sum, Looks { queue: true, alert: Some(true) });
    }
}
