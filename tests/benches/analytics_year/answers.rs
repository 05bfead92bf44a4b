//! Answers held against sums over the orders.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde_json::Value as Json;
use tillstream_domain::aggregates::Metrics;

use crate::orders::{ONE_STORE, STORES, date, store_id};
use crate::queries::Analyst;
use crate::{RANGES, Truth, Whose};

async fn rows(analyst: &Analyst, route: &str, query: &str) -> Vec<Json> {
    let uri = format!("/v1/analytics/{route}?{query}");
    let answer = analyst.ask(&uri).await;
    assert_eq!(answer.status, 200, "{uri}: {}", String::from_utf8_lossy(&answer.body));
    let mut body = answer.json();
    assert!(body["next_cursor"].is_null(), "{uri}: more than a page");
    let lanes = body["watermark"]["lanes"].as_object().unwrap();
    assert!(lanes.values().all(|lane| lane["gaps"].as_array().unwrap().is_empty()), "{uri}: {lanes:?}");
    match body["rows"].take() {
        Json::Array(rows) => rows,
        other => panic!("{uri}: {other}"),
    }
}

/// Whether a row shows these sums.
fn equals(row: &Json, expected: &Metrics) -> bool {
    let metrics = &row["metrics"];
    let money = |name: &str| metrics[name]["amount"].as_i64().unwrap();
    money("gross_sales") == expected.gross
        && money("discounts") == expected.discounts
        && money("returns") == expected.returns
        && money("net_sales") == expected.gross - expected.discounts - expected.returns
        && money("tax") == expected.tax
        && money("tips") == expected.tips
        && metrics["orders"].as_u64().unwrap() == expected.orders
        && metrics["return_orders"].as_u64().unwrap() == expected.return_orders
        && metrics["units"].as_i64().unwrap() * 1_000 == expected.units
}

/// Compares rows by what `key` makes of them with `expected`, all of it.
fn compare<K: Ord + std::fmt::Debug>(
    what: &str,
    rows: &[Json],
    key: impl Fn(&Json) -> K,
    expected: &BTreeMap<K, Metrics>,
) -> usize {
    assert_eq!(rows.len(), expected.len(), "{what}: rows");
    for row in rows {
        let key = key(row);
        let sums = expected.get(&key).unwrap_or_else(|| panic!("{what}: a row of {key:?}"));
        assert!(equals(row, sums), "{what}: {key:?} is {row}, the orders say {sums:?}");
    }
    rows.len()
}

fn bucket(row: &Json) -> String {
    row["bucket"].as_str().unwrap().to_owned()
}

fn bucket_day(row: &Json) -> Date {
    date(&row["bucket"].as_str().unwrap()[..10])
}

fn group(row: &Json, name: &str) -> String {
    row["group"][name].as_str().unwrap().to_owned()
}

fn sums<K: Ord>(of: impl IntoIterator<Item = (K, Metrics)>) -> BTreeMap<K, Metrics> {
    let mut sums = BTreeMap::<K, Metrics>::new();
    for (key, metrics) in of {
        sums.entry(key).or_default().add(&metrics);
    }
    sums
}

