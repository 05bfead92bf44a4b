//! Keys of the orders table: carts, lanes, shifts, approvals, stored value.

use super::{STORED_VALUE_MOVEMENTS, padded};
use crate::database::{Key, Partition};
use crate::pos::identity::derived_id;
use crate::tenancy::TenantScope;

impl TenantScope {
    /// Cart, order or return.
    pub fn cart(&self, id: &str) -> Key {
        self.key("cart", &[id], "cart")
    }

    /// What came back of a sale.
    pub fn returned(&self, order_id: &str) -> Key {
        self.key("cart", &[order_id], "returned")
    }

    /// Plan of a long finalise.
    pub fn plan(&self, cart_id: &str) -> Key {
        self.key("cart", &[cart_id], "plan")
    }

    /// Chunk record of a plan's attempt.
    pub fn chunk(&self, cart_id: &str, attempt: u32, chunk: u32) -> Key {
        self.key("cart", &[cart_id], &format!("chunk#{}#{}", padded(attempt.into()), padded(chunk.into())))
    }

    /// Uses of a coupon or promotion, by all together; a split counter has several parts.
    pub fn uses(&self, kind: &str, id: &str, part: u32) -> Key {
        self.key("uses", &[kind, id, &part.to_string()], "uses")
    }

    /// Uses of a coupon or promotion by one customer.
    pub fn uses_by_customer(&self, kind: &str, id: &str, customer_id: &str) -> Key {
        self.key("uses-by-customer", &[kind, id, customer_id], "uses")
    }

    /// Partition of a gift card or account. Keys get into messages of errors, and so into logs; a gift card's
    /// number is as good as its money, so the key has a hash of it.
    fn stored_value_pk(&self, id: &str) -> String {
        self.pk("stored-value", &[&derived_id("sv", &[self.tenant_id(), id])])
    }

    /// Gift card or account.
    pub fn stored_value(&self, id: &str) -> Key {
        Key { pk: self.stored_value_pk(id), sk: "balance".to_owned() }
    }

    /// Movement of the balance of a gift card or account: by time, and of one cart's payment or one request.
    pub fn stored_value_movement(&self, id: &str, at_millis: i64, cause: &str) -> Key {
        Key {
            pk: self.stored_value_pk(id),
            sk: format!("{STORED_VALUE_MOVEMENTS}{:015}#{cause}", at_millis.max(0)),
        }
    }

    /// That a request changed a gift card or account.
    pub fn stored_value_change(&self, id: &str, key: &str) -> Key {
        Key { pk: self.stored_value_pk(id), sk: format!("change#{key}") }
    }

    /// All items of a gift card or account.
    pub fn stored_value_parts(&self, id: &str) -> Partition {
        Partition(self.stored_value_pk(id))
    }

    /// That a request issued stored value.
    pub fn stored_value_issue(&self, subject: &str, key: &str) -> Key {
        self.key("stored-value-issue", &[subject, key], "issue")
    }

    /// Last number and epoch of a lane.
    pub fn lane(&self, store_id: &str, register_id: &str) -> Key {
        self.key("lane", &[store_id, register_id], "lane")
    }

    /// Approval.
    pub fn approval(&self, id: &str) -> Key {
        self.key("approval", &[id], "approval")
    }

    /// That an approval was asked for at a store.
    pub fn approval_entry(&self, store_id: &str, at_millis: i64, id: &str) -> Key {
        self.key("approvals", &[store_id], &format!("{at_millis:015}#{id}"))
    }

    /// All approvals that were asked for at a store, by time.
    pub fn store_approvals(&self, store_id: &str) -> Partition {
        Partition(self.pk("approvals", &[store_id]))
    }

    /// Index partition of all orders of a lane and epoch (`lane_pk`).
    pub fn lane_orders(&self, store_id: &str, register_id: &str, epoch: u32) -> Partition {
        Partition(self.pk("lane-orders", &[store_id, register_id, &epoch.to_string()]))
    }

    /// Shift of a register.
    pub fn shift(&self, id: &str) -> Key {
        self.key("shift", &[id], "shift")
    }

    /// Index partition of all shifts of a store (`store_pk`).
    pub fn store_shifts(&self, store_id: &str) -> Partition {
        Partition(self.pk("store-shifts", &[store_id]))
    }

    /// Index partition of all closed shifts of a lane and epoch by their Z numbers (`lane_pk`).
    pub fn lane_shifts(&self, store_id: &str, register_id: &str, epoch: u32) -> Partition {
        Partition(self.pk("lane-shifts", &[store_id, register_id, &epoch.to_string()]))
    }

    /// Index partition of all orders of a store (`store_pk`).
    pub fn store_orders(&self, store_id: &str) -> Partition {
        Partition(self.pk("store-orders", &[store_id]))
    }

    /// Marker of a parked cart, by when it was parked.
    pub fn parked_cart(&self, store_id: &str, sort_key: &str) -> Key {
        self.key("parked-carts", &[store_id], sort_key)
    }

    /// All parked carts of a store.
    pub fn parked_carts(&self, store_id: &str) -> Partition {
        Partition(self.pk("parked-carts", &[store_id]))
    }
}
