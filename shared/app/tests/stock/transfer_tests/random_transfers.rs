//! Ten thousand transfers by chance between three locations, of a few lines and of many, by four at once, with lost
//! answers, conflicts, and processes that are gone at any step. After each step, also one that was left half done,
//! there is as much of its goods at source, on their way and at the destination together as there was.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tillstream_app::Error;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Consistency, Database, Get, TRANSACTION_ACTIONS_MAX, Table};
use tillstream_app::environment::Environment;
use tillstream_app::stock::counters::{Counters, StockTarget};
use tillstream_app::stock::transfers::settle::{Asked, change};
use tillstream_app::stock::transfers::{self, Answer};
use tillstream_contracts::transfers::{
    ReceiveTransferRequest, RejectedTo, TransferLineRequest, TransferRequest,
};
use tillstream_domain::quantity::{QuantityInput, Unit};

use super::{cancelled, later, received, rejected};
use crate::fixture::{Fault, Fixture, LOCATIONS, dies_after, product, put};

/// Clients at once, and transfers of each, of one seed.
const CLIENTS: u64 = 4;
const EACH: u64 = 250;
/// Products of which there is enough everywhere, also for transfers of many lines, and products that are soon gone.
const MANY: usize = 120;
const FEW: usize = 12;
/// Of so many lines on a shipment takes several transactions.
const LONG: usize = 60;

fn sku(n: usize) -> String {
    format!("M{n:04}")
}

/// Three locations with the same of everything.
async fn stocked(seed: u64) -> Fixture {
    let fixture = Fixture::new(seed).await;
    for n in 0..MANY + FEW {
        let product = product_item(fixture.scope(), &product(&sku(n))).unwrap();
        put(&fixture.memory, Table::Catalog, product).await;
        let pieces = if n < MANY { 60 } else { 6 };
        for location_id in LOCATIONS {
            let (on_hand, unit) = (Some(pieces * 1_000), Some(Unit::Piece));
            let target = StockTarget { on_hand, unit, ..StockTarget::default() };
            fixture.stocked(location_id, &sku(n), target).await;
        }
    }
    fixture
}

/// What was done: without it the test would be none.
#[derive(Debug, Default)]
struct Counts {
    transfers: u64,
    /// Steps after which somebody looked.
    looks: u64,
    deaths: u64,
    /// Deaths after which nobody asked again.
    left: u64,
    /// Answers that were lost on their way, and asked for again.
    asked_again: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.transfers += other.transfers;
        self.looks += other.looks;
        self.deaths += other.deaths;
        self.left += other.left;
        self.asked_again += other.asked_again;
    }
}

/// Fails where it was refused for another reason than these; what is safe to repeat may be left.
fn check(told: Result<Answer, Error>, reasons: &[&str]) {
    match told {
        Ok(_) | Err(Error::Retryable { .. } | Error::Conflict(_)) => {}
        Err(error) => assert!(error.code().is_some_and(|code| reasons.contains(&code)), "{error:?}"),
    }
}

/// One who asks for transfers and looks after each step.
struct Client<'a> {
    fixture: &'a Fixture,
    /// Of each product, what there was of it everywhere.
    before: &'a BTreeMap<String, i64>,
    counts: Counts,
}

