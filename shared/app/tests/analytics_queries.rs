//! What queries answer.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

mod sales;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use sales::*;
use tillstream_app::aggregation::rebuild::{Mode, rebuild};
use tillstream_app::aggregation::{coarse, stored};
use tillstream_app::analytics::{dashboard, products, sales as queries};
use tillstream_app::catalog::items::{location_item, location_of};
use tillstream_app::database::*;
use tillstream_app::facts::sale_event;
use tillstream_app::pos::cart_item::cart_of;
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Ports, Result};
use tillstream_contracts::analytics::*;
use tillstream_contracts::events::{FactKind, SaleEvent};
use tillstream_domain::business_day::StoreCalendar;
use tillstream_domain::location::Location;
use tillstream_domain::quantity::QuantityInput;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn analyst() -> Caller {
    caller(TENANT, &[Role::Analyst])
}

async fn shop() -> (Shop, Arc<MemoryDatabase>) {
    let database = Arc::new(MemoryDatabase::new());
    let shop = Shop::open(database.clone(), Arc::new(TestEnvironment::new(5))).await.unwrap();
    (shop, database)
}

async fn store(ports: &Ports, id: &str) -> Location {
    let key = TenantScope::from_own_record(TENANT).location(id);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    location_of(&ports.database.get(get).await.unwrap().unwrap()).unwrap()
}

async fn set_store(ports: &Ports, id: &str, change: impl FnOnce(&mut Location)) {
    let mut location = store(ports, id).await;
    change(&mut location);
    let item = location_item(&TenantScope::from_own_record(TENANT), &location).unwrap();
    ports.database.write(Write::Put { table: Table::Catalog, item, condition: None }).await.unwrap();
}

fn span(from: &str, to: &str) -> SalesQuery {
    SalesQuery { from: Some(from.into()), to: Some(to.into()), ..SalesQuery::default() }
}

async fn ask(ports: &Ports, query: SalesQuery) -> Result<SalesReply> {
    queries::sales(ports, &analyst(), &query, None).await.map(|answer| answer.reply)
}

/// The events of all final orders, as the relay would send them.
fn events_of(database: &MemoryDatabase) -> Vec<SaleEvent> {
    let scope = TenantScope::from_own_record(TENANT);
    let orders = database.items(Table::Orders);
    let last = orders.iter().filter(|item| item.opt_number("lane_number").is_some());
    last.map(|item| sale_event(&scope, &cart_of(item).unwrap()).unwrap()).collect()
}

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
        assert_eq!(lanes["s-1/r-1"], LaneMark { through: 1, gaps: vec![(2, 2)] });
        assert_eq!(lanes["s-1/r-2"], LaneMark { through: 1, gaps: vec![] });
        assert_eq!(lanes.len(), 2, "lanes that have counted nothing are left out");

        fold_all(&shop.ports, &[late]).await;
        let answer = dashboard::dashboard(&shop.ports, &analyst(), &query, Some(&token)).await.unwrap();
        assert_eq!(answer.satisfied, Some(true));
        assert_eq!(answer.reply.watermark.lanes["s-1/r-1"], LaneMark { through: 2, gaps: vec![] });
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
            let (shop, _) = self::shop().await;
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

