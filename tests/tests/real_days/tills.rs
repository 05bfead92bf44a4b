//! The tills: sample data, then every invoice as a register sends it, several registers at once.
//!
//! Every key derives from the invoice and the row, so that a second run repeats every command.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tillstream_app::Ports;
use tillstream_app::stock::split::{LaidOut, split};
use tillstream_app::tenancy::TenantScope;

use crate::day::{Adjustment, Day, Invoice, is_stocked, pounds};
use crate::functions::{Functions, TENANT};
use crate::pipeline::StreamLoss;

/// Registers that work at once.
const AT_ONCE: usize = 16;
/// Over so many parts stock is split.
const PARTS: u32 = 3;

/// What the registers were told.
#[derive(Default)]
pub struct Told {
    /// Requests, without those that were sent again.
    pub requests: usize,
    /// Of these, answered as replays.
    pub replays: usize,
    /// Sent again.
    pub repeated: usize,
    /// Order → lane and receipt number.
    pub receipts: BTreeMap<String, (String, u64)>,
}

/// A day at the tills.
pub struct Tills {
    functions: Arc<Functions>,
    day: Arc<Day>,
    next: AtomicUsize,
    done: AtomicUsize,
    told: Mutex<Told>,
    loss: Option<Arc<StreamLoss>>,
}

impl Tills {
    /// In whose course the streams may be lost.
    pub fn new(functions: Arc<Functions>, day: Arc<Day>, loss: Option<Arc<StreamLoss>>) -> Arc<Self> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Tills { functions, day, next, done, told: Mutex::default(), loss })
    }

    /// Works the day off; invoices begin in file order, and the commands of one follow each other.
    pub async fn work(self: Arc<Self>) -> Told {
        let tasks: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(self.clone().register())).collect();
        for task in tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut self.told.lock().unwrap())
    }

    fn items(&self) -> usize {
        self.day.invoices.len() + self.day.adjustments.len()
    }

    async fn register(self: Arc<Self>) {
        let invoices = self.day.invoices.len();
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at < invoices {
                self.invoice(&self.day.invoices[at]).await;
            } else if at < self.items() {
                self.adjust(&self.day.adjustments[at - invoices]).await;
            } else {
                return;
            }
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(loss) = &self.loss {
                loss.at(done * 100 / self.items());
            }
        }
    }

    async fn invoice(&self, invoice: &Invoice) {
        let id = invoice.order_id();
        let (open, line, pay, close) = if invoice.is_return {
            ("start_return", "return_line_item", "refund_tender", "finalize_return")
        } else {
            ("create_cart", "add_line_item", "add_payment", "finalize_order")
        };
        let name = if invoice.is_return { "return_id" } else { "cart_id" };
        let mut opening = json!({ name: id });
        if invoice.is_return {
            opening["reason"] = json!("customer return");
        } else if let Some(customer) = &invoice.customer {
            opening["customer_id"] = json!(customer);
        }
        self.command(invoice, open, opening, None).await;
        for sold in &invoice.lines {
            let mut payload = json!({ name: id, "sku": sold.sku, "quantity": sold.quantity });
            if invoice.is_return {
                payload["disposition"] = json!("restock");
                payload["unit_price"] = json!(sold.unit_price);
            } else {
                payload["unit_price_override"] = json!(sold.unit_price);
            }
            self.command(invoice, line, payload, Some(sold.row)).await;
        }
        if !invoice.is_return {
            self.command(invoice, "set_tendering", json!({ name: id }), None).await;
        }
        if invoice.pence() > 0 {
            let payload = json!({ name: id, "tender": "card", "amount": pounds(invoice.pence()) });
            self.command(invoice, pay, payload, None).await;
        }
        let result = self.command(invoice, close, json!({ name: id }), None).await;
        assert_eq!(result["order_id"], json!(id));
        let receipt = (invoice.lane(), result["receipt_number"].as_u64().unwrap());
        let known = self.told.lock().unwrap().receipts.insert(id, receipt);
        assert_eq!(known, None, "one invoice is one order");
    }

    async fn adjust(&self, adjustment: &Adjustment) {
        let body = json!({
            "location_id": adjustment.store,
            "sku": adjustment.sku,
            "kind": "delta",
            "quantity": -adjustment.quantity,
            "reason": adjustment.reason,
        });
        let key = format!("{}-{}-adjust", adjustment.number, adjustment.row);
        self.send("/v1/inventory/update", Some(&key), &body).await;
    }

    async fn command(&self, invoice: &Invoice, action: &str, payload: Value, row: Option<usize>) -> Value {
        let row = row.map_or_else(String::new, |row| format!("{row}-"));
        let envelope = json!({
            "version": "1",
            "idempotency_key": format!("{}-{row}{action}", invoice.number),
            "store_id": invoice.store,
            "register_id": invoice.register(),
            "employee_id": "e-1",
            "occurred_at": invoice.time,
            "reply": "summary",
            "action": action,
            "payload": payload,
        });
        self.send("/v1/pos/command", None, &envelope).await["result"].take()
    }

    async fn send(&self, path: &str, key: Option<&str>, body: &Value) -> Value {
        let reply = self.functions.request("POST", path, key, &body.to_string()).await;
        let mut told = self.told.lock().unwrap();
        told.requests += 1;
        told.replays += usize::from(reply.is_replay);
        told.repeated += usize::try_from(reply.attempts).unwrap() - 1;
        reply.body
    }
}

