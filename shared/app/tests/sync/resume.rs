//! The checkpoint moves only behind what is applied; an upload that broke off goes on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::feeds::{counts, ndjson, product, world};
use serde_json::json;
use tillstream_app::database::Table;
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::status::status;
use tillstream_app::sync::upload::{Upload, upload};

#[tokio::test]
async fn a_crash_anywhere_leaves_a_checkpoint_that_is_true() {
    let lines: Vec<_> = (0..350).map(|n| product(&format!("P{n:03}"), 1, &json!({}))).collect();
    let body = ndjson(&lines);
    // 350 products and 4 checkpoints are 354 writes; the database goes away after any of them.
    for writes in (0..354).step_by(3) {
        let world = world(writes);
        world.shaky.writes_left.store(writes, Ordering::SeqCst);
        let broken = world.send_from(Entity::Catalog, body.as_bytes(), 1).await.unwrap_err();
        assert!(matches!(broken, tillstream_app::Error::Retryable { .. }), "{broken}");
        world.shaky.writes_left.store(u64::MAX, Ordering::SeqCst);
        let before = status(&world.ports, &world.caller).await.unwrap().items.remove(0);
        let checkpoint = before.checkpoint.unwrap_or(0);
        assert_eq!(checkpoint, writes / 101 * 100, "after {writes} writes");
        let there = world.memory.items(Table::Catalog);
        for n in 0..checkpoint {
            let key = world.scope().product(&format!("P{n:03}"));
            assert!(there.iter().any(|item| item.opt_text("pk") == Some(key.pk())), "{n} is not applied");
        }
        let reply = world.send_from(Entity::Catalog, body.as_bytes(), checkpoint + 1).await.unwrap();
        assert_eq!(reply.lines, 350 - checkpoint);
        let after = status(&world.ports, &world.caller).await.unwrap().items.remove(0);
        assert_eq!((after.checkpoint, after.lines, after.failed), (Some(350), 350, 0));
        assert_eq!(after.upload, before.upload.or(after.upload.clone()), "the same body is the same upload");
        let products = world
            .memory
            .items(Table::Catalog)
            .iter()
            .filter(|i| i.opt_text("kind") == Some("product"))
            .count();
        assert_eq!(products, 350);
    }
}

#[tokio::test]
async fn an_upload_stops_in_time_and_says_where() {
    let world = world(1);
    let mut lines: Vec<String> =
        (0..350).map(|n| product(&format!("P{n:03}"), 1, &json!({})).to_string()).collect();
    lines.insert(0, String::new());
    let body = lines.join("\r\n");
    let mut from = 1;
    let mut rounds = Vec::new();
    loop {
        // Its time is over before it begins: one batch is applied all the same, so that it gets on.
        let deadline = world.environment.now();
        world.environment.advance(Duration::from_secs(1));
        let call = Upload { entity: Entity::Catalog, body: body.as_bytes(), from, deadline };
        let reply = upload(&world.ports, &world.caller, call).await.unwrap();
        rounds.push(counts(&reply).0);
        match reply.next_from {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(rounds, [100, 100, 100, 50]);
    assert_eq!(from, 302, "a blank line counts as a line");
    let stands = status(&world.ports, &world.caller).await.unwrap().items.remove(0);
    assert_eq!((stands.checkpoint, stands.applied, stands.last_applied_version), (Some(351), 350, Some(1)));
}

#[tokio::test]
async fn a_checkpoint_whose_answer_got_lost_is_not_added_up_twice() {
    for seed in 0..30 {
        let world = world(seed);
        world.shaky.lost_answers.store(3, Ordering::SeqCst);
        let lines: Vec<_> = (0..300).map(|n| product(&format!("P{n:03}"), 1, &json!({}))).collect();
        assert_eq!(counts(&world.send(Entity::Catalog, &lines).await), (300, 0, 0), "seed {seed}");
        let stands = status(&world.ports, &world.caller).await.unwrap().items.remove(0);
        assert_eq!((stands.lines, stands.applied), (300, 300), "seed {seed}");
    }
}

#[tokio::test]
async fn feeds_that_never_came_are_shown_too() {
    let world = world(2);
    let status = status(&world.ports, &world.caller).await.unwrap();
    let names: Vec<_> = status.items.iter().map(|item| item.entity.as_str()).collect();
    assert_eq!(names, Entity::ALL.map(Entity::name));
    assert!(status.items.iter().all(|item| item.lag_seconds.is_none() && item.checkpoint.is_none()));
}
