//! What queries answer.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan};
use tillstream_app::aggregation::rebuild::{Mode, rebuild};
use tillstream_app::aggregation::stored;
use tillstream_app::analytics::{dashboard, products, sales as queries};
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::*;
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_contracts::analytics::*;
use tillstream_contracts::events::{FactKind, SaleEvent};
use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::made_up_sales::*;
use tillstream_testkit::shop::caller;

use crate::fixture::*;

#[test]
fn a_day_from_the_till_to_the_dashboard() {
    run(async {
        let (shop, database) = shop().await;
        shop.product(STORE, "A", "2.55", 100).await.unwrap();
        shop.product(STORE, "B", "1.10", 100).await.unwrap();
        for (register, cart, lines) in [
            ("r-1", "c-1", [("A", 6), ("B", 1)]),
            ("r-2", "c-2", [("A", 1), ("B", 3)]),
            ("r-1", "c-3", [("A", 2), ("B", 2)]),
        ] {
            shop.ready(register, cart, &lines).await.unwrap();
            shop.finalize(register, cart).await.unwrap();
        }
        let mut events = events_of(&database);
        let late = events.iter().position(|e| e.order_id == "c-3").unwrap();
        let late = events.remove(late);
        assert_eq!(late.lane_number().to_string(), "s-1/r-1:2");
        fold_all(&shop.ports, &events).await;

        let query = DashboardQuery { store_id: Some(STORE.into()), date: Some("2010-12-01".into()) };
        let token = late.lane_number();
        let before = shop.ports.environment.now();
        let answer = dashboard::dashboard(&shop.ports, &analyst(), &query, Some(&token)).await.unwrap();
        assert_eq!(answer.satisfied, Some(false));
        let waited = shop.ports.environment.now().duration_since(before).as_millis();
        assert!((1_400..2_500).contains(&waited), "waited {waited} ms");
        let [row] = answer.reply.rows.as_slice() else { panic!("{:?}", answer.reply.rows) };
        assert_eq!(row.bucket, "2010-12-01T00:00:00+00:00");
        assert_eq!(row.metrics.gross_sales.amount, 6 * 255 + 110 + 255 + 330);
        assert_eq!((row.metrics.orders, row.metrics.units.clone()), (2, QuantityInput::Whole(11)));
        let lanes = &answer.reply.watermark.lanes;
        assert_eq!(lanes["s-1/r-1"], LaneMark { through: 1, gaps: vec![(2, 2)], unaccounted: None });
        assert_eq!(lanes["s-1/r-2"], LaneMark { through: 1, gaps: vec![], unaccounted: None });
        assert_eq!(lanes.len(), 2, "lanes that have counted nothing are left out");

        fold_all(&shop.ports, &[late]).await;
        let answer = dashboard::dashboard(&shop.ports, &analyst(), &query, Some(&token)).await.unwrap();
        assert_eq!(answer.satisfied, Some(true));
        assert_eq!(
            answer.reply.watermark.lanes["s-1/r-1"],
            LaneMark { through: 2, gaps: vec![], unaccounted: None }
        );
        assert_eq!(answer.reply.rows[0].metrics.gross_sales.amount, 9 * 255 + 6 * 110);
        assert_eq!(answer.reply.rows[0].metrics.average_order_value.unwrap().amount, 985);
        assert_eq!(answer.reply.rows[0].metrics.units_per_order.as_deref(), Some("5"));
        assert_eq!(answer.reply.hours.len(), 1);
        assert_eq!(answer.reply.hours[0].bucket, "2010-12-01T08:00:00+00:00");
        let registers: Vec<_> =
            answer.reply.registers.iter().map(|r| (r.group["register"].clone(), r.metrics.orders)).collect();
        assert_eq!(registers, [(Some("r-1".to_owned()), 2), (Some("r-2".to_owned()), 1)]);

        // Today is another day: nothing sold, but the last sales are there.
        let today = DashboardQuery { store_id: Some(STORE.into()), date: None };
        let reply = dashboard::dashboard(&shop.ports, &analyst(), &today, None).await.unwrap().reply;
        assert_eq!(reply.rows.len(), 1);
        assert_eq!((reply.rows[0].metrics.orders, reply.rows[0].metrics.gross_sales.amount), (0, 0));
        assert_eq!(reply.rows[0].metrics.average_order_value, None);
        let last: BTreeSet<_> = reply.last_sales.iter().map(|s| s.receipt_number.as_str()).collect();
        assert_eq!(last, BTreeSet::from(["s-1/r-1:1", "s-1/r-1:2", "s-1/r-2:1"]));
        assert_eq!(reply.last_sales[0].at, "2010-12-01T08:26:00+00:00");
    });
}

