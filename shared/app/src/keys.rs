//! Every key of every table, in one place. A key is built from a [`TenantScope`] and nothing else, so
//! no request can reach another tenant's data.
//! The modules below are named after the tables; stock's has the ledger's as well.
//!
//! | table | pk | sk | what |
//! |---|---|---|---|
//! | orders | `<t>#cart#<id>` | `cart` | cart, order or return |
//! | orders | `<t>#cart#<id>` | `returned` | what came back of a sale |
//! | orders | `<t>#cart#<id>` | `plan` | plan of a long finalise |
//! | orders | `<t>#cart#<id>` | `chunk#<attempt>#<n>` | chunk record of a plan |
//! | orders | `<t>#lane#<store>#<register>` | `lane` | last number, epoch, running totals and open shift of a lane |
//! | orders | `<t>#shift#<id>` | `shift` | shift of a register |
//! | orders | `<t>#parked-carts#<store>` | `<time>#<cart>` | marker of a parked cart |
//! | orders | `<t>#approval#<id>` | `approval` | approval |
//! | orders | `<t>#approvals#<store>` | `<time>#<id>` | that an approval was asked for at a store |
//! | orders | `<t>#stored-value#<hash>` | `balance` | gift card or customer's account; the hash is of its number or id |
//! | orders | `<t>#stored-value#<hash>` | `movement#<time>#<cart>#<payment>`, `movement#<time>#<change>` | movement of its balance |
//! | orders | `<t>#stored-value#<hash>` | `change#<key>` | that a request changed it |
//! | orders | `<t>#stored-value-issue#<subject>#<key>` | `issue` | that a request issued stored value |
//! | stock | `<t>#stock#<location>#<sku>` | `stock` | counters |
//! | stock | `<t>#stock-part#<location>#<sku>#<k>` | `stock` | counters of part k ≥ 1 of a stock item that is, or was, split |
//! | stock | `<t>#holds#<location>#<sku>`, `<t>#holds-part#<location>#<sku>#<k>` | `<reservation>` | hold line; one on part k |
//! | stock | `<t>#read-holds#<location>#<sku>` | `read-holds` | how far hold lines were read by a look that stopped before their end |
//! | stock | `<t>#split` | `<location>#<sku>` | stock item that is split, and how busy it was |
//! | stock | `<t>#reservation#<id>` | `reservation` | reservation header |
//! | stock | `<t>#reservation#<id>` | `chunk#<n>` | some lines of a long reservation, held in one transaction |
//! | stock | `<t>#update#<scope>#<key>` | `update` | record of a stock update |
//! | stock | `<t>#transfer#<id>` | `transfer` | transfer between locations |
//! | stock | `<t>#transfer-lots#<id>#<line>` | `lots` | the lots that left with a line of it |
//! | stock | `<t>#count#<id>` | `count`, `request#<hash>` | count sheet; that a request recorded lines of it |
//! | stock | `<t>#purchase-order#<id>` | `purchase-order` | order from a supplier |
//! | stock | `<t>#on-order#<location>#<sku>` | `<time>#<order>` | what is open of a line of a purchase order, by when it is expected |
//! | stock | `<t>#restock#<scope>#<key>` | `restock` | record of a delivery without an order |
//! | stock | `<t>#backorder#<id>` | `backorder` | what a customer waits for |
//! | stock | `<t>#backorder-queue#<location>#<sku>` | `queue`, `waiting#<number>` | last number of a queue; who waits in it |
//! | stock | `<t>#stock-alert#<location>#<sku>` | `alert` | how low a stock item is, as somebody was told |
//! | stock | `<t>#stock-fact#<subject>` | `<version>` (12 digits) | what is to be told of a backorder or an alert |
//! | stock | `<t>#exception#<id>` | `exception` | stock exception: a task for somebody, open or resolved |
//! | ledger | `<t>#stock#<location>#<sku>`, `<t>#stock-part#<location>#<sku>#<k>` | `<seq>` (12 digits), `<seq>#gap`, `head`, `compared` | movement; closed gap after `seq`; verified part; compared part |
//! | stock | `<t>#lot#<id>` | `lot`, `at#<location>`, `request#<hash>` | lot; that a location has, or had, of it; that a request recalled or released it |
//! | ledger | `<t>#lot#<id>` | `<location>#<seq>` | movement that changed a lot |
//! | stock | `<t>#lots-of#<kind>#<reference>` | `<location>#<sku>#<seq>#<n>` | lots that a movement of an `order` or `reservation` took |
//! | ledger | `<t>#stock-changes` | `<page>` (12 digits) | stock items that changed, noted together |
//! | catalog | `<t>#product#<sku>` | `product`, `prices` | product; its price book entries |
//! | catalog | `<t>#barcode#<gtin>` | `barcode` | SKU of a GTIN |
//! | catalog | `<t>#location#<id>` | `location` | location |
//! | catalog | `<t>#rules` | `settings`, `promotion#<id>`, `tax_rule#<id>`, `category#<id>`, `category-tree`, `location#<id>` | what a tenant sells by |
//! | catalog | `<t>#coupon#<code>` | `coupon` | coupon |
//! | catalog | `<t>#customer#<id>` | `customer` | customer |
//! | catalog | `<t>#supplier#<id>` | `supplier` | supplier |
//! | catalog | `<t>#sync#<entity>` | `state`, `parked#<hash>#<part>` | feed state; parked bad lines |
//! | catalog | `<t>#sync-entity#<entity>#<id>` | `entity` | version and place of a feed's part |
//! | catalog | `<t>#print-template#<kind>#<format>` | `current`, `since#<millis>` (15 digits) | current template of a kind of document; each version there was |
//! | catalog | `<t>#restores` | `restores` | restores from backup, and the epochs that they raised |
//! | catalog | `tenants` | `<tenant>` | registry of tenants, for scheduled work |
//! | catalog | `<t>#walk#<name>` | `walk` | where a scheduled walk stands |
//! | analytics | `<t>#store#<store>` | `hour#<day>#<epoch>`, `products#<day>#<page>`, `day#<day>`, `complete` | pages, day descriptor, completeness |
//! | analytics | `<t>#store#<store>`, `<t>#stores#<calendar>` | `coarse-days#<facet>#<month>`, `coarse-hours#<facet>#<monday>`, `coarse-products#<level>#<first>#<part>` | coarse pages of closed days: a store's; all stores' of a calendar |
//! | dispatch | `<t>#delivery#<order>.<version>` | `delivery`, `attempt#<n>` | delivery; its attempts |
//! | dispatch | `<t>#breaker#<destination>` | `breaker` | breaker |
//! | dispatch | `<t>#replay#<idempotency key>` | `replay` | replay of many dead letters |
//! | dispatch | `<t>#verified#<store>#<register>` | `verified`, `verified#<epoch>` | deliveries known to be complete; `verified-shifts`: those of closed shifts |
//! | dispatch | `parked` | `<time>#<random>` | poison records |
//! | identity | `jwks` | `jwks` | public keys |