impl Client<'_> {
    fn dice(&self, sides: u64) -> u64 {
        self.fixture.environment.random() % sides
    }

    fn at(&self, sides: usize) -> usize {
        usize::try_from(self.dice(sides as u64)).unwrap()
    }

    /// One of fifty is of many lines.
    fn transfer(&self, id: &str) -> TransferRequest {
        let (from, further) = (self.at(LOCATIONS.len()), 1 + self.at(LOCATIONS.len() - 1));
        let (first, count, products) = match self.dice(50) {
            0 => (self.at(MANY), LONG + self.at(LONG), MANY),
            n if n.is_multiple_of(2) => (self.at(MANY), 1 + self.at(3), MANY + FEW),
            _ => (MANY + self.at(FEW), 1 + self.at(3), MANY + FEW),
        };
        let line = |n: usize| TransferLineRequest {
            sku: sku((first + n) % products),
            quantity: QuantityInput::Whole(i64::try_from(1 + self.dice(4)).unwrap()),
        };
        TransferRequest {
            transfer_id: Some(id.to_owned()),
            from_location_id: LOCATIONS[from].into(),
            to_location_id: LOCATIONS[(from + further) % LOCATIONS.len()].into(),
            lines: (0..count).map(line).collect(),
            note: None,
        }
    }

    /// Looks at the goods of a transfer, each as of one moment at all locations; and at everything, now and then.
    async fn look(&mut self, transfer: &TransferRequest) {
        let skus: BTreeSet<&str> = transfer.lines.iter().map(|line| line.sku.as_str()).collect();
        let skus: Vec<&str> = skus.into_iter().collect();
        for some in skus.chunks(TRANSACTION_ACTIONS_MAX / LOCATIONS.len()) {
            let of_sku = |sku: &&str| {
                LOCATIONS.map(|location_id| Get {
                    table: Table::Stock,
                    key: self.fixture.scope().stock(location_id, sku),
                    consistency: Consistency::Strong,
                })
            };
            let gets = some.iter().flat_map(of_sku).collect();
            let items = self.fixture.memory.get_together(gets).await.unwrap();
            for (sku, everywhere) in some.iter().zip(items.chunks(LOCATIONS.len())) {
                let mut sum = 0;
                for item in everywhere.iter().flatten() {
                    let stock = Counters::of(item).unwrap();
                    let parts = [stock.on_hand, stock.damaged, stock.in_transit];
                    assert!(parts.iter().all(|part| *part >= 0), "{item:?}");
                    sum += parts.iter().sum::<i64>();
                }
                assert_eq!(sum, self.before[*sku], "{sku}");
            }
        }
        self.counts.looks += 1;
        // It takes much longer than a step, and what is wrong anywhere is wrong ever after.
        if self.dice(50) == 0 {
            assert_eq!(self.fixture.everything(), *self.before);
        }
    }

    /// Asks until somebody is told: now and then the process is gone at some step, and then another one asks for the
    /// same, or nobody does. Answers whether somebody was told.
    async fn ask<F: Future<Output = Result<Answer, Error>>>(
        &mut self,
        transfer: &TransferRequest,
        reasons: &[&str],
        ask: impl Fn() -> F,
    ) -> bool {
        // Each call of the database is a turn at least, and two and a half as a rule.
        let (one_of, turns) = if transfer.lines.len() < LONG { (5, 16) } else { (2, 90) };
        while self.dice(one_of) == 0 {
            let told = dies_after(self.dice(turns), ask()).await;
            self.look(transfer).await;
            if let Some(told) = told {
                check(told, reasons);
                return true;
            }
            self.counts.deaths += 1;
            if self.dice(2) == 0 {
                self.counts.left += 1;
                return false;
            }
        }
        let told = ask().await;
        self.look(transfer).await;
        if let Ok(told) = &told
            && self.dice(8) == 0
        {
            let again = ask().await.unwrap();
            assert_eq!((&again.transfer, again.replayed), (&told.transfer, true));
            self.look(transfer).await;
            self.counts.asked_again += 1;
        }
        check(told, reasons);
        true
    }

    /// Settles some of a transfer, or all of it, in some way.
    async fn settle(&mut self, transfer: &TransferRequest, key: &str) -> bool {
        let fixture = self.fixture;
        let (id, sku) = (transfer.transfer_id.as_deref().unwrap(), transfer.lines[0].sku.as_str());
        let (some, all) = (received(&[(sku, 1, 0)]), ReceiveTransferRequest::default());
        let to = if self.dice(2) == 0 { RejectedTo::Source } else { RejectedTo::Damaged };
        let (back, cancel) = (rejected(None, to), cancelled());
        let asked = match self.dice(6) {
            0 | 1 => Asked::Receive(&all),
            2 | 3 => Asked::Receive(&some),
            4 => Asked::Reject(&back),
            _ => Asked::Cancel(&cancel),
        };
        let reasons = ["transfer_not_found", "transfer_closed", "above_shipped", "transfer_not_cancellable"];
        let (ports, who) = (&fixture.ports, &fixture.caller);
        self.ask(transfer, &reasons, || change(ports, who, key, id, &asked, |_| Ok(()))).await
    }

    /// Ships and settles. Of a transfer that somebody died of and nobody asked for again the rest is the keeper's.
    async fn work(mut self, client: u64) -> Counts {
        let fixture = self.fixture;
        for n in 0..EACH {
            let id = format!("t-{client}-{n}");
            let (transfer, key) = (self.transfer(&id), format!("s-{id}"));
            self.counts.transfers += 1;
            let mut is_told =
                self.ask(&transfer, &["insufficient_stock"], || fixture.ship(&key, &transfer)).await;
            for step in 0..3 {
                is_told = is_told && self.settle(&transfer, &format!("{step}-{id}")).await;
            }
        }
        self.counts
    }
}