/// All answers about the two days of [`sales`].
async fn answers(ports: &Ports) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::Week, Granularity::Month] {
        for group_by in [None, Some(GroupBy::Register), Some(GroupBy::PaymentMethod), Some(GroupBy::Category)]
        {
            let query = SalesQuery { granularity, group_by, ..span("2010-11-25", "2010-12-04") };
            all.push(ask(ports, query).await.unwrap().rows);
        }
    }
    // Of both days, their ends are cut; so is, of the second, everything but one hour.
    for (from, to) in [
        ("2010-11-20T00:00:00Z", "2010-12-02T09:30:00Z"),
        ("2010-12-01T09:10:00Z", "2010-12-10T00:00:00Z"),
        ("2010-12-02T09:10:00Z", "2010-12-02T09:20:00Z"),
    ] {
        for group_by in [None, Some(GroupBy::Store), Some(GroupBy::Category)] {
            all.push(ask(ports, SalesQuery { group_by, ..span(from, to) }).await.unwrap().rows);
        }
        let query = CategoriesQuery { from: Some(from.into()), to: Some(to.into()), store_id: None };
        all.push(queries::categories(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    }
    for (from, to) in
        [("2010-12-01", "2010-12-31"), ("2010-12-02", "2010-12-02"), ("2010-12-01", "2010-12-01")]
    {
        let query = ProductsQuery {
            from: Some(from.into()),
            to: Some(to.into()),
            limit: Some(200),
            ..ProductsQuery::default()
        };
        all.push(products::products(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn coarse_pages_never_show(seed in any::<u64>()) {
        run(async {
            let events = sales(seed, 40);
            let mut dice = Dice(seed | 1);
            let (fine, _) = shop().await;
            let (live, database) = shop().await;
            let mut at = 0;
            while at < events.len() {
                let next = (at + 1 + usize::try_from(dice.below(12)).unwrap()).min(events.len());
                fold_all(&fine.ports, &events[at..next]).await;
                fold_all(&live.ports, &events[at..next]).await;
                at = next;
                // A refresh that may die anywhere, may close more days, may get through only some.
                let process = Process::new(&database, u32::try_from(dice.below(40)).unwrap(), dice.below(2) == 0);
                let through = [day(0), day(1), "2010-12-31".parse().unwrap()][usize::try_from(dice.below(3)).unwrap()];
                let days = 1 + usize::try_from(dice.below(3)).unwrap();
                let _cut_off = coarse::refresh(&ports(process), &live.scope, STORE, through, days).await;
                prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            }
            let through = "2010-12-31".parse().unwrap();
            prop_assert_eq!(coarse::refresh(&live.ports, &live.scope, STORE, through, 50).await.unwrap(), 0);
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            let record = tillstream_app::aggregation::completeness::read(&live.ports, &live.scope, STORE).await.unwrap();
            prop_assert!(record.content.changed.is_empty());
            // Settled days are read from coarse pages: without the fine ones the answers by day stay.
            for item in database.items(Table::Analytics) {
                if item.text("sk").unwrap().starts_with("products#") {
                    let key = Key::of(&item).unwrap();
                    live.ports.database.write(Write::Delete { table: Table::Analytics, key, condition: None }).await.unwrap();
                }
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            Ok(())
        })?;
    }

    #[test]
    fn a_refresh_beside_late_facts_loses_none(seed in any::<u64>()) {
        run(async {
            let events = sales(seed, 30);
            let (fine, _) = shop().await;
            fold_all(&fine.ports, &events).await;
            let (live, database) = shop().await;
            let through = "2010-12-31".parse().unwrap();
            let mut dice = Dice(seed | 1);
            let mut tasks = Vec::new();
            for share in events.chunks(6).map(<[SaleEvent]>::to_vec) {
                let process = ports(Process::new(&database, u32::MAX, false));
                let pause = dice.below(60);
                tasks.push(tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    let mut left = share;
                    while !left.is_empty() {
                        let failures = tillstream_app::aggregation::fold::fold_batch(&process, left.clone()).await;
                        left = failures.iter().map(|f| left[f.position].clone()).collect();
                    }
                }));
            }
            for _ in 0..2 {
                let (process, scope) = (ports(Process::new(&database, u32::MAX, false)), live.scope.clone());
                tasks.push(tokio::spawn(async move {
                    for _ in 0..6 {
                        let _lost_race = coarse::refresh(&process, &scope, STORE, through, 9).await;
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap();
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            Ok(())
        })?;
    }
}

#[test]
fn a_month_that_ends_without_sales_is_settled_too() {
    run(async {
        let events = sales(2, 30);
        let (fine, _) = shop().await;
        let (live, database) = shop().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&live.ports, &events).await;
        for through in [day(1), "2010-12-30".parse().unwrap(), "2010-12-31".parse().unwrap()] {
            assert_eq!(coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        }
        // Sixteen days of which the last has no sales.
        let is_block = |item: &Item| item.text("sk").unwrap().starts_with("coarse-products#4#2010-12-01#");
        assert!(database.items(Table::Analytics).iter().any(is_block), "the block was made");
    });
}

/// A database in which something else happens before the call of a number.
struct Interposed {
    process: Arc<Process>,
    calls: std::sync::atomic::AtomicU32,
    before_call: u32,
    late: Vec<SaleEvent>,
    /// Whether a keeper then does a day's work.
    keeps: bool,
    /// What somebody reads who asks after that, all the while.
    expected: Vec<Vec<Row>>,
}

impl Interposed {
    async fn step(&self) {
        if self.calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == self.before_call {
            let live = ports(self.process.database.clone());
            fold_all(&live, &self.late).await;
            if self.keeps {
                let _lost_race = keep(&live, "2010-12-31", 1).await;
            }
            assert!(answers(&live).await == self.expected, "a reader before step {}", self.before_call);
        }
    }
}

#[async_trait::async_trait]
impl Database for Interposed {
    async fn get(&self, get: Get) -> std::result::Result<Option<Item>, DatabaseError> {
        self.step().await;
        self.process.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> std::result::Result<Vec<Option<Item>>, DatabaseError> {
        self.step().await;
        self.process.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> std::result::Result<Vec<Option<Item>>, DatabaseError> {
        self.process.get_together(gets).await
    }
    async fn query(&self, query: Query) -> std::result::Result<QueryPage, DatabaseError> {
        self.step().await;
        self.process.query(query).await
    }
    async fn write(&self, write: Write) -> std::result::Result<(), DatabaseError> {
        self.step().await;
        self.process.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> std::result::Result<(), DatabaseError> {
        self.process.transact(writes).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> std::result::Result<(), DatabaseError> {
        self.process.put_many(table, items).await
    }
}

#[test]
fn a_fact_that_comes_at_any_step_of_a_refresh_is_not_lost() {
    run(async {
        let events = sales(8, 12);
        let (fine, _) = shop().await;
        fold_all(&fine.ports, &events).await;
        let expected = answers(&fine.ports).await;
        let through = "2010-12-31".parse().unwrap();
        // The refresh closes the days, or they are closed and one was changed.
        for closed_before in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = shop().await;
                fold_all(&live.ports, &events[..5]).await;
                if closed_before {
                    coarse::refresh(&live.ports, &live.scope, STORE, through, 9).await.unwrap();
                    fold_all(&live.ports, &events[5..8]).await;
                }
                let late = if closed_before { &events[8..] } else { &events[5..] };
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: late.to_vec(),
                    keeps: false,
                    expected: expected.clone(),
                });
                let _lost_race =
                    coarse::refresh(&ports(interposed.clone()), &live.scope, STORE, through, 9).await;
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "late facts before step {step} are lost");
                step += 1;
            }
            assert!(step > 20, "{step} steps");
        }
    });
}

/// The same sales, at another store.
fn at_store(id: &str, events: Vec<SaleEvent>) -> Vec<SaleEvent> {
    let mut events = events;
    for event in &mut events {
        event.store_id = id.into();
        event.lane.store_id = id.into();
        event.order_id = format!("{id}-{}", event.order_id);
    }
    events
}

/// Sales of three stores, mixed.
fn sales_of_stores(seed: u64, count: u64) -> Vec<SaleEvent> {
    let mut events = sales(seed, count);
    events.extend(at_store("s-2", sales(seed ^ 7, count)));
    events.extend(at_store("s-3", sales(seed ^ 11, count)));
    Dice(seed | 1).shuffle(&mut events);
    events
}

/// A shop of three stores; the third tells days as Lisbon does, at the same offset by another name.
async fn stores() -> (Shop, Arc<MemoryDatabase>) {
    let (shop, database) = shop().await;
    shop.store("s-2").await.unwrap();
    shop.store("s-3").await.unwrap();
    set_store(&shop.ports, "s-3", |store| store.time_zone = "Europe/Lisbon".into()).await;
    (shop, database)
}

/// One run of the keeper over all stores; answers what remains to be merged.
async fn keep(ports: &Ports, through: &str, days: usize) -> Result<usize> {
    let scope = TenantScope::from_own_record(TENANT);
    let mut locations = Vec::new();
    for id in [STORE, "s-2", "s-3"] {
        locations.push(store(ports, id).await);
        coarse::refresh(ports, &scope, id, through.parse().unwrap(), days).await?;
    }
    coarse::merge(ports, &scope, &locations, days).await
}

/// Takes away what `is_it` of a store's pages, by its sort key.
async fn take_away(ports: &Ports, database: &MemoryDatabase, is_it: impl Fn(&str, &str) -> bool) -> usize {
    let mut count = 0;
    for item in database.items(Table::Analytics) {
        if is_it(item.text("pk").unwrap(), item.text("sk").unwrap()) {
            let key = Key::of(&item).unwrap();
            let delete = Write::Delete { table: Table::Analytics, key, condition: None };
            ports.database.write(delete).await.unwrap();
            count += 1;
        }
    }
    count
}

/// What is summed over stores: answers that merged pages alone can give.
async fn merged_answers(ports: &Ports) -> Vec<Vec<Row>> {
    let mut all = Vec::new();
    for granularity in [Granularity::Hour, Granularity::Day, Granularity::Month] {
        for group_by in [None, Some(GroupBy::Category), Some(GroupBy::Segment)] {
            let query = SalesQuery { granularity, group_by, ..span("2010-11-25", "2010-12-04") };
            all.push(ask(ports, query).await.unwrap().rows);
        }
    }
    let query = ProductsQuery {
        from: Some("2010-11-28".into()),
        to: Some("2010-12-31".into()),
        limit: Some(200),
        ..ProductsQuery::default()
    };
    all.push(products::products(ports, &analyst(), &query, None).await.unwrap().reply.rows);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn merged_pages_never_show(seed in any::<u64>()) {
        run(async {
            let events = sales_of_stores(seed, 16);
            let mut dice = Dice(seed | 1);
            let (fine, _) = stores().await;
            let (live, database) = stores().await;
            // The third store goes to the calendar of the others, and away again, while there are figures.
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
            }
            let mut at = 0;
            while at < events.len() {
                let next = (at + 1 + usize::try_from(dice.below(12)).unwrap()).min(events.len());
                fold_all(&fine.ports, &events[at..next]).await;
                fold_all(&live.ports, &events[at..next]).await;
                at = next;
                if dice.below(4) == 0 {
                    let zone = ["Europe/London", "Europe/Lisbon"][usize::try_from(dice.below(2)).unwrap()];
                    for ports in [&fine.ports, &live.ports] {
                        set_store(ports, "s-3", |store| store.time_zone = zone.into()).await;
                    }
                    prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
                }
                // A run that may die anywhere, may close more days, may get through only some.
                let process = Process::new(&database, u32::try_from(dice.below(200)).unwrap(), dice.below(2) == 0);
                let through = ["2010-12-01", "2010-12-02", "2010-12-31"][usize::try_from(dice.below(3)).unwrap()];
                let days = 1 + usize::try_from(dice.below(6)).unwrap();
                let _cut_off = keep(&ports(process), through, days).await;
                prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            }
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
            }
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            prop_assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            prop_assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
            // Merged days need no store's own pages.
            let taken = take_away(&live.ports, &database, |pk, sk| pk.contains("#store#") && sk != "complete").await;
            prop_assert!(taken > 0);
            prop_assert_eq!(merged_answers(&live.ports).await, merged_answers(&fine.ports).await);
            Ok(())
        })?;
    }
}

#[test]
fn a_late_order_into_a_merged_month() {
    run(async {
        let events = sales_of_stores(3, 30);
        let (fine, _) = stores().await;
        let (live, database) = stores().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&live.ports, &events).await;
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        let mut late = at_store("s-2", vec![sale("r-8", 1)]);
        late[0].detail.as_mut().unwrap().lines[0].gross = 77_777;
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &late).await;
        }
        let expected = answers(&fine.ports).await;
        assert_eq!(answers(&live.ports).await, expected, "from the moment that it is counted");
        coarse::refresh(&live.ports, &live.scope, "s-2", "2010-12-31".parse().unwrap(), 9).await.unwrap();
        assert_eq!(answers(&live.ports).await, expected, "settled, and not merged");
        assert_eq!(keep(&live.ports, "2010-12-31", 9).await.unwrap(), 0);
        assert_eq!(answers(&live.ports).await, expected, "merged");

        // Rebuilt from nothing, coarse pages are what they were, but for how often they were written.
        let is_coarse = |key: &(String, String)| key.1.starts_with("coarse-");
        let kept: Vec<_> = content(&database).into_iter().filter(|(key, _)| is_coarse(key)).collect();
        let taken = take_away(&live.ports, &database, |_, sk| sk.starts_with("coarse-")).await;
        assert_eq!(taken, kept.len());
        for id in [STORE, "s-2", "s-3"] {
            let head = tillstream_app::aggregation::completeness::head(&live.scope, id);
            stored::change(
                &live.ports,
                &head,
                None,
                |record: &mut tillstream_app::aggregation::completeness::Completeness| {
                    record.closed_through = None;
                    record.calendar = None;
                    record.changed.clear();
                    record.unmerged.clear();
                    true
                },
            )
            .await
            .unwrap();
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        let again: Vec<_> = content(&database).into_iter().filter(|(key, _)| is_coarse(key)).collect();
        assert_eq!(again, kept);
    });
}

#[test]
fn a_fact_that_comes_at_any_step_of_a_merge_is_not_lost() {
    run(async {
        let events = sales_of_stores(8, 6);
        let (fine, _) = stores().await;
        fold_all(&fine.ports, &events).await;
        let expected = answers(&fine.ports).await;
        let locations = [store(&fine.ports, STORE).await, store(&fine.ports, "s-2").await];
        for merged_before in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = stores().await;
                fold_all(&live.ports, &events[..9]).await;
                if merged_before {
                    keep(&live.ports, "2010-12-31", 50).await.unwrap();
                }
                fold_all(&live.ports, &events[9..13]).await;
                for id in [STORE, "s-2"] {
                    coarse::refresh(&live.ports, &live.scope, id, "2010-12-31".parse().unwrap(), 50)
                        .await
                        .unwrap();
                }
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: events[13..].to_vec(),
                    keeps: false,
                    expected: expected.clone(),
                });
                let _lost_race = coarse::merge(&ports(interposed.clone()), &live.scope, &locations, 50).await;
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "late facts before step {step} are lost");
                // Every ninth step is followed to the end.
                if step % 9 == 0 {
                    while keep(&live.ports, "2010-12-31", 50).await.unwrap() > 0 {}
                    assert!(answers(&live.ports).await == expected, "after step {step}");
                }
                step += 1;
            }
            assert!(step > 20, "{step} steps");
        }
    });
}

