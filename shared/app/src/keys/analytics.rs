//! Keys of the analytics table: pages of figures.

use jiff::civil::Date;

use crate::aggregation::coarse::Owner;
use crate::database::{Key, Partition};
use crate::tenancy::TenantScope;

impl TenantScope {
    /// Analytics partition of a store.
    pub fn store_pages(&self, store_id: &str) -> Partition {
        Partition(self.pk("store", &[store_id]))
    }

    /// Analytics page of a store's hour: business day and the hour's start in epoch seconds.
    pub fn hour_page(&self, store_id: &str, day: Date, hour_start_seconds: i64) -> Key {
        self.key("store", &[store_id], &format!("hour#{day}#{hour_start_seconds:012}"))
    }

    /// Analytics page of a store's day of products.
    pub fn product_page(&self, store_id: &str, day: Date, page: u32) -> Key {
        self.key("store", &[store_id], &format!("products#{day}#{page:05}"))
    }

    /// How a store's day is paged.
    pub fn day_descriptor(&self, store_id: &str, day: Date) -> Key {
        self.key("store", &[store_id], &format!("day#{day}"))
    }

    /// Coarse page of a store, or of all stores of a calendar.
    pub fn coarse_page(&self, owner: Owner<'_>, sk: &str) -> Key {
        match owner {
            Owner::Store(id) => self.key("store", &[id], sk),
            Owner::Calendar(name) => self.key("stores", &[name], sk),
        }
    }

    /// Completeness record of a store.
    pub fn completeness(&self, store_id: &str) -> Key {
        self.key("store", &[store_id], "complete")
    }
}
