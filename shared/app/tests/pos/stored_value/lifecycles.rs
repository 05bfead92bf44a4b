//! Random lives of a few cards: whatever is sent, each balance is the sum of its movements and never below zero,
//! and all that was paid in is on the cards or in the shop's books.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use tillstream_app::Error;

use super::fixture::{World, payment, refund, tendering, world};

/// A customer's account, called after the customer.
const ACCOUNT: &str = "k-9";
const CARDS: [&str; 3] = ["GC-1111", "GC-2222", ACCOUNT];

fn tender(card: &str) -> &'static str {
    if card.starts_with("GC") { "gift_card" } else { "account" }
}

/// One step of a life.
#[derive(Debug, Clone)]
enum Step {
    Change(&'static str, usize, i64),
    /// Sells pieces of DIME, paid in two parts from two cards, and by card what is left.
    Sell(i64, (usize, i64), (usize, i64)),
    /// Brings pieces back of the sale so many before, to a card that is named or to none.
    Return(usize, i64, Option<usize>),
    Void(usize),
    /// Sends the last command that took effect again.
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![Just("credit"), Just("debit"), Just("block"), Just("unblock")];
    let part = || (0..CARDS.len(), 0_i64..120);
    prop_oneof![
        3 => (change, 0..CARDS.len(), 1_i64..150).prop_map(|(what, card, n)| Step::Change(what, card, n)),
        5 => (1_i64..15, part(), part()).prop_map(|(pieces, a, b)| Step::Sell(pieces, a, b)),
        3 => (0_usize..4, 1_i64..8, prop::option::of(0..CARDS.len()))
            .prop_map(|(sale, pieces, to)| Step::Return(sale, pieces, to)),
        2 => (0_usize..4).prop_map(Step::Void),
        1 => Just(Step::Again),
    ]
}

struct Life {
    world: World,
    sent: usize,
    sales: Vec<String>,
    /// What each card holds by the answers alone.
    books: BTreeMap<&'static str, i64>,
    /// What each sale took of each card.
    taken: BTreeMap<String, Vec<(&'static str, i64)>>,
    last: Option<(String, &'static str, serde_json::Value)>,
}

impl Life {
    /// Sends a command; whether it took effect.
    async fn send(&mut self, action: &'static str, payload: serde_json::Value) -> bool {
        self.sent += 1;
        let key = format!("k{}", self.sent);
        match self.world.shop.command(&key, action, payload.clone()).await {
            Ok(_) => {
                self.last = Some((key, action, payload));
                true
            }
            Err(Error::Rejected(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Change(what, card, amount) => {
                self.sent += 1;
                let (key, card) = (format!("k{}", self.sent), CARDS[card]);
                if self.world.change(what, &key, card, amount).await.is_ok() {
                    let moved = match what {
                        "credit" => amount,
                        "debit" => -amount,
                        _ => 0,
                    };
                    *self.books.get_mut(card).unwrap() += moved;
                }
            }
            Step::Sell(pieces, first, second) => self.sell(pieces, [first, second]).await,
            Step::Return(back, pieces, to) => {
                let Some(sale) = self.sales.iter().rev().nth(back).cloned() else { return };
                self.bring_back(&sale, pieces, to.map(|card| CARDS[card])).await;
            }
            Step::Void(back) => {
                let Some(sale) = self.sales.iter().rev().nth(back).cloned() else { return };
                if self.send("void_order", json!({"order_id": sale, "reason": "x"})).await {
                    for (card, amount) in self.taken.remove(&sale).unwrap_or_default() {
                        *self.books.get_mut(card).unwrap() += amount;
                    }
                    self.sales.retain(|one| *one != sale);
                }
            }
            Step::Again => {
                if let Some((key, action, payload)) = self.last.clone() {
                    let again = self.world.shop.command(&key, action, payload).await.unwrap();
                    assert!(again.replayed);
                }
            }
        }
    }

    async fn sell(&mut self, pieces: i64, parts: [(usize, i64); 2]) {
        self.sent += 1;
        let cart = format!("c{}", self.sent);
        tendering(&self.world.shop, "r-1", &cart, pieces).await;
        let customer = json!({"cart_id": cart, "customer_id": ACCOUNT});
        assert!(self.send("set_customer", customer).await);
        let (mut due, mut taken) = (pieces * 10, Vec::new());
        for (card, amount) in parts {
            let (card, amount) = (CARDS[card], amount.min(due));
            if amount > 0 && self.send("add_payment", payment(&cart, tender(card), amount, Some(card))).await
            {
                taken.push((card, amount));
                due -= amount;
            }
        }
        if due > 0 {
            assert!(self.send("add_payment", payment(&cart, "card", due, None)).await);
        }
        assert!(self.send("finalize_order", json!({"cart_id": cart})).await, "nobody else is here");
        for (card, amount) in &taken {
            *self.books.get_mut(card).unwrap() -= amount;
        }
        self.taken.insert(cart.clone(), taken);
        self.sales.push(cart);
    }

    async fn bring_back(&mut self, sale: &str, pieces: i64, to: Option<&'static str>) {
        self.sent += 1;
        let id = format!("b{}", self.sent);
        let start = json!({"return_id": id, "original_order_id": sale, "reason": "x"});
        let line = json!({"return_id": id, "line_id": "l-1", "quantity": pieces, "disposition": "restock"});
        if !self.send("start_return", start).await || !self.send("return_line_item", line).await {
            return;
        }
        let mut due = pieces * 10;
        let mut given = Vec::new();
        let tenders = to.map_or_else(|| vec!["gift_card", "account"], |card| vec![tender(card)]);
        for by in tenders {
            // As much as that tender still gets.
            for amount in [due, due / 2, 10] {
                if amount > 0
                    && amount <= due
                    && self.send("refund_tender", refund(&id, by, amount, to)).await
                {
                    // Unless it is named, it goes to the one card that the sale took from.
                    let paid = &self.taken[sale];
                    let from = paid.iter().map(|(card, _)| *card).find(|card| tender(card) == by);
                    given.push((to.or(from), amount));
                    due -= amount;
                    break;
                }
            }
        }
        if due > 0 && !self.send("refund_tender", refund(&id, "card", due, None)).await {
            return;
        }
        if self.send("finalize_return", json!({"return_id": id})).await {
            for (card, amount) in given {
                *self.books.get_mut(card.expect("a card was paid by")).unwrap() += amount;
            }
        }
    }

    fn check(&self) {
        for card in CARDS {
            assert_eq!(self.world.balance(card), self.books[card], "{card}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_balance_is_the_sum_of_its_movements_whatever_happens(
        opening in prop::collection::vec(0_i64..300, CARDS.len()),
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = world().await;
            let mut books = BTreeMap::new();
            for (card, amount) in CARDS.into_iter().zip(opening) {
                world.issue(card, amount).await;
                books.insert(card, amount);
            }
            let (sales, taken) = (Vec::new(), BTreeMap::new());
            let mut life = Life { world, sent: 0, sales, books, taken, last: None };
            for step in steps {
                life.step(step).await;
                life.check();
            }
        });
    }
}
