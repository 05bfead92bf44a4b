//! Goods of a transfer that are kept by lots.
//!
//! Which lots leave with a line is noted with the transfer, in the transaction by which they leave; so they arrive, or
//! come back, as these, line by line and in whatever steps. What is settled of each is noted there too, in the
//! transaction that settles it. Whoever writes these notes has the transfer's own item in the same transaction, on
//! condition that it is as it was read: so they need no condition of their own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tillstream_domain::lot_book::LotBook;
use tillstream_domain::quantity::Quantity;
use tillstream_domain::transfer::{Settled, TransferLine};
use tillstream_domain::transfer_lots::{NamedLot, Parts, ShippedLot, share_out};

use super::drive::{STOCK_ACTIONS_MAX, end_write, in_transit, settle_writes};
use super::item::StoredTransfer;
use crate::database::{Consistency, Get, Item, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::{Delta, Movement};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::lots::{LotStock, Named, Taking, known_all};
use crate::stock::split::make_whole;
use crate::tenancy::TenantScope;

/// Attribute: the lots of a line.
const OF_LINE: &str = "of_line";

/// Notes the lots of a line.
///
/// # Errors
/// A bug if they cannot be written.
pub(super) fn note(scope: &TenantScope, transfer_id: &str, line: u32, lots: &[ShippedLot]) -> Result<Write> {
    let item = Item::new(&scope.transfer_lots(transfer_id, line))
        .with("tenant_id", scope.tenant_id())
        .with("line", i64::from(line))
        .with_json(OF_LINE, &lots)?;
    Ok(Write::Put { table: Table::Stock, item, condition: None })
}

/// The lots that left with some lines, each named once; nothing of lines whose goods are of no known lot.
///
/// # Errors
/// As the database.
pub(super) async fn lots_of_lines(
    ports: &Ports,
    scope: &TenantScope,
    transfer: &StoredTransfer,
    lines: Vec<u32>,
) -> Result<BTreeMap<u32, Vec<ShippedLot>>> {
    let mut found = BTreeMap::new();
    if !transfer.has_lots || lines.is_empty() {
        return Ok(found);
    }
    let get = |line: &u32| Get {
        table: Table::Stock,
        key: scope.transfer_lots(&transfer.id, *line),
        consistency: Consistency::Strong,
    };
    let items = ports.database.get_many(lines.iter().map(get).collect()).await?;
    for (line, item) in lines.into_iter().zip(items) {
        if let Some(item) = item {
            found.insert(line, item.json(OF_LINE)?);
        }
    }
    Ok(found)
}

/// What came of settling lines.
pub(super) enum Settles {
    /// These writes settle so many of the lines, from the first on.
    Lines(usize, Vec<Write>),
    /// It is to be read again, for this reason.
    Again(&'static str),
}

/// A step's lines are settled.
pub(super) struct Settling<'a> {
    pub(super) ports: &'a Ports,
    pub(super) scope: &'a TenantScope,
    pub(super) transfer: &'a StoredTransfer,
    pub(super) movement: &'a Movement,
    /// Lots that the step names.
    pub(super) named: &'a [NamedLot],
    /// Whether it takes a shipment back: nothing of it is to be seen afterwards.
    pub(super) undoing: bool,
    pub(super) now: Timestamp,
}

/// What was read of lines whose goods are of lots.
#[derive(Default)]
struct Seen {
    lots: BTreeMap<u32, Vec<ShippedLot>>,
    /// By location.
    known: BTreeMap<String, BTreeMap<String, Named>>,
    stock: BTreeMap<StockName, LotStock>,
}

/// What settles one line.
struct OfLine {
    writes: Vec<Write>,
    /// That lots are at a location: it may be written before.
    places: Vec<Write>,
}

impl Settling<'_> {
    fn line(&self, settled: &Settled) -> Result<&TransferLine> {
        let line = usize::try_from(settled.line).ok().and_then(|at| self.transfer.body.lines.get(at));
        line.ok_or_else(|| Error::bug("a settled line is one of the transfer"))
    }

    /// Where goods come on hand by what settles a line.
    fn ends(&self, settled: &Settled) -> impl Iterator<Item = &str> {
        let ends = [(settled.received, &self.transfer.to), (settled.returned, &self.transfer.from)];
        ends.into_iter().filter(|(quantity, _)| *quantity > Quantity::ZERO).map(|(_, end)| end.as_str())
    }

    /// What settles as many of these lines as one transaction takes beside the transfer's own item.
    ///
    /// # Errors
    /// As the database; [`Error::Retryable`] where split stock is too busy to be merged.
    pub(super) async fn settle(&self, lines: &[Settled]) -> Result<Settles> {
        let positions = lines.iter().map(|line| line.line).collect();
        let lots = lots_of_lines(self.ports, self.scope, self.transfer, positions).await?;
        let mut seen = Seen { lots, ..Seen::default() };
        let lines = fitting(lines, &seen.lots);
        self.read(lines, &mut seen).await?;
        let mut is_split = false;
        for (name, stock) in &seen.stock {
            if stock.counters.is_some_and(|stock| stock.layout != LAYOUT_WHOLE) {
                make_whole(self.ports, self.scope, &name.location_id, &name.sku).await?;
                is_split = true;
            }
        }
        if is_split {
            return Ok(Settles::Again("stock was split"));
        }
        let (mut writes, mut settled) = (Vec::new(), 0);
        for line in lines {
            let mut of_line = self.line_writes(line, &seen)?;
            if of_line.writes.len() + of_line.places.len() > STOCK_ACTIONS_MAX {
                // Of so many lots that they do not fit together.
                for place in std::mem::take(&mut of_line.places) {
                    self.ports.database.write(place).await?;
                }
            }
            of_line.writes.append(&mut of_line.places);
            if writes.len() + of_line.writes.len() > STOCK_ACTIONS_MAX {
                break;
            }
            writes.extend(of_line.writes);
            settled += 1;
        }
        Ok(Settles::Lines(settled, writes))
    }

    /// Reads what lines of lots need: all their lots, and the stock that they come to.
    async fn read(&self, lines: &[Settled], seen: &mut Seen) -> Result<()> {
        let mut wanted: BTreeMap<&str, BTreeSet<(&str, &str)>> = BTreeMap::new();
        let mut names = Vec::new();
        for settled in lines {
            let Some(lots) = seen.lots.get(&settled.line) else { continue };
            let sku = self.line(settled)?.sku.as_str();
            for end in self.ends(settled) {
                let at_end = wanted.entry(end).or_default();
                let on_their_way = lots.iter().filter(|lot| lot.outstanding() > 0);
                at_end.extend(on_their_way.filter_map(|lot| lot.lot_id.as_deref()).map(|id| (id, sku)));
                names.push(StockName { location_id: end.to_owned(), sku: sku.to_owned() });
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let mut known = BTreeMap::new();
        for (location_id, lots) in &wanted {
            let of_location = known_all(self.ports, self.scope, location_id, lots, self.now).await?;
            known.insert((*location_id).to_owned(), of_location);
        }
        let get = |name: &StockName| Get {
            table: Table::Stock,
            key: self.scope.stock(&name.location_id, &name.sku),
            consistency: Consistency::Strong,
        };
        let items = self.ports.database.get_many(names.iter().map(get).collect()).await?;
        for (name, item) in names.into_iter().zip(items) {
            seen.stock.insert(name, LotStock::of(item.as_ref())?);
        }
        seen.known = known;
        Ok(())
    }

    fn line_writes(&self, settled: &Settled, seen: &Seen) -> Result<OfLine> {
        let (scope, transfer) = (self.scope, self.transfer);
        let line = self.line(settled)?;
        let Some(lots) = seen.lots.get(&settled.line) else {
            let writes = settle_writes(scope, transfer, line, settled, self.movement);
            return Ok(OfLine { writes, places: Vec::new() });
        };
        let mut lots = lots.clone();
        let names = self.named.iter().filter(|named| named.line == settled.line);
        // At either end, also where it is quarantined there alone.
        let is_aside = |lot_id: &str| {
            seen.known.iter().any(|(location_id, lots)| {
                let name = StockName { location_id: location_id.clone(), sku: line.sku.clone() };
                lots.get(lot_id).is_some_and(|lot| match seen.stock.get(&name) {
                    Some(stock) => lot.is_aside_in(&stock.book),
                    None => lot.is_aside(),
                })
            })
        };
        let shares = share_out(&mut lots, settled, names, is_aside);
        let arrived = Delta { damaged: settled.damaged.thousandths(), ..-in_transit(settled.total()) };
        let mut of_line = OfLine { writes: Vec::new(), places: Vec::new() };
        let to = (transfer.to.as_str(), line, arrived);
        self.end(to, quantities(&shares, |parts| parts.received), seen, &mut of_line)?;
        if settled.returned > Quantity::ZERO {
            let from = (transfer.from.as_str(), line, Delta::default());
            self.end(from, quantities(&shares, |parts| parts.returned), seen, &mut of_line)?;
        }
        of_line.writes.push(if self.undoing {
            let key = scope.transfer_lots(&transfer.id, settled.line);
            Write::Delete { table: Table::Stock, key, condition: None }
        } else {
            note(scope, &transfer.id, settled.line, &lots)?
        });
        Ok(of_line)
    }

    /// Goods of these lots come to one end of the transfer, where `more` changes besides.
    fn end(
        &self,
        (location_id, line, mut more): (&str, &TransferLine, Delta),
        lots: Vec<(Option<&str>, i64)>,
        seen: &Seen,
        of_line: &mut OfLine,
    ) -> Result<()> {
        let known = seen.known.get(location_id);
        let named = |lot_id: Option<&str>| lot_id.and_then(|lot_id| known?.get(lot_id));
        let name = StockName { location_id: location_id.to_owned(), sku: line.sku.clone() };
        let stock = seen.stock.get(&name).filter(|_| lots.iter().any(|(lot_id, _)| named(*lot_id).is_some()));
        let Some(stock) = stock else {
            more.on_hand += lots.iter().map(|(_, quantity)| *quantity).sum::<i64>();
            of_line.writes.push(end_write(self.scope, location_id, line, more, self.movement));
            return Ok(());
        };
        let mut book: LotBook = stock.book.clone();
        let mut checks = Vec::new();
        for (lot_id, quantity) in lots {
            let Some(lot) = named(lot_id) else {
                book.add_unknown(quantity);
                continue;
            };
            more.damaged += lot.arrive(&mut book, quantity);
            checks.push(lot.own_write(self.scope));
            of_line.places.extend(lot.place_write(self.scope, &stock.book));
        }
        let how = (self.movement, Taking::Available);
        let write = stock.write(self.scope, &name, (&book, more), how, Some(line.unit), Vec::new())?;
        of_line.writes.push(write);
        // Both ends may have of the same lot: it is asked once how it is.
        for check in checks {
            if !of_line.writes.contains(&check) {
                of_line.writes.push(check);
            }
        }
        Ok(())
    }
}

/// Lines from the first on that one transaction may take, so that no more is read than that; one at least.
fn fitting<'l>(lines: &'l [Settled], lots: &BTreeMap<u32, Vec<ShippedLot>>) -> &'l [Settled] {
    let least = |line: &Settled| match lots.get(&line.line) {
        None => 1,
        Some(lots) => 2 + lots.iter().filter(|lot| lot.outstanding() > 0).count(),
    };
    let mut actions = 0;
    let fits = lines.iter().take_while(|line| {
        actions += least(line);
        actions <= STOCK_ACTIONS_MAX
    });
    let fits = fits.count().max(1).min(lines.len());
    lines.get(..fits).unwrap_or_default()
}

/// What comes of each lot, by what is asked of its parts.
fn quantities(shares: &BTreeMap<Option<String>, Parts>, of: fn(&Parts) -> i64) -> Vec<(Option<&str>, i64)> {
    let all = shares.iter().map(|(lot_id, parts)| (lot_id.as_deref(), of(parts)));
    all.filter(|(_, quantity)| *quantity > 0).collect()
}
