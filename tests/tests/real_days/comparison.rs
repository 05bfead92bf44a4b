//! What the functions answer of a day against what its file says: every figure, both ways round.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tillstream_app::database::{Query, Table};
use tillstream_app::keys;

use crate::day::{Day, Invoice, plain, pounds};
use crate::functions::{Functions, TENANT};

/// Differences in words, and how many figures were compared.
#[derive(Default)]
pub struct Comparison {
    differences: Vec<String>,
    pub compared: usize,
}

/// Items of a page, small enough that every list has several.
const PAGE: u32 = 60;

/// Compares everything that can be read of a day. `receipts` are what the tills were told.
pub async fn compare(
    functions: &Functions,
    day: &Day,
    receipts: &BTreeMap<String, (String, u64)>,
) -> Comparison {
    let mut found = Comparison::default();
    let all = day.figures(|_| true).metrics();
    found.dashboard(functions, day, None, &all).await;
    for store in day.countries.keys() {
        if day.invoices.iter().any(|invoice| invoice.store == *store) {
            let expected = day.figures(|invoice| invoice.store == *store).metrics();
            found.dashboard(functions, day, Some(store), &expected).await;
            found.sales(functions, day, store).await;
            found.products(functions, day, store).await;
        }
        found.stock(functions, day, store).await;
    }
    found.lots(functions, day).await;
    found.orders(functions, day, receipts).await;
    found.lanes(day, receipts);
    found.deliveries(functions, day).await;
    found
}

impl Comparison {
    /// Fails the test where there are differences.
    pub fn assert_equal(&self, when: &str) {
        let first: Vec<&String> = self.differences.iter().take(20).collect();
        assert!(first.is_empty(), "{when}, {} differences: {first:#?}", self.differences.len());
    }

    fn equal(&mut self, what: &str, expected: &Value, actual: &Value) {
        self.compared += 1;
        if expected != actual {
            let difference = format!("{what}: the file says {expected}, the functions {actual}");
            self.differences.push(difference.chars().take(400).collect());
        }
    }

    fn metrics(&mut self, what: &str, expected: &Value, actual: &Value) {
        for (name, value) in expected.as_object().unwrap() {
            self.equal(&format!("{what}, {name}"), value, &actual[name]);
        }
    }

    async fn dashboard(
        &mut self,
        functions: &Functions,
        day: &Day,
        store: Option<&String>,
        expected: &Value,
    ) {
        let mut query = vec![("date", day.date.as_str())];
        query.extend(store.map(|store| ("store_id", store.as_str())));
        let what = format!("dashboard of {}", store.map_or("all stores", String::as_str));
        let reply = functions.get("/v1/analytics/dashboard", &query).await;
        self.equal(&format!("{what}, rows"), &json!(1), &json!(reply["rows"].as_array().unwrap().len()));
        self.metrics(&what, expected, &reply["rows"][0]["metrics"]);
        for (lane, last) in day.lanes() {
            if store.is_none_or(|store| lane.starts_with(&format!("{store}/"))) {
                let expected = json!({ "through": last, "gaps": [] });
                self.equal(&format!("{what}, {lane}"), &expected, &reply["watermark"]["lanes"][&lane]);
            }
        }
        let Some(store) = store else { return };
        self.hours(&what, day, store, &reply["hours"]);
        let mut registers = BTreeSet::new();
        for row in reply["registers"].as_array().unwrap() {
            let register = row["group"]["register"].as_str().unwrap();
            registers.insert(register.to_owned());
            let of = |invoice: &Invoice| invoice.store == *store && invoice.register() == register;
            self.metrics(&format!("{what}, {register}"), &day.figures(of).metrics(), &row["metrics"]);
        }
        let sold = day.invoices.iter().filter(|invoice| invoice.store == *store);
        let expected: BTreeSet<String> = sold.map(Invoice::register).collect();
        self.equal(&format!("{what}, registers"), &json!(expected), &json!(registers));
    }

    fn hours(&mut self, what: &str, day: &Day, store: &str, rows: &Value) {
        let hours: Vec<&str> =
            rows.as_array().unwrap().iter().map(|row| row["bucket"].as_str().unwrap()).collect();
        self.equal(&format!("{what}, hours"), &json!(day.hours(store)), &json!(hours));
        for row in rows.as_array().unwrap() {
            let hour = row["bucket"].as_str().unwrap();
            let of = |invoice: &Invoice| invoice.store == store && invoice.hour() == hour;
            self.metrics(&format!("{what}, {hour}"), &day.figures(of).metrics(), &row["metrics"]);
        }
    }

