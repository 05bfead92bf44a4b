//! Every key of every table, in one place. A key is built from a [`TenantScope`] and nothing else, so
//! no request can reach another tenant's data.
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
//! | stock | `<t>#split` | `<location>#<sku>` | stock item that is split, and how busy it was |
//! | stock | `<t>#reservation#<id>` | `reservation` | reservation header |
//! | stock | `<t>#reservation#<id>` | `chunk#<n>` | some lines of a long reservation, held in one transaction |
//! | stock | `<t>#update#<scope>#<key>` | `update` | record of a stock update |
//! | stock | `<t>#transfer#<id>` | `transfer` | transfer between locations |
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
//! | stock | `<t>#lots-of#<reference>` | `<location>#<sku>#<seq>#<n>` | lots that a movement of an order, reservation or transfer took |
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

use jiff::civil::Date;
use tillstream_domain::identifier::KeyPart;

use crate::aggregation::coarse::Owner;
use crate::database::{Key, Partition};
use crate::pos::identity::derived_id;
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

    /// The id in the key of an item of `kind` (`product`, `location`), if it is one of this tenant.
    pub fn id_of(&self, kind: &str, key: &Key) -> Option<String> {
        let id = key.pk.strip_prefix(&self.pk(kind, &[]))?.strip_prefix('#')?;
        // What KeyPart wrote, read backwards: the per cent sign last.
        (!id.contains('#')).then(|| id.replace("%23", "#").replace("%25", "%"))
    }

    /// Partition of a part of a stock item; part 0 has the key that the whole has.
    fn part_pk(&self, kind: &str, location_id: &str, sku: &str, part: u32) -> String {
        match part {
            0 => self.pk(kind, &[location_id, sku]),
            _ => self.pk(&format!("{kind}-part"), &[location_id, sku, &part.to_string()]),
        }
    }

    /// Stock counters.
    pub fn stock(&self, location_id: &str, sku: &str) -> Key {
        self.stock_part(location_id, sku, 0)
    }

    /// Counters of a part of a stock item; part 0 is the item that the whole is.
    pub fn stock_part(&self, location_id: &str, sku: &str, part: u32) -> Key {
        Key { pk: self.part_pk("stock", location_id, sku, part), sk: "stock".to_owned() }
    }

    /// A stock item that is split.
    pub fn split_stock_item(&self, location_id: &str, sku: &str) -> Key {
        self.key("split", &[], &format!("{}#{}", KeyPart(location_id), KeyPart(sku)))
    }

    /// All stock items that are split.
    pub fn split_stock(&self) -> Partition {
        Partition(self.pk("split", &[]))
    }

    /// Index partition of all stock of a location (`location_pk`).
    pub fn location_stock(&self, location_id: &str) -> Partition {
        Partition(self.pk("location-stock", &[location_id]))
    }

    /// Index partition of all stock of a SKU (`sku_pk`).
    pub fn sku_stock(&self, sku: &str) -> Partition {
        Partition(self.pk("sku-stock", &[sku]))
    }

    /// A hold line of a reservation on one stock item.
    pub fn hold(&self, location_id: &str, sku: &str, reservation_id: &str) -> Key {
        self.hold_on_part(location_id, sku, 0, reservation_id)
    }

    /// A hold line of a reservation on one part of a stock item.
    pub fn hold_on_part(&self, location_id: &str, sku: &str, part: u32, reservation_id: &str) -> Key {
        Key { pk: self.part_pk("holds", location_id, sku, part), sk: reservation_id.to_owned() }
    }

    /// All hold lines on one stock item.
    pub fn holds(&self, location_id: &str, sku: &str) -> Partition {
        self.holds_on_part(location_id, sku, 0)
    }

    /// All hold lines on one part of a stock item.
    pub fn holds_on_part(&self, location_id: &str, sku: &str, part: u32) -> Partition {
        Partition(self.part_pk("holds", location_id, sku, part))
    }

    /// Reservation header.
    pub fn reservation(&self, id: &str) -> Key {
        self.key("reservation", &[id], "reservation")
    }

    /// Chunk of a long reservation.
    pub fn reservation_chunk(&self, id: &str, chunk: u32) -> Key {
        self.key("reservation", &[id], &format!("chunk#{}", padded(chunk.into())))
    }

    /// Kits of a long reservation.
    pub fn reservation_kits(&self, id: &str) -> Key {
        self.key("reservation", &[id], "kits")
    }

    /// Record of a stock update: `scope` is who sent it, `key` its idempotency key.
    pub fn stock_update(&self, scope: &str, key: &str) -> Key {
        self.key("update", &[scope, key], "update")
    }

    /// Stock exception.
    pub fn stock_exception(&self, id: &str) -> Key {
        self.key("exception", &[id], "exception")
    }

    /// Index partition of the stock exceptions of a location, open or resolved (`location_pk`).
    pub fn stock_exceptions(&self, location_id: &str, status: &str) -> Partition {
        Partition(self.pk("exceptions", &[location_id, status]))
    }

    /// Partition of the pages of the change feed of stock.
    pub fn stock_changes(&self) -> Partition {
        Partition(self.pk("stock-changes", &[]))
    }

    /// Page of the change feed of stock.
    pub fn stock_change_page(&self, page: u64) -> Key {
        Key { pk: self.pk("stock-changes", &[]), sk: padded(page) }
    }

    /// Where the change feed of stock begins: beside its pages, before all of them.
    pub fn stock_change_feed_start(&self) -> Key {
        Key { pk: self.pk("stock-changes", &[]), sk: Self::change_feed_start_sort() }
    }

    /// Sort key of where the change feed begins.
    pub fn change_feed_start_sort() -> String {
        "!start".to_owned()
    }

    /// Sort key of a page of the change feed.
    pub fn change_page_sort(page: u64) -> String {
        padded(page)
    }

    /// Transfer.
    pub fn transfer(&self, id: &str) -> Key {
        self.key("transfer", &[id], "transfer")
    }

    /// Index partition of the transfers to (`in`, `location_pk`) or from (`out`, `sku_pk`) a location, of which
    /// something is on its way (`open`) or nothing (`closed`).
    pub fn transfers(&self, location_id: &str, way: &str, state: &str) -> Partition {
        Partition(self.pk("transfers", &[location_id, way, state]))
    }

    /// Count sheet.
    pub fn count_sheet(&self, id: &str) -> Key {
        self.key("count", &[id], "count")
    }

    /// That a request recorded lines of a count sheet.
    pub fn count_request(&self, id: &str, request: &str) -> Key {
        self.key("count", &[id], &format!("request#{request}"))
    }

    /// Index partition of the count sheets of a location that stand so (`location_pk`).
    pub fn count_sheets(&self, location_id: &str, state: &str) -> Partition {
        Partition(self.pk("counts", &[location_id, state]))
    }

    /// Purchase order.
    pub fn purchase_order(&self, id: &str) -> Key {
        self.key("purchase-order", &[id], "purchase-order")
    }

    /// Index partition of the purchase orders for a location (`to`, `location_pk`) or from a supplier (`from`,
    /// `sku_pk`), of which something is to come (`open`) or nothing (`closed`).
    pub fn purchase_orders(&self, way: &str, of: &str, state: &str) -> Partition {
        Partition(self.pk("purchase-orders", &[way, of, state]))
    }

    /// What is open of a line of a purchase order: by when it is expected.
    pub fn open_line(&self, location_id: &str, sku: &str, expected_millis: i64, order_id: &str) -> Key {
        let sk = format!("{:015}#{order_id}", expected_millis.max(0));
        self.key("on-order", &[location_id, sku], &sk)
    }

    /// All open lines of purchase orders for one stock item, the soonest first.
    pub fn open_lines(&self, location_id: &str, sku: &str) -> Partition {
        Partition(self.pk("on-order", &[location_id, sku]))
    }

    /// Record of a delivery without an order: `scope` is who sent it, `key` its idempotency key.
    pub fn restock(&self, scope: &str, key: &str) -> Key {
        self.key("restock", &[scope, key], "restock")
    }

    /// Lot.
    pub fn lot(&self, lot_id: &str) -> Key {
        self.key("lot", &[lot_id], "lot")
    }

    /// That a location has, or had, of a lot.
    pub fn lot_place(&self, lot_id: &str, location_id: &str) -> Key {
        self.key("lot", &[lot_id], &format!("{LOT_PLACES}{location_id}"))
    }

    /// That a request recalled or released a lot.
    pub fn lot_request(&self, lot_id: &str, request: &str) -> Key {
        self.key("lot", &[lot_id], &format!("request#{request}"))
    }

    /// A lot and its places; in the ledger, the movements that changed it.
    pub fn lot_parts(&self, lot_id: &str) -> Partition {
        Partition(self.pk("lot", &[lot_id]))
    }

    /// A movement that changed a lot.
    pub fn lot_movement(&self, lot_id: &str, location_id: &str, seq: u64) -> Key {
        self.key("lot", &[lot_id], &format!("{}#{}", KeyPart(location_id), padded(seq)))
    }

    /// One of the lots that a movement of an order, reservation or transfer took.
    pub fn lot_of_reference(
        &self,
        reference: &str,
        (location_id, sku): (&str, &str),
        seq: u64,
        number: usize,
    ) -> Key {
        let sk = format!("{}#{}#{}#{number:04}", KeyPart(location_id), KeyPart(sku), padded(seq));
        self.key("lots-of", &[reference], &sk)
    }

    /// The lots that the movements of an order, reservation or transfer took.
    pub fn lots_of_reference(&self, reference: &str) -> Partition {
        Partition(self.pk("lots-of", &[reference]))
    }

    /// Backorder.
    pub fn backorder(&self, id: &str) -> Key {
        self.key("backorder", &[id], "backorder")
    }

    /// The last number of the queue of a stock item.
    pub fn backorder_queue(&self, location_id: &str, sku: &str) -> Key {
        self.key("backorder-queue", &[location_id, sku], "queue")
    }

    /// A place in the queue of a stock item.
    pub fn backorder_place(&self, location_id: &str, sku: &str, number: u64) -> Key {
        self.key("backorder-queue", &[location_id, sku], &format!("{BACKORDER_PLACES}{}", padded(number)))
    }

    /// The queue of a stock item, with who waits in it.
    pub fn backorder_places(&self, location_id: &str, sku: &str) -> Partition {
        Partition(self.pk("backorder-queue", &[location_id, sku]))
    }

    /// Index partition of the backorders of a location, `open` or `closed` (`location_pk`).
    pub fn location_backorders(&self, location_id: &str, state: &str) -> Partition {
        Partition(self.pk("backorders", &[location_id, state]))
    }

    /// Index partition of the backorders of a stock item, `open` or `closed` (`sku_pk`).
    pub fn sku_backorders(&self, location_id: &str, sku: &str, state: &str) -> Partition {
        Partition(self.pk("sku-backorders", &[location_id, sku, state]))
    }

    /// How low a stock item is.
    pub fn stock_alert(&self, location_id: &str, sku: &str) -> Key {
        self.key("stock-alert", &[location_id, sku], "alert")
    }

    /// Index partition of the alerts of a location, `open` or `closed` (`location_pk`).
    pub fn stock_alerts(&self, location_id: &str, state: &str) -> Partition {
        Partition(self.pk("stock-alerts", &[location_id, state]))
    }

    /// What is to be told of a backorder or an alert, by its number.
    pub fn stock_fact(&self, subject: &str, version: u32) -> Key {
        self.key("stock-fact", &[subject], &padded(version.into()))
    }

    /// Ledger row of one movement.
    pub fn ledger_row(&self, location_id: &str, sku: &str, seq: u64) -> Key {
        self.ledger_row_of_part(location_id, sku, 0, seq)
    }

    /// Ledger row of one movement of a part.
    pub fn ledger_row_of_part(&self, location_id: &str, sku: &str, part: u32, seq: u64) -> Key {
        Key { pk: self.part_pk("stock", location_id, sku, part), sk: padded(seq) }
    }

    /// Row that stands for lost movements, from `from_seq` on. It sorts before the first of them, and has
    /// a key of its own: a row that comes late after all takes nothing's place.
    pub fn ledger_gap(&self, location_id: &str, sku: &str, part: u32, from_seq: u64) -> Key {
        let sk = format!("{}#gap", padded(from_seq.saturating_sub(1)));
        Key { pk: self.part_pk("stock", location_id, sku, part), sk }
    }

    /// How far the ledger of a part of a stock item is known to be whole.
    pub fn ledger_head(&self, location_id: &str, sku: &str, part: u32) -> Key {
        Key { pk: self.part_pk("stock", location_id, sku, part), sk: "head".to_owned() }
    }

    /// Up to where the ledger of a part of a stock item was compared.
    pub fn ledger_checkpoint(&self, location_id: &str, sku: &str, part: u32) -> Key {
        Key { pk: self.part_pk("stock", location_id, sku, part), sk: "compared".to_owned() }
    }

    /// All ledger rows of one stock item that was never split.
    pub fn ledger(&self, location_id: &str, sku: &str) -> Partition {
        self.ledger_of_part(location_id, sku, 0)
    }

    /// All ledger rows of one part of a stock item.
    pub fn ledger_of_part(&self, location_id: &str, sku: &str, part: u32) -> Partition {
        Partition(self.part_pk("stock", location_id, sku, part))
    }

    /// Product.
    pub fn product(&self, sku: &str) -> Key {
        self.key("product", &[sku], "product")
    }

    /// Price book entries of a SKU.
    pub fn prices(&self, sku: &str) -> Key {
        self.key("product", &[sku], "prices")
    }

    /// SKU of a barcode.
    pub fn barcode(&self, gtin: &str) -> Key {
        self.key("barcode", &[gtin], "barcode")
    }

    /// All that a tenant sells by: settings, promotions, taxes.
    pub fn tenant_rules(&self) -> Partition {
        Partition(self.pk("rules", &[]))
    }

    /// A tenant's settings.
    pub fn settings(&self) -> Key {
        self.key("rules", &[], "settings")
    }

    /// What a location decides about its stock otherwise than its tenant.
    pub fn location_stock_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("location#{}", KeyPart(id)))
    }

    /// Promotion.
    pub fn promotion(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("promotion#{}", KeyPart(id)))
    }

    /// Tax rule.
    pub fn tax_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("tax_rule#{}", KeyPart(id)))
    }

    /// Category, with the one it stands below.
    pub fn category_rule(&self, id: &str) -> Key {
        self.key("rules", &[], &format!("category#{}", KeyPart(id)))
    }

    /// Counts the changes of all categories together.
    pub fn category_tree(&self) -> Key {
        self.key("rules", &[], "category-tree")
    }

    /// Coupon.
    pub fn coupon(&self, code: &str) -> Key {
        self.key("coupon", &[code], "coupon")
    }

    /// Customer.
    pub fn customer(&self, id: &str) -> Key {
        self.key("customer", &[id], "customer")
    }

    /// Supplier.
    pub fn supplier(&self, id: &str) -> Key {
        self.key("supplier", &[id], "supplier")
    }

    /// Location.
    pub fn location(&self, id: &str) -> Key {
        self.key("location", &[id], "location")
    }

    /// Index partition of all products, or all locations (`list_pk`).
    pub fn list_of(&self, kind: &str) -> Partition {
        Partition(self.pk("list", &[kind]))
    }

    /// Index partition of all products of a category (`category_pk`).
    pub fn category(&self, category: &str) -> Partition {
        Partition(self.pk("category", &[category]))
    }

    /// Index partition of all variants of a product (`variant_pk`).
    pub fn variants_of(&self, sku: &str) -> Partition {
        Partition(self.pk("variants", &[sku]))
    }

    /// Index partition of all products by name (`name_pk`).
    pub fn product_names(&self) -> Partition {
        Partition(self.pk("names", &[]))
    }

    /// State of a feed.
    pub fn sync_state(&self, entity: &str) -> Key {
        self.key("sync", &[entity], "state")
    }

    /// A part of a parked bad line of a feed, by the line's hash: the same line is parked once.
    pub fn sync_parked(&self, entity: &str, hash: &str, part: u32) -> Key {
        self.key("sync", &[entity], &format!("parked#{hash}#{part:03}"))
    }

    /// Index partition of all parked lines of a feed (`list_pk`).
    pub fn sync_parked_lines(&self, entity: &str) -> Partition {
        Partition(self.pk("parked", &[entity]))
    }

    /// Version record of a feed's deleted or separate entity.
    pub fn sync_entity(&self, entity: &str, id: &str) -> Key {
        self.key("sync-entity", &[entity, id], "entity")
    }

    /// Which template of a kind of document and a format is current.
    pub fn print_template(&self, kind: &str, format: &str) -> Key {
        self.key("print-template", &[kind, format], "current")
    }

    /// The version of a template that stands since a time, in milliseconds.
    pub fn print_template_version(&self, kind: &str, format: &str, since_millis: i64) -> Key {
        self.key("print-template", &[kind, format], &print_template_since(since_millis))
    }

    /// Versions of the template of a kind of document and a format, and which is current.
    pub fn print_template_versions(&self, kind: &str, format: &str) -> Partition {
        Partition(self.pk("print-template", &[kind, format]))
    }

    /// The tenant's entry in the registry.
    pub fn registry_entry(&self) -> Key {
        Key { pk: "tenants".to_owned(), sk: self.tenant_id().to_owned() }
    }

    /// Where a scheduled walk over this tenant stands.
    pub fn walk(&self, name: &str) -> Key {
        self.key("walk", &[name], "walk")
    }

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

    /// The tenant's restores from backup, and the epoch that each raised its lanes to.
    pub fn restores(&self) -> Key {
        self.key("restores", &[], "restores")
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
