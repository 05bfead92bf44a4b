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

/// What may die on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Place,
    Serve,
    CancelWaiting,
    CancelReserved,
    Follow,
}

async fn act(doing: Doing, ports: &Ports, who: &Caller) -> Result<(), Error> {
    let now = ports.environment.now();
    match doing {
        Doing::Place => backorders::place(ports, who, "b-3", &wants("b-3", 1)).await.map(|_| ()),
        Doing::Serve => backorders::serve(ports, &who.scope, (HERE, A), now).await.map(|_| ()),
        Doing::Follow => backorders::follow(ports, &who.scope, "b-0", now).await.map(|_| ()),
        Doing::CancelWaiting | Doing::CancelReserved => {
            let id = if doing == Doing::CancelWaiting { "b-1" } else { "b-0" };
            let request = CancelBackorderRequest::default();
            backorders::cancel(ports, who, "c", id, &request, |_| Ok(())).await.map(|_| ())
        }
    }
}

/// b-0 is reserved, b-1 and b-2 wait, and there is enough for b-1; b-0's reservation was sold where it is to follow it.
async fn before(doing: Doing, seed: u64) -> World {
    let world = World::new(seed).await;
    world.wait_for("b-0", 2).await;
    world.deliver(HERE, A, 2).await.unwrap();
    world.relay_all().await;
    world.wait_for("b-1", 2).await;
    world.wait_for("b-2", 2).await;
    world.deliver(HERE, A, 3).await.unwrap();
    if doing == Doing::Follow {
        world.commit("b-0").await.unwrap();
    }
    world
}

#[tokio::test]
async fn a_death_at_any_step_leaves_all_or_nothing() {
    use faults::Fault::{DiesAfter, DiesBefore};
    let all = [Doing::Place, Doing::Serve, Doing::CancelWaiting, Doing::CancelReserved, Doing::Follow];
    for doing in all {
        for fault in [DiesBefore, DiesAfter] {
            let mut deaths = 0;
            for step in 0..10 {
                let world = before(doing, 20).await;
                let mortal = Arc::new(FaultyDatabase::new(world.memory.clone()));
                mortal.script(Operation::Transact, std::iter::repeat_n(None, step).chain([Some(fault)]));
                let who = world.caller.clone();
                let died =
                    world.dying(mortal, |ports| async move { act(doing, &ports, &who).await.unwrap() }).await;
                world.check();
                if !died {
                    break;
                }
                deaths += 1;
                // Somebody does it again, and everybody else what they do.
                act(doing, &world.ports, &world.caller).await.unwrap();
                world.relay_all().await;
                world.check();
                let expected = match doing {
                    Doing::Place | Doing::Serve => {
                        [BackorderState::Reserved, BackorderState::Reserved, BackorderState::Waiting]
                    }
                    Doing::CancelWaiting => {
                        [BackorderState::Reserved, BackorderState::Cancelled, BackorderState::Reserved]
                    }
                    // Three and the two that came back are for two and two.
                    Doing::CancelReserved => {
                        [BackorderState::Cancelled, BackorderState::Reserved, BackorderState::Reserved]
                    }
                    Doing::Follow => {
                        [BackorderState::Fulfilled, BackorderState::Reserved, BackorderState::Waiting]
                    }
                };
                assert_eq!(
                    world.states(&["b-0", "b-1", "b-2"]).await,
                    expected,
                    "{doing:?} {fault:?} {step}"
                );
                if doing == Doing::Place {
                    assert_eq!(world.status("b-3").await, BackorderState::Waiting);
                    assert_eq!(world.stored("b-3").await.number, 4);
                }
            }
            assert!(deaths > 0, "{doing:?} {fault:?} never died");
        }
    }
}

