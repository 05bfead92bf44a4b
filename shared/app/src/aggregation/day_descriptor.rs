//! How a store's day is paged: fixed before the day's first page, since every page of the day is found
//! by it.

use jiff::civil::Date;
use tillstream_domain::aggregates::PAGES_DEFAULT;

use super::stored::analytics_get;
use crate::database::{Condition, DatabaseError, Item, Table, Write};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::tenancy::TenantScope;

/// Encoding of the pages that this build writes.
const ENCODING: i64 = 1;

/// Most product pages a day may have.
const PAGES_MAX: u32 = 4_096;

/// How a day is paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayDescriptor {
    /// Over how many pages its products are hashed.
    pub product_pages: u32,
}

impl Default for DayDescriptor {
    fn default() -> Self {
        DayDescriptor { product_pages: PAGES_DEFAULT }
    }
}

impl DayDescriptor {
    /// Reads a descriptor's item.
    ///
    /// # Errors
    /// A bug if it is not one, or names an encoding that this build does not know.
    pub fn of(item: &Item) -> Result<Self> {
        let encoding = item.number("encoding")?;
        if encoding != ENCODING {
            return Err(Error::Bug(format!("pages of encoding {encoding}; this build reads {ENCODING}")));
        }
        let product_pages = u32::try_from(item.number("pages")?)
            .ok()
            .filter(|pages| (1..=PAGES_MAX).contains(pages))
            .ok_or_else(|| Error::bug("a day has 1 to 4096 product pages"))?;
        Ok(DayDescriptor { product_pages })
    }
}

/// The descriptor of a day, fixed now if it was not.
///
/// # Errors
/// [`Error::Retryable`], [`Error::Bug`].
pub async fn fix(
    ports: &Ports,
    scope: &TenantScope,
    store_id: &str,
    day: Date,
    read: Option<Item>,
) -> Result<DayDescriptor> {
    if let Some(item) = read {
        return DayDescriptor::of(&item);
    }
    let item = Item::new(&scope.day_descriptor(store_id, day))
        .with("pages", i64::from(DayDescriptor::default().product_pages))
        .with("encoding", ENCODING);
    let put =
        Write::Put { table: Table::Analytics, item: item.clone(), condition: Some(Condition::NotExists) };
    match ports.database.write(put).await {
        Ok(()) => DayDescriptor::of(&item),
        Err(DatabaseError::ConditionFailed(Some(first))) => DayDescriptor::of(&first),
        // Somebody was quicker, or the outcome is unknown: what stands there counts.
        Err(error) => {
            let read = ports.database.get(analytics_get(scope.day_descriptor(store_id, day))).await?;
            match (read, error) {
                (Some(first), _) => DayDescriptor::of(&first),
                (None, DatabaseError::ConditionFailed(_)) => {
                    Err(Error::retryable("the day descriptor is gone"))
                }
                (None, error) => Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_paged_as_its_descriptor_says() {
        let key = TenantScope::from_own_record("demo").day_descriptor("s-1", Date::constant(2010, 12, 1));
        let read = |encoding: i64, pages: i64| {
            DayDescriptor::of(&Item::new(&key).with("encoding", encoding).with("pages", pages)).ok()
        };
        for pages in [1, 128, PAGES_MAX] {
            assert_eq!(read(ENCODING, pages.into()), Some(DayDescriptor { product_pages: pages }));
        }
        for (encoding, pages) in [(ENCODING, 0), (ENCODING, i64::from(PAGES_MAX) + 1), (ENCODING + 1, 64)] {
            assert_eq!(read(encoding, pages), None, "encoding {encoding}, {pages} pages");
        }
    }
}
