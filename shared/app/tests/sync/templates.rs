//! Templates of documents: what is wrong with one is told with its line and never taken in; what is taken in
//! is kept, version by version.

use std::time::Duration;

use crate::feeds;
use crate::feeds::{World, counts, delete, ndjson, template, template_of, world};
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::capacity::Operation;
use tillstream_app::database::Table;
use tillstream_app::documents::template_store::Templates;
use tillstream_app::documents::{Format, Kind, TemplateFormat};
use tillstream_app::environment::Environment;
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};
use tillstream_contracts::sync::UploadReply;
use tillstream_testkit::faults::Fault;

const FEED: Entity = Entity::PrintTemplates;

async fn send(world: &World, lines: &[Value]) -> UploadReply {
    world.send(FEED, lines).await
}

fn receipt(version: u64) -> Value {
    template_of("receipt", version, Kind::Receipt, TemplateFormat::Paper, &format!("v{version}"))
}

fn with_source(source: impl Into<String>) -> Value {
    let mut line = receipt(1);
    line["data"]["source"] = source.into().into();
    line
}

/// Version of the template that stands at a time; none of the built-in one.
async fn version_at(world: &World, kind: Kind, format: Format, at: Timestamp) -> Option<u64> {
    let templates = Templates { ports: &world.ports, scope: world.scope() };
    templates.at(kind, format, at).await.unwrap().map(|template| template.version())
}

async fn version_now(world: &World) -> Option<u64> {
    version_at(world, Kind::Receipt, Format::Text, world.environment.now()).await
}

#[tokio::test]
async fn what_is_wrong_with_a_template_is_told_with_its_line() {
    let world = world(1);
    let loops = "{% for a in order.lines %}".repeat(24) + &"{% endfor %}".repeat(24);
    let mut more = receipt(1);
    more["data"]["source"] = format!("{loops}{{{{ order.reprint }}}}").into();
    let mut no_kind = receipt(1);
    no_kind["data"]["kind"] = "invoice".into();
    let mut no_format = receipt(1);
    no_format["data"]["format"] = "pdf".into();
    let mut no_source = receipt(1);
    no_source["data"].as_object_mut().unwrap().remove("source");
    let mut no_id = receipt(1);
    no_id["id"] = "my template".into();
    let hides = "always the same";
    let bad = [
        (with_source("fine\n{% if order.reprint %}"), "template_syntax", "line 2"),
        (with_source("\n\n{{ order.totl }}"), "template_unknown_name", "line 3"),
        (with_source("{% include '/etc/passwd' %}"), "template_not_allowed", "line 1"),
        (with_source("{{ range(1000000000) }}"), "template_not_allowed", "line 1"),
        (with_source("{% macro x() %}{% endmacro %}"), "template_not_allowed", "line 1"),
        (with_source("{{ order.lines|length * 2 }}"), "template_not_allowed", "line 1"),
        (with_source("{% while true %}"), "template_not_allowed", "line 1"),
        (with_source(hides), "template_hides_reprint", "order.reprint"),
        (
            with_source("{% if order.reprint %}R{% endif %}".to_owned() + &"x".repeat(64 * 1024)),
            "template_too_large",
            "65536",
        ),
        (more, "template_too_costly", "loops"),
        (no_kind, "unknown_document_name", "gift_receipt"),
        (no_format, "unknown_document_name", "paper"),
        (no_source, "line_invalid", "source"),
        (no_id, "id_malformed", "id"),
        (with_source("x".repeat(256 * 1024)), "line_too_long", "256 KB"),
    ];
    let mut lines: Vec<Value> = bad.iter().map(|(line, ..)| line.clone()).collect();
    lines.push(receipt(1));
    let reply = send(&world, &lines).await;
    assert_eq!(counts(&reply), (1, 0, 15), "{:?}", reply.errors);
    for (number, (error, (_, code, part))) in (1..).zip(reply.errors.iter().zip(&bad)) {
        assert_eq!((error.line, error.code.as_str()), (number, *code), "{}", error.message);
        assert!(error.message.contains(part), "{} does not tell {part:?}", error.message);
    }
    assert_eq!(version_now(&world).await, Some(1), "the good one is there");
    let items = world.memory.items(Table::Catalog);
    let versions = items.iter().filter(|item| item.opt_text("kind") == Some("print_template_version"));
    assert_eq!(versions.count(), 1, "nothing else is");
    let parked = items.iter().filter(|item| item.opt_text("kind") == Some("parked_line"));
    assert_eq!(parked.count(), 15);
}

