//! Reserving kits: what a request asks for of kits is held of their components, and the reservation remembers
//! both. Holds, their ends and the stock know of components only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tillstream_contracts::inventory::{ReservedComponent, ReservedKit};
use tillstream_domain::compact;
use tillstream_domain::kit::KitPart;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{Quantity, Unit};

use crate::catalog::kits::{Components, require_sellable};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::stock::reservation_item::{HeldLine, OfLines};
use crate::tenancy::TenantScope;

/// Most different pairs of location and kit in one reservation, so that what it remembers of them stays within some
/// kilobytes.
pub const KITS_MAX: usize = 100;

/// A kit that was reserved, with what it is made of as of then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitLine {
    /// Where.
    pub location_id: String,
    /// SKU of the kit.
    pub sku: String,
    /// How many were reserved.
    pub quantity: Quantity,
    /// What one kit takes.
    pub parts: Vec<KitPart>,
    /// How many of them were committed while the others went on being held: by the request at this position, so
    /// many.
    pub commits: Vec<(u32, Quantity)>,
}

/// A kit as it is encoded beside the lines that hold what it takes: positional, so nothing may be put between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredKit {
    sku: String,
    quantity: Quantity,
    /// By position of the line: how much of it one kit takes. All are of the kit's location.
    parts: Vec<(u32, Quantity)>,
    commits: Vec<(u32, Quantity)>,
}

/// What is stored of kits, whose components are all among `lines`.
///
/// # Errors
/// A bug where one is not.
pub(super) fn stored(kits: &[KitLine], lines: &[HeldLine]) -> Result<Vec<u8>> {
    let places: BTreeMap<(&str, &str), usize> =
        lines.iter().enumerate().map(|(at, line)| ((&*line.location_id, &*line.sku), at)).collect();
    let part = |kit: &KitLine, part: &KitPart| {
        let at = places.get(&(&*kit.location_id, &*part.sku)).copied().and_then(|at| u32::try_from(at).ok());
        let at = at.ok_or_else(|| Error::Bug(format!("nothing is held of {} for {}", part.sku, kit.sku)))?;
        Ok((at, part.quantity))
    };
    let kit = |kit: &KitLine| {
        Ok(StoredKit {
            sku: kit.sku.clone(),
            quantity: kit.quantity,
            parts: kit.parts.iter().map(|of| part(kit, of)).collect::<Result<_>>()?,
            commits: kit.commits.clone(),
        })
    };
    let kits: Vec<StoredKit> = kits.iter().map(kit).collect::<Result<_>>()?;
    compact::encode(&kits).map_err(Error::bug)
}

/// The kits that [`stored`] wrote beside these lines.
///
/// # Errors
/// A bug if they are not.
pub(super) fn read(bytes: &[u8], lines: &[HeldLine]) -> Result<Vec<KitLine>> {
    read_before(bytes, lines, u32::MAX)
}

/// The same as they stood before the request at this position.
///
/// # Errors
/// As [`read`].
pub(super) fn read_before(bytes: &[u8], lines: &[HeldLine], ordinal: u32) -> Result<Vec<KitLine>> {
    let stored: Vec<StoredKit> = compact::decode(bytes).map_err(Error::bug)?;
    let kit = |kit: StoredKit| {
        let held = |at: u32| usize::try_from(at).ok().and_then(|at| lines.get(at));
        let part = |(at, quantity): (u32, Quantity)| {
            let line =
                held(at).ok_or_else(|| Error::Bug(format!("kit {} takes what is not held", kit.sku)))?;
            Ok(KitPart { sku: line.sku.clone(), quantity, unit: line.unit })
        };
        let first = kit.parts.first().and_then(|(at, _)| held(*at));
        let location_id = first.map(|line| line.location_id.clone()).unwrap_or_default();
        let parts = kit.parts.iter().copied().map(part).collect::<Result<_>>()?;
        let commits = kit.commits.into_iter().filter(|(by, _)| *by < ordinal).collect();
        Ok(KitLine { location_id, sku: kit.sku, quantity: kit.quantity, parts, commits })
    };
    stored.into_iter().map(kit).collect()
}

impl KitLine {
    /// How many were committed while the others went on being held.
    pub fn committed(&self) -> Quantity {
        self.committed_before(u32::MAX)
    }

    /// How many were so committed by the requests before the one at this position.
    pub fn committed_before(&self, ordinal: u32) -> Quantity {
        let before = self.commits.iter().filter(|(by, _)| *by < ordinal);
        before.fold(Quantity::ZERO, |sum, (_, quantity)| sum.plus(*quantity))
    }

    /// How many are held while the reservation is active.
    pub fn held(&self) -> Quantity {
        self.quantity.minus(self.committed())
    }

    /// What so many of these kits take of one SKU.
    pub fn taken_of(&self, sku: &str, kits: Quantity) -> Quantity {
        let parts = self.parts.iter().filter(|part| part.sku == sku);
        parts.fold(Quantity::ZERO, |sum, part| sum.plus(part.of_kits(kits)))
    }

    /// As a client reads it, where so many were committed.
    pub(super) fn shown(&self, committed: Quantity) -> ReservedKit {
        let component = |part: &KitPart| ReservedComponent {
            sku: part.sku.clone(),
            quantity: part.quantity.display(part.unit),
        };
        ReservedKit {
            location_id: self.location_id.clone(),
            sku: self.sku.clone(),
            quantity: self.quantity.display(Unit::Piece),
            committed: committed.display(Unit::Piece),
            components: self.parts.iter().map(component).collect(),
        }
    }
}

