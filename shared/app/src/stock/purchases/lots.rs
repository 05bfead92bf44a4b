//! Receipts that name lots: one transaction each, so that what is kept of an order need not know of lots.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_contracts::purchase_orders::PurchaseReceivedLine;
use tillstream_domain::product::Product;
use tillstream_domain::purchase_order::{PurchaseLine, Settled};
use tillstream_domain::quantity::Quantity;

use crate::database::{Consistency, Get, TRANSACTION_ACTIONS_MAX, Table, Write};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::lots::{LotStock, Naming, Said, Taking, named};
use crate::stock::on_order::open_line_write;
use crate::stock::purchases::drive::{delta_of, line_writes};
use crate::stock::purchases::item::{Step, StoredPurchase};
use crate::stock::references::resolve;
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Whether any line says something of a lot.
pub(super) fn any_names_a_lot(sent: &[PurchaseReceivedLine]) -> bool {
    sent.iter().any(says_something)
}

fn says_something(line: &PurchaseReceivedLine) -> bool {
    line.lot.is_some() || line.expires_on.is_some()
}

/// A receipt whose lines name lots.
pub(super) struct LotReceipt<'a> {
    pub(super) ports: &'a Ports,
    pub(super) scope: &'a TenantScope,
    pub(super) order: &'a StoredPurchase,
    pub(super) sent: &'a [PurchaseReceivedLine],
    pub(super) now: Timestamp,
}

impl LotReceipt<'_> {
    /// The products of the lines that say something of a lot. Whether the location is open is not asked: what was
    /// ordered arrives where it was closed meanwhile, too.
    async fn products(&self) -> Result<BTreeMap<String, Product>> {
        let skus: BTreeSet<&str> =
            self.sent.iter().filter(|line| says_something(line)).map(|line| line.sku.as_str()).collect();
        let skus: Vec<&str> = skus.into_iter().collect();
        resolve(self.ports, self.scope, &[], &skus, |sku| {
            let position = self.sent.iter().position(|line| line.sku == sku).unwrap_or(0);
            format!("lines[{position}].sku")
        })
        .await
    }

    /// What the step writes beside the order's own item; `None` where it is to be tried again.
    ///
    /// # Errors
    /// 422 `too_many_lot_lines`, `lot_twice` and what a lot is refused for; 409 `lot_expires_otherwise`,
    /// `too_many_lots`.
    pub(super) async fn writes(&self, step: &Step) -> Result<Option<Vec<Write>>> {
        let products = self.products().await?;
        let movement = step.movement(&self.order.id)?;
        let mut writes = Vec::new();
        let mut lots: BTreeMap<&str, &str> = BTreeMap::new();
        for settled in &step.settled {
            let line = usize::try_from(settled.line).ok().and_then(|at| self.order.body.lines.get(at));
            let line = line.ok_or_else(|| Error::bug("a settled line is one of the order"))?;
            match products.get(&line.sku) {
                None => {
                    let open = line.outstanding().minus(settled.taken);
                    let what = (delta_of(settled), open);
                    writes.extend(line_writes(self.scope, self.order, line, what, &movement));
                }
                Some(product) => {
                    let of_line = (line, settled, product);
                    match self.lot_writes(of_line, &mut lots, &movement).await? {
                        Some(of_line) => writes.extend(of_line),
                        None => return Ok(None),
                    }
                }
            }
            if writes.len() >= TRANSACTION_ACTIONS_MAX {
                let message = "so many lines with lots are received in several requests";
                return Err(Refusal::field("lines", "too_many_lot_lines", message).into());
            }
        }
        Ok(Some(writes))
    }

    /// What one line of the order writes, whose goods are of lots. `lots`: those that were named before, each with
    /// its SKU.
    async fn lot_writes<'l>(
        &'l self,
        (line, settled, product): (&PurchaseLine, &Settled, &Product),
        lots: &mut BTreeMap<&'l str, &'l str>,
        movement: &Movement,
    ) -> Result<Option<Vec<Write>>> {
        let (location_id, sku) = (self.order.location_id.as_str(), line.sku.as_str());
        let get = Get {
            table: Table::Stock,
            key: self.scope.stock(location_id, sku),
            consistency: Consistency::Strong,
        };
        let stock = LotStock::of(self.ports.database.get(get).await?.as_ref())?;
        if stock.counters.is_some_and(|seen| seen.layout != LAYOUT_WHOLE) {
            make_whole(self.ports, self.scope, location_id, sku).await?;
            return Ok(None);
        }
        let mut book = stock.book.clone();
        let mut beside = Vec::new();
        let mut of_lots = Quantity::ZERO;
        for (position, sent) in self.sent.iter().enumerate().filter(|(_, sent)| sent.sku == sku) {
            let path = format!("lines[{position}].");
            let said = Said { path: &path, lot: sent.lot.as_deref(), expires_on: sent.expires_on };
            let what = (location_id, product);
            let Some(lot) = named(self.ports, self.scope, what, said, Naming::Ordered, self.now).await?
            else {
                continue;
            };
            let before = sent.lot.as_deref().and_then(|lot_id| lots.insert(lot_id, &sent.sku));
            if let Some(other) = before {
                let (code, message) = if other == sku {
                    ("lot_twice", "the lot stands there twice; add it up".to_owned())
                } else {
                    ("lot_of_another_sku", format!("the lot is one of {other} in this request"))
                };
                return Err(Refusal::field(format!("{path}lot"), code, message).into());
            }
            let quantity = sent.quantity.resolve(line.unit).map_err(Error::bug)?;
            let added = lot.changed(&book, quantity.thousandths())?;
            book = added.ok_or_else(|| Error::bug("nothing is short of what comes in"))?;
            of_lots = of_lots.plus(quantity);
            beside.extend(lot.writes(self.scope, &stock.book));
        }
        book.add_unknown(settled.received.minus(of_lots).thousandths());
        let name = StockName { location_id: location_id.to_owned(), sku: sku.to_owned() };
        let more = Delta { on_hand: 0, ..delta_of(settled) };
        let how = (movement, Taking::Available);
        let write = stock.write(self.scope, &name, (&book, more), how, Some(line.unit), Vec::new())?;
        let mut writes = vec![write];
        if more.on_order != 0 {
            let open = line.outstanding().minus(settled.taken);
            writes.push(open_line_write(self.scope, self.order.ordered_line(line), open));
        }
        writes.extend(beside);
        Ok(Some(writes))
    }
}
