//! Many exchanges at once, one many times, and hundreds by chance.

use std::collections::BTreeMap;

use tillstream_app::Ports;
use tillstream_testkit::faults::{Fault, FaultyDatabase};

use super::*;
use crate::chance::Chance;

/// Of one sold line twenty returns and exchanges at once bring back what was sold, no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_exchanges_and_returns_of_one_line_bring_back_what_was_sold() {
    let (shop, database) = busy_shop(7).await;
    sold(&shop, "first", &[("A", 3)]).await;
    let register = |n: usize| format!("r-{}", n % 4 + 1);
    for n in 0..20 {
        returning(&shop, &register(n), &format!("back-{n}"), "first", &[("l-1", 1, "restock")]).await;
        if n % 2 == 0 {
            tendering(&shop, &register(n), &format!("new-{n}"), &[("D", 1)]).await;
        } else {
            refund(&shop, &register(n), &format!("back-{n}"), "card", 1_000).await.unwrap();
        }
    }
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let shop = shop.clone();
            tokio::spawn(async move {
                let (register, back) = (register(n), format!("back-{n}"));
                match n % 2 {
                    0 => exchange(&shop, &register, &back, &format!("new-{n}")).await,
                    _ => {
                        let payload = json!({"return_id": back});
                        shop.at(&register, &format!("end-{n}"), "finalize_return", payload).await
                    }
                }
            })
        })
        .collect();
    let (mut returned, mut exchanged) = (0, 0);
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => {
                returned += 1;
                exchanged += i64::from(n % 2 == 0);
            }
            Err(error) => assert_eq!(error.code(), Some("return_above_sold")),
        }
    }
    assert_eq!(returned, 3);
    assert_eq!(on_hand(&shop, ["A", "D"]).await, [100, 100 - exchanged]);
    for n in (0..20).step_by(2) {
        // Both are final, or neither is.
        let is_final = async |id: String| item(&shop, &id).await.opt_number("lane_number").is_some();
        assert_eq!(is_final(format!("back-{n}")).await, is_final(format!("new-{n}")).await, "{n}");
    }
    numbers_have_no_gaps(&database);
}

/// The numbers of each lane are 1..n, none missing, none twice, and the lane knows the last.
fn numbers_have_no_gaps(database: &MemoryDatabase) {
    let mut given: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let items = database.items(Table::Orders);
    // A closed shift has the number of its Z report.
    let orders = items.iter().filter(|item| item.opt_text("sk") == Some("cart"));
    for order in orders.filter(|item| item.opt_number("lane_number").is_some()) {
        let lane = order.text("lane").unwrap().to_owned();
        given.entry(lane).or_default().push(order.number("lane_number").unwrap());
    }
    for (lane, numbers) in &mut given {
        numbers.sort_unstable();
        let last = i64::try_from(numbers.len()).unwrap();
        assert_eq!(*numbers, (1..=last).collect::<Vec<_>>(), "{lane}");
    }
    for lane in items.iter().filter(|item| item.opt_text("sk") == Some("lane")) {
        let name = format!("{STORE}/{}", lane.text("register_id").unwrap());
        assert_eq!(lane.number("last").unwrap(), i64::try_from(given[&name].len()).unwrap(), "{name}");
    }
}

