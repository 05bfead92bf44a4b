//! Which lines a rule is about.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::basket::BasketLine;
use super::error::RuleError;
use super::promotion::check_text;
use crate::identifier::check_sku;

/// Most entries of one list of a rule. A rule for more products is for a category.
pub const SELECTED_MAX: usize = 1_000;

/// A choice of products: those of `skus` and those of `categories` together, all where both are empty,
/// but never those of `excluded_skus`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selector {
    /// SKUs.
    #[serde(default)]
    pub skus: BTreeSet<String>,
    /// Categories; one chooses the products of all categories below it too.
    #[serde(default)]
    pub categories: BTreeSet<String>,
    /// SKUs that are not chosen, whatever the others say.
    #[serde(default)]
    pub excluded_skus: BTreeSet<String>,
}

impl Selector {
    /// Checks its bounds.
    ///
    /// # Errors
    /// [`RuleError::ListTooLong`], [`RuleError::Id`], [`RuleError::Text`], [`RuleError::ChosenAndExcluded`].
    pub fn check(&self) -> Result<(), RuleError> {
        if [&self.skus, &self.categories, &self.excluded_skus].iter().any(|list| list.len() > SELECTED_MAX) {
            return Err(RuleError::ListTooLong);
        }
        for sku in self.skus.iter().chain(&self.excluded_skus) {
            check_sku(sku)?;
        }
        for category in &self.categories {
            check_text("a category", category)?;
        }
        match self.skus.intersection(&self.excluded_skus).next() {
            Some(sku) => Err(RuleError::ChosenAndExcluded(sku.clone())),
            None => Ok(()),
        }
    }

    /// Whether it chooses every product that it does not exclude.
    pub(super) fn is_all(&self) -> bool {
        self.skus.is_empty() && self.categories.is_empty()
    }
}

/// Where SKUs, categories and tax categories stand among lines, so that a rule costs as much as it names
/// and not as much as there are lines.
pub(super) struct LineIndex<'a> {
    count: usize,
    skus: BTreeMap<&'a str, Vec<usize>>,
    categories: BTreeMap<&'a str, Vec<usize>>,
    tax_categories: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> LineIndex<'a> {
    /// Of lines by their position.
    pub fn new(lines: impl Iterator<Item = &'a BasketLine>) -> Self {
        let mut index = LineIndex {
            count: 0,
            skus: BTreeMap::new(),
            categories: BTreeMap::new(),
            tax_categories: BTreeMap::new(),
        };
        for (at, line) in lines.enumerate() {
            index.count += 1;
            index.skus.entry(&line.sku).or_default().push(at);
            for category in &line.categories {
                index.categories.entry(category).or_default().push(at);
            }
            if let Some(category) = &line.tax_category {
                index.tax_categories.entry(category).or_default().push(at);
            }
        }
        index
    }

    /// For each line whether `selector` chooses it.
    pub fn chosen(&self, selector: &Selector) -> Vec<bool> {
        let mut chosen = vec![selector.is_all(); self.count];
        mark(&mut chosen, &self.skus, &selector.skus, true);
        mark(&mut chosen, &self.categories, &selector.categories, true);
        mark(&mut chosen, &self.skus, &selector.excluded_skus, false);
        chosen
    }

    /// As [`LineIndex::chosen`], for a rule that also names tax categories: those of any list.
    pub fn taxed(&self, selector: &Selector, tax_categories: &BTreeSet<String>) -> Vec<bool> {
        let mut chosen = vec![selector.is_all() && tax_categories.is_empty(); self.count];
        mark(&mut chosen, &self.skus, &selector.skus, true);
        mark(&mut chosen, &self.categories, &selector.categories, true);
        mark(&mut chosen, &self.tax_categories, tax_categories, true);
        mark(&mut chosen, &self.skus, &selector.excluded_skus, false);
        chosen
    }
}

fn mark(
    chosen: &mut [bool],
    positions: &BTreeMap<&str, Vec<usize>>,
    names: &BTreeSet<String>,
    as_what: bool,
) {
    for at in names.iter().filter_map(|name| positions.get(name.as_str())).flatten() {
        if let Some(line) = chosen.get_mut(*at) {
            *line = as_what;
        }
    }
}
