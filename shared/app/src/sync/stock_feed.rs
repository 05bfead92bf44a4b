//! The inventory feed: HQ's word on what is on hand, exact beside sales that go on meanwhile.

use tillstream_contracts::sync::{LineOperation, StockData};
use tillstream_domain::identifier::{check_id, check_sku};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::batch::{BatchRead, Feed, LineOutcome, apply_grouped, not_newer, read_again};
use super::line::{BadLine, Line};
use crate::catalog::attempt::{ATTEMPTS_MAX, Attempt, attempt, pause};
use crate::catalog::items::{location_if_any, product_if_any};
use crate::catalog::kits::sku_is_a_kit;
use crate::database::{Change, Item, Key, Table, Write};
use crate::error::{Error, Result};
use crate::stock::counters::{Counters, Movement, StockTarget, stock_set};
use crate::stock::exceptions::{below_promised, exception_write};
use crate::stock::layout::{LAYOUT_WHOLE, layout_of};
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Kind of the movement a line makes.
const MOVEMENT_KIND: &str = "sync";

/// A line, checked as far as it can be without its product.
struct StockLine<'a> {
    line: &'a Line,
    data: StockData,
}

/// A line with its quantities, in thousandths.
struct Target<'a> {
    location_id: &'a str,
    sku: &'a str,
    line_id: &'a str,
    version: i64,
    on_hand: i64,
    safety_stock: Option<i64>,
    reorder_point: Option<i64>,
    incoming: Option<i64>,
    unit: Option<Unit>,
}

fn stock_line<'a>(feed: Feed<'_>, line: &'a Line) -> Result<StockLine<'a>, BadLine> {
    let data: StockData = line.data(None)?;
    check_id(&data.location_id)
        .map_err(|error| BadLine::new("id_malformed", format!("data.location_id: {error}")))?;
    check_sku(&data.sku).map_err(|error| BadLine::new("sku_malformed", format!("data.sku: {error}")))?;
    if !feed.caller.reaches(&data.location_id) {
        let message = "data.location_id: the token does not reach this location";
        return Err(BadLine::new("store_out_of_reach", message));
    }
    Ok(StockLine { line, data })
}

impl StockLine<'_> {
    fn keys(&self, scope: &TenantScope) -> [(Table, Key); 3] {
        [
            (Table::Catalog, scope.location(&self.data.location_id)),
            (Table::Catalog, scope.product(&self.data.sku)),
            (Table::Stock, scope.stock(&self.data.location_id, &self.data.sku)),
        ]
    }

    /// What to set, now that location and product are known. A delete needs neither: HQ knows of none
    /// there any more, whatever became of them.
    fn target(&self, scope: &TenantScope, read: &BatchRead) -> Result<Result<Target<'_>, BadLine>> {
        let StockData { location_id, sku, on_hand, safety_stock, reorder_point, incoming } = &self.data;
        let nothing = Target {
            location_id,
            sku,
            line_id: &self.line.id,
            version: self.line.version,
            on_hand: 0,
            // A line that is gone asks for nothing: what it asked would be an exception and an order for ever.
            safety_stock: Some(0),
            reorder_point: Some(0),
            incoming: Some(0),
            unit: None,
        };
        if self.line.operation == LineOperation::Delete {
            return Ok(Ok(nothing));
        }
        let location = location_if_any(read.get(Table::Catalog, &scope.location(location_id)))?;
        if location.is_none() {
            let message = format!("data.location_id: there is no location {location_id}; send it first");
            return Ok(Err(BadLine::new("location_unknown", message)));
        }
        let Some(product) = product_if_any(read.get(Table::Catalog, &scope.product(sku)))? else {
            let message = format!("data.sku: there is no product {sku}; send it first");
            return Ok(Err(BadLine::new("product_unknown", message)));
        };
        if !product.stocked {
            let message = format!("data.sku: no stock is kept of {sku}");
            return Ok(Err(BadLine::new("product_not_stocked", message)));
        }
        if product.is_kit() {
            return Ok(Err(sku_is_a_kit("data.sku", sku).into()));
        }
        let Some(on_hand) = on_hand else {
            return Ok(Err(BadLine::new("line_invalid", "data: missing field `on_hand`")));
        };
        let optional = |field: &str, input: &Option<QuantityInput>| {
            input.as_ref().map(|input| amount(&product, field, input)).transpose()
        };
        let amounts = || {
            let on_hand = amount(&product, "on_hand", on_hand)?;
            let safety_stock = optional("safety_stock", safety_stock)?;
            Ok(Target {
                on_hand,
                safety_stock,
                reorder_point: optional("reorder_point", reorder_point)?,
                incoming: optional("incoming", incoming)?,
                unit: Some(product.unit),
                ..nothing
            })
        };
        Ok(amounts())
    }
}