#[test]
fn two_keepers_and_late_facts_lose_none() {
    run(async {
        for seed in 0..6 {
            let events = sales_of_stores(seed, 20);
            let (fine, _) = stores().await;
            fold_all(&fine.ports, &events).await;
            let (live, database) = stores().await;
            let mut dice = Dice(seed | 1);
            let mut tasks = Vec::new();
            for share in events.chunks(9).map(<[SaleEvent]>::to_vec) {
                let process = ports(Process::new(&database, u32::MAX, false));
                let pause = dice.below(400);
                tasks.push(tokio::spawn(async move {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    let mut left = share;
                    while !left.is_empty() {
                        let failures =
                            tillstream_app::aggregation::fold::fold_batch(&process, left.clone()).await;
                        left = failures.iter().map(|f| left[f.position].clone()).collect();
                    }
                }));
            }
            for days in [2, 50] {
                let process = ports(Process::new(&database, u32::MAX, false));
                tasks.push(tokio::spawn(async move {
                    for _ in 0..6 {
                        let _lost_race = keep(&process, "2010-12-31", days).await;
                    }
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
            let expected = answers(&fine.ports).await;
            assert_eq!(answers(&live.ports).await, expected);
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, expected);
        }
    });
}

#[test]
fn stores_that_come_go_and_change_their_calendar() {
    run(async {
        let events = sales_of_stores(5, 20);
        let (fine, _) = stores().await;
        let (live, database) = stores().await;
        let (third, others): (Vec<SaleEvent>, Vec<SaleEvent>) =
            events.into_iter().partition(|event| event.store_id == "s-3");
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &others).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        // A store opens, with sales on closed days; then it tells days as the others do, and not any more.
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &third).await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        for zone in ["Europe/London", "Europe/Lisbon", "Europe/London"] {
            for ports in [&fine.ports, &live.ports] {
                set_store(ports, "s-3", |store| store.time_zone = zone.into()).await;
            }
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "before the keeper: {zone}");
            keep(&live.ports, "2010-12-31", 50).await.unwrap();
            assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
            assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "after it: {zone}");
        }
        // Who reaches one store sees one, though there are sums of all.
        let mut owner = caller(TENANT, &[Role::FranchiseOwner]);
        owner.stores = Stores::Named(BTreeSet::from(["s-2".to_owned(), "s-3".to_owned()]));
        let query = SalesQuery { granularity: Granularity::Month, ..span("2010-12-01", "2010-12-31") };
        for ports in [&fine.ports, &live.ports] {
            let reply = queries::sales(ports, &owner, &query, None).await.unwrap().reply;
            assert_eq!(
                reply.rows.iter().map(|r| r.metrics.orders + r.metrics.return_orders).sum::<u64>(),
                40
            );
        }
        // A location that is no store any more is in no answer, though it is in the sums.
        for ports in [&fine.ports, &live.ports] {
            set_store(ports, "s-3", |store| {
                store.kind = tillstream_domain::location::LocationKind::Warehouse;
            })
            .await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await);
        assert!(take_away(&live.ports, &database, |pk, _| pk.contains("#stores#")).await > 0);
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

/// A sale of one line on a day.
fn sale_on(id: &str, register: &str, number: u64, n_day: u64) -> SaleEvent {
    let mut event = sale(register, number);
    event.business_day = day(n_day);
    event.hour_start = event.hour_start.checked_add((i64::try_from(n_day).unwrap() * 24).hours()).unwrap();
    at_store(id, vec![event]).remove(0)
}

#[test]
fn runs_at_two_days_of_a_page_do_not_undo_each_other() {
    run(async {
        let events = sales_of_stores(4, 8);
        let (second, first) = (sale_on("s-2", "r-8", 1, 1), sale_on("s-2", "r-8", 2, 0));
        let (fine, _) = stores().await;
        fold_all(&fine.ports, &events).await;
        fold_all(&fine.ports, &[second.clone(), first.clone()]).await;
        let expected = answers(&fine.ports).await;
        let locations = [store(&fine.ports, STORE).await, store(&fine.ports, "s-2").await];
        let through = "2010-12-31".parse().unwrap();
        // One run is at the second day when another does the first: of a store, of a calendar.
        for merges in [false, true] {
            let mut step = 0;
            loop {
                let (live, database) = stores().await;
                fold_all(&live.ports, &events).await;
                keep(&live.ports, "2010-12-31", 50).await.unwrap();
                fold_all(&live.ports, std::slice::from_ref(&second)).await;
                if merges {
                    coarse::refresh(&live.ports, &live.scope, "s-2", through, 50).await.unwrap();
                }
                let interposed = Arc::new(Interposed {
                    process: Process::new(&database, u32::MAX, false),
                    calls: 0.into(),
                    before_call: step,
                    late: vec![first.clone()],
                    keeps: true,
                    expected: expected.clone(),
                });
                let other = ports(interposed.clone());
                let _lost_race = match merges {
                    false => coarse::refresh(&other, &live.scope, "s-2", through, 50).await,
                    true => coarse::merge(&other, &live.scope, &locations, 50).await,
                };
                if interposed.calls.load(std::sync::atomic::Ordering::SeqCst) <= step {
                    break;
                }
                assert!(answers(&live.ports).await == expected, "before step {step}, merges: {merges}");
                step += 1;
            }
            assert!(step > 10, "{step} steps");
        }
    });
}

#[test]
fn merged_days_between_others_are_counted_once() {
    run(async {
        let (fine, _) = stores().await;
        let (live, _) = stores().await;
        let of_days = |number: u64, days: &[u64]| -> Vec<SaleEvent> {
            days.iter().map(|n| sale_on("s-2", "r-8", number + n, *n)).collect()
        };
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &of_days(1, &[0, 1, 2, 3, 4])).await;
            fold_all(&shop.ports, &[sale_on(STORE, "r-1", 1, 2)]).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &of_days(11, &[0, 3])).await;
        }
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two days changed");
        coarse::refresh(&live.ports, &live.scope, "s-2", "2010-12-31".parse().unwrap(), 50).await.unwrap();
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two days settled, not merged");
    });
}