#[test]
fn pages_come_back_from_the_orders_as_they_were() {
    run(async {
        let (shop, database) = shop().await;
        for sku in ["A", "B", "C"] {
            shop.product(STORE, sku, "2.55", 100).await.unwrap();
        }
        for n in 0..6 {
            let cart = format!("c-{n}");
            let register = format!("r-{}", n % 3 + 1);
            shop.ready(&register, &cart, &[("A", 1 + n), ("B", 2), ("C", 1)]).await.unwrap();
            shop.finalize(&register, &cart).await.unwrap();
        }
        fold_all(&shop.ports, &events_of(&database)).await;
        let live = content(&database);
        let location = store(&shop.ports, STORE).await;
        let days = (day(0), day(0));
        let check =
            async |mode| rebuild(&shop.ports, &shop.scope, &location, days.0, days.1, mode).await.unwrap();
        let report = check(Mode::Verify).await;
        assert_eq!((report.orders, report.different.len()), (6, 0));
        assert!(report.pages >= 3);

        // From nothing.
        for item in database.items(Table::Analytics) {
            if item.text("sk").unwrap() != "complete" {
                let key = Key::of(&item).unwrap();
                let delete = Write::Delete { table: Table::Analytics, key, condition: None };
                shop.ports.database.write(delete).await.unwrap();
            }
        }
        assert!(!check(Mode::Verify).await.different.is_empty());
        check(Mode::Repair).await;
        assert_eq!(content(&database), live);

        // A page that was tampered with is found and mended; one that holds more than the orders is
        // found and left alone.
        let hour =
            database.items(Table::Analytics).into_iter().find(|i| i.text("sk").unwrap().starts_with("hour#"));
        let key = Key::of(&hour.unwrap()).unwrap();
        let mut page: tillstream_domain::aggregates::HourPage = Default::default();
        let put = stored::versioned_put(
            Item::new(&key).with("day", "2010-12-01").with("hour", 1_291_190_400),
            1,
            &page,
        )
        .unwrap();
        shop.ports.database.write(put).await.unwrap();
        assert_eq!(check(Mode::Repair).await.different.len(), 1);
        assert_eq!(content(&database), live);
        let mut fact = tillstream_app::aggregation::event::fact_of(sale("r-9", 7)).unwrap();
        fact.business_day = day(0);
        page.fold(&fact);
        let put = stored::versioned_put(
            Item::new(&key).with("day", "2010-12-01").with("hour", 1_291_190_400),
            3,
            &page,
        )
        .unwrap();
        shop.ports.database.write(put).await.unwrap();
        let report = check(Mode::Repair).await;
        assert_eq!((report.different.len(), report.unaccounted.len()), (1, 1));
    });
}

/// One sale of 1.00 in every hour of the store's days from `first` on.
fn hourly(zone: &str, day_start: &str, first: &str, days: i64) -> Vec<SaleEvent> {
    let calendar = StoreCalendar::new(zone, day_start).unwrap();
    let first: jiff::civil::Date = first.parse().unwrap();
    let end = calendar.day_begin(first.checked_add(days.days()).unwrap()).unwrap();
    let mut time: Timestamp = calendar.day_begin(first).unwrap();
    let mut events = Vec::new();
    while time < end {
        let hour = calendar.locate(time).unwrap();
        let mut event = sale("r-1", events.len() as u64 + 1);
        event.business_day = hour.business_day;
        event.hour_start = hour.hour_start;
        event.offset_seconds = hour.offset_seconds;
        events.push(event);
        time = time.checked_add(1.hour()).unwrap();
    }
    events
}

