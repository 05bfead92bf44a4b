use std::sync::Arc;

use futures::future::join_all;
use tillstream_app::catalog::suppliers::supplier_item;
use tillstream_app::database::Table;
use tillstream_app::stock::restock::{Answer, restock};
use tillstream_app::stock::split::split;
use tillstream_app::stock::{conservation, movements, read};
use tillstream_app::tenancy::Role;
use tillstream_app::{Error, stock};
use tillstream_contracts::inventory::{ExceptionQuery, MovementQuery, RestockRequest};
use tillstream_domain::quantity::QuantityInput;

use crate::fixture::{self, BY_WEIGHT, Fault, Fixture, SKUS, caller, named, put};
use crate::purchase_order_tests::supplier;

const A: &str = SKUS[0];
const HERE: &str = "s-leeds";

fn request(pieces: i64) -> RestockRequest {
    RestockRequest {
        location_id: HERE.into(),
        sku: A.into(),
        quantity: QuantityInput::Whole(pieces),
        supplier_id: None,
        reference: None,
        reason: None,
        lot: None,
        expires_on: None,
    }
}

impl Fixture {
    async fn restock(&self, key: &str, request: &RestockRequest) -> Result<Answer, Error> {
        restock(&self.ports, &self.caller, key, request).await
    }
}

fn code<T>(refused: &Result<T, Error>) -> &str {
    refused.as_ref().err().and_then(Error::code).unwrap_or("none")
}

