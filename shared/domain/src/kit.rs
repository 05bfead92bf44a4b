//! Kits: sold as one product, taken from stock as several.
//!
//! A kit has no stock of its own. What one of it takes is decided when it is added to a cart or reserved, in
//! one step: a component that is a kit itself is refused, whenever it became one, so there is nothing to
//! follow and nothing to go round in.

use serde::{Deserialize, Serialize};

use crate::product::Product;
use crate::quantity::{Quantity, QuantityError, QuantityInput, Unit};

/// Most components of a kit.
pub const COMPONENTS_MAX: usize = 20;
/// Most of one component in a kit, in thousandths: 10,000 units, so that no cart can take more than is
/// counted.
const PER_KIT_MAX: i64 = 10_000_000;

/// So much of a product in one kit, as it was sent: what the quantity means depends on how the component is
/// sold, and that is known when the kit is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitComponent {
    /// SKU of the component.
    pub sku: String,
    /// How many of it, or how much, in one kit.
    pub quantity: QuantityInput,
}

impl KitComponent {
    /// How much of it one kit takes, where the component is sold by `unit`.
    ///
    /// # Errors
    /// [`QuantityError`]: not the form that the unit takes, not above zero, or above 10,000.
    pub fn quantity_of(&self, unit: Unit) -> Result<Quantity, QuantityError> {
        let quantity = self.quantity.resolve(unit)?.positive()?;
        if quantity.thousandths() > PER_KIT_MAX { Err(QuantityError::OutOfRange) } else { Ok(quantity) }
    }

    /// Whether it can be right for a component of which nothing is known yet.
    ///
    /// # Errors
    /// As [`Self::quantity_of`].
    pub fn check_alone(&self) -> Result<(), QuantityError> {
        let by_its_form = match self.quantity {
            QuantityInput::Whole(_) => Unit::Piece,
            QuantityInput::Decimal(_) => Unit::Kg,
        };
        self.quantity_of(by_its_form).map(drop)
    }
}

/// What one kit takes of one stocked component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KitPart {
    /// SKU of the component.
    pub sku: String,
    /// How much one kit takes.
    pub quantity: Quantity,
    /// How the component is sold.
    pub unit: Unit,
}

impl KitPart {
    /// What so many kits take of it. Kits are sold by the piece, so it is exact.
    pub fn of_kits(&self, kits: Quantity) -> Quantity {
        let product = i128::from(kits.thousandths()) * i128::from(self.quantity.thousandths()) / 1_000;
        Quantity::of_counter(i64::try_from(product).unwrap_or(i64::MAX))
    }

    /// How many whole kits so much of it makes, in thousandths as all quantities are; never below none.
    pub fn kits_in(&self, thousandths: i64) -> i64 {
        thousandths.checked_div(self.quantity.thousandths()).unwrap_or(0).max(0).saturating_mul(1_000)
    }
}

/// Why a kit cannot be made of its components now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KitError {
    /// The catalogue has no such product, or no longer.
    #[error("its component {sku} is not in the catalogue")]
    ComponentUnknown {
        /// SKU of the component.
        sku: String,
    },
    /// The component is a kit itself, or became one.
    #[error("its component {sku} is a kit, and a kit is made of products that are none")]
    ComponentIsKit {
        /// SKU of the component.
        sku: String,
    },
    /// The component is sold otherwise than the kit takes it.
    #[error("its component {sku}: {error}")]
    ComponentQuantity {
        /// SKU of the component.
        sku: String,
        /// What is wrong.
        error: QuantityError,
    },
}

impl KitError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            KitError::ComponentUnknown { .. } => "kit_component_unknown",
            KitError::ComponentIsKit { .. } => "kit_component_is_a_kit",
            KitError::ComponentQuantity { .. } => "kit_component_quantity",
        }
    }
}

