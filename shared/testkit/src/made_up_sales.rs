//! Made-up sales, a database that crashes, and a count done the plain way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests; they live here to be shared with benchmarks")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::memory_database::MemoryDatabase;
use crate::test_environment::TestEnvironment;
use async_trait::async_trait;
use jiff::civil::Date;
use jiff::{Span, Timestamp};
use tillstream_app::Ports;
use tillstream_app::aggregation::fold::fold_batch;
use tillstream_app::database::*;
use tillstream_contracts::events::*;
use tillstream_domain::aggregates::Metrics;
use tillstream_domain::lane::Lane;
use tillstream_domain::quantity::Quantity;

/// Whose sales they are.
pub const TENANT: &str = "demo";
/// Where they are made.
pub const STORE: &str = "s-1";

/// A seeded source of numbers.
pub struct Dice(/** The state, which must not be 0. */ pub u64);

impl Dice {
    /// A number from 0 to `sides` - 1.
    pub fn below(&mut self, sides: u64) -> u64 {
        // xorshift64* (Vigna, 2016)
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % sides
    }

    /// Another order of the same items, each as likely.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, usize::try_from(self.below(at as u64 + 1)).unwrap());
        }
    }
}

/// The `n`th business day after the first.
pub fn day(n: u64) -> Date {
    "2010-12-01".parse::<Date>().unwrap().checked_add(Span::new().days(i64::try_from(n).unwrap())).unwrap()
}

/// A sale of one line of one piece at 1.00, to be changed.
pub fn sale(register: &str, number: u64) -> SaleEvent {
    SaleEvent {
        version: SALE_EVENT_VERSION,
        kind: FactKind::Sale,
        tenant_id: TENANT.into(),
        order_id: format!("o-{register}-{number}"),
        order_version: 1,
        lane: Lane::new(STORE, register),
        number,
        occurred_at: "2010-12-01T08:26:00Z".parse().unwrap(),
        business_day: day(0),
        hour_start: "2010-12-01T08:00:00Z".parse().unwrap(),
        offset_seconds: 0,
        store_id: STORE.into(),
        register_id: register.into(),
        employee_id: "e-1".into(),
        channel: "pos".into(),
        segment: None,
        region: None,
        currency: "GBP".parse().unwrap(),
        detail: Some(SaleDetail {
            lines: vec![line("A", 1, 100)],
            payments: vec![SalePayment { tender: "cash".into(), amount: 100, tip: 0 }],
        }),
    }
}

/// A line without category, discount and tax; `gross` in minor units.
pub fn line(sku: &str, pieces: i64, gross: i64) -> SaleLine {
    SaleLine {
        sku: sku.into(),
        category: None,
        quantity: Quantity::from_pieces(pieces).unwrap(),
        gross,
        discount: 0,
        tax: 0,
    }
}

/// `count` sales and returns over lanes, epochs, days, hours, products, tenders and two currencies.
pub fn sales(seed: u64, count: u64) -> Vec<SaleEvent> {
    let mut dice = Dice(seed.wrapping_mul(2).wrapping_add(1));
    let mut last = BTreeMap::<(u64, u32), u64>::new();
    (0..count)
        .map(|_| {
            let (register, epoch) = (dice.below(3), u32::try_from(dice.below(8) / 7).unwrap());
            let number = last.entry((register, epoch)).or_default();
            *number += 1;
            let mut event = sale(&format!("r-{register}"), *number);
            event.lane.epoch = epoch;
            event.order_id = format!("o-{register}-{epoch}-{number}");
            let (n_day, hour) = (dice.below(2), dice.below(3));
            event.business_day = day(n_day);
            let hours = i64::try_from(n_day * 24 + hour).unwrap();
            event.hour_start = event.hour_start.checked_add(Span::new().hours(hours)).unwrap();
            if dice.below(6) == 0 {
                event.kind = FactKind::Return;
            }
            event.employee_id = format!("e-{}", dice.below(3));
            event.channel = ["pos", "web"][usize::try_from(dice.below(2)).unwrap()].into();
            event.segment = [None, Some("loyal".to_owned())][usize::try_from(dice.below(2)).unwrap()].clone();
            event.currency = if dice.below(9) == 0 { "EUR" } else { "GBP" }.parse().unwrap();
            let lines: Vec<SaleLine> = (0..1 + dice.below(6))
                .map(|_| {
                    let gross = i64::try_from(dice.below(5_000)).unwrap();
                    SaleLine {
                        category: [None, Some("toys".to_owned()), Some("mugs".to_owned())]
                            [usize::try_from(dice.below(3)).unwrap()]
                        .clone(),
                        discount: gross / 10,
                        tax: gross / 5,
                        ..line(
                            &format!("sku-{}", dice.below(40)),
                            1 + i64::try_from(dice.below(9)).unwrap(),
                            gross,
                        )
                    }
                })
                .collect();
            let total: i64 = lines.iter().map(|l| l.gross - l.discount + l.tax).sum();
            let first = if total > 0 { i64::try_from(dice.below(total as u64 + 1)).unwrap() } else { 0 };
            let payments = [("card", first, 50), ("cash", total - first, 0)]
                .into_iter()
                .filter(|(_, amount, _)| *amount > 0)
                .map(|(tender, amount, tip)| SalePayment { tender: tender.into(), amount, tip })
                .collect();
            event.detail = Some(SaleDetail { lines, payments });
            event
        })
        .collect()
}

