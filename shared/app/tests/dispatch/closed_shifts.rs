//! A closed shift reaches headquarters once, as it was answered, whatever is lost on the way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tillstream_app::database::{Consistency, Get, Item, Table};
use tillstream_app::dispatch::dispatcher::{Dispatcher, Fate, Policy, Received};
use tillstream_app::dispatch::listing;
use tillstream_app::dispatch::signature::SigningSecret;
use tillstream_app::environment::Environment;
use tillstream_app::keeper::lanes;
use tillstream_app::relay::handle;
use tillstream_app::tenancy::Role;
use tillstream_contracts::dispatch::{DeliveryFilter, DeliveryStatus};
use tillstream_contracts::hq::HqMessage;
use tillstream_contracts::till::ShiftView;
use tillstream_domain::location::Location;
use tillstream_testkit::hq_stand_in::HqStandIn;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::memory_messaging::{MemoryQueue, MemoryStream};
use tillstream_testkit::shop::{STORE, Shop, caller};
use tillstream_testkit::test_environment::TestEnvironment;

struct World {
    shop: Shop,
    database: Arc<MemoryDatabase>,
    environment: Arc<TestEnvironment>,
    stream: MemoryStream,
    queue: Arc<MemoryQueue>,
    hq: Arc<HqStandIn>,
    dispatcher: Dispatcher,
}

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

impl World {
    async fn new() -> World {
        let environment = Arc::new(TestEnvironment::new(7));
        let database = Arc::new(MemoryDatabase::with_environment(environment.clone()));
        let shop = Shop::open(database.clone(), environment.clone()).await.unwrap();
        let secret = SigningSecret::parse("a secret between tillstream and hq").unwrap();
        let hq = Arc::new(HqStandIn::new(secret.clone(), environment.clone()));
        let queue = Arc::new(MemoryQueue::new(environment.clone()));
        let dispatcher = Dispatcher {
            ports: shop.ports.clone(),
            queue: queue.clone(),
            transport: hq.clone(),
            secret,
            policy: Policy::default(),
        };
        let stream = MemoryStream::new(1, environment.clone());
        World { shop, database, environment, stream, queue, hq, dispatcher }
    }

    async fn item(&self, shift: &str) -> Item {
        let get =
            Get { table: Table::Orders, key: self.shop.scope.shift(shift), consistency: Consistency::Strong };
        self.shop.ports.database.get(get).await.unwrap().unwrap()
    }

    /// Opens and closes a shift; its item before and after, and what was answered.
    async fn shift(&self, id: &str) -> (Item, Item, ShiftView) {
        let open = json!({"shift_id": id, "amount": gbp(500)});
        self.shop.command(&format!("o-{id}"), "open_till", open).await.unwrap();
        let paid_in = json!({"shift_id": id, "amount": gbp(70), "reason": "coins"});
        self.shop.command(&format!("i-{id}"), "paid_in", paid_in).await.unwrap();
        let before = self.item(id).await;
        let close = json!({"shift_id": id, "counted": gbp(565)});
        let closed = self.shop.command(&format!("z-{id}"), "close_till", close).await.unwrap();
        (before, self.item(id).await, *closed.reply.result.shift.unwrap())
    }

    async fn relay(&self, old: Option<&Item>, new: &Item) {
        let failures = handle(&self.shop.ports, &self.stream, self.queue.as_ref(), &[(old, Some(new))]).await;
        assert!(failures.is_empty(), "{failures:?}");
    }

    fn deliveries(&self) -> usize {
        let of = |item: &Item| item.opt_text("sk") == Some("delivery");
        self.database.items(Table::Dispatch).iter().filter(|item| of(item)).count()
    }

    async fn wake(&self, shift: &str) -> Vec<Fate> {
        let body =
            json!({"version": 1, "tenant_id": "demo", "order_id": format!("~{shift}"), "order_version": 1});
        let group = format!("demo/~{shift}");
        let message = Received { group, receipt: "r".to_owned(), body: body.to_string() };
        self.dispatcher.handle_batch(&[message]).await
    }
}