    async fn sales(&mut self, functions: &Functions, day: &Day, store: &str) {
        let date = day.date.as_str();
        let query = |granularity| {
            [
                ("store_id", store),
                ("from", date),
                ("to", date),
                ("granularity", granularity),
                ("group_by", "store"),
            ]
        };
        let reply = functions.get("/v1/analytics/sales", &query("hour")).await;
        self.hours(&format!("sales of {store} by hour"), day, store, &reply["rows"]);
        let expected = day.figures(|invoice| invoice.store == store).metrics();
        for granularity in ["day", "week", "month"] {
            let rows = functions.get("/v1/analytics/sales", &query(granularity)).await["rows"].take();
            let what = format!("sales of {store} by {granularity}");
            self.equal(&what, &json!(1), &json!(rows.as_array().unwrap().len()));
            self.metrics(&what, &expected, &rows[0]["metrics"]);
        }
    }

    async fn products(&mut self, functions: &Functions, day: &Day, store: &str) {
        let date = day.date.as_str();
        let query = [("store_id", store), ("from", date), ("to", date), ("order_by", "net_sales")];
        let rows = functions.pages("/v1/analytics/products", "rows", PAGE, &query).await;
        // The most first, equal ones by SKU.
        let mut expected: Vec<_> = day.by_product(store).into_iter().collect();
        expected.sort_by(|(a, of_a), (b, of_b)| of_b.net_sales().cmp(&of_a.net_sales()).then(a.cmp(b)));
        let order: Vec<&str> = rows.iter().map(|row| row["group"]["sku"].as_str().unwrap()).collect();
        let skus: Vec<&String> = expected.iter().map(|(sku, _)| sku).collect();
        self.equal(&format!("products of {store}"), &json!(skus), &json!(order));
        for ((sku, figures), row) in expected.iter().zip(&rows) {
            self.metrics(&format!("product {sku} of {store}"), &figures.metrics(), &row["metrics"]);
        }
    }

    async fn stock(&mut self, functions: &Functions, day: &Day, store: &str) {
        let path = format!("/v1/locations/{store}/inventory");
        let mut actual = BTreeMap::new();
        for item in functions.pages(&path, "items", PAGE, &[]).await {
            let sku = item["sku"].as_str().unwrap().to_owned();
            let known = actual.insert(sku.clone(), item);
            self.equal(&format!("stock of {sku} in {store}, told before"), &Value::Null, &json!(known));
        }
        let stock = day.stock();
        let of_store = stock.iter().filter(|((of, _), _)| of == store);
        let expected: BTreeMap<&String, i64> = of_store.map(|((_, sku), (_, units))| (sku, *units)).collect();
        let skus: (Vec<_>, Vec<_>) = (expected.keys().collect(), actual.keys().collect());
        self.equal(&format!("stock of {store}"), &json!(skus.0), &json!(skus.1));
        for (sku, units) in expected {
            let figures = json!({ "on_hand": units, "reserved": 0, "available": units, "damaged": 0 });
            let item = actual.get(sku).unwrap_or(&Value::Null);
            self.metrics(&format!("stock of {sku} in {store}"), &figures, item);
        }
        for (kit, parts) in &day.kits {
            let there = |sku: &String| stock.get(&(store.to_owned(), sku.clone()));
            if parts.iter().any(|(sku, _)| there(sku).is_some()) {
                let makes = |(sku, per): &(String, i64)| there(sku).map_or(0, |(_, units)| units / per);
                let kits = parts.iter().map(makes).min();
                let figures = json!({ "kit": true, "on_hand": kits, "reserved": 0, "available": kits });
                let level = functions.get(&format!("/v1/inventory/{store}/{kit}"), &[]).await;
                self.metrics(&format!("kits {kit} in {store}"), &figures, &level);
            }
        }
    }

    /// What is left of lots, and to whom all the rest went: to every order what it sold, and to no other. Where rows of
    /// the ledger were late, and one was made that stands for them, who got it is not told exactly.
    async fn lots(&mut self, functions: &Functions, day: &Day) {
        let mut told: BTreeMap<(String, String), BTreeMap<String, i64>> = BTreeMap::new();
        let lots: BTreeSet<String> = day.deliveries().into_iter().map(|delivery| delivery.lot).collect();
        for lot in &lots {
            for sale in functions.pages(&format!("/v1/inventory/lots/{lot}/orders"), "items", PAGE, &[]).await
            {
                let text = |name: &str| sale[name].as_str().unwrap_or_default().to_owned();
                let of_sku = told.entry((text("location_id"), text("sku"))).or_default();
                *of_sku.entry(text("order_id")).or_default() += sale["quantity"].as_i64().unwrap();
            }
        }
        let mut sold = day.sold();
        for ((store, sku), (units, returned)) in day.stock() {
            if !day.lots.contains(&sku) {
                continue;
            }
            let query = [("location_id", store.as_str()), ("sku", sku.as_str())];
            let left = functions.get("/v1/inventory/lots", &query).await["items"].take();
            let left: Vec<_> =
                left.as_array().unwrap().iter().map(|level| (&level["lot_id"], &level["on_hand"])).collect();
            // All that came in lots is gone; what came back nobody named. Where no lot ever came there are none.
            let expected = if units > 0 && returned > 0 { json!([[null, returned]]) } else { json!([]) };
            self.equal(&format!("lots of {sku} in {store}"), &expected, &json!(left));
            let proof = functions.get("/v1/inventory/conservation", &query).await;
            if proof["ranges"].as_array().is_some_and(Vec::is_empty) {
                let name = (store, sku);
                let expected = sold.remove(&name).unwrap_or_default();
                let got = told.remove(&name).unwrap_or_default();
                self.equal(&format!("who got lots of {name:?}"), &json!(expected), &json!(got));
            }
        }
    }

