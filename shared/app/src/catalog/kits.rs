//! Kits and variants: what a product that names others must be, and what a kit is made of now.
//!
//! Feeds arrive in any order, so a product may name others that are not there yet, and a component may become
//! a kit after its kit was written. What is known is checked when a product is written; what counts is looked
//! at again when a kit is sold or reserved, in one step ([`tillstream_domain::kit`]).

use std::collections::{BTreeMap, BTreeSet};

use tillstream_domain::identifier::check_sku;
use tillstream_domain::kit::{COMPONENTS_MAX, KitComponent, KitPart, parts_of};
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityError, Unit};

use super::items::{catalog_get, product_if_any};
use super::product_rules::FieldErrors;
use crate::database::{Consistency, Get, Item, Table};
use crate::error::{Error, Refusal, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

const SKU_MALFORMED: &str = "a SKU is 1 to 64 bytes of printable text without leading or trailing spaces";

/// Notes what of a product's components and its parent is wrong by itself.
pub(super) fn demand_relations(errors: &mut FieldErrors, product: &Product) {
    let components = &product.components;
    errors.demand(
        components.len() <= COMPONENTS_MAX,
        "components",
        "too_many_components",
        "a kit has at most 20 components",
    );
    let mut seen = BTreeSet::new();
    for (position, component) in components.iter().enumerate().take(COMPONENTS_MAX) {
        let field = |name: &str| format!("components[{position}].{name}");
        errors.demand(check_sku(&component.sku).is_ok(), &field("sku"), "sku_malformed", SKU_MALFORMED);
        errors.demand(
            component.sku != product.sku,
            &field("sku"),
            "kit_contains_itself",
            "a kit is made of other products",
        );
        errors.demand(
            seen.insert(&component.sku),
            &field("sku"),
            "component_repeated",
            "the component stands there twice: say its whole quantity once",
        );
        if let Err(error) = component.check_alone() {
            errors.demand(
                false,
                &field("quantity"),
                "component_quantity_invalid",
                &quantity_message(component, error),
            );
        }
    }
    if product.is_kit() {
        errors.demand(
            product.unit == Unit::Piece,
            "unit",
            "kit_not_by_piece",
            "a kit is sold by the piece; its components may be sold by measure",
        );
        errors.demand(
            product.stocked,
            "stocked",
            "kit_not_stocked",
            "a kit takes its components' stock: of which of them stock is kept, they say",
        );
    }
    if let Some(parent) = &product.variant_of {
        errors.demand(check_sku(parent).is_ok(), "variant_of", "sku_malformed", SKU_MALFORMED);
        errors.demand(
            *parent != product.sku,
            "variant_of",
            "variant_of_itself",
            "a variant is one of another product",
        );
    }
}

fn quantity_message(component: &KitComponent, error: QuantityError) -> String {
    match error {
        QuantityError::OutOfRange => format!("one kit takes at most 10000 of {}", component.sku),
        other => other.to_string(),
    }
}

/// SKUs of the products that `product` names.
pub(crate) fn related_skus(product: &Product) -> impl Iterator<Item = &str> {
    product.components.iter().map(|component| component.sku.as_str()).chain(product.variant_of.as_deref())
}

/// Refuses what does not fit the products that `known` tells of. What it does not know may come later.
///
/// # Errors
/// 422 `field_invalid` with `component_is_a_kit`, `component_quantity_invalid`, `parent_is_a_variant`; those of
/// `known`.
pub(crate) fn check_relations(
    product: &Product,
    known: impl Fn(&str) -> Result<Option<Product>>,
) -> Result<()> {
    let mut errors = FieldErrors::default();
    for (position, component) in product.components.iter().enumerate() {
        let Some(found) = known(&component.sku)? else { continue };
        errors.demand(
            !found.is_kit(),
            &format!("components[{position}].sku"),
            "component_is_a_kit",
            "it is a kit itself: name what that is made of",
        );
        if let Err(error) = component.quantity_of(found.unit) {
            let field = format!("components[{position}].quantity");
            let message = quantity_message(component, error);
            errors.demand(false, &field, "component_quantity_invalid", &message);
        }
    }
    if let Some(parent) = &product.variant_of
        && let Some(found) = known(parent)?
    {
        errors.demand(
            found.variant_of.is_none(),
            "variant_of",
            "parent_is_a_variant",
            "it is a variant itself: name the product that both are variants of",
        );
    }
    Ok(errors.refuse()?)
}

/// As [`check_relations`], against the catalogue as it is now; reads nothing where nothing is named.
///
/// # Errors
/// As [`check_relations`]; those of the database.
pub(super) async fn check_in_catalogue(ports: &Ports, scope: &TenantScope, product: &Product) -> Result<()> {
    let skus: BTreeSet<&str> = related_skus(product).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let strong =
        |sku: &&str| Get { table: Table::Catalog, key: scope.product(sku), consistency: Consistency::Strong };
    let items = ports.database.get_many(skus.iter().map(strong).collect()).await?;
    let found: BTreeMap<&str, Item> =
        skus.into_iter().zip(items).filter_map(|(sku, item)| Some((sku, item?))).collect();
    check_relations(product, |sku| product_if_any(found.get(sku)))
}

/// The components of kits, as they were read.
#[derive(Debug, Clone, Default)]
pub struct Components {
    /// By SKU; `None` for what the catalogue does not have.
    products: BTreeMap<String, Option<Product>>,
    /// What is settled, whatever the catalogue says by now: the parts of kits, `None` for what was none.
    settled: BTreeMap<String, Option<Vec<KitPart>>>,
}

impl Components {
    /// SKUs of the components of `kits`, each once, for [`Self::of`].
    pub fn skus<'a>(kits: impl IntoIterator<Item = &'a Product>) -> BTreeSet<String> {
        let of_kits = kits.into_iter().flat_map(|kit| &kit.components);
        // What can be no SKU was never written, and may build no key.
        of_kits.filter(|one| check_sku(&one.sku).is_ok()).map(|one| one.sku.clone()).collect()
    }

    /// The reads of components, in the order of their SKUs.
    pub fn gets(scope: &TenantScope, skus: &BTreeSet<String>) -> Vec<Get> {
        skus.iter().map(|sku| catalog_get(scope.product(sku))).collect()
    }

    /// The same as they are now. What was made a moment ago may not be there yet in an eventual read: only these
    /// say no.
    pub fn strong_gets(scope: &TenantScope, skus: &BTreeSet<String>) -> Vec<Get> {
        let gets = Components::gets(scope, skus).into_iter();
        gets.map(|get| Get { consistency: Consistency::Strong, ..get }).collect()
    }

    /// What was read of them, by position.
    ///
    /// # Errors
    /// A bug if an item is no product.
    pub fn of(skus: BTreeSet<String>, read: &[Option<Item>]) -> Result<Self> {
        let mut products = BTreeMap::new();
        for (position, sku) in skus.into_iter().enumerate() {
            products.insert(sku, product_if_any(read.get(position).and_then(Option::as_ref))?);
        }
        Ok(Components { products, settled: BTreeMap::new() })
    }

    /// Reads the components of `kits`; nothing where there are none.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read<'a>(
        ports: &Ports,
        scope: &TenantScope,
        kits: impl IntoIterator<Item = &'a Product>,
    ) -> Result<Self> {
        let skus = Components::skus(kits);
        if skus.is_empty() {
            return Ok(Components::default());
        }
        let mut read = ports.database.get_many(Components::gets(scope, &skus)).await?;
        if read.iter().any(Option::is_none) {
            read = ports.database.get_many(Components::strong_gets(scope, &skus)).await?;
        }
        Components::of(skus, &read)
    }

    /// Settles what kits are made of, and which products are none (`None`), whatever the catalogue says by now.
    pub fn settle(&mut self, goods: impl IntoIterator<Item = (String, Option<Vec<KitPart>>)>) {
        self.settled.extend(goods);
    }

    /// Whether all components of `kit` were read.
    fn cover(&self, kit: &Product) -> bool {
        kit.components.iter().all(|component| self.products.contains_key(&component.sku))
    }

    /// What one of `product` takes from stock if it is a kit; `None` if it is none. `field` names it in the
    /// request.
    ///
    /// # Errors
    /// 422 `kit_component_unknown`, `kit_component_is_a_kit`, `kit_component_quantity`.
    pub fn parts(&self, product: &Product, field: &str) -> Result<Option<Vec<KitPart>>> {
        if let Some(parts) = self.settled.get(&product.sku) {
            return Ok(parts.clone());
        }
        if !product.is_kit() {
            return Ok(None);
        }
        let parts = parts_of(product, |sku| self.products.get(sku).and_then(Option::as_ref));
        parts.map(Some).map_err(|error| {
            let message = format!("kit {} cannot be made: {error}", product.sku);
            Refusal::field(field, error.code(), message).into()
        })
    }
}

