//! Ten thousand random carts of kits that share components, from tills and from elsewhere at once, some voided
//! or brought back: of no component is more sold than there was, and the books close.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tillstream_app::database::Table;
use tillstream_app::stock::split::split;
use tillstream_app::stock::standing::standing;
use tillstream_app::{Error, Result};
use tillstream_testkit::faults::{FaultyDatabase, Rates};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::shop::{STORE, Shop};
use tillstream_testkit::test_environment::TestEnvironment;

use super::{gbp, placed};
use crate::chance::Chance;

/// Four tills, and as many who place orders from elsewhere.
const TILLS: usize = 4;
const TASKS: usize = 2 * TILLS;
const COMPONENTS: usize = 10;

/// What is sold: SKU, and what one of it takes of which component.
type Goods = Vec<(String, BTreeMap<usize, i64>)>;

fn component(n: usize) -> String {
    format!("C-{n}")
}

/// Ten components that are sold by themselves too, and a dozen kits of one to five of them.
fn goods(chance: &mut Chance) -> Goods {
    let mut goods: Goods = (0..COMPONENTS).map(|n| (component(n), BTreeMap::from([(n, 1)]))).collect();
    for kit in 0..12 {
        let mut takes = BTreeMap::new();
        for _ in 0..chance.amount(1, 5) {
            let of = usize::try_from(chance.below(COMPONENTS as u64)).unwrap();
            takes.insert(of, chance.amount(1, 3));
        }
        goods.push((format!("K-{kit}"), takes));
    }
    goods
}

/// What a task did to each component: taken, brought back, brought back damaged, in pieces.
type Books = [[i64; 3]; COMPONENTS];

/// Repeats what is safe to repeat.
macro_rules! decided {
    ($call:expr) => {
        loop {
            match $call.await {
                Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
                answer => break answer,
            }
        }
    };
}

fn is_sold<T>(answer: Result<T>) -> bool {
    match answer {
        Ok(_) => true,
        Err(Error::Rejected(refusal)) => {
            assert_eq!(refusal.code, "insufficient_stock", "{refusal:?}");
            false
        }
        Err(error) => panic!("{error}"),
    }
}

async fn work(shop: Shop, goods: Arc<Goods>, (task, carts): (usize, usize), seed: u64) -> (Books, usize) {
    let mut chance = Chance(seed ^ (task as u64 + 1));
    let (mut books, mut sales) = ([[0; 3]; COMPONENTS], 0);
    let register = format!("r-{}", task % TILLS + 1);
    for n in 0..carts / TASKS {
        let cart = format!("c-{task}-{n}");
        let lines: Vec<(usize, i64)> = (0..chance.amount(1, 4))
            .map(|_| (usize::try_from(chance.below(goods.len() as u64)).unwrap(), chance.amount(1, 3)))
            .collect();
        let named: Vec<(&str, i64)> = lines.iter().map(|(at, n)| (goods[*at].0.as_str(), *n)).collect();
        let sold = if task < TILLS {
            decided!(shop.ready(&register, &cart, &named)).unwrap();
            is_sold(decided!(shop.finalize(&register, &cart)))
        } else {
            is_sold(decided!(placed(&shop, &cart, &named, None)))
        };
        if !sold {
            continue;
        }
        sales += 1;
        let mut book = |at: usize, pieces: i64, column: usize| {
            for (component, per) in &goods[at].1 {
                books[*component][column] += per * pieces;
            }
        };
        lines.iter().for_each(|(at, pieces)| book(*at, *pieces, 0));
        let what = if task < TILLS { chance.below(12) } else { 2 };
        if what == 0 {
            let void = json!({"order_id": cart, "reason": "x"});
            decided!(shop.at(&register, &format!("{cart}-void"), "void_order", void.clone())).unwrap();
            lines.iter().for_each(|(at, pieces)| book(*at, *pieces, 1));
        } else if what == 1 {
            // All of the first line comes back, on the shelf or damaged.
            let damaged = chance.below(2) == 1;
            let id = format!("{cart}-back");
            let disposition = if damaged { "damaged" } else { "restock" };
            let (at, pieces) = lines[0];
            let steps = [
                ("start_return", json!({"return_id": id, "original_order_id": cart, "reason": "x"})),
                (
                    "return_line_item",
                    json!({"return_id": id, "line_id": "l-1", "quantity": pieces, "disposition": disposition}),
                ),
                ("refund_tender", json!({"return_id": id, "tender": "card", "amount": gbp(100 * pieces)})),
                ("finalize_return", json!({"return_id": id})),
            ];
            for (action, payload) in steps {
                decided!(shop.at(&register, &format!("{id}-{action}"), action, payload.clone())).unwrap();
            }
            book(at, pieces, if damaged { 2 } else { 1 });
        }
    }
    (books, sales)
}