#[tokio::test]
async fn a_template_of_64_kilobytes_is_taken_and_comes_back_as_it_was() {
    let world = world(2);
    // Each character takes six bytes of the line, three of the template.
    let head = "{% if order.reprint %}R{% endif %}";
    let source = format!("{head}{}", "\u{2028}".repeat((64 * 1024 - head.len()) / 3));
    let mut line = with_source(source.as_str()).to_string().replace('\u{2028}', "\\u2028");
    line.push('\n');
    assert!(line.len() > 128 * 1024);
    let reply = world.send_from(FEED, line.as_bytes(), 1).await.unwrap();
    assert_eq!(counts(&reply), (1, 0, 0), "{:?}", reply.errors);
    let templates = Templates { ports: &world.ports, scope: world.scope() };
    let now = world.environment.now();
    let found = templates.at(Kind::Receipt, Format::Escpos, now).await.unwrap().unwrap();
    assert_eq!(found.source(), source);
}

#[tokio::test]
async fn a_version_stands_from_when_it_is_taken_in_until_the_next() {
    let world = world(3);
    let second = || world.environment.advance(Duration::from_secs(1));
    let begin = world.environment.now();
    second();
    send(&world, &[receipt(1)]).await;
    second();
    send(&world, &[receipt(5)]).await;
    second();
    send(&world, &[delete("receipt", 6)]).await;
    second();
    send(&world, &[receipt(7)]).await;
    let at = |millis: i64| begin.checked_add(jiff::SignedDuration::from_millis(millis)).unwrap();
    for (millis, version) in [
        (0, None),
        (999, None),
        (1_000, Some(1)),
        (1_999, Some(1)),
        (2_000, Some(5)),
        (3_000, None),
        (3_999, None),
        (4_000, Some(7)),
        (1_000_000_000, Some(7)),
    ] {
        for format in [Format::Text, Format::Escpos] {
            let found = version_at(&world, Kind::Receipt, format, at(millis)).await;
            assert_eq!(found, version, "after {millis} ms");
        }
        let other = version_at(&world, Kind::Receipt, Format::Html, at(millis)).await;
        assert_eq!(other, None, "a template for paper is none for HTML");
        assert_eq!(version_at(&world, Kind::MerchantCopy, Format::Text, at(millis)).await, None);
    }
    let other = feeds::caller("another", &[]);
    let templates = Templates { ports: &world.ports, scope: &other.scope };
    assert!(
        templates.at(Kind::Receipt, Format::Text, at(5_000)).await.unwrap().is_none(),
        "another tenant's"
    );
    assert!(version_at(&world, Kind::Receipt, Format::Text, Timestamp::MIN).await.is_none());
}

#[tokio::test]
async fn a_newer_version_stands_later_whatever_the_clocks_say() {
    let world = world(4);
    for version in 1..=3 {
        send(&world, &[receipt(version)]).await;
    }
    let begin = world.environment.now();
    world.environment.set("2026-01-01T00:00:00Z".parse().unwrap());
    send(&world, &[receipt(4)]).await;
    assert_eq!(version_now(&world).await, None, "our clock went back before them all");
    let at = |millis: i64| begin.checked_add(jiff::SignedDuration::from_millis(millis)).unwrap();
    for (millis, version) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 4)] {
        let found = version_at(&world, Kind::Receipt, Format::Text, at(millis)).await;
        assert_eq!(found, Some(version), "after {millis} ms");
    }
}

#[tokio::test]
async fn an_older_line_never_takes_the_place_of_a_newer_one() {
    let world = world(5);
    assert_eq!(counts(&send(&world, &[receipt(3), receipt(2), receipt(3)]).await), (1, 2, 0));
    assert_eq!(version_now(&world).await, Some(3));
    assert_eq!(counts(&send(&world, &[delete("receipt", 2)]).await), (0, 1, 0));
    world.environment.advance(Duration::from_secs(1));
    assert_eq!(counts(&send(&world, &[delete("receipt", 4), receipt(3)]).await), (1, 1, 0));
    assert_eq!(version_now(&world).await, None, "an older one does not bring it back");
    world.environment.advance(Duration::from_secs(1));
    assert_eq!(counts(&send(&world, &[receipt(5)]).await), (1, 0, 0));
    assert_eq!(version_now(&world).await, Some(5));
    // What was never there can be deleted before it comes.
    assert_eq!(counts(&send(&world, &[delete("late", 9)]).await), (1, 0, 0));
    let late = template_of("late", 8, Kind::ZReport, TemplateFormat::Paper, "z");
    assert_eq!(counts(&send(&world, &[late]).await), (0, 1, 0));
}