/// What one of `kit` takes from stock, where `component` tells of products by SKU. A component of which no
/// stock is kept takes nothing, as when it is sold by itself.
///
/// # Errors
/// [`KitError`] of the first component that stands in the way.
pub fn parts_of<'a>(
    kit: &Product,
    component: impl Fn(&str) -> Option<&'a Product>,
) -> Result<Vec<KitPart>, KitError> {
    let mut parts = Vec::with_capacity(kit.components.len());
    for wanted in &kit.components {
        let sku = wanted.sku.clone();
        let Some(product) = component(&sku) else { return Err(KitError::ComponentUnknown { sku }) };
        if product.is_kit() {
            return Err(KitError::ComponentIsKit { sku });
        }
        let unit = product.unit;
        match wanted.quantity_of(unit) {
            Ok(quantity) if product.stocked => parts.push(KitPart { sku, quantity, unit }),
            Ok(_) => {}
            Err(error) => return Err(KitError::ComponentQuantity { sku, error }),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn product(sku: &str, unit: &str, components: &[(&str, QuantityInput)]) -> Product {
        let text = format!(
            r#"{{"sku":"{sku}","name":"{sku}","unit_price":"1","currency":"GBP","stocked":true,"unit":"{unit}"}}"#
        );
        let product: Product = serde_json::from_str(&text).unwrap();
        let components = components
            .iter()
            .map(|(sku, quantity)| KitComponent { sku: (*sku).into(), quantity: quantity.clone() })
            .collect();
        Product { components, ..product }
    }

    fn whole(n: i64) -> QuantityInput {
        QuantityInput::Whole(n)
    }

    fn part(sku: &str, thousandths: i64, unit: Unit) -> KitPart {
        KitPart { sku: sku.into(), quantity: Quantity::of_counter(thousandths), unit }
    }

    #[test]
    fn a_kit_takes_what_its_components_are_and_is_refused_where_they_do_not_fit() {
        let by_weight = QuantityInput::Decimal("0.250".into());
        let catalogue = [
            product("MUG", "piece", &[]),
            product("TEA", "kg", &[]),
            Product { stocked: false, ..product("WRAP", "piece", &[]) },
            product("OTHER KIT", "piece", &[("MUG", whole(1))]),
        ];
        let known = |sku: &str| catalogue.iter().find(|product| product.sku == sku);
        let of = |components: &[(&str, QuantityInput)]| parts_of(&product("KIT", "piece", components), known);
        assert_eq!(
            of(&[("MUG", whole(2)), ("TEA", by_weight.clone()), ("WRAP", whole(1))]),
            Ok(vec![part("MUG", 2_000, Unit::Piece), part("TEA", 250, Unit::Kg)])
        );
        for (components, code) in [
            (vec![("MUG", whole(1)), ("GONE", whole(1))], "kit_component_unknown"),
            (vec![("OTHER KIT", whole(1))], "kit_component_is_a_kit"),
            (vec![("MUG", by_weight)], "kit_component_quantity"),
            (vec![("TEA", whole(1))], "kit_component_quantity"),
            (vec![("MUG", whole(10_001))], "kit_component_quantity"),
            (vec![("MUG", whole(0))], "kit_component_quantity"),
        ] {
            assert_eq!(of(&components).unwrap_err().code(), code, "{components:?}");
        }
        // What went round in the catalogue is looked at once: nothing is followed.
        let ring = [
            product("A", "piece", &[("B", whole(1))]),
            product("B", "piece", &[("A", whole(1))]),
            product("SELF", "piece", &[("SELF", whole(1))]),
        ];
        for kit in &ring {
            let error = parts_of(kit, |sku| ring.iter().find(|product| product.sku == sku)).unwrap_err();
            assert_eq!(error.code(), "kit_component_is_a_kit");
        }
    }

    proptest! {
        /// Whatever the catalogue says, made up of products and kits in any relation: an answer, of one step.
        #[test]
        fn any_catalogue_has_an_answer(
            kits in prop::collection::vec(prop::collection::vec((0_usize..8, -2_i64..20_000), 0..24), 8),
            stocked in prop::collection::vec(any::<bool>(), 8),
        ) {
            let name = |n: usize| format!("P{n}");
            let catalogue: BTreeMap<String, Product> = kits
                .iter()
                .enumerate()
                .map(|(n, components)| {
                    let components: Vec<KitComponent> = components
                        .iter()
                        // P7 is nobody's: unknown.
                        .map(|(of, n)| KitComponent { sku: name(*of), quantity: whole(*n) })
                        .collect();
                    let plain = product(&name(n), "piece", &[]);
                    (name(n), Product { components, stocked: stocked[n], ..plain })
                })
                .filter(|(sku, _)| sku != "P7")
                .collect();
            for kit in catalogue.values() {
                match parts_of(kit, |sku| catalogue.get(sku)) {
                    Ok(parts) => {
                        prop_assert!(parts.len() <= kit.components.len());
                        for part in parts {
                            prop_assert!(!catalogue[&part.sku].is_kit() && catalogue[&part.sku].stocked);
                            prop_assert!((1..=PER_KIT_MAX).contains(&part.quantity.thousandths()));
                        }
                    }
                    Err(error) => prop_assert!(error.code().starts_with("kit_component_")),
                }
            }
        }

        /// So many kits are there as whole ones can be taken, and one more is too much.
        #[test]
        fn the_kits_in_stock_are_those_that_can_be_taken(have in -5_000_i64..5_000_000, per in 1_i64..PER_KIT_MAX) {
            let part = part("A", per, Unit::Kg);
            let kits = part.kits_in(have);
            prop_assert!(kits >= 0 && kits % 1_000 == 0);
            prop_assert!(kits == 0 || part.of_kits(Quantity::of_counter(kits)).thousandths() <= have);
            prop_assert!(part.of_kits(Quantity::of_counter(kits + 1_000)).thousandths() > have);
        }
    }
}
