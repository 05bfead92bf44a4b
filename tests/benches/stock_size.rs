//! Stock of many items: whether reads and reservations take longer than of few. 200 locations of 4,000 SKUs
//! beside 200 of 40, each in an emulator of its own on this machine, asked in turn by the real use cases over
//! the real adapter; what the machine does meanwhile, it does to both.
//!
//! `ASKED=200 cargo bench …` asks that often, to try a change; the figures are those of the full count.
#![allow(
    clippy::unwrap_used,
    clippy::float_arithmetic,
    missing_docs,
    reason = "a benchmark that cannot go on stops"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tillstream_allocator as _;
use tillstream_app::Ports;
use tillstream_app::catalog::items::{location_item, product_item};
use tillstream_app::database::{Change, Item, Table, Write};
use tillstream_app::stock::counters::{Movement, StockTarget, stock_set};
use tillstream_app::stock::read;
use tillstream_app::stock::reserve::reserve;
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_contracts::inventory::{ReserveLine, ReserveRequest};
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::Currency;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_testkit::emulator::DynamoFixture;
use tillstream_tests::bench_report::{Report, Target};
use tillstream_tests::machine_speed::thousands_sorted_per_second;

const LOCATIONS: usize = 200;
/// SKUs at each location, of many and of few.
const SKUS: [usize; 2] = [4_000, 40];
/// How often each is asked of each; pages are many reads.
const ASKED: usize = 3_000;
const PAGES: usize = 300;
/// Before the clock starts.
const WARM_UP: usize = 100;
/// Items loaded at once.
const LOADED_AT_ONCE: usize = 20_000;

fn location(n: usize) -> String {
    format!("s-{n:03}")
}

fn sku(n: usize) -> String {
    format!("{:05}A", 10_000 + n)
}

/// The item that a write makes of nothing.
fn made(write: Write) -> Item {
    let Write::Update { key, changes, .. } = write else { return Item::default() };
    changes.into_iter().fold(Item::new(&key), |item, change| match change {
        Change::Set(name, value) | Change::SetIfAbsent(name, value) => item.with(name, value),
        Change::Add(name, number) => item.with(name, number),
        Change::Remove(_) => item,
    })
}

/// A tenant's stock.
struct Shop {
    fixture: DynamoFixture,
    ports: Ports,
    caller: Caller,
    skus: usize,
}

impl Shop {
    async fn with(skus: usize) -> Self {
        let fixture = DynamoFixture::dynoxide().await.unwrap();
        let caller = Caller {
            scope: TenantScope::from_own_record("demo"),
            subject: "e-7".into(),
            roles: BTreeSet::from([Role::Operator]),
            stores: Stores::All,
            register_id: None,
        };
        let ports = fixture.ports();
        Shop { fixture, ports, caller, skus }
    }