    /// Every order with its lines, and that there are no others.
    async fn orders(&mut self, functions: &Functions, day: &Day, receipts: &BTreeMap<String, (String, u64)>) {
        let listed = functions.pages("/v1/orders", "items", PAGE, &[]).await;
        let mut ids: Vec<&str> = listed.iter().map(|order| order["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        let mut expected: Vec<String> = day.invoices.iter().map(Invoice::order_id).collect();
        expected.sort_unstable();
        self.equal("orders", &json!(expected), &json!(ids));
        for invoice in &day.invoices {
            let id = invoice.order_id();
            let order = functions.get(&format!("/v1/orders/{id}"), &[]).await;
            let (lane, number) = &receipts[&id];
            let figures = json!({
                "kind": if invoice.is_return { "return" } else { "sale" },
                "store_id": invoice.store,
                "lane": lane,
                "receipt_number": number,
                "order_version": 1,
                "business_day": day.date,
                "customer_id": if invoice.is_return { None } else { invoice.customer.as_ref() },
                "line_count": invoice.lines.len(),
            });
            self.metrics(&format!("order {id}"), &figures, &order);
            let lines = order["lines"].as_array().unwrap().len();
            self.equal(&format!("order {id}, lines"), &json!(invoice.lines.len()), &json!(lines));
            let total = pounds(invoice.pence());
            self.equal(&format!("order {id}, total"), &total, &order["totals"]["total"]);
            self.equal(&format!("order {id}, paid"), &total, &order["totals"]["paid"]);
            for (line, read) in invoice.lines.iter().zip(order["lines"].as_array().unwrap()) {
                let mut read = read.clone();
                // Two decimals at least are written.
                read["unit_price"] = json!(plain(read["unit_price"].as_str().unwrap()));
                let expected = json!({
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_price": line.unit_price,
                    "total": pounds(line.pence),
                });
                self.metrics(&format!("order {id}, row {}", line.row), &expected, &read);
            }
        }
    }

    /// The numbers of each lane are 1 to its count, each once.
    fn lanes(&mut self, day: &Day, receipts: &BTreeMap<String, (String, u64)>) {
        let mut numbers = BTreeMap::<&String, Vec<u64>>::new();
        for (lane, number) in receipts.values() {
            numbers.entry(lane).or_default().push(*number);
        }
        for (lane, last) in day.lanes() {
            let mut given = numbers.remove(&lane).unwrap_or_default();
            given.sort_unstable();
            self.equal(&format!("numbers of {lane}"), &json!((1..=last).collect::<Vec<_>>()), &json!(given));
        }
        self.equal("lanes that the file does not name", &json!({}), &json!(numbers));
    }

    /// HQ has every order once, and nothing was put aside on the way.
    async fn deliveries(&mut self, functions: &Functions, day: &Day) {
        let accepted = functions.hq.accepted();
        self.equal("orders at HQ", &json!(day.invoices.len()), &json!(accepted.len()));
        let accepted: BTreeMap<_, _> =
            accepted.into_iter().map(|order| (order.order_id.clone(), order)).collect();
        for invoice in &day.invoices {
            let id = invoice.order_id();
            let order = accepted.get(&id).map(|order| (&order.tenant_id, order.accepted, &order.versions));
            self.equal(&format!("{id} at HQ"), &json!((TENANT, 1, [1])), &json!(order));
        }
        let deliveries = functions.pages("/v1/dispatch/deliveries", "items", PAGE, &[]).await;
        self.equal("deliveries", &json!(day.invoices.len()), &json!(deliveries.len()));
        let open = deliveries.iter().filter(|delivery| delivery["status"] != "delivered");
        self.equal("deliveries that are not delivered", &json!([]), &json!(open.collect::<Vec<_>>()));
        let dead = functions.pages("/v1/dispatch/dead-letters", "items", PAGE, &[]).await;
        self.equal("dead letters", &json!([]), &json!(dead));
        let query = Query::partition(Table::Dispatch, keys::parked_records());
        let parked = functions.database.query(query).await.unwrap().items.len();
        self.equal("parked records", &json!(0), &json!(parked));
        self.equal("wake-ups put aside", &json!(0), &json!(functions.queue.backstop().len()));
        self.equal("wake-ups left", &json!(0), &json!(functions.queue.len()));
    }
}