/// A sale of `lines` products out of 4,000, by one of 4 registers, 6 employees, 3 tenders and 10
/// categories, in hour `hour` of the day.
pub fn busy_sale(dice: &mut Dice, register: u64, number: u64, lines: u64, hour: i64) -> SaleEvent {
    let mut event = sale(&format!("r-{register}"), number);
    event.hour_start = event.hour_start.checked_add(Span::new().hours(hour)).unwrap();
    event.employee_id = format!("e-{}", dice.below(6));
    let detail = event.detail.as_mut().unwrap();
    detail.lines = (0..lines)
        .map(|_| {
            let n = dice.below(4_000);
            let gross = 100 + i64::try_from(dice.below(2_000)).unwrap();
            SaleLine {
                category: Some(format!("category-{}", n % 10)),
                ..line(&format!("{}", 20_000 + n), 2, gross)
            }
        })
        .collect();
    let tender = ["cash", "card", "gift_card"][usize::try_from(dice.below(3)).unwrap()];
    let amount = detail.lines.iter().map(|l| l.gross).sum();
    detail.payments = vec![SalePayment { tender: tender.into(), amount, tip: 0 }];
    event
}

/// A clock and identifiers of its own over a database.
pub fn ports(database: Arc<dyn Database>) -> Ports {
    Ports { database, environment: Arc::new(TestEnvironment::new(7)) }
}

/// Folds and demands that nothing failed.
pub async fn fold_all(ports: &Ports, events: &[SaleEvent]) {
    let failures = fold_batch(ports, events.to_vec()).await;
    assert!(failures.is_empty(), "{failures:?}");
}

/// The content of all pages and records, without versions.
pub fn content(database: &MemoryDatabase) -> BTreeMap<(String, String), Item> {
    database
        .items(Table::Analytics)
        .into_iter()
        .map(|mut item| {
            let key = (item.text("pk").unwrap().to_owned(), item.text("sk").unwrap().to_owned());
            item.0.remove("version");
            (key, item)
        })
        .collect()
}

/// Metrics of facts, counted the plain way: no pages, no sets.
pub fn plain(
    events: &[&SaleEvent],
    mut of_line: impl FnMut(&SaleEvent, &SaleLine) -> bool,
    tips: bool,
) -> Metrics {
    let mut sum = Metrics::default();
    for event in events {
        let detail = event.detail.as_ref().unwrap();
        let lines: Vec<&SaleLine> = detail.lines.iter().filter(|l| of_line(event, l)).collect();
        if lines.is_empty() {
            continue;
        }
        let sign = if event.kind == FactKind::Sale { 1 } else { -1 };
        for line in lines {
            if sign == 1 {
                sum.gross += line.gross;
                sum.discounts += line.discount;
                sum.units += line.quantity.thousandths();
            } else {
                sum.returns += line.gross - line.discount;
            }
            sum.tax += sign * line.tax;
        }
        if tips {
            sum.tips += sign * detail.payments.iter().map(|p| p.tip).sum::<i64>();
        }
        if sign == 1 { sum.orders += 1 } else { sum.return_orders += 1 }
    }
    sum
}

/// A process over a database: it lets others run at every call, and dies at one of its writes, before
/// or after it took effect.
pub struct Process {
    /// What it works on.
    pub database: Arc<MemoryDatabase>,
    /// Writes that it still does.
    pub writes_until_death: AtomicU32,
    /// Whether the write that it dies at takes effect.
    pub last_write_takes_effect: bool,
    /// Whether it is dead: then all its calls fail.
    pub dead: AtomicBool,
}

impl Process {
    /// A process that dies at the write after `writes_until_death`, with or without its effect.
    pub fn new(database: &Arc<MemoryDatabase>, writes_until_death: u32, effect: bool) -> Arc<Self> {
        Arc::new(Process {
            database: database.clone(),
            writes_until_death: writes_until_death.into(),
            last_write_takes_effect: effect,
            dead: AtomicBool::new(false),
        })
    }

    async fn alive(&self) -> Result<(), DatabaseError> {
        tokio::task::yield_now().await;
        if self.dead.load(Ordering::SeqCst) {
            return Err(DatabaseError::Unavailable("dead".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Database for Process {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.alive().await?;
        self.database.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.alive().await?;
        self.database.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.alive().await?;
        self.database.get_together(gets).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.alive().await?;
        self.database.query(query).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.alive().await?;
        let left = self.writes_until_death.load(Ordering::SeqCst);
        if left == 0 {
            self.dead.store(true, Ordering::SeqCst);
            if self.last_write_takes_effect {
                // Whether it held or not, the dead process does not learn of it.
                let _unknown = self.database.write(write).await;
            }
            return Err(DatabaseError::Unavailable("died at it".into()));
        }
        self.writes_until_death.store(left - 1, Ordering::SeqCst);
        self.database.write(write).await
    }
    async fn transact(&self, _: Vec<Write>) -> Result<(), DatabaseError> {
        Err(DatabaseError::Invalid("the aggregator needs no transaction".into()))
    }
    async fn put_many(&self, _: Table, _: Vec<Item>) -> Result<(), DatabaseError> {
        Err(DatabaseError::Invalid("pages are put on condition only".into()))
    }
}

/// An instant from text.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
