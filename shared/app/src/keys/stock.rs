//! Keys of the stock table and of its ledger.

use tillstream_domain::identifier::KeyPart;

use super::{BACKORDER_PLACES, LOT_PLACES, padded};
use crate::database::{Key, Partition};
use crate::tenancy::TenantScope;

impl TenantScope {
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

    /// How far the hold lines of a stock item were read by the last look that stopped before their end.
    pub fn read_holds(&self, location_id: &str, sku: &str) -> Key {
        self.key("read-holds", &[location_id, sku], "read-holds")
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

    /// The lots that left with a line of a transfer: each in a partition of its own, since a long step writes many.
    pub fn transfer_lots(&self, id: &str, line: u32) -> Key {
        self.key("transfer-lots", &[id, &line.to_string()], "lots")
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

    /// One of the lots that a movement of an `order` or `reservation` took: ids of both may be the same.
    pub fn lot_of_reference(
        &self,
        (of, reference): (&str, &str),
        (location_id, sku): (&str, &str),
        seq: u64,
        number: usize,
    ) -> Key {
        let sk = format!("{}#{}#{}#{number:04}", KeyPart(location_id), KeyPart(sku), padded(seq));
        self.key("lots-of", &[of, reference], &sk)
    }

    /// The lots that the movements of an `order` or `reservation` took.
    pub fn lots_of_reference(&self, of: &str, reference: &str) -> Partition {
        Partition(self.pk("lots-of", &[of, reference]))
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
}