/// `parts`: into how many the stock of each component is split first.
async fn sold_at_once(seed: u64, carts: usize, parts: Option<u32>) {
    let environment = Arc::new(TestEnvironment::real(seed));
    let memory = Arc::new(MemoryDatabase::with_environment(environment.clone()));
    let shop = Shop::open(memory.clone(), environment.clone()).await.unwrap();
    let mut chance = Chance(seed);
    let goods = Arc::new(goods(&mut chance));
    let mut opening = [0; COMPONENTS];
    for (n, opening) in opening.iter_mut().enumerate() {
        // Some are gone soon, of some there is enough for long.
        *opening = (500 + 2_500 * i64::try_from(n).unwrap()) * i64::try_from(carts).unwrap() / 10_000;
        shop.product(STORE, &component(n), "1", *opening).await.unwrap();
        if let Some(parts) = parts {
            split(&shop.ports, &shop.scope, STORE, &component(n), parts).await.unwrap();
        }
    }
    for (sku, takes) in goods.iter().skip(COMPONENTS) {
        let names: Vec<(String, i64)> = takes.iter().map(|(n, pieces)| (component(*n), *pieces)).collect();
        let takes: Vec<(&str, i64)> = names.iter().map(|(sku, pieces)| (sku.as_str(), *pieces)).collect();
        shop.kit(sku, "1", &takes).await.unwrap();
    }
    let faulty = Arc::new(FaultyDatabase::random(memory.clone(), seed, Rates::each(3)));
    let busy =
        Shop { ports: tillstream_app::Ports { database: faulty, environment }, scope: shop.scope.clone() };
    let tasks: Vec<_> =
        (0..TASKS).map(|task| tokio::spawn(work(busy.clone(), goods.clone(), (task, carts), seed))).collect();
    let (mut books, mut sales) = ([[0; 3]; COMPONENTS], 0);
    for task in tasks {
        let (of_task, sold) = task.await.unwrap();
        sales += sold;
        for (sums, of_task) in books.iter_mut().zip(of_task) {
            sums.iter_mut().zip(of_task).for_each(|(sum, pieces)| *sum += pieces);
        }
    }
    assert!((carts / 10..carts).contains(&sales), "{sales} of {carts}: some, and not all");
    // At no moment was there less than nothing of anything.
    for change in memory.changes(Table::Stock, 0) {
        let counter = |name: &str| change.new.as_ref().and_then(|item| item.opt_number(name)).unwrap_or(0);
        let all = ["on_hand", "available", "reserved", "damaged"].map(counter);
        assert!(all.iter().all(|counter| *counter >= 0), "{change:?}");
    }
    for (n, (opening, [taken, back, damaged])) in opening.into_iter().zip(books).enumerate() {
        let sku = component(n);
        let found = standing(memory.as_ref(), &shop.scope, STORE, &sku, 0).await.unwrap();
        let now = found.unwrap().total();
        let expected = (opening - taken + back, damaged, 0);
        let found = (now.on_hand / 1_000, now.damaged / 1_000, now.reserved);
        assert_eq!(found, expected, "{} of {opening}: {taken} taken, {back} back", component(n));
        assert_eq!(now.available, now.on_hand);
        assert!(taken > 0 && taken - back <= opening);
    }
    for (sku, _) in goods.iter().skip(COMPONENTS) {
        assert_eq!(shop.counters(STORE, sku).await.unwrap().seq, 0, "{sku} has no stock of its own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_carts_of_kits_never_oversell_a_component() {
    sold_at_once(17, 10_000, None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_carts_of_kits_never_oversell_a_component_that_is_split() {
    sold_at_once(18, 2_000, Some(4)).await;
}