fn amount(product: &Product, field: &str, input: &QuantityInput) -> Result<i64, BadLine> {
    let quantity = input
        .resolve(product.unit)
        .map_err(|error| BadLine::new("quantity_invalid", format!("data.{field}: {error}")))?;
    if quantity.thousandths() < 0 {
        let message = format!("data.{field}: it must be zero or more");
        return Err(BadLine::new("quantity_negative", message));
    }
    Ok(quantity.thousandths())
}

/// Applies a batch.
///
/// # Errors
/// [`Error::Retryable`] where the database does not keep up.
pub(super) async fn apply(feed: Feed<'_>, lines: &[Line]) -> Result<Vec<LineOutcome>> {
    let scope = &feed.caller.scope;
    let lines: Vec<_> = lines.iter().map(|line| stock_line(feed, line)).collect();
    let read = BatchRead::of(feed.ports, lines.iter().flatten().flat_map(|line| line.keys(scope))).await?;
    let mut targets = Vec::with_capacity(lines.len());
    for line in &lines {
        targets.push(match line {
            Ok(line) => line.target(scope, &read)?,
            Err(bad) => Err(bad.clone()),
        });
    }
    let (targets, read) = (&targets, &read);
    let group = |place: usize| match targets.get(place) {
        Some(Ok(target)) => scope.stock(target.location_id, target.sku).pk().to_owned(),
        _ => String::new(),
    };
    apply_grouped(targets.len(), group, |place, first| async move {
        match targets.get(place) {
            Some(Ok(target)) => apply_one(feed, target, first.then_some(read)).await,
            Some(Err(bad)) => Ok(LineOutcome::Failed(bad.clone())),
            None => Err(Error::bug("a place outside the batch")),
        }
    })
    .await
}

/// Sets what is on hand as one conditional change: the movement is the difference to what was read, and
/// holds only if nothing moved since (`seq`), so that a sale in between is never overwritten unseen. Where
/// that leaves less than is promised, an exception opens in the same transaction.
async fn stock_writes(feed: Feed<'_>, target: &Target<'_>, old: Option<&Item>) -> Result<Vec<Write>> {
    let scope = &feed.caller.scope;
    let seen = old.map(Counters::of).transpose()?;
    let movement = Movement {
        kind: MOVEMENT_KIND,
        reference: target.line_id.to_owned(),
        actor: feed.caller.subject.clone(),
        at: feed.now,
        reason: None,
    };
    let says = StockTarget {
        on_hand: Some(target.on_hand),
        safety_stock: target.safety_stock,
        reorder_point: target.reorder_point,
        incoming: target.incoming,
        unit: target.unit,
    };
    let version = vec![Change::Set("sync_version", target.version.into())];
    let (location_id, sku) = (target.location_id, target.sku);
    let (write, _) = stock_set(scope, location_id, sku, seen.as_ref(), says, &movement, version);
    let before = seen.unwrap_or_default();
    let after = target.on_hand - before.reserved - target.safety_stock.unwrap_or(before.safety_stock);
    let mut writes = vec![write];
    // Nearly every line neither opens nor closes one, and then pays for no further read, nor write.
    if before.available < 0 || after < 0 {
        let what = (location_id, sku);
        let standing = below_promised(feed.ports.database.as_ref(), scope, what).await?;
        let (line_id, now) = (target.line_id, feed.now);
        writes.extend(exception_write(scope, what, target.unit, after, line_id, now, standing.as_ref())?);
    }
    Ok(writes)
}

async fn apply_one(
    feed: Feed<'_>,
    target: &Target<'_>,
    mut fresh: Option<&BatchRead>,
) -> Result<LineOutcome> {
    let key = feed.caller.scope.stock(target.location_id, target.sku);
    let mut unknown = false;
    for number in 1..=ATTEMPTS_MAX {
        let old = read_again(feed.ports, fresh.take(), Table::Stock, &key).await?;
        let standing = old.as_ref().and_then(|item| item.opt_number("sync_version"));
        if standing.is_some_and(|version| version >= target.version) {
            return Ok(not_newer(standing, target.version, unknown));
        }
        if layout_of(old.as_ref()) != LAYOUT_WHOLE {
            // What HQ says is said of the whole.
            make_whole(feed.ports, &feed.caller.scope, target.location_id, target.sku).await?;
            continue;
        }
        match attempt(feed.ports, stock_writes(feed, target, old.as_ref()).await?).await? {
            Attempt::Done => return Ok(LineOutcome::Applied),
            Attempt::Unknown => unknown = true,
            Attempt::Failed { .. } | Attempt::Busy => {}
        }
        pause(feed.ports, number).await;
    }
    Err(Error::retryable(format!("stock of {} is being changed by others", target.sku)))
}
