//! How fine pages stand in the analytics table: the figures compact in `body`, under a `version`.

use jiff::Timestamp;
use jiff::civil::Date;
use tillstream_domain::aggregates::{HourPage, ProductPage, SaleFact};

use super::stored::Stored;
use crate::database::{Item, Key};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// A fine page of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Page {
    /// An hour of a business day.
    Hour {
        /// Business day.
        day: Date,
        /// Start of the local hour.
        start: Timestamp,
    },
    /// Part of a business day's products.
    Products {
        /// Business day.
        day: Date,
        /// Which part.
        page: u32,
        /// Of how many.
        pages: u32,
    },
}

impl Page {
    /// The page of a fact's hour.
    pub fn hour_of(fact: &SaleFact) -> Page {
        Page::Hour { day: fact.business_day, start: fact.hour_start }
    }

    /// Its business day.
    pub fn day(&self) -> Date {
        match self {
            Page::Hour { day, .. } | Page::Products { day, .. } => *day,
        }
    }

    /// Its key.
    pub fn key(&self, scope: &TenantScope, store_id: &str) -> Key {
        match self {
            Page::Hour { day, start } => scope.hour_page(store_id, *day, start.as_second()),
            Page::Products { day, page, .. } => scope.product_page(store_id, *day, *page),
        }
    }

    /// Its item without version and figures.
    pub fn head(&self, scope: &TenantScope, store_id: &str) -> Item {
        let item = Item::new(&self.key(scope, store_id));
        match self {
            Page::Hour { day, start } => item.with("day", day.to_string()).with("hour", start.as_second()),
            Page::Products { .. } => item,
        }
    }
}

/// An hour as it was read.
#[derive(Debug, Clone)]
pub struct Hour {
    /// Business day.
    pub day: Date,
    /// Start of the local hour.
    pub start: Timestamp,
    /// What it holds.
    pub page: HourPage,
}

/// Reads an hour's item.
///
/// # Errors
/// A bug if it is not one.
pub fn hour_of(item: &Item) -> Result<Hour> {
    Ok(Hour {
        day: item.text("day")?.parse().map_err(Error::bug)?,
        start: Timestamp::from_second(item.number("hour")?).map_err(Error::bug)?,
        page: Stored::of(Some(item))?.content,
    })
}

/// Reads a product page's item.
///
/// # Errors
/// A bug if it is not one.
pub fn products_of(item: &Item) -> Result<ProductPage> {
    Ok(Stored::of(Some(item))?.content)
}