/// A sale and an end at once: one of both happened, and the backorder says which.
#[tokio::test]
async fn a_backorder_says_of_a_sale_and_an_end_at_once_what_happened() {
    let (mut sold, mut over) = (0, 0);
    for seed in 0..24 {
        let world = World::new(300 + seed).await;
        world.wait_for("b-1", 2).await;
        world.deliver(HERE, A, 2).await.unwrap();
        world.relay_all().await;
        // The till's clock is a moment behind the keeper's.
        world.pass(u64::from(HOLD) - 1);
        let id = world.stored("b-1").await.reservation_id.unwrap();
        let (till, keeper) = (world.fixture.clone(), world.fixture.clone());
        let all = CommitRequest::default();
        let yields = seed % 12;
        let selling = tokio::spawn(async move {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            reservations::commit(&till.ports, &till.caller, "z", &id, &all).await.is_ok()
        });
        let following = tokio::spawn(async move {
            let late = keeper.environment.now().checked_add(2.seconds()).unwrap();
            backorders::follow(&keeper.ports, keeper.scope(), "b-1", late).await
        });
        let is_sold = selling.await.unwrap();
        following.await.unwrap().unwrap();
        world.relay_all().await;
        world.pass(5);
        world.keep().await;
        let expected = if is_sold { BackorderState::Fulfilled } else { BackorderState::Expired };
        assert_eq!(world.status("b-1").await, expected, "seed {seed}");
        assert_eq!(world.stock(HERE, A).await.on_hand, if is_sold { 0 } else { 2_000 });
        world.check();
        if is_sold { sold += 1 } else { over += 1 }
    }
    assert!(sold > 0 && over > 0, "{sold} sold, {over} over: no test");
}