/// The components of one product that turns out to be a kit while its cart is changed: then they are read, and
/// the change is made again. What is no kit costs no read.
#[derive(Debug, Default)]
pub struct ReadIfKit {
    known: Components,
    /// What turned out to be a kit of which the components are not known.
    wanted: Option<Product>,
    reads: u32,
}

/// A kit that is redefined between each two reads is not waited for.
const READS_MAX: u32 = 4;

impl ReadIfKit {
    /// As [`Components::parts`], where the components are known; else an error that [`Self::again`] takes back.
    ///
    /// # Errors
    /// As [`Components::parts`].
    pub fn parts(&mut self, product: &Product, field: &str) -> Result<Option<Vec<KitPart>>> {
        if product.is_kit() && !self.known.cover(product) {
            self.wanted = Some(product.clone());
            return Err(Error::retryable("the components of a kit are to be read"));
        }
        self.known.parts(product, field)
    }

    /// Reads what was wanted, if anything was: then the change is to be made again.
    ///
    /// # Errors
    /// Those of the database; [`Error::Conflict`] where the kit is redefined again and again.
    pub async fn again(&mut self, ports: &Ports, scope: &TenantScope) -> Result<bool> {
        let Some(kit) = self.wanted.take() else { return Ok(false) };
        self.reads += 1;
        if self.reads > READS_MAX {
            return Err(Error::Conflict(format!("kit {} is being redefined", kit.sku)));
        }
        self.known = Components::read(ports, scope, [&kit]).await?;
        Ok(true)
    }
}

/// Refuses what is not sold by itself.
///
/// # Errors
/// 422 `variant_required`.
pub fn require_sellable(product: &Product, field: &str) -> Result<()> {
    if product.sellable {
        return Ok(());
    }
    let sku = &product.sku;
    let message = format!(
        "{sku} is not sold by itself: choose one of its variants (GET /v1/products?variant_of={sku})"
    );
    Err(Refusal::field(field, "variant_required", message).into())
}

/// The refusal of a kit where stock of its own is meant.
pub fn sku_is_a_kit(field: impl Into<String>, sku: &str) -> Refusal {
    let message = format!("{sku} is a kit and has no stock of its own: name its components");
    Refusal::field(field, "sku_is_a_kit", message)
}