#[tokio::test]
async fn headquarters_are_told_of_a_closed_shift_once() {
    let world = World::new().await;
    let (open, closed, answered) = world.shift("sh-1").await;
    world.relay(None, &open).await;
    assert_eq!(world.deliveries(), 0, "an open shift is nobody's news");
    world.relay(Some(&open), &closed).await;
    world.relay(Some(&open), &closed).await;
    world.relay(Some(&closed), &closed).await;
    assert_eq!((world.deliveries(), world.stream.all().len()), (1, 0), "figures are made of sales");

    let who = caller("demo", &[Role::StoreManager]);
    let seen = listing::get(&world.shop.ports, &who, "~sh-1.1").await.unwrap();
    assert_eq!((seen.delivery.receipt_number, seen.delivery.lane.as_str()), (1, "s-1/r-1"));
    let Some(HqMessage::Shift(message)) = seen.payload else { panic!("{:?}", seen.payload_error) };
    assert_eq!(message.shift, answered);

    assert_eq!(world.wake("sh-1").await, [Fate::Done]);
    assert_eq!(world.wake("sh-1").await, [Fate::Done]);
    assert_eq!(world.hq.requests(), 1, "it was accepted");
    assert_eq!(world.hq.accepted_shifts().into_iter().map(|told| told.shift).collect::<Vec<_>>(), [answered]);
    let filter = DeliveryFilter { order_id: Some("~sh-1".to_owned()), ..DeliveryFilter::default() };
    let listed = listing::list(&world.shop.ports, &who, filter).await.unwrap().items;
    assert_eq!(
        listed.iter().map(|d| (d.id.as_str(), d.status)).collect::<Vec<_>>(),
        [("~sh-1.1", DeliveryStatus::Delivered)]
    );
    // An order may be called as the shift is.
    world.shop.product(STORE, "A", "2.55", 5).await.unwrap();
    world.shop.ready("r-1", "sh-1", &[("A", 1)]).await.unwrap();
    world.shop.finalize("r-1", "sh-1").await.unwrap();
    let key = world.shop.scope.cart("sh-1");
    let get = Get { table: Table::Orders, key, consistency: Consistency::Strong };
    let order = world.shop.ports.database.get(get).await.unwrap().unwrap();
    world.relay(None, &order).await;
    assert_eq!((world.deliveries(), world.stream.all().len()), (2, 1));
}

/// The stream is lost: what has no delivery gets one, from the shifts themselves.
#[tokio::test]
async fn a_closed_shift_that_the_relay_lost_is_told_by_the_keeper() {
    let world = World::new().await;
    let (open, closed, _) = world.shift("sh-1").await;
    world.relay(Some(&open), &closed).await;
    world.shift("sh-2").await;
    world.shift("sh-3").await;
    let key = world.shop.scope.location(STORE);
    let get = Get { table: Table::Catalog, key, consistency: Consistency::Strong };
    let item = world.shop.ports.database.get(get).await.unwrap().unwrap();
    let store: Location = item.json("data").unwrap();
    let check = async || {
        let now = world.environment.now();
        let (ports, scope) = (&world.shop.ports, &world.shop.scope);
        lanes::check(ports, &world.stream, world.queue.as_ref(), scope, &store, now).await.unwrap()
    };
    assert_eq!(check().await, 0, "they may be on their way");
    world.environment.advance(Duration::from_secs(60));
    assert_eq!((check().await, world.deliveries()), (2, 3));
    world.environment.advance(Duration::from_secs(60));
    assert_eq!((check().await, world.deliveries()), (0, 3));
    for shift in ["sh-1", "sh-2", "sh-3"] {
        assert_eq!(world.wake(shift).await, [Fate::Done]);
    }
    let told: Vec<_> = world.hq.accepted_shifts().into_iter().map(|told| told.shift.z_number).collect();
    assert_eq!(told, [Some(1), Some(2), Some(3)]);
}