/// Products, locations and opening stock, as HQ uploads them.
pub async fn load(functions: &Functions, day: &Day) {
    let products = day.products.iter().map(|(sku, name, price)| {
        let mut data = json!({
            "sku": sku, "name": name, "unit_price": price, "currency": "GBP", "stocked": is_stocked(sku),
            "unit": "piece", "lots": day.lots.contains(sku),
        });
        if let Some(parts) = day.kits.get(sku) {
            let component = |(sku, per): &(String, i64)| json!({ "sku": sku, "quantity": per });
            data["components"] = parts.iter().map(component).collect();
        }
        (sku.clone(), data)
    });
    upload(functions, "catalog", day, products.collect()).await;
    let locations = day.countries.iter().map(|(store, country)| {
        let data = json!({
            "id": store, "kind": "store", "name": country, "time_zone": "Europe/London", "currency": "GBP",
            "registers": ["r-1", "r-2", "r-3", "r-4"],
        });
        (store.clone(), data)
    });
    upload(functions, "locations", day, locations.collect()).await;
    let opening = day.stock().into_iter().map(|((store, sku), (units, _))| {
        // What is kept by lots comes lot by lot.
        let on_hand = if day.lots.contains(&sku) { 0 } else { units };
        (format!("{store}/{sku}"), json!({ "location_id": store, "sku": sku, "on_hand": on_hand }))
    });
    upload(functions, "inventory", day, opening.collect()).await;
    for delivery in day.deliveries() {
        let body = json!({
            "location_id": delivery.store, "sku": delivery.sku, "quantity": delivery.units, "lot": delivery.lot,
            "expires_on": delivery.expires_on,
        });
        let key = format!("{}-{}", delivery.store, delivery.lot);
        functions.request("POST", "/v1/inventory/restock", Some(&key), &body.to_string()).await;
    }
    split_stock(functions, day).await;
}

/// Splits what is to be split, where there is enough of it.
async fn split_stock(functions: &Functions, day: &Day) {
    let ports = Ports { database: functions.database.clone(), environment: functions.environment.clone() };
    let scope = TenantScope::from_own_record(TENANT);
    let mut parts = 0;
    for (store, sku) in day.stock().into_keys().filter(|(_, sku)| day.split.contains(sku)) {
        let laid_out = split(&ports, &scope, &store, &sku, PARTS).await.unwrap();
        parts += if matches!(laid_out, LaidOut::Now(_)) { PARTS } else { 0 };
    }
    assert!(day.split.is_empty() || parts > 10 * PARTS, "{parts} parts");
}

async fn upload(functions: &Functions, entity: &str, day: &Day, records: Vec<(String, Value)>) {
    let line = |(id, data): (String, Value)| {
        format!("{}\n", json!({ "id": id, "version": day.version(), "op": "upsert", "data": data }))
    };
    let body: String = records.into_iter().map(line).collect();
    let mut path = format!("/v1/sync/{entity}");
    loop {
        let reply = functions.request("POST", &path, None, &body).await.body;
        assert_eq!(reply["failed"], 0, "{reply}");
        match reply["next_from"].as_u64() {
            Some(next) => path = format!("/v1/sync/{entity}?from={next}"),
            None => return,
        }
    }
}
