//! Categories of products and how they stand below each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::pricing::CATEGORIES_PER_LINE_MAX;

/// Longest name of a category, in characters; products name their category by it.
pub const CATEGORY_CHARACTERS_MAX: usize = 64;
/// Most categories on a way from a category up to its last ancestor, itself among them: what a line is
/// priced with.
pub const LEVELS_MAX: usize = CATEGORIES_PER_LINE_MAX;
/// Most categories that a tenant tells of. They are read with the tenant's rules.
pub const CATEGORIES_MAX: usize = 5_000;

/// Why a category was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CategoryError {
    /// Its id, that of its parent, or its name.
    #[error(
        "{0}: a category is 1 to {CATEGORY_CHARACTERS_MAX} printable characters without leading or trailing \
         spaces"
    )]
    Malformed(&'static str),
    /// It would be its own ancestor.
    #[error("parent: {0} would be its own ancestor; give it a parent that is not below it")]
    Cycle(String),
    /// Too many levels.
    #[error("parent: with it a category would have more than {LEVELS_MAX} levels, itself among them")]
    TooDeep,
}

impl CategoryError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            CategoryError::Malformed(_) => "category_malformed",
            CategoryError::Cycle(_) => "category_cycle",
            CategoryError::TooDeep => "category_too_deep",
        }
    }
}

/// A category. One that is never sent exists all the same where a product names it; only what stands
/// below another needs to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// What products name it by.
    pub id: String,
    /// The one it stands below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What to show people, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Counts its changes.
    pub version: u64,
}

impl Category {
    /// Checks its texts. Whether it would be its own ancestor is a matter of the tree
    /// ([`CategoryTree::admit`]).
    ///
    /// # Errors
    /// [`CategoryError::Malformed`].
    pub fn check(&self) -> Result<(), CategoryError> {
        if !is_category(&self.id) {
            return Err(CategoryError::Malformed("id"));
        }
        if !self.parent.as_deref().is_none_or(is_category) {
            return Err(CategoryError::Malformed("parent"));
        }
        if !self.name.as_deref().is_none_or(is_category) {
            return Err(CategoryError::Malformed("name"));
        }
        Ok(())
    }
}

/// Whether a text can be a category.
pub fn is_category(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && text.chars().count() <= CATEGORY_CHARACTERS_MAX
        && !text.chars().any(char::is_control)
}

/// Which category stands below which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CategoryTree {
    parents: BTreeMap<String, String>,
}

impl FromIterator<(String, Option<String>)> for CategoryTree {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(categories: I) -> Self {
        let below = categories.into_iter().filter_map(|(id, parent)| Some((id, parent?)));
        CategoryTree { parents: below.collect() }
    }
}

impl CategoryTree {
    /// The category itself first, then its ancestors, nearest first; at most [`LEVELS_MAX`]. A category
    /// that nothing is known of stands alone. Where ancestors go in a circle, each is named once.
    pub fn path(&self, category: &str) -> Vec<String> {
        self.upward(category).take(LEVELS_MAX).map(str::to_owned).collect()
    }

    /// The category that one stands below.
    pub fn parent(&self, category: &str) -> Option<&str> {
        self.parents.get(category).map(String::as_str)
    }

    /// Puts `id` below `parent`, or takes it out from below any.
    ///
    /// # Errors
    /// [`CategoryError::Cycle`], [`CategoryError::TooDeep`]; the tree stays as it was then.
    pub fn admit(&mut self, id: &str, parent: Option<&str>) -> Result<(), CategoryError> {
        let Some(parent) = parent else {
            self.parents.remove(id);
            return Ok(());
        };
        if self.upward(parent).any(|ancestor| ancestor == id) {
            return Err(CategoryError::Cycle(id.to_owned()));
        }
        if self.upward(parent).count() + self.levels_from(id) > LEVELS_MAX {
            return Err(CategoryError::TooDeep);
        }
        self.parents.insert(id.to_owned(), parent.to_owned());
        Ok(())
    }

    /// The category and its ancestors, each once.
    fn upward<'a>(&'a self, category: &'a str) -> impl Iterator<Item = &'a str> {
        let mut seen = BTreeSet::new();
        std::iter::successors(Some(category), |at| self.parents.get(*at).map(String::as_str))
            .take_while(move |at| seen.insert(*at))
    }

