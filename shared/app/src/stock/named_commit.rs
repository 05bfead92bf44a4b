//! Lots that the commit of a reservation names: they are taken rather than those that expire first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tillstream_contracts::lots::CommitLine;
use tillstream_domain::quantity::Quantity;

use crate::database::Write;
use crate::error::{Refusal, Result};
use crate::fields::typed_id;
use crate::ports::Ports;
use crate::stock::counters::Movement;
use crate::stock::holds::EndingWrite;
use crate::stock::layout::Place;
use crate::stock::lots::leaving::{Leaves, Leaving, Misfit, Terms, look, refusal};
use crate::stock::reservation_item::Reservation;
use crate::tenancy::TenantScope;

/// The lots of a commit, by location and SKU.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedLots {
    /// So much of each, in thousandths.
    lots: BTreeMap<(String, String), BTreeMap<String, i64>>,
    /// By location, SKU and lot: the line that names it first.
    lines: BTreeMap<(String, String, String), usize>,
}

impl NamedLots {
    /// Whether no line names any.
    pub(super) fn is_empty(&self) -> bool {
        self.lots.is_empty()
    }
}

/// What is written instead of stock of which lots are named, by location and SKU.
#[derive(Debug, Clone, Default)]
pub struct LotWrites(BTreeMap<(String, String), Write>);

impl LotWrites {
    /// Of these.
    pub(crate) fn of(writes: impl IntoIterator<Item = ((String, String), Write)>) -> Self {
        LotWrites(writes.into_iter().collect())
    }

    /// What is written instead of what ends holds.
    pub(super) fn instead_of(&self, about: &EndingWrite) -> Option<&Write> {
        match about {
            EndingWrite::Stock { location_id, sku, place: Place::First, .. } if !self.0.is_empty() => {
                self.0.get(&(location_id.clone(), sku.clone()))
            }
            _ => None,
        }
    }
}

/// The lots that lines of a commit name, which were checked against the reservation.
///
/// # Errors
/// 422 for a malformed lot, and `sku_without_lots` for one of a kit.
pub(super) fn lots_of(reservation: &Reservation, lines: &[CommitLine]) -> Result<NamedLots> {
    let mut named = NamedLots::default();
    for (position, line) in lines.iter().enumerate() {
        let Some(lot_id) = &line.lot else { continue };
        let field = format!("lines[{position}].lot");
        typed_id(&field, lot_id)?;
        let location_id = line.location_id.clone().unwrap_or_default();
        if reservation.kits.iter().any(|kit| kit.location_id == location_id && kit.sku == line.sku) {
            let message = format!("{} is a kit: its components are kept in stock, not it", line.sku);
            return Err(Refusal::field(field, "sku_without_lots", message).into());
        }
        let of_it =
            reservation.lines.iter().find(|held| held.location_id == location_id && held.sku == line.sku);
        let unit = of_it.map(|held| held.unit).unwrap_or_default();
        let quantity = line.quantity.resolve(unit).map_or(0, Quantity::thousandths);
        let what = (location_id, line.sku.clone());
        let by_line = (what.0.clone(), what.1.clone(), lot_id.clone());
        *named.lots.entry(what).or_default().entry(lot_id.clone()).or_default() += quantity;
        named.lines.entry(by_line).or_insert(position);
    }
    Ok(named)
}

/// What is written instead of the stock of which lots are named. Nothing where less is on hand than is held: what ends
/// the holds finds that out.
///
/// # Errors
/// 409 `lot_short`, `lot_expired`, `lot_quarantined`, `lot_recalled`; 422 `lot_unknown`, `lot_of_another_sku`,
/// `sku_without_lots`; as the database.
pub(super) async fn lot_writes<'a>(
    ports: &Ports,
    scope: &TenantScope,
    named: &NamedLots,
    ended: impl Iterator<Item = &'a EndingWrite>,
    movement: &Movement,
    now: Timestamp,
) -> Result<LotWrites> {
    let mut writes = LotWrites::default();
    if named.is_empty() {
        return Ok(writes);
    }
    let mut by_location: BTreeMap<&str, Vec<Leaving<'_>>> = BTreeMap::new();
    for about in ended {
        let EndingWrite::Stock { location_id, sku, quantity, .. } = about else { continue };
        let Some(lots) = named.lots.get(&(location_id.clone(), sku.clone())) else { continue };
        by_location.entry(location_id).or_default().push(Leaving {
            sku: sku.clone(),
            quantity: quantity.thousandths(),
            held: quantity.thousandths(),
            lots: lots.clone(),
            back: None,
            movement,
        });
    }
    for (location_id, goods) in by_location {
        let terms = Terms { location_id, good_at: now, now, gone: None, left: None };
        let looked = look(ports, scope, &terms, &goods).await?;
        if !looked.misfits.is_empty() {
            let field = |misfit: &Misfit| {
                let by_line = (location_id.to_owned(), misfit.sku.clone(), misfit.lot_id.clone());
                let position = named.lines.get(&by_line).copied().unwrap_or(0);
                format!("lines[{position}].lot")
            };
            return Err(refusal(location_id, &looked.misfits, field).into());
        }
        for (one, leaves) in goods.into_iter().zip(looked.goods) {
            if let Leaves::So(of_one) = leaves {
                let first = of_one.into_iter().next();
                writes.0.extend(first.map(|write| ((location_id.to_owned(), one.sku), write)));
            }
        }
    }
    Ok(writes)
}