/// The keeper's list of stores is read a while before, from an index: it may lack one.
#[test]
fn a_keeper_whose_list_lacks_a_store_does_not_take_it_out_of_merged_days() {
    run(async {
        let (fine, _) = stores().await;
        let (live, _) = stores().await;
        let both = |number: u64| -> Vec<SaleEvent> {
            [0, 1, 2]
                .iter()
                .flat_map(|n| [sale_on(STORE, "r-1", number + n, *n), sale_on("s-2", "r-8", number + n, *n)])
                .collect()
        };
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &both(1)).await;
            fold_all(&shop.ports, &at_store("s-3", both(1).into_iter().step_by(2).collect())).await;
        }
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        set_store(&live.ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
        set_store(&fine.ports, "s-3", |store| store.time_zone = "Europe/London".into()).await;
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        // A late sale of one store, and a run that knows of two.
        for shop in [&fine, &live] {
            fold_all(&shop.ports, &[sale_on(STORE, "r-1", 11, 1)]).await;
        }
        let mut locations = Vec::new();
        for id in [STORE, "s-2"] {
            coarse::refresh(&live.ports, &live.scope, id, "2010-12-31".parse().unwrap(), 50).await.unwrap();
            locations.push(store(&live.ports, id).await);
        }
        let merged = coarse::merge(&live.ports, &live.scope, &locations, 50).await;
        assert!(matches!(merged, Err(tillstream_app::Error::Conflict(_))), "{merged:?}");
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "two of three stores listed");
        assert_eq!(keep(&live.ports, "2010-12-31", 50).await.unwrap(), 0);
        assert_eq!(answers(&live.ports).await, answers(&fine.ports).await, "all listed");
    });
}