#[test]
fn days_of_23_and_25_hours_add_up() {
    run(async {
        let (shop, _) = shop().await;
        // 2011-10-30 ends summer time in London, 2011-03-27 begins it.
        for (first, hours, first_bucket) in
            [("2011-10-30", 25, "2011-10-30T00:00:00+01:00"), ("2011-03-27", 23, "2011-03-27T00:00:00+00:00")]
        {
            let (shop, _) = crate::fixture::shop().await;
            let events = hourly("Europe/London", "00:00", first, 1);
            assert_eq!(events.len(), hours);
            fold_all(&shop.ports, &events).await;
            let by_hour =
                ask(&shop.ports, SalesQuery { granularity: Granularity::Hour, ..span(first, first) })
                    .await
                    .unwrap();
            assert_eq!(by_hour.rows.len(), hours);
            let buckets: BTreeSet<_> = by_hour.rows.iter().map(|r| r.bucket.clone()).collect();
            assert_eq!(buckets.len(), hours, "no two hours have one name");
            assert_eq!(by_hour.rows[0].bucket, first_bucket);
            let by_day = ask(&shop.ports, span(first, first)).await.unwrap();
            assert_eq!(by_day.rows.len(), 1);
            assert_eq!(by_day.rows[0].metrics.orders, hours as u64);
            assert_eq!(by_day.rows[0].bucket, first_bucket);
        }

        // A day that begins at half past four, in the middle of an hour.
        set_store(&shop.ports, STORE, |store| store.business_day_start = "04:30".into()).await;
        let mut events = hourly("Europe/London", "04:30", "2010-12-01", 2);
        for (number, (event, minute)) in events.clone().iter().zip(0..).filter(|(_, m)| *m == 24).enumerate()
        {
            // 04:10 on the second calendar day still belongs to the first business day.
            let _ = minute;
            let mut early = event.clone();
            early.number = 100 + number as u64;
            early.business_day = "2010-12-01".parse().unwrap();
            events.push(early);
        }
        fold_all(&shop.ports, &events).await;
        let days = ask(&shop.ports, span("2010-12-01", "2010-12-02")).await.unwrap().rows;
        let orders: Vec<_> = days.iter().map(|r| (r.bucket.as_str(), r.metrics.orders)).collect();
        assert_eq!(orders, [("2010-12-01T04:30:00+00:00", 25), ("2010-12-02T04:30:00+00:00", 24)]);
    });
}

#[test]
fn weeks_months_groups_and_the_period_before() {
    run(async {
        let (shop, _) = shop().await;
        let mut events = hourly("Europe/London", "00:00", "2010-11-29", 9);
        for event in &mut events {
            event.employee_id = format!("e-{}", event.number % 2);
        }
        events[0].kind = FactKind::Return;
        fold_all(&shop.ports, &events).await;
        let by = |granularity| SalesQuery { granularity, ..span("2010-11-29", "2010-12-07") };
        let orders = |reply: &SalesReply| -> Vec<(String, u64)> {
            reply.rows.iter().map(|r| (r.bucket[..10].to_owned(), r.metrics.orders)).collect()
        };
        let weeks = ask(&shop.ports, by(Granularity::Week)).await.unwrap();
        assert_eq!(orders(&weeks), [("2010-11-29".into(), 167), ("2010-12-06".into(), 48)]);
        assert_eq!(weeks.rows[0].metrics.return_orders, 1);
        assert_eq!(weeks.rows[0].metrics.net_sales.amount, 16_600);
        let months = ask(&shop.ports, by(Granularity::Month)).await.unwrap();
        assert_eq!(orders(&months), [("2010-11-01".into(), 47), ("2010-12-01".into(), 168)]);
        let query = SalesQuery { group_by: Some(GroupBy::Employee), ..by(Granularity::Month) };
        let groups = ask(&shop.ports, query).await.unwrap();
        let named: Vec<_> =
            groups.rows.iter().map(|r| (r.group["employee"].clone().unwrap(), r.metrics.orders)).collect();
        assert_eq!(named, [("e-0".into(), 24), ("e-1".into(), 23), ("e-0".into(), 84), ("e-1".into(), 84)]);
        let query = SalesQuery { compare: Some(Compare::PreviousPeriod), ..span("2010-12-01", "2010-12-02") };
        let previous = ask(&shop.ports, query).await.unwrap().previous.unwrap();
        assert_eq!((previous.from.as_str(), previous.to.as_str()), ("2010-11-29", "2010-11-30"));
        assert_eq!(previous.rows.iter().map(|r| r.metrics.orders).sum::<u64>(), 47);
        let query = span("2010-12-01T08:00:00Z", "2010-12-01T10:00:00Z");
        assert_eq!(orders(&ask(&shop.ports, query).await.unwrap()), [("2010-12-01".into(), 2)]);
        let query = SalesQuery { group_by: Some(GroupBy::Category), ..span("2010-12-01", "2010-12-01") };
        let rows = ask(&shop.ports, query).await.unwrap().rows;
        assert_eq!(rows[0].group["category"], None, "no category is null");
    });
}