#[tokio::test]
async fn a_delivery_without_an_order_makes_its_stock_and_tells_the_ledger() {
    let fixture = Fixture::new(1).await;
    put(&fixture.memory, Table::Catalog, supplier_item(fixture.scope(), &supplier("sup-1", 0)).unwrap())
        .await;
    let mut delivered = request(12);
    delivered.supplier_id = Some("sup-1".into());
    (delivered.reference, delivered.reason) = (Some("DN-7".into()), Some("market day".into()));
    let first = fixture.restock("k", &delivered).await.unwrap();
    let stock = &first.restocked.stock;
    assert_eq!(
        (&stock.on_hand, &stock.available, stock.version),
        (&QuantityInput::Whole(12), &QuantityInput::Whole(12), 1)
    );
    assert_eq!((first.restocked.reference.as_deref(), first.replayed), (Some("DN-7"), false));
    let again = fixture.restock("k", &delivered).await.unwrap();
    assert_eq!((&again.restocked, again.replayed), (&first.restocked, true));
    assert_eq!(code(&fixture.restock("k", &request(12)).await), "idempotency_key_reused");
    let more = fixture.restock("k-2", &request(3)).await.unwrap().restocked;
    let level = read::one(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert_eq!((&level, &level.on_hand), (&more.stock, &QuantityInput::Whole(15)), "it is told as it is");
    fixture.relay(|_| true).await;
    let query = MovementQuery { sku: A.into(), location_id: HERE.into(), limit: None, cursor: None };
    let rows = movements::list(&fixture.ports, &fixture.caller, &query).await.unwrap().items;
    let told = rows.last().unwrap();
    assert_eq!((told.kind.as_str(), &told.reference), ("restock", &first.restocked.restock_id));
    assert_eq!(told.reason.as_deref(), Some("market day; supplier sup-1; reference DN-7"));
    assert_eq!(rows[0].reason, None);
    let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
    assert!(proof.holds && proof.sums.on_hand == QuantityInput::Whole(15), "{proof:?}");
}

#[tokio::test]
async fn what_is_refused_changes_nothing() {
    let fixture = Fixture::new(2).await;
    fixture.count(HERE, A, 5).await;
    let untouched = fixture.memory.items(Table::Stock);
    let with = |change: &dyn Fn(&mut RestockRequest)| {
        let mut changed = request(1);
        change(&mut changed);
        changed
    };
    for (request, expected) in [
        (request(0), "quantity_invalid"),
        (request(-1), "quantity_invalid"),
        (request(1_000_001), "quantity_invalid"),
        (with(&|r| r.sku = BY_WEIGHT.into()), "quantity_invalid"),
        (with(&|r| r.sku = "unknown".into()), "sku_unknown"),
        (with(&|r| r.sku = "SERVICE".into()), "sku_not_stocked"),
        (with(&|r| r.sku = String::new()), "sku_malformed"),
        (with(&|r| r.location_id = "s-nowhere".into()), "location_not_found"),
        (with(&|r| r.location_id = "a/b".into()), "location_id_malformed"),
        (with(&|r| r.supplier_id = Some("nobody".into())), "supplier_unknown"),
        (with(&|r| r.supplier_id = Some("a#b".into())), "id_malformed"),
        (with(&|r| r.reference = Some(" ".into())), "reference_invalid"),
        (with(&|r| r.reference = Some("x".repeat(65))), "text_too_long"),
        (with(&|r| r.reason = Some(String::new())), "reason_invalid"),
        (with(&|r| r.reason = Some("4111 1111 1111 1111".into())), "card_number_refused"),
    ] {
        assert_eq!(code(&fixture.restock("k", &request).await), expected, "{request:?}");
    }
    let far = caller("demo", Role::StoreManager, named(&["s-york"]));
    assert_eq!(code(&restock(&fixture.ports, &far, "k", &request(1)).await), "store_out_of_reach");
    assert_eq!(fixture.memory.items(Table::Stock), untouched);
}

/// Twenty send the same delivery at once, over a database that loses answers, beside others that hold stock of it: it
/// comes in once. Of stock that is split too.
#[tokio::test]
async fn one_delivery_sent_many_times_comes_in_once() {
    for seed in 0..10_u64 {
        let fixture = Arc::new(Fixture::new(30 + seed).await);
        let is_split = seed % 2 == 1;
        fixture.count(HERE, A, 40).await;
        if is_split {
            split(&fixture.ports, fixture.scope(), HERE, A, 4).await.unwrap();
        }
        fixture.inject_by_chance(10, [Fault::LostAfter, Fault::LostBefore, Fault::Conflict]);
        let deliveries = (0..20).map(|n| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                if n % 4 == 0 {
                    let hold = fixture::request(&[(HERE, A, 1)], 60);
                    fixture.reserve(&format!("v-{n}"), &hold).await.unwrap();
                }
                fixture.restock(&format!("k-{}", n % 2), &request(10)).await.unwrap()
            })
        });
        let answers: Vec<Answer> = join_all(deliveries).await.into_iter().map(Result::unwrap).collect();
        for answer in &answers[2..] {
            let twin = if answer.restocked == answers[0].restocked { &answers[0] } else { &answers[1] };
            assert_eq!(answer.restocked, twin.restocked, "a replay answers the same");
        }
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 2, "one of each key");
        fixture.heal();
        let level = read::one(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert_eq!((level.on_hand, level.reserved), (QuantityInput::Whole(60), QuantityInput::Whole(5)));
        fixture.relay(|_| true).await;
        let proof = conservation::prove(&fixture.ports, &fixture.caller, HERE, A).await.unwrap();
        assert!(proof.holds, "{proof:?}");
    }
}

/// Stock of which less is there than was promised: what comes in makes the task smaller, or ends it.
#[tokio::test]
async fn what_was_promised_and_is_there_again_is_no_task_any_more() {
    let fixture = Fixture::new(3).await;
    fixture.count(HERE, A, 10).await;
    fixture.reserve("v", &fixture::request(&[(HERE, A, 9)], 600)).await.unwrap();
    fixture.count(HERE, A, 4).await;
    let tasks = async || {
        let query = ExceptionQuery { location_id: HERE.into(), status: None, limit: None, cursor: None };
        let page = stock::exceptions::list(&fixture.ports, &fixture.caller, &query).await.unwrap();
        page.items.into_iter().map(|task| task.quantity).collect::<Vec<_>>()
    };
    assert_eq!(tasks().await, [QuantityInput::Whole(5)]);
    fixture.restock("k-1", &request(2)).await.unwrap();
    assert_eq!(tasks().await, [QuantityInput::Whole(3)]);
    fixture.restock("k-2", &request(3)).await.unwrap();
    assert_eq!(tasks().await, []);
    fixture.check_invariants();
}
