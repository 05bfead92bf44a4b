//! Keys of the dispatch table: deliveries to headquarters.

use super::{of_epoch, padded};
use crate::database::{Key, Partition};
use crate::tenancy::TenantScope;

impl TenantScope {
    /// Delivery of one version of an order.
    pub fn delivery(&self, delivery_id: &str) -> Key {
        self.key("delivery", &[delivery_id], "delivery")
    }

    /// One attempt of a delivery.
    pub fn delivery_attempt(&self, delivery_id: &str, attempt: u32) -> Key {
        self.key("delivery", &[delivery_id], &format!("attempt#{}", padded(attempt.into())))
    }

    /// A delivery and its attempts.
    pub fn delivery_parts(&self, delivery_id: &str) -> Partition {
        Partition(self.pk("delivery", &[delivery_id]))
    }

    /// Index partition of all deliveries of a lane and epoch (`lane_pk`).
    pub fn lane_deliveries(&self, store_id: &str, register_id: &str, epoch: u32) -> Partition {
        Partition(self.pk("lane-deliveries", &[store_id, register_id, &epoch.to_string()]))
    }

    /// Index partition of all deliveries of closed shifts of a lane and epoch (`lane_pk`).
    pub fn lane_shift_deliveries(&self, store_id: &str, register_id: &str, epoch: u32) -> Partition {
        Partition(self.pk("lane-shift-deliveries", &[store_id, register_id, &epoch.to_string()]))
    }

    /// Index partition of all deliveries of what happened to stock at a location (`lane_pk`).
    pub fn stock_deliveries(&self, location_id: &str) -> Partition {
        Partition(self.pk("stock-deliveries", &[location_id]))
    }

    /// Index partition of deliveries of a status (`status_pk`).
    pub fn deliveries_by_status(&self, status: &str) -> Partition {
        Partition(self.pk("deliveries", &[status]))
    }

    /// Index partition of all deliveries that wait for their destination (`due_pk`); `due_at` is since
    /// when. A partition per tenant, so that no tenant's backlog stands before another's.
    pub fn waiting_deliveries(&self, destination: &str) -> Partition {
        Partition(self.pk("waiting", &[destination]))
    }

    /// What one replay of many dead letters took on.
    pub fn replay_of_many(&self, idempotency_key: &str) -> Key {
        self.key("replay", &[idempotency_key], "replay")
    }

    /// Up to where the deliveries of a lane's closed shifts are known to be complete.
    pub fn verified_shift_deliveries(&self, store_id: &str, register_id: &str, epoch: u32) -> Key {
        self.key("verified", &[store_id, register_id], &of_epoch("verified-shifts", epoch))
    }

    /// Breaker of a destination.
    pub fn breaker(&self, destination: &str) -> Key {
        self.key("breaker", &[destination], "breaker")
    }

    /// Up to where the deliveries of a lane's sales and returns are known to be complete.
    pub fn verified_deliveries(&self, store_id: &str, register_id: &str, epoch: u32) -> Key {
        self.key("verified", &[store_id, register_id], &of_epoch("verified", epoch))
    }
}