#[test]
fn currencies_are_never_summed() {
    run(async {
        let (shop, _) = shop().await;
        let mut other = sale("r-1", 2);
        other.currency = "EUR".parse().unwrap();
        fold_all(&shop.ports, &[sale("r-1", 1), other]).await;
        let rows = ask(&shop.ports, span("2010-12-01", "2010-12-01")).await.unwrap().rows;
        let currencies: Vec<_> =
            rows.iter().map(|r| (r.metrics.net_sales.currency.to_string(), r.metrics.orders)).collect();
        assert_eq!(currencies, [("EUR".into(), 1), ("GBP".into(), 1)]);
    });
}

#[test]
fn products_page_by_page() {
    run(async {
        let (shop, _) = shop().await;
        let events = sales(11, 80);
        fold_all(&shop.ports, &events).await;
        for (order_by, direction) in
            [(ProductOrder::NetSales, Direction::Desc), (ProductOrder::Units, Direction::Asc)]
        {
            let mut query = ProductsQuery {
                from: Some("2010-12-01".into()),
                to: Some("2010-12-02".into()),
                order_by,
                direction,
                limit: Some(7),
                ..ProductsQuery::default()
            };
            let all = ProductsQuery { limit: Some(200), ..query.clone() };
            let all = products::products(&shop.ports, &analyst(), &all, None).await.unwrap().reply.rows;
            let exact = ProductsQuery { limit: u32::try_from(all.len()).ok(), ..query.clone() };
            let exact = products::products(&shop.ports, &analyst(), &exact, None).await.unwrap().reply;
            assert_eq!((exact.rows == all, exact.next_cursor), (true, None), "a page of all has no next");
            let mut rows = Vec::new();
            loop {
                let reply = products::products(&shop.ports, &analyst(), &query, None).await.unwrap().reply;
                assert!(reply.rows.len() <= 7);
                rows.extend(reply.rows);
                match reply.next_cursor {
                    Some(cursor) => query.cursor = Some(cursor),
                    None => break,
                }
            }
            let expected: BTreeSet<_> = events
                .iter()
                .flat_map(|e| e.detail.as_ref().unwrap().lines.iter().map(|l| (l.sku.clone(), e.currency)))
                .collect();
            let seen: BTreeSet<_> = rows
                .iter()
                .map(|r| (r.group["sku"].clone().unwrap(), r.metrics.net_sales.currency))
                .collect();
            assert_eq!((rows.len(), seen), (expected.len(), expected));
            let all: Vec<&SaleEvent> = events.iter().collect();
            for row in &rows {
                let (sku, currency) = (row.group["sku"].as_ref().unwrap(), row.metrics.net_sales.currency);
                let plain = plain(&all, |e, l| e.currency == currency && l.sku == *sku, false);
                assert_eq!(row.metrics.net_sales.amount, plain.net());
                assert_eq!((row.metrics.orders, row.metrics.tax.amount), (plain.orders, plain.tax));
            }
            let sorted = match order_by {
                ProductOrder::NetSales => {
                    rows.is_sorted_by(|a, b| a.metrics.net_sales.amount >= b.metrics.net_sales.amount)
                }
                _ => rows.is_sorted_by(|a, b| {
                    let units = |r: &Row| match r.metrics.units {
                        QuantityInput::Whole(units) => units,
                        QuantityInput::Decimal(_) => panic!("pieces are whole"),
                    };
                    units(a) <= units(b)
                }),
            };
            assert!(sorted);
            query.limit = Some(8);
            query.order_by = ProductOrder::Orders;
            let refused = products::products(&shop.ports, &analyst(), &query, None).await.unwrap_err();
            assert_eq!(refused.code(), Some("cursor_malformed"), "a cursor of another query");
        }
    });
}