fn dice(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(n.wrapping_mul(0xd1b5_4a32_d192_ed03));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Arrivals, sales, cancellations and ends in any order, over a database in trouble and a stream that repeats and
/// reorders: the order is kept, nobody is served twice, what is reserved is what is held.
#[tokio::test]
async fn random_days_keep_the_order_and_serve_nobody_twice() {
    let (mut served, mut cancelled, mut fulfilled, mut expired) = (0, 0, 0, 0);
    for seed in 0..60 {
        let world = World::new(1_000 + seed).await;
        world.inject(move |n| match dice(seed, 5_000 + n) % 30 {
            0 => Fault::Conflict,
            1 => Fault::Throttled,
            2 => Fault::LostBefore,
            3 | 4 => Fault::LostAfter,
            _ => Fault::None,
        });
        let mut placed = Vec::new();
        let mut late: Vec<crate::streamed::Change> = Vec::new();
        for n in 0..60 {
            let roll = |k: u64| dice(seed, n * 16 + k);
            let pick = |k: u64| {
                let any = usize::try_from(roll(k)).unwrap_or(usize::MAX).checked_rem(placed.len());
                any.and_then(|at: usize| placed.get(at).cloned())
            };
            let some = 1 + i64::try_from(roll(1) % 4).unwrap();
            match roll(0) % 12 {
                0..=3 => {
                    let id = format!("b-{n}");
                    let asked = wants(&id, some);
                    until_answered(|| world.place(&id, &asked), "place").await;
                    placed.push(id);
                }
                4 | 5 => {
                    let _ = world.deliver(HERE, A, some).await;
                }
                6 => {
                    let _ = world.deliver(HERE, A, -some).await;
                }
                7 => {
                    if let Some(id) = pick(2) {
                        let key = format!("c-{id}");
                        until_answered(|| world.cancel(&key, &id), "cancel").await;
                    }
                }
                8 => {
                    if let Some(id) = pick(2)
                        && world.stored(&id).await.reservation_id.is_some()
                    {
                        let _ = world.commit(&id).await;
                    }
                }
                9 => {
                    if let Some(id) = pick(2)
                        && let Some(reservation) = world.stored(&id).await.reservation_id
                    {
                        let _ = reservations::release(&world.ports, &world.caller, "rel", &reservation).await;
                    }
                }
                10 => world.pass(roll(3) % 5_000),
                _ => {
                    let _ = world.reserve(&format!("v-{n}"), &request(&[(HERE, A, some)], 300)).await;
                }
            }
            world.check();
            // The stream: some of what is due, in any order, and now and then once more.
            late.extend(world.changes());
            if roll(4) % 3 != 0 {
                let mut batch = std::mem::take(&mut late);
                if roll(5) % 2 == 0 {
                    batch.reverse();
                }
                let cut = usize::try_from(roll(6)).unwrap_or(0) % (batch.len() + 1);
                late = batch.split_off(cut);
                if roll(7) % 3 == 0 {
                    late.extend(batch.iter().take(2).cloned());
                }
                // What fails comes again.
                let images: Vec<_> = batch.iter().map(|(old, new)| (old.as_ref(), new.as_ref())).collect();
                let handed =
                    tillstream_app::relay::handle(&world.ports, &world.stream, &world.queue, &images).await;
                assert!(handed.values().all(|why| matches!(why, Failure::Transient(_))), "{handed:?}");
                late.extend(handed.keys().map(|at| batch[*at].clone()));
                world.check();
            }
        }
        world.heal();
        world.hand_over(&late).await;
        for _ in 0..2 {
            world.relay_all().await;
            world.pass(121);
            world.keep().await;
        }
        world.relay_all().await;
        let all = world.check();
        // At rest the first who waits wants more than there is.
        let first =
            all.iter().filter(|one| one.state == BackorderState::Waiting).min_by_key(|one| one.number);
        if let Some(first) = first {
            assert!(
                world.stock(HERE, A).await.available < first.quantity.thousandths(),
                "seed {seed} {first:?}"
            );
        }
        let told: usize = all.iter().map(|one| one.told as usize).sum();
        assert_eq!(world.told("_backorder:").len(), told, "seed {seed}: each step once");
        for one in &all {
            served += usize::from(one.reservation_id.is_some());
            cancelled += usize::from(one.state == BackorderState::Cancelled);
            fulfilled += usize::from(one.state == BackorderState::Fulfilled);
            expired += usize::from(one.state == BackorderState::Expired);
        }
    }
    let counts = [served, cancelled, fulfilled, expired];
    assert!(counts.iter().all(|count| *count >= 40), "{counts:?}: no test");
}

/// Repeats until there is an answer that says what happened, as a client does with the same key.
async fn until_answered<F: Future<Output = Result<Answer, Error>>>(step: impl Fn() -> F, what: &str) {
    for _ in 0..50 {
        match step().await {
            Ok(_) => return,
            Err(Error::Rejected(refusal)) => {
                assert!(["backorder_over"].contains(&refusal.code), "{what}: {refusal:?}");
                return;
            }
            Err(Error::Bug(bug)) => panic!("{what}: {bug}"),
            Err(_) => {}
        }
    }
    panic!("{what} was never answered");
}

#[tokio::test]
async fn nobody_waits_where_it_is_not_allowed() {
    let world = World::new(10).await;
    world.allow(false, &[]).await;
    assert_eq!(code(&world.place("k", &wants("b-1", 1)).await), "backorders_not_allowed");
    world.allow(false, &[(HERE, true)]).await;
    world.wait_for("b-1", 1).await;
    let there = BackorderRequest { location_id: THERE.into(), ..wants("b-2", 1) };
    assert_eq!(code(&world.place("k", &there).await), "backorders_not_allowed");
    world.allow(true, &[(HERE, false)]).await;
    assert_eq!(code(&world.place("k", &wants("b-3", 1)).await), "backorders_not_allowed");
    world.place("k", &there).await.unwrap();
    // Who waits goes on waiting, and a replay is not refused.
    assert!(world.place("b-1", &wants("b-1", 1)).await.unwrap().replayed);
    world.deliver(HERE, A, 1).await.unwrap();
    world.relay_all().await;
    assert_eq!(world.status("b-1").await, BackorderState::Reserved);
}

#[tokio::test]
async fn what_is_not_valid_is_refused_and_changes_nothing() {
    let world = World::new(11).await;
    world.wait_for("b-1", 1).await;
    let component = KitComponent { sku: A.into(), quantity: QuantityInput::Whole(2) };
    let kit = Product { components: vec![component], ..product("SET") };
    let parent = Product { sellable: false, ..product("MUGS") };
    for product in [kit, parent] {
        put(&world.memory, Table::Catalog, product_item(world.scope(), &product).unwrap()).await;
    }
    let before = world.memory.items(Table::Stock);
    let now = world.environment.now();
    let good = || wants("b-2", 1);
    let whole = QuantityInput::Whole;
    let cases: Vec<(BackorderRequest, &str)> = vec![
        (BackorderRequest { quantity: whole(0), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: whole(-1), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: whole(1_000_001), ..good() }, "quantity_invalid"),
        (BackorderRequest { quantity: QuantityInput::Decimal("1.5".into()), ..good() }, "quantity_invalid"),
        (BackorderRequest { sku: BY_WEIGHT.into(), ..good() }, "quantity_invalid"),
        (BackorderRequest { sku: "NONE".into(), ..good() }, "sku_unknown"),
        (BackorderRequest { sku: " X".into(), ..good() }, "sku_malformed"),
        (BackorderRequest { sku: "SERVICE".into(), ..good() }, "sku_not_stocked"),
        (BackorderRequest { sku: "SET".into(), ..good() }, "sku_is_a_kit"),
        (BackorderRequest { sku: "MUGS".into(), ..good() }, "variant_required"),
        (BackorderRequest { location_id: "s/1".into(), ..good() }, "location_id_malformed"),
        (BackorderRequest { location_id: "s-bath".into(), ..good() }, "location_not_found"),
        (BackorderRequest { backorder_id: Some("b/2".into()), ..good() }, "id_malformed"),
        (BackorderRequest { customer_id: Some("".into()), ..good() }, "id_malformed"),
        (BackorderRequest { order_id: Some("4111111111111111".into()), ..good() }, "card_number_refused"),
        (BackorderRequest { note: Some("x".repeat(201)), ..good() }, "text_too_long"),
        (BackorderRequest { note: Some("a\u{7}".into()), ..good() }, "text_malformed"),
        (BackorderRequest { note: Some("4111 1111 1111 1111".into()), ..good() }, "card_number_refused"),
        (BackorderRequest { needed_by: Some(now), ..good() }, "needed_by_out_of_range"),
        (BackorderRequest { needed_by: Some(Timestamp::MAX), ..good() }, "needed_by_out_of_range"),
    ];
    for (asked, expected) in &cases {
        assert_eq!(code(&world.place("k", asked).await), *expected, "{asked:?}");
    }
    for reason in ["", "  "] {
        let request = CancelBackorderRequest { reason: Some(reason.into()) };
        let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &request, |_| Ok(())).await;
        assert_eq!(code(&refused), "reason_invalid");
    }
    let long = CancelBackorderRequest { reason: Some("x".repeat(201)) };
    let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &long, |_| Ok(())).await;
    assert_eq!(code(&refused), "reason_invalid");
    for id in ["none", "b/1", ""] {
        assert_eq!(code(&world.cancel("c", id).await), "backorder_not_found");
        let seen = backorders::get(&world.ports, &world.caller, id).await;
        assert_eq!(code(&seen), "backorder_not_found");
    }
    let stale = |version: Option<u64>| match version {
        Some(7) => Ok(()),
        _ => Err(tillstream_app::Refusal::conflict("version_mismatch", "it is another")),
    };
    let cancelled = CancelBackorderRequest::default();
    let refused = backorders::cancel(&world.ports, &world.caller, "c", "b-1", &cancelled, stale).await;
    assert_eq!(refusal(refused.unwrap_err()).code, "version_mismatch");
    let far = caller("demo", Role::Cashier, named(&["s-york"]));
    assert_eq!(code(&backorders::place(&world.ports, &far, "k", &good()).await), "store_out_of_reach");
    assert_eq!(code(&backorders::get(&world.ports, &far, "b-1").await), "store_out_of_reach");
    let refused = backorders::cancel(&world.ports, &far, "c", "b-1", &cancelled, |_| Ok(())).await;
    assert_eq!(code(&refused), "store_out_of_reach");
    let other = caller("other", Role::Operator, Stores::All);
    assert_eq!(code(&backorders::get(&world.ports, &other, "b-1").await), "backorder_not_found");
    assert_eq!(world.memory.items(Table::Stock), before);
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