mod analytics;
mod catalog;
mod dispatch;
mod orders;
mod stock;

use tillstream_domain::identifier::KeyPart;

use crate::database::{Key, Partition};
use crate::tenancy::TenantScope;

/// Spreads due work over partitions, so that a busy system's schedule is not one hot partition.
pub const DUE_SHARDS: u64 = 4;

/// The same for holds, of which there are the most by far: an index partition takes 1,000 entries a second,
/// come or gone, and every hold of every tenant is two of them.
pub const DUE_HOLD_SHARDS: u64 = 32;

/// What sort keys of movements of stored value begin with.
pub const STORED_VALUE_MOVEMENTS: &str = "movement#";

/// What sort keys of the places of a lot begin with.
pub const LOT_PLACES: &str = "at#";

/// What sort keys of places in a queue of backorders begin with.
pub const BACKORDER_PLACES: &str = "waiting#";

/// A number as text that sorts like the number.
fn padded(number: u64) -> String {
    format!("{number:012}")
}

/// A sort key of an epoch of a lane; of the first it is the name alone, as it was before there were others.
fn of_epoch(name: &str, epoch: u32) -> String {
    if epoch == 0 { name.to_owned() } else { format!("{name}#{epoch}") }
}

impl TenantScope {
    fn pk(&self, kind: &str, parts: &[&str]) -> String {
        let mut pk = format!("{}#{kind}", KeyPart(self.tenant_id()));
        for part in parts {
            pk.push('#');
            pk.push_str(&KeyPart(part).to_string());
        }
        pk
    }