#[test]
fn products_of_a_category() {
    run(async {
        let (shop, _) = shop().await;
        let scope = TenantScope::from_own_record(TENANT);
        for n in 0..40 {
            let product = Product {
                sku: format!("sku-{n}"),
                name: "A toy, or none".into(),
                unit_price: "1.00".parse().unwrap(),
                currency: "GBP".parse().unwrap(),
                stocked: true,
                unit: Unit::Piece,
                category: Some(if n % 2 == 0 { "toys" } else { "mugs" }.to_owned()),
                barcodes: Vec::new(),
                attributes: BTreeMap::new(),
                tax_category: None,
                tax_exempt: false,
                discountable: true,
                modifiers: vec![],
                components: vec![],
                variant_of: None,
                sellable: true,
                lots: false,
                version: 1,
            };
            let item = product_item(&scope, &product).unwrap();
            let put = Write::Put { table: Table::Catalog, item, condition: None };
            shop.ports.database.write(put).await.unwrap();
        }
        let events = sales(11, 60);
        fold_all(&shop.ports, &events).await;
        let ask = async |category: &str| {
            let query = ProductsQuery {
                from: Some("2010-12-01".into()),
                to: Some("2010-12-02".into()),
                category: Some(category.into()),
                limit: Some(200),
                ..ProductsQuery::default()
            };
            products::products(&shop.ports, &analyst(), &query, None).await
        };
        let sold = |rest: u64| -> BTreeSet<String> {
            let lines = events.iter().flat_map(|event| &event.detail.as_ref().unwrap().lines);
            let is_of = |sku: &&String| sku.strip_prefix("sku-").unwrap().parse::<u64>().unwrap() % 2 == rest;
            lines.map(|line| &line.sku).filter(is_of).cloned().collect()
        };
        for (category, rest) in [("toys", 0), ("mugs", 1)] {
            let rows = ask(category).await.unwrap().reply.rows;
            let seen: BTreeSet<String> = rows.iter().map(|row| row.group["sku"].clone().unwrap()).collect();
            assert_eq!(seen, sold(rest), "{category}");
        }
        for (none, length) in [("cups", 1), ("c", 256)] {
            assert!(ask(&none.repeat(length)).await.unwrap().reply.rows.is_empty());
        }
        for malformed in [String::new(), "c".repeat(257)] {
            assert_eq!(ask(&malformed).await.unwrap_err().code(), Some("category_malformed"));
        }
    });
}