/// What `kits` hold of a SKU at a location.
pub(super) fn held_for_kits(kits: &[KitLine], location_id: &str, sku: &str) -> Quantity {
    let here = kits.iter().filter(|kit| kit.location_id == location_id);
    here.fold(Quantity::ZERO, |sum, kit| sum.plus(kit.taken_of(sku, kit.held())))
}

/// SKUs of the kits that take a SKU at a location.
pub(super) fn kits_taking(kits: &[KitLine], location_id: &str, sku: &str) -> Vec<String> {
    let takes = |kit: &&KitLine| kit.location_id == location_id && kit.parts.iter().any(|one| one.sku == sku);
    kits.iter().filter(takes).map(|kit| kit.sku.clone()).collect()
}

/// How many of which kits, by position, with what they take of each of `lines` (location and SKU).
pub(super) fn taken_by<'a>(
    kits: &[KitLine],
    sold: &OfLines,
    lines: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<Quantity> {
    let taken = |(location_id, sku): (&str, &str)| {
        let sold = sold.iter().filter_map(|(at, quantity)| Some((kits.get(*at)?, *quantity)));
        let here = sold.filter(|(kit, _)| kit.location_id == location_id);
        here.fold(Quantity::ZERO, |sum, (kit, quantity)| sum.plus(kit.taken_of(sku, quantity)))
    };
    lines.map(taken).collect()
}

/// How the SKUs of a request are sold, and what those among them are made of that are kits.
pub(super) struct Goods {
    units: BTreeMap<String, Unit>,
    kits: BTreeMap<String, Vec<KitPart>>,
}

impl Goods {
    /// Of SKUs of which it is known that none is a kit.
    pub(super) fn plain(units: BTreeMap<String, Unit>) -> Self {
        Goods { units, kits: BTreeMap::new() }
    }

    /// Of products; the components of those that are kits are read. `field` names a SKU's field in a refusal.
    ///
    /// # Errors
    /// 422 `variant_required`, `kit_component_unknown`, `kit_component_is_a_kit`, `kit_component_quantity`.
    pub(super) async fn of(
        ports: &Ports,
        scope: &TenantScope,
        products: &BTreeMap<String, Product>,
        field: impl Fn(&str) -> String,
    ) -> Result<Self> {
        let components = Components::read(ports, scope, products.values()).await?;
        let mut kits = BTreeMap::new();
        for (sku, product) in products {
            require_sellable(product, &field(sku))?;
            if let Some(parts) = components.parts(product, &field(sku))? {
                kits.insert(sku.clone(), parts);
            }
        }
        let units = products.iter().map(|(sku, product)| (sku.clone(), product.unit)).collect();
        Ok(Goods { units, kits })
    }

    /// How a SKU is sold.
    pub(super) fn unit(&self, sku: &str) -> Unit {
        self.units.get(sku).copied().unwrap_or_default()
    }

    /// What so many of a SKU take from stock: of itself, or of the components of a kit.
    pub(super) fn taken<'a>(&'a self, sku: &'a str, quantity: Quantity) -> Vec<(&'a str, Quantity, Unit)> {
        match self.kits.get(sku) {
            None => vec![(sku, quantity, self.unit(sku))],
            Some(parts) => {
                let of_part = |part: &'a KitPart| (part.sku.as_str(), part.of_kits(quantity), part.unit);
                parts.iter().map(of_part).collect()
            }
        }
    }

    /// As [`Self::taken`], of the line at a position.
    ///
    /// # Errors
    /// 422 `sku_not_stocked` for a kit of which stock is kept of no component.
    pub(super) fn taken_by_line<'a>(
        &'a self,
        position: usize,
        sku: &'a str,
        quantity: Quantity,
    ) -> Result<Vec<(&'a str, Quantity, Unit)>> {
        let taken = self.taken(sku, quantity);
        if taken.is_empty() {
            let message = format!("kit {sku} is made of nothing that stock is kept of");
            return Err(Refusal::field(format!("lines[{position}].sku"), "sku_not_stocked", message).into());
        }
        Ok(taken)
    }

    /// What one of a SKU takes, if it is a kit.
    pub(super) fn parts(&self, sku: &str) -> Option<&[KitPart]> {
        self.kits.get(sku).map(Vec::as_slice)
    }

    /// The kits among some lines (location, SKU and how many), those of one location and kit added up.
    pub(super) fn kit_lines<'a>(
        &self,
        lines: impl Iterator<Item = (&'a str, &'a str, Quantity)>,
    ) -> Vec<KitLine> {
        let mut kits = BTreeMap::<(&str, &str), KitLine>::new();
        for (location_id, sku, quantity) in lines {
            let Some(parts) = self.kits.get(sku) else { continue };
            let kit = kits.entry((location_id, sku)).or_insert_with(|| KitLine {
                location_id: location_id.to_owned(),
                sku: sku.to_owned(),
                quantity: Quantity::ZERO,
                parts: parts.clone(),
                commits: Vec::new(),
            });
            kit.quantity = kit.quantity.plus(quantity);
        }
        kits.into_values().collect()
    }
}