    fn catalogue(&self) -> Vec<Item> {
        let scope = &self.caller.scope;
        let places = (0..LOCATIONS).map(|n| {
            let location = Location {
                id: location(n),
                kind: LocationKind::Store,
                name: location(n),
                time_zone: "Europe/London".into(),
                currency: Currency::GBP,
                business_day_start: "00:00".into(),
                region: None,
                address: None,
                capacity: None,
                hours: None,
                coordinates: None,
                stock: Default::default(),
                registers: vec![],
                tax_number: None,
                version: 1,
            };
            location_item(scope, &location).unwrap()
        });
        let products = (0..self.skus).map(|n| {
            let product = Product {
                sku: sku(n),
                name: "WHITE HANGING HEART T-LIGHT HOLDER".into(),
                unit_price: "2.55".parse().unwrap(),
                currency: Currency::GBP,
                stocked: true,
                unit: Unit::Piece,
                category: None,
                barcodes: vec![],
                attributes: Default::default(),
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
            product_item(scope, &product).unwrap()
        });
        places.chain(products).collect()
    }

    /// Loads all of it, telling how far it is.
    fn load(&self) -> Duration {
        let begin = Instant::now();
        self.fixture.load(Table::Catalog, self.catalogue()).unwrap();
        let movement = Movement {
            kind: "sync",
            reference: "opening stock".into(),
            actor: "hq".into(),
            at: self.ports.environment.now(),
            reason: None,
        };
        let target =
            StockTarget { on_hand: Some(1_000_000), unit: Some(Unit::Piece), ..StockTarget::default() };
        let names: Vec<(usize, usize)> =
            (0..LOCATIONS).flat_map(|at| (0..self.skus).map(move |n| (at, n))).collect();
        let mut loaded = 0;
        for names in names.chunks(LOADED_AT_ONCE) {
            let item = |(at, n): &(usize, usize)| {
                let scope = &self.caller.scope;
                made(stock_set(scope, &location(*at), &sku(*n), None, target, &movement, Vec::new()).0)
            };
            self.fixture.load(Table::Stock, names.iter().map(item).collect()).unwrap();
            loaded += names.len();
            eprintln!("{loaded} of {} stock items after {:.1?}", LOCATIONS * self.skus, begin.elapsed());
        }
        begin.elapsed()
    }

    /// Any stock item, spread over all of them.
    fn any(&self, n: usize) -> (String, String) {
        // Steps that share no factor with the numbers of locations and SKUs.
        (location((n * 37) % LOCATIONS), sku((n * 1_013) % self.skus))
    }

    async fn read_one(&self, n: usize) {
        let (location_id, sku) = self.any(n);
        read::one(&self.ports, &self.caller, &location_id, &sku).await.unwrap();
    }

    async fn read_page(&self, n: usize) {
        let page = read::of_sku(&self.ports, &self.caller, &self.any(n).1, Some(200), None).await.unwrap();
        assert_eq!(page.items.len(), LOCATIONS);
    }

    async fn reserve_one(&self, n: usize) {
        let (location_id, sku) = self.any(n);
        let line = ReserveLine { location_id: Some(location_id), sku, quantity: QuantityInput::Whole(1) };
        let request = ReserveRequest {
            reservation_id: None,
            lines: vec![line],
            sourcing: None,
            ttl_seconds: 3_600,
            order_id: None,
        };
        reserve(&self.ports, &self.caller, &format!("k-{n}"), &request).await.unwrap();
    }
}

/// Milliseconds of one call.
async fn timed(call: impl Future<Output = ()>) -> f64 {
    let begin = Instant::now();
    call.await;
    begin.elapsed().as_secs_f64() * 1_000.0
}

/// What each of both took, asked in turn; ascending.
async fn in_turn(shops: &[Shop; 2], times: usize, ask: impl AsyncFn(&Shop, usize)) -> [Vec<f64>; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for n in 0..WARM_UP + times {
        for (shop, took) in shops.iter().zip(&mut took) {
            let millis = timed(ask(shop, n)).await;
            if n >= WARM_UP {
                took.push(millis);
            }
        }
    }
    took.each_mut().map(|took| {
        took.sort_unstable_by(f64::total_cmp);
        std::mem::take(took)
    })
}

fn p99(sorted: &[f64]) -> f64 {
    let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// To a hundredth.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let asked = std::env::var("ASKED").ok().map_or(ASKED, |times| times.parse().unwrap());
    let is_full = asked == ASKED;
    println!("machine: {} thousand numbers sorted a second", thousands_sorted_per_second());
    let shops = [Shop::with(SKUS[0]).await, Shop::with(SKUS[1]).await];
    let mut report = Report::of_times("stock_size");
    for shop in shops.iter().rev() {
        let took = shop.load();
        println!("{} stock items loaded in {took:.1?}", LOCATIONS * shop.skus);
    }
    let [reads, reads_of_few] = in_turn(&shops, asked, Shop::read_one).await;
    let [pages, pages_of_few] = in_turn(&shops, asked.min(PAGES), Shop::read_page).await;
    let [holds, holds_of_few] = in_turn(&shops, asked, Shop::reserve_one).await;
    report.figure("stock_of_800_000_point_read_p99", rounded(p99(&reads)), "ms", Target::AtMost(5.0));
    report.figure("stock_of_8_000_point_read_p99", rounded(p99(&reads_of_few)), "ms", Target::None);
    report.figure("stock_of_800_000_sku_page_p99", rounded(p99(&pages)), "ms", Target::AtMost(20.0));
    report.figure("stock_of_8_000_sku_page_p99", rounded(p99(&pages_of_few)), "ms", Target::None);
    report.figure("stock_of_800_000_reservation_p99", rounded(p99(&holds)), "ms", Target::None);
    report.figure("stock_of_8_000_reservation_p99", rounded(p99(&holds_of_few)), "ms", Target::None);
    let ratio = rounded(p99(&holds) / p99(&holds_of_few));
    report.figure("stock_of_800_000_to_8_000_reservation_p99", ratio, "times", Target::AtMost(1.5));
    println!("machine: {} thousand numbers sorted a second", thousands_sorted_per_second());
    if is_full {
        report.write().unwrap();
    }
}