#[test]
fn who_may_see_what() {
    run(async {
        let (shop, _) = shop().await;
        shop.store("s-2").await.unwrap();
        let mut elsewhere = sale("r-1", 1);
        elsewhere.store_id = "s-2".into();
        elsewhere.lane.store_id = "s-2".into();
        fold_all(&shop.ports, &[sale("r-1", 1), elsewhere]).await;
        let orders = async |caller: &Caller, store_id: Option<&str>| {
            let query = SalesQuery { store_id: store_id.map(Into::into), ..span("2010-12-01", "2010-12-01") };
            queries::sales(&shop.ports, caller, &query, None)
                .await
                .map(|answer| answer.reply.rows.iter().map(|row| row.metrics.orders).sum::<u64>())
        };
        assert_eq!(orders(&analyst(), None).await.unwrap(), 2);
        assert_eq!(orders(&analyst(), Some("s-2")).await.unwrap(), 1);
        let mut owner = caller(TENANT, &[Role::FranchiseOwner]);
        owner.stores = Stores::Named(BTreeSet::from(["s-2".to_owned()]));
        assert_eq!(orders(&owner, None).await.unwrap(), 1);
        assert_eq!(orders(&owner, Some(STORE)).await.unwrap_err().code(), Some("store_out_of_reach"));
        let cashier = caller(TENANT, &[Role::Cashier]);
        assert_eq!(orders(&cashier, Some(STORE)).await.unwrap_err().code(), Some("role_required"));
        assert_eq!(orders(&analyst(), Some("s-9")).await.unwrap_err().code(), Some("store_not_found"));
        let stranger = caller("other", &[Role::Operator]);
        assert_eq!(orders(&stranger, None).await.unwrap(), 0);
        assert_eq!(orders(&stranger, Some(STORE)).await.unwrap_err().code(), Some("store_not_found"));
        let token = "s-1/r-1:1".parse().unwrap();
        let refused = queries::sales(&shop.ports, &owner, &SalesQuery::default(), Some(&token)).await;
        assert_eq!(refused.unwrap_err().code(), Some("store_out_of_reach"));
    });
}

#[test]
fn sales_page_by_page() {
    run(async {
        let (shop, _) = stores().await;
        fold_all(&shop.ports, &sales_of_stores(2, 60)).await;
        let query = SalesQuery {
            granularity: Granularity::Hour,
            group_by: Some(GroupBy::Register),
            compare: Some(Compare::PreviousPeriod),
            ..span("2010-12-02", "2010-12-02")
        };
        let whole = ask(&shop.ports, query.clone()).await.unwrap();
        let before = whole.previous.unwrap().rows;
        assert!(whole.next_cursor.is_none() && whole.rows.len() > 20 && before.len() > 20);
        for limit in [1, 7, u32::try_from(whole.rows.len()).unwrap(), 5_000] {
            let mut query = SalesQuery { limit: Some(limit), ..query.clone() };
            let (mut rows, mut previous) = (Vec::new(), Vec::new());
            loop {
                let reply = ask(&shop.ports, query.clone()).await.unwrap();
                let of_previous = reply.previous.unwrap();
                assert!(of_previous.rows.is_empty() || rows.len() + reply.rows.len() == whole.rows.len());
                assert!(reply.rows.len() + of_previous.rows.len() <= limit as usize);
                assert_eq!(
                    (of_previous.from.as_str(), of_previous.to.as_str()),
                    ("2010-12-01", "2010-12-01")
                );
                rows.extend(reply.rows);
                previous.extend(of_previous.rows);
                match reply.next_cursor {
                    Some(cursor) => query.cursor = Some(cursor),
                    None => break,
                }
            }
            assert!(rows == whole.rows && previous == before, "pages of {limit}");
            if query.cursor.is_some() {
                query.granularity = Granularity::Day;
                assert_eq!(ask(&shop.ports, query).await.unwrap_err().code(), Some("cursor_malformed"));
            }
        }
        for limit in [0, 5_001] {
            let query = SalesQuery { limit: Some(limit), ..query.clone() };
            assert_eq!(ask(&shop.ports, query).await.unwrap_err().code(), Some("limit_out_of_range"));
        }
    });
}