#[tokio::test]
async fn a_kind_of_document_has_one_template_for_each_format() {
    let world = world(6);
    assert_eq!(counts(&send(&world, &[receipt(1)]).await), (1, 0, 0));
    let other = template_of("other", 1, Kind::Receipt, TemplateFormat::Paper, "other");
    let moved = template_of("receipt", 2, Kind::MerchantCopy, TemplateFormat::Paper, "moved");
    let html = template_of("receipt-html", 1, Kind::Receipt, TemplateFormat::Html, "html");
    let reply = send(&world, &[other.clone(), moved, html]).await;
    assert_eq!(counts(&reply), (1, 0, 2));
    let codes: Vec<_> = reply.errors.iter().map(|error| error.code.as_str()).collect();
    assert_eq!(codes, ["template_place_taken", "template_place_fixed"]);
    assert!(reply.errors[0].message.contains("the template receipt"), "{}", reply.errors[0].message);
    assert_eq!(version_now(&world).await, Some(1));
    // Once it is deleted another takes its place, and it may come again as something else: also in one upload.
    world.environment.advance(Duration::from_secs(1));
    let again = template_of("receipt", 4, Kind::GiftReceipt, TemplateFormat::Html, "gift");
    let reply = send(&world, &[delete("receipt", 3), other, again]).await;
    assert_eq!(counts(&reply), (3, 0, 0), "{:?}", reply.errors);
    world.environment.advance(Duration::from_secs(1));
    let now = world.environment.now();
    let templates = Templates { ports: &world.ports, scope: world.scope() };
    let found = templates.at(Kind::Receipt, Format::Text, now).await.unwrap().unwrap();
    assert_eq!((found.id(), found.version()), ("other", 1));
    assert_eq!(version_at(&world, Kind::GiftReceipt, Format::Html, now).await, Some(4));
}

#[tokio::test]
async fn an_upload_of_templates_looks_at_its_time_every_four_lines() {
    let world = world(7);
    let lines: Vec<Value> = (0..14).map(|place| template(place, 1)).collect();
    let body = ndjson(&lines);
    let mut from = 1;
    let mut rounds = Vec::new();
    loop {
        let call = Upload { entity: FEED, body: body.as_bytes(), from, deadline: world.environment.now() };
        let reply = upload(&world.ports, &world.caller, call).await.unwrap();
        rounds.push(counts(&reply).0);
        match reply.next_from {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(rounds, [4, 4, 4, 2]);
}

#[tokio::test]
async fn one_fault_at_any_call_changes_nothing_of_what_is_taken_in() {
    for operation in Operation::ALL {
        for fault in [Fault::Throttled, Fault::Conflict, Fault::TimedOutBefore, Fault::AnswerLost] {
            for call in 0.. {
                let world = world(8);
                send(&world, &[receipt(1)]).await;
                world.environment.advance(Duration::from_secs(1));
                let (troubled, database) = world.troubled();
                database.script(operation, std::iter::repeat_n(None, call).chain([Some(fault)]));
                let lines = ndjson(&[receipt(2), delete("receipt", 3), receipt(4)]);
                let first = troubled.send_from(FEED, lines.as_bytes(), 1).await;
                let label = format!("{fault:?} at {operation:?} {call}");
                if database.injected().is_empty() {
                    break;
                }
                if let Err(error) = first {
                    assert!(matches!(error, tillstream_app::Error::Retryable { .. }), "{label}: {error}");
                }
                let again = world.send_from(FEED, lines.as_bytes(), 1).await.unwrap();
                assert_eq!(again.failed, 0, "{label}");
                world.environment.advance(Duration::from_secs(60));
                assert_eq!(version_now(&world).await, Some(4), "{label}");
                let items = world.memory.items(Table::Catalog);
                let versions: Vec<_> = items
                    .iter()
                    .filter(|item| item.opt_text("kind") == Some("print_template_version"))
                    .map(|item| item.opt_number("template_version"))
                    .collect();
                assert_eq!(versions, [Some(1), Some(2), None, Some(4)], "{label}: each once");
            }
        }
    }
}

#[tokio::test]
async fn only_head_office_sends_templates() {
    let mut world = world(9);
    world.caller = feeds::caller("t", &[tillstream_app::tenancy::Role::StoreManager]);
    let refused = world.send_from(FEED, ndjson(&[receipt(1)]).as_bytes(), 1).await.unwrap_err();
    assert_eq!(refused.code(), Some("role_required"));
    assert!(world.memory.items(Table::Catalog).is_empty());
    let line = json!({"id": "x", "version": 1, "op": "upsert"});
    world.caller = feeds::caller("t", &[tillstream_app::tenancy::Role::Operator]);
    assert_eq!(send(&world, &[line]).await.errors[0].code, "line_invalid");
}
