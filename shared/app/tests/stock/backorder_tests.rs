mod crashes;
mod own_holds;
mod random_days;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use futures::future::join_all;
use jiff::{Timestamp, ToSpan};
use tillstream_app::capacity::Operation;
use tillstream_app::catalog::items::product_item;
use tillstream_app::database::{Consistency, Database, Get, Item, Table};
use tillstream_app::environment::Environment;
use tillstream_app::record_failure::Failure;
use tillstream_app::stock::backorders::{self, Answer, StoredBackorder, list};
use tillstream_app::stock::expiry::sweep_expired;
use tillstream_app::stock::reservation_item::Reservation;
use tillstream_app::stock::split::{make_whole, split};
use tillstream_app::stock::transfers::{settle, ship};
use tillstream_app::stock::{conservation, read, reservations, restock};
use tillstream_app::tenancy::{Caller, Role, Stores};
use tillstream_app::tenant_rules::settings_item;
use tillstream_app::{Error, Ports};
use tillstream_contracts::backorders::{
    Backorder, BackorderListState, BackorderQuery, BackorderRequest, BackorderStatus, CancelBackorderRequest,
};
use tillstream_contracts::inventory::{CommitRequest, ExtendRequest, RestockRequest};
use tillstream_contracts::transfers::{ReceiveTransferRequest, TransferLineRequest, TransferRequest};
use tillstream_domain::backorder::BackorderState;
use tillstream_domain::kit::KitComponent;
use tillstream_domain::product::Product;
use tillstream_domain::quantity::QuantityInput;
use tillstream_domain::stock_policies::{StockPolicies, UnsyncedStock};
use tillstream_domain::tenant_settings::{BackorderSettings, TenantSettings};
use tillstream_testkit::faults::{self, FaultyDatabase};

use crate::fixture::{BY_WEIGHT, Fault, SKUS, caller, named, product, put, refusal, request};
use crate::streamed::Streamed;

const HERE: &str = "s-leeds";
const THERE: &str = "w-hull";
const A: &str = SKUS[0];
const B: &str = SKUS[1];
/// How long what is reserved waits here, in seconds.
const HOLD: u32 = 3_600;

struct World(Streamed);

impl Deref for World {
    type Target = Streamed;
    fn deref(&self) -> &Streamed {
        &self.0
    }
}

fn wants(id: &str, pieces: i64) -> BackorderRequest {
    BackorderRequest {
        backorder_id: Some(id.into()),
        location_id: HERE.into(),
        sku: A.into(),
        quantity: QuantityInput::Whole(pieces),
        customer_id: None,
        order_id: None,
        needed_by: None,
        note: None,
    }
}