/// What a lane gave out and nobody counted yet is told as missing; what it counted in an epoch before is
/// told apart.
#[test]
fn a_watermark_tells_what_is_not_in_the_figures() {
    run(async {
        let (shop, _) = shop().await;
        shop.product(STORE, "A", "2.55", 100).await.unwrap();
        for cart in ["c-1", "c-2"] {
            shop.ready("r-1", cart, &[("A", 1)]).await.unwrap();
            shop.finalize("r-1", cart).await.unwrap();
        }
        let lanes =
            async || ask(&shop.ports, span("2010-12-01", "2010-12-01")).await.unwrap().watermark.lanes;
        let none = LaneMark { through: 0, gaps: vec![(1, 2)], unaccounted: None };
        assert_eq!(lanes().await, BTreeMap::from([("s-1/r-1".to_owned(), none.clone())]));

        let mut before = sale("r-2", 1);
        before.lane.epoch = 3;
        fold_all(&shop.ports, &[before.clone()]).await;
        let one = LaneMark { through: 1, gaps: vec![], unaccounted: None };
        let expected = [("s-1/r-1".to_owned(), none), (before.lane.to_string(), one)];
        assert_eq!(lanes().await, BTreeMap::from(expected));
    });
}

/// One sale now and one at the same time on each of two days before, of 1, 10 and 100 pence, at a store of
/// this zone.
async fn three_days(zone: &str) -> (tillstream_testkit::shop::Shop, Timestamp) {
    let (shop, _) = shop().await;
    set_store(&shop.ports, STORE, |store| store.time_zone = zone.into()).await;
    let calendar = StoreCalendar::new(zone, "00:00").unwrap();
    let now = shop.ports.environment.now();
    let events: Vec<SaleEvent> = (0..3_u64)
        .map(|days_ago| {
            let at = now.checked_sub((24 * i64::try_from(days_ago).unwrap()).hours()).unwrap();
            let hour = calendar.locate(at).unwrap();
            let mut event = sale("r-1", days_ago + 1);
            (event.business_day, event.hour_start) = (hour.business_day, hour.hour_start);
            event.offset_seconds = hour.offset_seconds;
            event.detail.as_mut().unwrap().lines[0].gross = 10_i64.pow(u32::try_from(days_ago).unwrap());
            event
        })
        .collect();
    fold_all(&shop.ports, &events).await;
    (shop, now)
}

fn gross(rows: &[Row]) -> i64 {
    rows.iter().map(|row| row.metrics.gross_sales.amount).sum()
}

/// Without a span it is the store's own today that is asked about. It is 9 o'clock in the morning of the
/// second of March in UTC: still the first in Hawaii, and the second until midnight in Tonga.
#[test]
fn today_is_the_day_of_the_store() {
    for (zone, today) in [
        ("Europe/London", "2026-03-02"),
        ("Pacific/Honolulu", "2026-03-01"),
        ("Pacific/Tongatapu", "2026-03-02"),
    ] {
        run(async {
            let (shop, _) = three_days(zone).await;
            let query = SalesQuery { compare: Some(Compare::PreviousPeriod), ..SalesQuery::default() };
            let reply = ask(&shop.ports, query).await.unwrap();
            let previous = reply.previous.unwrap();
            assert_eq!((gross(&reply.rows), gross(&previous.rows)), (1, 10), "{zone}");
            assert_eq!(reply.rows[0].bucket[..10], *today, "{zone}");
            let named = ask(&shop.ports, span(today, today)).await.unwrap();
            assert_eq!(named.rows, reply.rows, "{zone}");
            let query = DashboardQuery { store_id: None, date: None };
            let day = dashboard::dashboard(&shop.ports, &analyst(), &query, None).await.unwrap().reply;
            assert_eq!((gross(&day.rows), gross(&day.hours), gross(&day.registers)), (1, 1, 1), "{zone}");
        });
    }
}

/// Between instants a day's hours are those that the span touches; it ends before the hour of its end.
#[test]
fn a_span_of_instants_takes_the_hours_that_it_touches() {
    run(async {
        let (shop, now) = three_days("Europe/London").await;
        let hour = |back: i64| now.checked_sub(back.hours()).unwrap().to_string();
        for (from, to, expected) in
            [(25, 0, 10), (25, -1, 11), (24, 1, 10), (23, 1, 0), (0, 0, 1), (50, 0, 110)]
        {
            let rows = ask(&shop.ports, span(&hour(from), &hour(to))).await.unwrap().rows;
            assert_eq!(gross(&rows), expected, "from {from} to {to} hours ago");
        }
    });
}