/// One exchange from two places, twenty times at once from each, and once more later.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_exchange_sent_from_two_places_has_one_effect() {
    for seed in 0..5 {
        let (shop, database) = busy_shop(seed).await;
        sold(&shop, "first", &[("B", 1)]).await;
        returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
        tendering(&shop, "r-1", "new", &[("A", 2)]).await;
        pay(&shop, "r-1", "new", "cash", 1_000).await.unwrap();
        let elsewhere = Shop {
            ports: Ports {
                database: database.clone(),
                environment: Arc::new(TestEnvironment::real(seed + 100)),
            },
            scope: shop.scope.clone(),
        };
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let shop = if n % 2 == 0 { shop.clone() } else { elsewhere.clone() };
                tokio::spawn(async move { exchange(&shop, "r-1", "back", "new").await.unwrap() })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.unwrap());
        }
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
        let again = exchange(&shop, "r-1", "back", "new").await.unwrap();
        assert!(again.replayed);
        assert_eq!(again.reply.result.change.unwrap().amount, 500);
        for answer in &answers {
            assert_eq!(result(answer), result(&again));
            assert_eq!(answer.reply.consistency_token, again.reply.consistency_token);
        }
        assert_eq!(on_hand(&shop, ["A", "B"]).await, [98, 100]);
        numbers_have_no_gaps(&database);
        // The same carts under another key are final, and the same key with another payload is refused.
        let payload = json!({"return_id": "back", "cart_id": "new"});
        let other = shop.command("other", "finalize_exchange", payload).await;
        assert_eq!(refusal(other).code, "wrong_cart_state");
        for payload in [
            json!({"return_id": "back", "cart_id": "first"}),
            json!({"return_id": "first", "cart_id": "new"}),
        ] {
            let reused = shop.command("back-for-new", "finalize_exchange", payload).await;
            assert_eq!(refusal(reused).code, "idempotency_key_reused");
        }
    }
}

/// A read of both carts is not of one moment: a twin may end between them.
#[tokio::test]
async fn an_exchange_is_not_held_against_its_own_repetition() {
    for operation in [Operation::GetMany, Operation::Get, Operation::Transact] {
        let (shop, database) = shop().await;
        sold(&shop, "first", &[("A", 1)]).await;
        returning(&shop, "r-1", "back", "first", &[("l-1", 1, "restock")]).await;
        tendering(&shop, "r-1", "new", &[("D", 1)]).await;
        let frozen = Arc::new(FaultyDatabase::new(database.clone()));
        frozen.fail_next(operation, Fault::Freezes);
        // A moment later: two requests that are alike to the last millisecond are one to the database itself.
        let environment = TestEnvironment::new(99);
        environment.advance(std::time::Duration::from_secs(1));
        let ports = Ports { database: frozen.clone(), environment: Arc::new(environment) };
        let late = Shop { ports, scope: shop.scope.clone() };
        let task = tokio::spawn(async move { exchange(&late, "r-1", "back", "new").await });
        while frozen.injected().is_empty() {
            tokio::task::yield_now().await;
        }
        let first = exchange(&shop, "r-1", "back", "new").await.unwrap();
        frozen.thaw();
        let second = task.await.unwrap().unwrap();
        assert_eq!((first.replayed, second.replayed), (false, true), "{operation:?}");
        assert_eq!(result(&first), result(&second));
        numbers_have_no_gaps(&database);
    }
}

/// Of two exchanges of one return for two sales one takes place, and the other sale goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_return_pays_once() {
    for seed in 0..10 {
        let (shop, database) = busy_shop(seed).await;
        returning_blind(&shop, "r-1", "back", &[("A", 1)]).await;
        for id in ["one", "other"] {
            tendering(&shop, "r-1", id, &[("D", 1)]).await;
        }
        let tasks = ["one", "other"].map(|id| {
            let shop = shop.clone();
            tokio::spawn(async move { exchange(&shop, "r-1", "back", id).await })
        });
        let mut codes = Vec::new();
        for task in tasks {
            codes.push(task.await.unwrap().err().and_then(|error| error.code()));
        }
        codes.sort_unstable();
        assert_eq!(codes, [None, Some("wrong_cart_state")]);
        assert_eq!(on_hand(&shop, ["A", "D"]).await, [101, 99]);
        numbers_have_no_gaps(&database);
    }
}

impl Chance {
    fn lines(&mut self) -> Vec<(&'static str, i64)> {
        let count = 1 + self.below(3);
        (0..count).map(|_| (GOODS[usize::try_from(self.below(5)).unwrap()].0, self.amount(1, 3))).collect()
    }
}

fn worth(lines: &[(&str, i64)]) -> i64 {
    lines.iter().map(|(sku, pieces)| price(sku) * pieces).sum()
}

/// To the nearest five.
fn in_coins(amount: i64) -> i64 {
    (amount + 2).div_euclid(5) * 5
}

/// What a cashier would note of a shift.
#[derive(Debug, Default, PartialEq, Eq)]
struct Books {
    drawer: i64,
    sales: (u64, i64),
    returns: (u64, i64),
    /// What came in and what went out, by tender.
    tenders: BTreeMap<String, (i64, i64)>,
}