/// Compares a sample of answers of every route; answers how many rows that were.
pub async fn are_right(analyst: &Analyst, truth: &Truth) -> usize {
    let mut compared = 0;
    let one = store_id(ONE_STORE);
    for (name, from, to) in RANGES {
        let range = format!("from={from}&to={to}");
        let (from, to) = (date(from), date(to));
        let is_in = |day: &Date| (from..=to).contains(day);

        let got = rows(analyst, "sales", &format!("{range}&store_id={one}")).await;
        let days = truth.totals.iter().filter(|((store, day), _)| *store == ONE_STORE && is_in(day));
        compared += compare(name, &got, bucket_day, &sums(days.map(|((_, day), m)| (*day, *m))));

        let got = rows(analyst, "sales", &format!("{range}&granularity=month&group_by=store")).await;
        let months = truth.totals.iter().filter(|((_, day), _)| is_in(day));
        let months = sums(months.map(|((s, day), m)| ((day.first_of_month(), store_id(*s)), *m)));
        compared += compare(name, &got, |row| (bucket_day(row), group(row, "store")), &months);

        let got = rows(analyst, "sales", &format!("{range}&granularity=month&group_by=category")).await;
        let months = truth.categories.iter().filter(|((day, _), _)| is_in(day));
        let months = sums(months.map(|((day, c), m)| ((day.first_of_month(), c.clone()), *m)));
        compared += compare(name, &got, |row| (bucket_day(row), group(row, "category")), &months);

        let got = rows(analyst, "categories", &range).await;
        let whole = truth.categories.iter().filter(|((day, _), _)| is_in(day));
        compared += compare(
            name,
            &got,
            |row| group(row, "category"),
            &sums(whole.map(|((_, c), m)| (c.clone(), *m))),
        );

        for whose in Whose::BOTH {
            let mut got = Vec::new();
            let mut cursor = String::new();
            loop {
                let query = format!("{}{range}&limit=200{cursor}", whose.parameter());
                let answer = analyst.ask(&format!("/v1/analytics/products?{query}")).await;
                let mut body = answer.json();
                got.append(body["rows"].as_array_mut().unwrap());
                match body["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let expected = &truth.products[&(*name, whose)];
            compared += compare(name, &got, |row| group(row, "sku"), expected);
        }
    }

    let got =
        rows(analyst, "sales", "from=2025-01-01&to=2025-12-31&granularity=month&group_by=employee").await;
    let employees = truth.employees.iter().filter(|((_, month), _)| *month <= date("2025-12-01"));
    let employees = sums(employees.map(|((name, month), m)| ((*month, name.clone()), *m)));
    compared += compare("employees", &got, |row| (bucket_day(row), group(row, "employee")), &employees);

    // Between instants, and by hour: from the hour of 10:30 to that of 15:10, both included.
    let (from, to) = ("2025-01-18T10:00:00Z".parse().unwrap(), "2026-01-15T15:00:00Z".parse().unwrap());
    let hours = truth.hours.iter().filter(|((_, hour), _)| (from..=to).contains(hour));
    let stores = sums(hours.map(|((store, _), m)| (store_id(*store), *m)));
    let query = "from=2025-01-18T10:30:00Z&to=2026-01-15T15:10:00Z&granularity=month&group_by=store";
    let got = rows(analyst, "sales", query).await;
    let by_store = sums(stores.keys().map(|id| (id.clone(), Metrics::default())));
    assert_eq!(by_store.len(), STORES);
    for (id, expected) in stores {
        let mut whole = Metrics::default();
        for row in got.iter().filter(|row| group(row, "store") == id) {
            let money = |name: &str| row["metrics"][name]["amount"].as_i64().unwrap();
            whole.gross += money("gross_sales");
            whole.orders += row["metrics"]["orders"].as_u64().unwrap();
        }
        assert_eq!((whole.gross, whole.orders), (expected.gross, expected.orders), "{id} between instants");
        compared += 1;
    }
    let (first, last) = (date("2025-08-10"), date("2025-09-09"));
    let query = format!("from={first}&to={last}&granularity=hour&store_id={one}");
    let got = rows(analyst, "sales", &query).await;
    let hours = truth.hours.iter().filter(|((store, _), _)| *store == ONE_STORE);
    let local = |hour: jiff::Timestamp| hour.in_tz("Europe/London").unwrap();
    let hours = hours.filter(|((_, hour), _)| (first..=last).contains(&local(*hour).date()));
    let hours =
        sums(hours.map(|((_, hour), m)| (local(*hour).strftime("%Y-%m-%dT%H:00:00%:z").to_string(), *m)));
    compared += compare("hours", &got, bucket, &hours);

    for (query, day) in [("", crate::orders::TODAY), ("date=2025-11-12", "2025-11-12")] {
        let got = rows(analyst, "dashboard", query).await;
        let day = date(day);
        let of_day = truth.totals.iter().filter(|((_, d), _)| *d == day);
        compared += compare("dashboard", &got, bucket_day, &sums(of_day.map(|((_, d), m)| (*d, *m))));
    }
    compared
}