    /// Levels from a category down to the lowest below it, itself among them; no more are told than
    /// would be too many.
    fn levels_from(&self, id: &str) -> usize {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (child, parent) in &self.parents {
            children.entry(parent).or_default().push(child);
        }
        let (mut level, mut levels) = (vec![id], 0);
        while !level.is_empty() && levels <= LEVELS_MAX {
            levels += 1;
            level = level.iter().filter_map(|at| children.get(at)).flatten().copied().collect();
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(pairs: &[(&str, &str)]) -> CategoryTree {
        pairs.iter().map(|(id, parent)| (id.to_string(), Some(parent.to_string()))).collect()
    }

    #[test]
    fn a_path_goes_from_the_category_up() {
        let tree = tree(&[("espresso", "coffee"), ("coffee", "drinks"), ("tea", "drinks")]);
        assert_eq!(tree.path("espresso"), ["espresso", "coffee", "drinks"]);
        assert_eq!(tree.path("drinks"), ["drinks"]);
        assert_eq!(tree.path("unheard of"), ["unheard of"]);
    }

    #[test]
    fn nothing_becomes_its_own_ancestor() {
        let mut tree = tree(&[("b", "a"), ("c", "b")]);
        let before = tree.clone();
        assert_eq!(tree.admit("a", Some("c")), Err(CategoryError::Cycle("a".into())));
        assert_eq!(tree.admit("a", Some("a")), Err(CategoryError::Cycle("a".into())));
        assert_eq!(tree, before);
        tree.admit("b", None).unwrap();
        tree.admit("a", Some("c")).unwrap();
        assert_eq!(tree.path("a"), ["a", "c", "b"]);
    }

    #[test]
    fn what_is_moved_takes_its_levels_along() {
        let chain = |names: std::ops::Range<usize>| {
            let mut tree = CategoryTree::default();
            for n in names {
                tree.admit(&n.to_string(), Some(&(n + 1).to_string())).unwrap();
            }
            tree
        };
        // 0 below 1 below … below 14: 15 levels.
        let mut tree = chain(0..14);
        tree.admit("14", Some("root")).unwrap();
        assert_eq!(tree.path("0").len(), LEVELS_MAX);
        assert_eq!(tree.admit("root", Some("earth")), Err(CategoryError::TooDeep));
        assert_eq!(tree.admit("leaf", Some("0")), Err(CategoryError::TooDeep));
        tree.admit("leaf", Some("1")).unwrap();
    }

    #[test]
    fn texts_are_bounded() {
        let category = |id: &str, parent: Option<&str>| Category {
            id: id.into(),
            parent: parent.map(Into::into),
            name: None,
            version: 1,
        };
        let longest = "ä".repeat(CATEGORY_CHARACTERS_MAX);
        assert_eq!(category(&longest, Some("Tea & more")).check(), Ok(()));
        for bad in ["", " a", "a ", "a\u{7}b", &format!("{longest}x")] {
            assert_eq!(category(bad, None).check(), Err(CategoryError::Malformed("id")), "{bad:?}");
            assert_eq!(category("a", Some(bad)).check(), Err(CategoryError::Malformed("parent")), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever was stored, circles too: a path begins with the category, goes from child to parent,
        /// names nothing twice and has an end.
        #[test]
        fn a_path_always_ends(parents in proptest::collection::vec(proptest::option::of(0_usize..40), 40)) {
            let name = |n: usize| format!("c{n}");
            let tree: CategoryTree =
                parents.iter().enumerate().map(|(n, parent)| (name(n), parent.map(name))).collect();
            for (n, _) in parents.iter().enumerate() {
                let path = tree.path(&name(n));
                prop_assert_eq!(path.first(), Some(&name(n)));
                prop_assert!(path.len() <= LEVELS_MAX);
                prop_assert_eq!(path.iter().collect::<BTreeSet<_>>().len(), path.len());
                let place = |category: &str| category[1..].parse::<usize>().unwrap();
                for pair in path.windows(2) {
                    prop_assert_eq!(parents[place(&pair[0])].map(name), Some(pair[1].clone()));
                }
                let last = parents[place(&path[path.len() - 1])].map(name);
                prop_assert!(path.len() == LEVELS_MAX || last.is_none_or(|parent| path.contains(&parent)));
            }
        }

        /// Whatever is asked for in whatever order, what is admitted makes no circle and no path is cut.
        #[test]
        fn what_is_admitted_stays_a_tree(asked in proptest::collection::vec((0_usize..25, 0_usize..25), 1..80)) {
            let mut tree = CategoryTree::default();
            for (id, parent) in asked {
                let before = tree.clone();
                if tree.admit(&id.to_string(), Some(&parent.to_string())).is_err() {
                    prop_assert_eq!(&tree, &before);
                }
                for n in 0..25 {
                    let path = tree.path(&n.to_string());
                    prop_assert!(path.last().is_none_or(|last| tree.parent(last).is_none()));
                }
            }
        }
    }
}