struct Counter {
    shop: Shop,
    chance: Chance,
    register: String,
    books: Books,
    stock: BTreeMap<&'static str, i64>,
    /// Sales of which nothing came back, and what they were of.
    open: Vec<(String, Vec<(&'static str, i64)>)>,
    receipts: u64,
}

impl Counter {
    fn tender(&mut self, name: &str, paid: i64, refunded: i64) {
        let by = self.books.tenders.entry(name.to_owned()).or_default();
        *by = (by.0 + paid, by.1 + refunded);
        if name == "cash" {
            self.books.drawer += paid - refunded;
        }
    }

    async fn exchange(&mut self, n: usize) {
        let (shop, register) = (self.shop.clone(), self.register.clone());
        let (back, new) = (format!("{register}-back-{n}"), format!("{register}-new-{n}"));
        let known = (self.chance.below(2) == 0).then(|| self.open.pop()).flatten();
        let (came, is_known) = match known {
            Some((sale, lines)) => {
                let ids: Vec<String> = (1..=lines.len()).map(|line| format!("l-{line}")).collect();
                let back_lines: Vec<_> = ids
                    .iter()
                    .zip(&lines)
                    .map(|(id, (_, pieces))| (id.as_str(), *pieces, "restock"))
                    .collect();
                let is_worth = returning(&shop, &register, &back, &sale, &back_lines).await;
                assert_eq!(is_worth, worth(&lines));
                (lines, true)
            }
            None => {
                let lines = self.chance.lines();
                returning_blind(&shop, &register, &back, &lines).await;
                (lines, false)
            }
        };
        let goes = self.chance.lines();
        tendering(&shop, &register, &new, &goes).await;
        let (came_worth, goes_worth) = (worth(&came), worth(&goes));
        let credit = came_worth.min(goes_worth);
        let (due, rest) = (goes_worth - credit, came_worth - credit);
        let mut more = 0;
        if due > 0 {
            if self.chance.below(2) == 0 || in_coins(due) == 0 {
                pay(&shop, &register, &new, "card", due).await.unwrap();
                self.tender("card", due, 0);
            } else {
                let handed = in_coins(due) + 5 * self.chance.amount(0, 300);
                let paying = pay(&shop, &register, &new, "cash", handed).await.unwrap();
                let told = paying.reply.result.change.unwrap().amount;
                self.tender("cash", in_coins(due), 0);
                // What is handed over less what goes back is the difference in coins.
                more = handed - in_coins(due) - told;
            }
        }
        if rest > 0 {
            // The rest of a known sale goes where it may: up to what a tender and the exchange paid of it.
            let mut ways = [("card", rest), ("cash", in_coins(rest))];
            ways.rotate_left(usize::try_from(self.chance.below(2)).unwrap());
            let mut refunded = None;
            for (tender, amount) in ways {
                if refunded.is_none() && refund(&shop, &register, &back, tender, amount).await.is_ok() {
                    refunded = Some((tender, amount));
                }
            }
            let Some((tender, amount)) = refunded else {
                // Paid by several, none of which suffices alone: it stays.
                assert!(is_known);
                let void = json!({"return_id": back, "reason": "x"});
                shop.at(&register, &format!("{back}-void"), "void_return", void).await.unwrap();
                let void = json!({"cart_id": new, "reason": "x"});
                shop.at(&register, &format!("{new}-void"), "void_cart", void).await.unwrap();
                return;
            };
            self.tender(tender, 0, amount);
        }
        let done = exchange(&shop, &register, &back, &new).await.unwrap_or_else(|error| {
            panic!("{came_worth} for {goes_worth}: {error}");
        });
        let said = done.reply.result;
        assert_eq!(said.change.unwrap().amount, more, "{came_worth} for {goes_worth}");
        assert_eq!(said.return_receipt_number, Some(self.receipts + 1));
        assert_eq!(said.receipt_number, Some(self.receipts + 2));
        self.receipts += 2;
        self.tender("exchange", credit, credit);
        self.books.sales = (self.books.sales.0 + 1, self.books.sales.1 + goes_worth);
        self.books.returns = (self.books.returns.0 + 1, self.books.returns.1 + came_worth);
        for (sku, pieces) in &came {
            *self.stock.entry(sku).or_default() += pieces;
        }
        for (sku, pieces) in &goes {
            *self.stock.entry(sku).or_default() -= pieces;
        }
        self.open.push((new, goes));
    }
}

/// Three hundred exchanges in thirty shifts: the drawer, the events and the Z report say the same; receipts
/// have no gaps, and what moved in stock is what came and went.
#[tokio::test]
async fn three_hundred_random_exchanges_balance() {
    let (shop, database) = shop().await;
    in_coins_of_five(&shop).await;
    for (sku, _) in GOODS {
        shop.product(STORE, sku, &format!("{}.{:02}", price(sku) / 100, price(sku) % 100), 10_000)
            .await
            .unwrap();
    }
    let mut counter = Counter {
        shop: shop.clone(),
        chance: Chance(11),
        register: "r-1".to_owned(),
        books: Books::default(),
        stock: BTreeMap::new(),
        open: Vec::new(),
        receipts: 0,
    };
    let mut given_up = 0;
    for shift in 0..30 {
        counter.books = Books { drawer: 100_000, ..Books::default() };
        let id = format!("sh-{shift}");
        let open = json!({"shift_id": id, "amount": gbp(100_000)});
        shop.command(&format!("{id}-open"), "open_till", open).await.unwrap();
        let first = counter.receipts + 1;
        for n in 0..10 {
            counter.exchange(shift * 10 + n).await;
        }
        given_up += 10 - counter.books.sales.0;
        let close = json!({"shift_id": id, "counted": gbp(counter.books.drawer)});
        let z = shop.command(&format!("{id}-close"), "close_till", close).await.unwrap();
        let report = z.reply.result.shift.unwrap().report.unwrap();
        let tenders =
            report.tenders.iter().map(|by| (by.tender.clone(), (by.payments.amount, by.refunds.amount)));
        let told = Books {
            drawer: report.cash_expected.amount,
            sales: (report.sales_count, report.sales_total.amount),
            returns: (report.returns_count, report.returns_total.amount),
            tenders: tenders.collect(),
        };
        assert_eq!(told, counter.books, "shift {shift}");
        assert_eq!(report.cash_difference.unwrap().amount, 0);
        assert_eq!((report.first_receipt, report.last_receipt), (Some(first), Some(counter.receipts)));
        let proved = proof::of_shift(&shop.ports, &caller("demo", &[Role::Operator]), &id).await.unwrap();
        assert!(proved.proved, "{proved:?}");
        assert_eq!(proved.orders, counter.receipts + 1 - first);
    }
    assert!(given_up < 60, "{given_up} of 300 were given up");
    numbers_have_no_gaps(&database);
    // What the stream is told comes to the same: by tender, what came in less what went out.
    let mut events: BTreeMap<String, i64> = BTreeMap::new();
    let items = database.items(Table::Orders);
    let orders = items.iter().filter(|item| item.opt_text("sk") == Some("cart"));
    for order in orders.filter(|item| item.opt_number("lane_number").is_some()) {
        let event = sale_event(&shop.scope, &cart_of(order).unwrap()).unwrap();
        let sign = if event.kind == tillstream_contracts::events::FactKind::Sale { 1 } else { -1 };
        for payment in event.detail.unwrap().payments {
            *events.entry(payment.tender).or_default() += sign * payment.amount;
        }
    }
    let lane = lane(&database);
    let net = |paid: &str, refunded: &str| {
        lane.opt_number(paid).unwrap_or(0) - lane.opt_number(refunded).unwrap_or(0)
    };
    assert_eq!(events.get("exchange"), Some(&0));
    assert_eq!(events.get("cash").copied().unwrap_or(0), net("cash_paid", "cash_refunded"));
    assert_eq!(events.get("card").copied().unwrap_or(0), net("card_paid", "card_refunded"));
    for (sku, _) in GOODS {
        let moved = counter.stock.get(sku).copied().unwrap_or(0);
        assert_eq!(on_hand(&shop, [sku]).await, [10_100 + moved], "{sku}");
    }
}