fn code<T>(refused: &Result<T, Error>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

impl World {
    async fn new(seed: u64) -> Self {
        let world = World(Streamed::new(seed).await);
        world.allow(true, &[]).await;
        world
    }

    async fn allow(&self, allowed: bool, locations: &[(&str, bool)]) {
        let locations = locations.iter().map(|(id, allowed)| ((*id).to_owned(), *allowed)).collect();
        let backorders = BackorderSettings { allowed, hold_seconds: HOLD, locations };
        let settings = TenantSettings { backorders, ..TenantSettings::default() };
        put(&self.memory, Table::Catalog, settings_item(self.scope(), &settings).unwrap()).await;
    }

    async fn place(&self, key: &str, request: &BackorderRequest) -> Result<Answer, Error> {
        backorders::place(&self.ports, &self.caller, key, request).await
    }

    /// Makes one that is called as its key.
    async fn wait_for(&self, id: &str, pieces: i64) -> Backorder {
        self.place(id, &wants(id, pieces)).await.unwrap().backorder
    }

    async fn cancel(&self, key: &str, id: &str) -> Result<Answer, Error> {
        let request = CancelBackorderRequest { reason: Some("bought elsewhere".into()) };
        backorders::cancel(&self.ports, &self.caller, key, id, &request, |_| Ok(())).await
    }

    async fn get(&self, id: &str) -> Backorder {
        backorders::get(&self.ports, &self.caller, id).await.unwrap()
    }

    /// As it is stored, without following anything.
    async fn stored(&self, id: &str) -> StoredBackorder {
        let key = self.scope().backorder(id);
        let get = Get { table: Table::Stock, key, consistency: Consistency::Strong };
        StoredBackorder::of(&self.memory.get(get).await.unwrap().unwrap()).unwrap()
    }

    async fn status(&self, id: &str) -> BackorderState {
        self.stored(id).await.state
    }

    async fn states(&self, ids: &[&str]) -> Vec<BackorderState> {
        join_all(ids.iter().map(|id| self.status(id))).await
    }

    async fn commit(&self, id: &str) -> Result<(), Error> {
        let reservation = self.stored(id).await.reservation_id.unwrap();
        let all = CommitRequest::default();
        let key = format!("commit-{id}");
        reservations::commit(&self.ports, &self.caller, &key, &reservation, &all).await.map(|_| ())
    }

    /// A run of the keeper over backorders, late enough that it meets every queue.
    async fn keep(&self) {
        let now = self.environment.now();
        sweep_expired(&self.ports, now, Timestamp::MAX).await.unwrap();
        backorders::recover(&self.ports, now, 1_000, Timestamp::MAX).await.unwrap();
        backorders::recover_queues(&self.ports, now, 1_000, Timestamp::MAX).await.unwrap();
    }

    /// Looks at everything at one moment, and answers all backorders.
    fn check(&self) -> Vec<StoredBackorder> {
        let items = self.memory.items(Table::Stock);
        if !items.iter().any(|item| item.opt_number("part").is_some()) {
            self.check_invariants();
        }
        let of = |part: &str| -> Vec<&Item> {
            items.iter().filter(|item| item.opt_text("pk").unwrap().contains(part)).collect()
        };
        let all: Vec<StoredBackorder> =
            of("#backorder#").into_iter().map(|item| StoredBackorder::of(item).unwrap()).collect();
        // Who waits has a place, and nobody else.
        let places: BTreeSet<&str> = of("#backorder-queue#")
            .into_iter()
            .filter(|item| item.opt_text("sk").unwrap().starts_with("waiting#"))
            .map(|item| item.text("backorder_id").unwrap())
            .collect();
        let waiting = || all.iter().filter(|one| one.state == BackorderState::Waiting);
        assert_eq!(waiting().map(|one| one.id.as_str()).collect::<BTreeSet<_>>(), places);
        // What a stock item counts as waited for is what its queue waits for.
        let mut waited_for = BTreeMap::<(&str, &str), i64>::new();
        for one in waiting() {
            *waited_for.entry((&one.location_id, &one.sku)).or_default() += one.quantity.thousandths();
        }
        let mut counted = BTreeMap::<(&str, &str), i64>::new();
        for item in items.iter().filter(|item| item.opt_number("backordered").unwrap_or(0) != 0) {
            assert!(item.opt_number("part").is_none(), "{item:?}");
            let name = (item.text("location_id").unwrap(), item.text("sku").unwrap());
            counted.insert(name, item.number("backordered").unwrap());
        }
        assert_eq!(counted, waited_for);
        // Nobody overtakes, and no number is given twice.
        let mut numbers = BTreeSet::new();
        for one in &all {
            assert!(numbers.insert((&one.location_id, &one.sku, one.number)), "{one:?}");
            let is_ahead = |other: &&StoredBackorder| {
                (&other.location_id, &other.sku) == (&one.location_id, &one.sku) && other.number < one.number
            };
            if one.reservation_id.is_some() {
                let ahead: Vec<_> = waiting().filter(is_ahead).collect();
                assert!(ahead.is_empty(), "{one:?} overtook {ahead:?}");
            }
        }
        // Each that was served has one reservation, of what it wants, and each reservation one backorder.
        let headers: Vec<Reservation> = of("#reservation#")
            .into_iter()
            .filter(|item| item.opt_text("for_backorder").is_some())
            .map(|item| Reservation::of(item).unwrap())
            .collect();
        let served: BTreeMap<&str, &StoredBackorder> =
            all.iter().filter_map(|one| Some((one.reservation_id.as_deref()?, one))).collect();
        assert_eq!(headers.len(), served.len(), "a reservation for each that was served, and no other");
        for header in &headers {
            let one = served[header.id.as_str()];
            assert_eq!(header.backorder_id.as_deref(), Some(one.id.as_str()));
            assert_eq!(header.lines[0].quantity, one.quantity, "{header:?}");
        }
        // What is to be told is told of each step once.
        let facts = of("#stock-fact#_backorder:");
        assert_eq!(facts.len(), all.iter().map(|one| one.told as usize).sum::<usize>());
        all
    }
}

#[tokio::test]
async fn what_arrives_is_reserved_for_the_first_and_told_once() {
    let world = World::new(1).await;
    let order = BackorderRequest {
        customer_id: Some("cu-1".into()),
        order_id: Some("o-1".into()),
        note: Some("call before noon".into()),
        ..wants("b-1", 3)
    };
    let placed = world.place("k-1", &order).await.unwrap();
    assert!(!placed.replayed);
    let first = &placed.backorder;
    assert_eq!((first.status, first.number, first.version), (BackorderStatus::Waiting, 1, 1));
    assert_eq!(world.wait_for("b-2", 2).await.number, 2);
    world.relay_all().await;
    let level = read::one(&world.ports, &world.caller, HERE, A).await.unwrap();
    assert_eq!(
        (level.backordered, level.available),
        (Some(QuantityInput::Whole(5)), QuantityInput::Whole(0))
    );

    world.deliver(HERE, A, 4).await.unwrap();
    assert_eq!(world.status("b-1").await, BackorderState::Waiting, "the relay is on its way");
    world.relay_all().await;
    world.check();
    let reserved = world.get("b-1").await;
    assert_eq!((reserved.status, reserved.version), (BackorderStatus::Reserved, 2));
    assert_eq!(world.status("b-2").await, BackorderState::Waiting, "one is left, and it wants two");
    let id = reserved.reservation_id.clone().unwrap();
    let held = reservations::get(&world.ports, &world.caller, &id).await.unwrap();
    assert_eq!((&held.lines[0].quantity, held.order_id.as_deref()), (&QuantityInput::Whole(3), Some("o-1")));
    let expires_at = world.environment.now().checked_add(i64::from(HOLD).seconds()).unwrap();
    assert_eq!((reserved.expires_at, held.expires_at), (Some(expires_at), expires_at));
    let stock = world.stock(HERE, A).await;
    assert_eq!((stock.on_hand, stock.reserved, stock.backordered), (4_000, 3_000, 2_000));
    let told = |id: &str, steps: &[&str]| -> Vec<_> {
        (1..).zip(steps).map(|(n, step)| (id.to_owned(), n, (*step).to_owned())).collect()
    };
    assert_eq!(world.told("_backorder:"), told("b-1", &["reserved"]));

    // Each request again says what it said.
    let again = world.place("k-1", &order).await.unwrap();
    assert_eq!((&again.backorder, again.replayed), (first, true));
    assert_eq!(code(&world.place("k-1", &wants("b-1", 4)).await), "idempotency_key_reused");
    assert_eq!(code(&world.place("k-9", &order).await), "backorder_exists");

    world.commit("b-1").await.unwrap();
    world.relay_all().await;
    let done = world.stored("b-1").await;
    assert_eq!((done.state, done.fulfilled), (BackorderState::Fulfilled, done.quantity));
    assert_eq!(code(&world.cancel("k-2", "b-1").await), "backorder_over");
    world.check();

    // The whole stream once more changes nothing.
    let before = (world.memory.items(Table::Stock), world.told("_backorder:"));
    assert_eq!(before.1, told("b-1", &["reserved", "fulfilled"]));
    let all = world.all_changes();
    world.hand_over(&all).await;
    let reversed: Vec<_> = all.into_iter().rev().collect();
    world.hand_over(&reversed).await;
    assert_eq!((world.memory.items(Table::Stock), world.told("_backorder:")), before);
    let proof = conservation::prove(&world.ports, &world.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.seq_reached == proof.seq_current, "{proof:?}");
}

/// Whatever raises what is available, nobody has to say that there is a queue.
#[tokio::test]
async fn every_way_that_stock_comes_leads_to_serving() {
    for way in ["count", "delta", "restock", "release", "expire", "transfer", "cancel", "raise"] {
        let world = World::new(2).await;
        let (ports, who) = (&world.ports, &world.caller);
        world.count(THERE, A, 9).await;
        world.count(HERE, A, 2).await;
        let held = world.reserve("held", &request(&[(HERE, A, 2)], 60)).await.unwrap().reservation;
        if way == "cancel" {
            world.wait_for("b-0", 100).await;
        }
        world.wait_for("b-1", 2).await;
        world.relay_all().await;
        assert_eq!(world.status("b-1").await, BackorderState::Waiting, "{way}");
        match way {
            "count" => world.count(HERE, A, 4).await,
            "delta" => world.deliver(HERE, A, 2).await.unwrap(),
            "restock" => {
                let delivery = RestockRequest {
                    location_id: HERE.into(),
                    sku: A.into(),
                    quantity: QuantityInput::Whole(2),
                    supplier_id: None,
                    reference: None,
                    reason: None,
                    lot: None,
                    expires_on: None,
                };
                restock::restock(ports, who, "d", &delivery).await.unwrap();
            }
            "release" => {
                reservations::release(ports, who, "r", &held.reservation_id).await.unwrap();
            }
            "expire" => {
                world.pass(61);
                sweep_expired(ports, world.environment.now(), Timestamp::MAX).await.unwrap();
            }
            "transfer" => {
                let shipped = TransferRequest {
                    transfer_id: Some("t-1".into()),
                    from_location_id: THERE.into(),
                    to_location_id: HERE.into(),
                    lines: vec![TransferLineRequest { sku: A.into(), quantity: QuantityInput::Whole(2) }],
                    note: None,
                };
                ship::ship(ports, who, "s", &shipped).await.unwrap();
                world.relay_all().await;
                assert_eq!(world.status("b-1").await, BackorderState::Waiting, "it is on its way");
                let all = ReceiveTransferRequest::default();
                let asked = settle::Asked::Receive(&all);
                settle::change(ports, who, "v", "t-1", &asked, |_| Ok(())).await.unwrap();
            }
            "cancel" => {
                world.deliver(HERE, A, 2).await.unwrap();
                world.relay_all().await;
                assert_eq!(world.status("b-1").await, BackorderState::Waiting, "another is before it");
                world.cancel("c", "b-0").await.unwrap();
            }
            _ => {
                // What expired unseen is found where it is needed.
                world.pass(61);
                world.deliver(HERE, A, 1).await.unwrap();
            }
        }
        world.relay_all().await;
        world.check();
        assert_eq!(world.status("b-1").await, BackorderState::Reserved, "{way}");
    }
}

#[tokio::test]
async fn nobody_overtakes_however_little_they_want() {
    let world = World::new(3).await;
    world.wait_for("b-1", 5).await;
    world.wait_for("b-2", 1).await;
    world.wait_for("b-3", 1).await;
    world.deliver(HERE, A, 4).await.unwrap();
    world.relay_all().await;
    world.pass(120);
    world.keep().await;
    assert_eq!(world.states(&["b-1", "b-2", "b-3"]).await, [BackorderState::Waiting; 3]);
    // The shelf is not theirs yet: a customer who is there takes two.
    world.reserve("till", &request(&[(HERE, A, 2)], 60)).await.unwrap();
    world.cancel("c", "b-1").await.unwrap();
    world.relay_all().await;
    let expected = [BackorderState::Cancelled, BackorderState::Reserved, BackorderState::Reserved];
    assert_eq!(world.states(&["b-1", "b-2", "b-3"]).await, expected);
    let all = world.check();
    assert_eq!(all.iter().map(|one| one.number).collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3]));
    // Numbers go on, also where the queue was empty in between.
    assert_eq!(world.wait_for("b-4", 1).await.number, 4);
    let query = |state, sku: Option<&str>| BackorderQuery {
        location_id: HERE.into(),
        sku: sku.map(Into::into),
        state: Some(state),
        limit: Some(2),
        cursor: None,
    };
    let page =
        list::list(&world.ports, &world.caller, &query(BackorderListState::Open, Some(A))).await.unwrap();
    assert_eq!(page.items.iter().map(|one| one.backorder_id.as_str()).collect::<Vec<_>>(), ["b-2", "b-3"]);
    let next = BackorderQuery { cursor: page.next_cursor, ..query(BackorderListState::Open, Some(A)) };
    let rest = list::list(&world.ports, &world.caller, &next).await.unwrap();
    assert_eq!(rest.items.iter().map(|one| one.backorder_id.as_str()).collect::<Vec<_>>(), ["b-4"]);
    let closed = query(BackorderListState::Closed, None);
    let closed = list::list(&world.ports, &world.caller, &closed).await.unwrap().items;
    assert_eq!(
        (closed.len(), closed[0].reason.as_deref(), closed[0].ended_by.as_deref()),
        (1, Some("bought elsewhere"), Some("e-7"))
    );
    assert!(
        list::list(&world.ports, &world.caller, &query(BackorderListState::Open, Some(B)))
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn sixteen_servers_at_once_serve_each_once_and_in_order() {
    let world = World::new(4).await;
    let placed = join_all((0..12).map(|n| {
        let fixture = world.fixture.clone();
        async move {
            let id = format!("b-{n}");
            backorders::place(&fixture.ports, &fixture.caller, &id, &wants(&id, 1 + n % 2)).await.unwrap()
        }
    }))
    .await;
    let numbers: BTreeSet<u64> = placed.iter().map(|answer| answer.backorder.number).collect();
    assert_eq!(numbers, (1..=12).collect());
    world.deliver(HERE, A, 9).await.unwrap();
    let mut tasks = Vec::new();
    for _ in 0..16 {
        let fixture = world.fixture.clone();
        tasks.push(tokio::spawn(async move {
            let now = fixture.environment.now();
            backorders::serve(&fixture.ports, fixture.scope(), (HERE, A), now).await
        }));
    }
    for task in tasks {
        // One that met the others too often leaves it to them.
        let served = task.await.unwrap();
        assert!(served.is_ok() || matches!(served, Err(Error::Retryable { .. })), "{served:?}");
    }
    let all = world.check();
    let reserved: Vec<&StoredBackorder> =
        all.iter().filter(|one| one.state == BackorderState::Reserved).collect();
    // So many of the first as nine suffice for, and the one after them wants more than is left.
    let mut by_number: Vec<&StoredBackorder> = all.iter().collect();
    by_number.sort_by_key(|one| one.number);
    let mut left = 9_000;
    let expected: BTreeSet<u64> = by_number
        .iter()
        .take_while(|one| {
            left -= one.quantity.thousandths();
            left >= 0
        })
        .map(|one| one.number)
        .collect();
    assert_eq!(reserved.iter().map(|one| one.number).collect::<BTreeSet<_>>(), expected);
    world.relay_all().await;
    assert_eq!(world.told("_backorder:").len(), reserved.len());
}

#[tokio::test]
async fn what_is_not_fetched_goes_to_the_next() {
    let world = World::new(5).await;
    for id in ["b-1", "b-2", "b-3"] {
        world.wait_for(id, 2).await;
    }
    world.deliver(HERE, A, 2).await.unwrap();
    world.relay_all().await;
    let id = world.stored("b-1").await.reservation_id.unwrap();
    // Held for longer: what the backorder says follows.
    world.pass(1_800);
    let longer = ExtendRequest { ttl_seconds: 7_200 };
    reservations::extend(&world.ports, &world.caller, "x", &id, &longer).await.unwrap();
    world.relay_all().await;
    let expires_at = world.stored("b-1").await.expires_at.unwrap();
    assert_eq!(expires_at, world.environment.now().as_millisecond() + 7_200_000);
    world.pass(7_199);
    world.keep().await;
    assert_eq!(world.states(&["b-1", "b-2"]).await, [BackorderState::Reserved, BackorderState::Waiting]);
    world.pass(1);
    assert_eq!(code(&world.commit("b-1").await), "reservation_expired");
    world.keep().await;
    world.relay_all().await;
    let expected = [BackorderState::Expired, BackorderState::Reserved, BackorderState::Waiting];
    assert_eq!(world.states(&["b-1", "b-2", "b-3"]).await, expected);
    // Who looks at one brings it to where its reservation stands, before the relay and the keeper do.
    world.pass(u64::from(HOLD));
    let seen = world.get("b-2").await;
    assert_eq!((seen.status, seen.fulfilled), (BackorderStatus::Expired, QuantityInput::Whole(0)));
    assert!(seen.reason.unwrap().contains("not fetched"));
    world.relay_all().await;
    assert_eq!(world.status("b-3").await, BackorderState::Reserved);
    world.check();
    assert_eq!(world.told("_backorder:").len(), 5, "each step once");
}

#[tokio::test]
async fn some_of_it_sold_and_the_rest_given_back() {
    let world = World::new(6).await;
    world.wait_for("b-1", 3).await;
    world.wait_for("b-2", 2).await;
    world.deliver(HERE, A, 3).await.unwrap();
    world.relay_all().await;
    let id = world.stored("b-1").await.reservation_id.unwrap();
    let one = CommitRequest::from(request(&[(HERE, A, 1)], 1).lines);
    reservations::commit(&world.ports, &world.caller, "p", &id, &one).await.unwrap();
    world.relay_all().await;
    let seen = world.stored("b-1").await;
    assert_eq!((seen.state, seen.fulfilled.thousandths()), (BackorderState::Reserved, 1_000));
    reservations::release(&world.ports, &world.caller, "r", &id).await.unwrap();
    world.relay_all().await;
    let seen = world.get("b-1").await;
    assert_eq!((seen.status, seen.fulfilled), (BackorderStatus::Cancelled, QuantityInput::Whole(1)));
    assert_eq!(world.status("b-2").await, BackorderState::Reserved);
    // Called off by its own name: its reservation is released in the same step.
    let cancelled = world.cancel("c", "b-2").await.unwrap();
    assert_eq!(cancelled.backorder.status, BackorderStatus::Cancelled);
    let id = cancelled.backorder.reservation_id.clone().unwrap();
    assert_eq!(world.stock(HERE, A).await.reserved, 0);
    let again = world.cancel("c", "b-2").await.unwrap();
    assert_eq!((again.backorder, again.replayed), (cancelled.backorder, true));
    let other = CancelBackorderRequest { reason: None };
    let reused = backorders::cancel(&world.ports, &world.caller, "c", "b-2", &other, |_| Ok(())).await;
    assert_eq!(code(&reused), "idempotency_key_reused");
    let all = CommitRequest::default();
    let late = reservations::commit(&world.ports, &world.caller, "z", &id, &all).await;
    assert_eq!(code(&late), "reservation_not_active");
    world.relay_all().await;
    world.check();
    let steps: Vec<_> = world.told("_backorder:").into_iter().map(|(id, _, step)| (id, step)).collect();
    let expected = [("b-1", "reserved"), ("b-1", "cancelled"), ("b-2", "reserved"), ("b-2", "cancelled")];
    assert_eq!(steps, expected.map(|(id, step)| (id.to_owned(), step.to_owned())));
}

#[tokio::test]
async fn what_comes_after_it_is_needed_is_for_others() {
    let world = World::new(7).await;
    let soon = world.environment.now().checked_add(10.seconds()).unwrap();
    for (id, pieces) in [("b-1", 1), ("b-2", 5), ("b-9", 100), ("b-3", 5)] {
        let needed_by = ["b-1", "b-3"].contains(&id).then_some(soon);
        world.place(id, &BackorderRequest { needed_by, ..wants(id, pieces) }).await.unwrap();
    }
    world.pass(10);
    world.deliver(HERE, A, 5).await.unwrap();
    world.relay_all().await;
    let expected = [BackorderState::Expired, BackorderState::Reserved, BackorderState::Waiting];
    assert_eq!(world.states(&["b-1", "b-2", "b-3"]).await, expected, "the last is not at the head yet");
    world.keep().await;
    assert_eq!(world.status("b-3").await, BackorderState::Expired, "the keeper knows the time");
    world.check();
    // A replay is not refused for being late.
    let first = BackorderRequest { needed_by: Some(soon), ..wants("b-1", 1) };
    assert!(world.place("b-1", &first).await.unwrap().replayed);
}

/// Without any stream the keeper serves.
#[tokio::test]
async fn what_the_stream_lost_the_keeper_does() {
    let world = World::new(8).await;
    world.wait_for("b-1", 2).await;
    world.wait_for("b-2", 2).await;
    world.deliver(HERE, A, 3).await.unwrap();
    world.lose();
    world.keep().await;
    assert_eq!(world.status("b-1").await, BackorderState::Waiting, "it is left to the stream for a while");
    world.pass(120);
    world.keep().await;
    assert_eq!(world.states(&["b-1", "b-2"]).await, [BackorderState::Reserved, BackorderState::Waiting]);
    world.commit("b-1").await.unwrap();
    world.deliver(HERE, A, 1).await.unwrap();
    world.lose();
    world.pass(120);
    world.keep().await;
    assert_eq!(world.status("b-2").await, BackorderState::Reserved);
    world.pass(3_601);
    world.keep().await;
    assert_eq!(world.states(&["b-1", "b-2"]).await, [BackorderState::Fulfilled, BackorderState::Expired]);
    let queue = world.memory.items(Table::Stock).into_iter();
    let mut due = queue.filter(|item| item.opt_text("due_pk").is_some_and(|due| due.contains("backorder")));
    assert!(due.next().is_none(), "nobody waits, and nothing is looked at any more");
    // What is to be told was not, and is.
    assert!(world.told("_backorder:").is_empty());
    let now = world.environment.now();
    let announce = tillstream_app::stock::stock_facts::announce_due;
    assert_eq!(
        announce(&world.ports, &world.queue, now, 100, Timestamp::MAX).await.unwrap(),
        2,
        "two are new"
    );
    world.pass(60);
    let now = world.environment.now();
    announce(&world.ports, &world.queue, now, 100, Timestamp::MAX).await.unwrap();
    assert_eq!(world.told("_backorder:").len(), 4);
    assert_eq!(announce(&world.ports, &world.queue, now, 100, Timestamp::MAX).await.unwrap(), 0);
    world.check();
}

#[tokio::test]
async fn split_stock_serves_its_queue() {
    for parts_left in [7, 1] {
        let world = World::new(9).await;
        world.count(HERE, A, 64).await;
        split(&world.ports, world.scope(), HERE, A, 8).await.unwrap();
        // All but so many of each part are taken.
        let taken = 64 - 8 * parts_left;
        world.reserve("all", &request(&[(HERE, A, taken)], 600)).await.unwrap();
        world.relay_all().await;
        world.wait_for("b-1", 8 * parts_left - 3).await;
        world.wait_for("b-2", 4).await;
        world.relay_all().await;
        assert_eq!(world.states(&["b-1", "b-2"]).await, [BackorderState::Reserved, BackorderState::Waiting]);
        world.check();
        // What comes back to whatever part serves the next.
        let held = world.stored("b-1").await.reservation_id.unwrap();
        make_whole(&world.ports, world.scope(), HERE, A).await.unwrap();
        reservations::release(&world.ports, &world.caller, "r", &held).await.unwrap();
        world.relay_all().await;
        assert_eq!(
            world.states(&["b-1", "b-2"]).await,
            [BackorderState::Cancelled, BackorderState::Reserved]
        );
        world.check();
        let proof = conservation::prove(&world.ports, &world.caller, HERE, A).await.unwrap();
        assert!(proof.holds, "{proof:?}");
    }
}

/// That somebody waits for it says nothing of how many lie there: with a policy that lets goods be taken whose stock
/// nobody has told, they still are.
#[tokio::test]
async fn waiting_for_it_tells_nothing_of_the_stock() {
    let world = World::new(950).await;
    let backorders = BackorderSettings { allowed: true, hold_seconds: HOLD, ..BackorderSettings::default() };
    let stock = StockPolicies { unsynced: UnsyncedStock::Allow, ..StockPolicies::default() };
    let settings = TenantSettings { backorders, stock, ..TenantSettings::default() };
    put(&world.memory, Table::Catalog, settings_item(world.scope(), &settings).unwrap()).await;
    // Of the one nobody has told anything, of the other that there is none.
    world.count(HERE, B, 0).await;
    let wants_b = BackorderRequest { sku: B.into(), ..wants("b-2", 2) };
    let first = world.wait_for("b-1", 2).await;
    assert_eq!(first.number, 1);
    world.place("k", &wants_b).await.unwrap();
    world.wait_for("b-3", 1).await;
    let of = async |sku: &str| {
        let stock = world.stock(HERE, sku).await;
        (stock.on_hand, stock.backordered, stock.unsynced)
    };
    assert_eq!((of(A).await, of(B).await), ((0, 3_000, true), (0, 2_000, false)));
    let refused = world.reserve("v-b", &request(&[(HERE, B, 1)], 60)).await;
    assert_eq!(code(&refused), "insufficient_stock");
    world.reserve("v-a", &request(&[(HERE, A, 4)], 60)).await.unwrap();
    assert_eq!(of(A).await, (4_000, 3_000, true));
    // Somebody tells: from then on it is stock as any other.
    world.count(HERE, A, 4).await;
    let refused = world.reserve("v-c", &request(&[(HERE, A, 1)], 60)).await;
    assert_eq!((code(&refused), of(A).await), ("insufficient_stock", (4_000, 3_000, false)));
    world.check();
}