/// What is still on its way is what open transfers say.
async fn check_on_its_way(fixture: &Fixture) {
    let mut on_its_way: BTreeMap<(String, String), i64> = BTreeMap::new();
    for item in fixture.memory.items(Table::Stock) {
        if let Some(id) = item.opt_text("transfer_id") {
            let transfer = transfers::get(&fixture.ports, &fixture.caller, id).await.unwrap();
            for line in transfer.lines {
                let QuantityInput::Whole(left) = line.outstanding else { panic!("by the piece") };
                *on_its_way.entry((transfer.to_location_id.clone(), line.sku)).or_default() += left;
            }
        }
    }
    for location in LOCATIONS {
        for sku in (0..MANY + FEW).map(sku) {
            let told = on_its_way.get(&(location.to_owned(), sku.clone())).copied().unwrap_or(0);
            assert_eq!(fixture.at(location, &sku).await.2, told, "{sku} at {location}");
        }
    }
}

/// Transfers of which a step began and has not ended.
fn half_done(fixture: &Fixture) -> usize {
    fixture.memory.items(Table::Stock).iter().filter(|item| item.opt_text("due_pk").is_some()).count()
}

#[tokio::test]
async fn of_ten_thousand_transfers_nothing_is_lost_at_any_moment() {
    let (mut counts, mut found_half_done) = (Counts::default(), 0);
    for seed in 0..10_u64 {
        let fixture = stocked(100 + seed).await;
        let before = fixture.everything();
        fixture
            .inject_by_chance(40, [Fault::LostAfter, Fault::LostBefore, Fault::Conflict, Fault::Throttled]);
        let clients = (0..CLIENTS).map(|client| {
            let one = Client { fixture: &fixture, before: &before, counts: Counts::default() };
            one.work(client)
        });
        for of_client in join_all(clients).await {
            counts += of_client;
        }
        fixture.heal();
        assert_eq!(fixture.everything(), before);
        found_half_done += half_done(&fixture);
        fixture.pass(600);
        let (now, deadline) = later(&fixture.ports);
        transfers::recover(&fixture.ports, now, 1_000, deadline).await.unwrap();
        assert_eq!(half_done(&fixture), 0, "every step that began has ended");
        assert_eq!(fixture.everything(), before);
        check_on_its_way(&fixture).await;
        fixture.check_invariants();
    }
    assert!(counts.transfers == 10_000 && counts.looks > 25_000, "{counts:?}");
    assert!(counts.deaths > 1_000 && counts.left > 500 && counts.asked_again > 500, "{counts:?}");
    assert!(found_half_done > 5, "{found_half_done} left for the keeper: no test");
}