    fn key(&self, kind: &str, parts: &[&str], sk: &str) -> Key {
        Key { pk: self.pk(kind, parts), sk: sk.to_owned() }
    }

    /// The id in the key of an item of `kind` (`product`, `location`), if it is one of this tenant.
    pub fn id_of(&self, kind: &str, key: &Key) -> Option<String> {
        let id = key.pk.strip_prefix(&self.pk(kind, &[]))?.strip_prefix('#')?;
        // What KeyPart wrote, read backwards: the per cent sign last.
        (!id.contains('#')).then(|| id.replace("%23", "#").replace("%25", "%"))
    }
}

/// Index partition of due work of one kind over all tenants (`due_pk`): scheduled work has no caller,
/// each item names its tenant.
pub fn due(kind: &str, shard: u64) -> Partition {
    Partition(format!("due#{kind}#{}", shard % DUE_SHARDS))
}

/// Index partition of holds by their end (`due_pk`), over all tenants.
pub fn due_holds(shard: u64) -> Partition {
    Partition(format!("due#hold#{}", shard % DUE_HOLD_SHARDS))
}

/// Tenant id in a key that this system wrote: what a keys-only index of all tenants' due work tells.
pub fn tenant_in(key: &Key) -> &str {
    // Tenant ids hold no `#` and nothing that would be escaped (`check_id`).
    key.pk.split('#').next().unwrap_or_default()
}

/// The registry of tenants, for scheduled work.
pub fn tenant_registry() -> Partition {
    Partition("tenants".to_owned())
}

/// Sort key of the version of a template that stands since a time, in milliseconds.
pub fn print_template_since(since_millis: i64) -> String {
    format!("since#{:015}", since_millis.max(0))
}

/// A poison record, parked whole.
pub fn parked_record(at_millis: i64, random: u64) -> Key {
    Key { pk: "parked".to_owned(), sk: format!("{at_millis:015}#{random:016x}") }
}

/// All parked poison records.
pub fn parked_records() -> Partition {
    Partition("parked".to_owned())
}

/// The public keys that tokens are verified with.
pub fn jwks() -> Key {
    Key { pk: "jwks".to_owned(), sk: "jwks".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_tells_a_gift_card_number() {
        let a = TenantScope::from_own_record("a");
        let number = "GC-7431-9920";
        let keys = [
            a.stored_value(number),
            a.stored_value_movement(number, 7, "c-1#p-1"),
            a.stored_value_change(number, "00ff"),
        ];
        for key in &keys {
            assert!(!format!("{key:?}").contains("7431"), "{key:?}");
            assert_eq!(key.pk(), keys[0].pk());
        }
        assert_ne!(a.stored_value("GC-7431-9921").pk(), keys[0].pk());
        assert_ne!(TenantScope::from_own_record("b").stored_value(number).pk(), keys[0].pk());
    }

    #[test]
    fn no_id_reaches_another_key() {
        let a = TenantScope::from_own_record("a");
        let b = TenantScope::from_own_record("a#cart");
        assert_ne!(a.cart("cart#x").pk(), b.cart("x").pk());
        assert_ne!(a.stock("l", "x#y").pk(), a.stock("l#x", "y").pk());
        assert_ne!(a.stock_part("l", "x", 1).pk(), a.stock_part("l", "x#1", 0).pk());
        assert_eq!(a.stock_part("l", "x", 0), a.stock("l", "x"));
        for sku in ["x", "x#y", "%23", "50% #1 %2523"] {
            assert_eq!(a.id_of("product", &a.product(sku)).as_deref(), Some(sku));
            assert_eq!(b.id_of("product", &a.product(sku)), None);
            assert_eq!(a.id_of("location", &a.product(sku)), None);
        }
    }
}
