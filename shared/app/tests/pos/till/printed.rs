//! Reports on a shift as documents: what they show, which there is when, how they look, and who may see them.

use std::time::Duration;

use jiff::Timestamp;
use tillstream_app::Result;
use tillstream_app::documents::{Format, read as documents};
use tillstream_app::sync::entities::Entity;
use tillstream_app::sync::upload::{Upload, upload};

use super::*;

async fn fetch_as(shop: &Shop, who: &Caller, id: &str, format: Format, reprint: bool) -> Result<String> {
    let rendered = documents::get(&shop.ports, who, id, format, reprint).await?;
    assert_eq!(rendered.document.media_type, format.media_type());
    Ok(String::from_utf8_lossy(&rendered.document.bytes).into_owned())
}

async fn fetch(shop: &Shop, id: &str, format: Format) -> String {
    fetch_as(shop, &operator(), id, format, false).await.unwrap_or_else(|e| panic!("{id}: {e}"))
}

/// Rows of a report, without the tags of a page and with one space where there are more.
async fn rows(shop: &Shop, id: &str, format: Format) -> Vec<String> {
    let text = fetch(shop, id, format).await.replace("</td><td>", " ");
    let without_tag = |(n, part): (usize, &str)| match part.split_once('>') {
        Some((_, text)) if n > 0 => text.to_owned(),
        _ => part.to_owned(),
    };
    let text: String = text.split('<').enumerate().map(without_tag).collect();
    text.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Asserts that these rows stand in a report; a printer's may have commands before them.
#[track_caller]
fn assert_rows(rows: &[String], expected: &[&str]) {
    for row in expected {
        assert!(rows.iter().any(|told| told.ends_with(*row)), "{row:?} is not in\n{}", rows.join("\n"));
    }
}

/// The code and the detail of what a document is refused with.
async fn refused(shop: &Shop, who: &Caller, id: &str) -> (&'static str, String) {
    match fetch_as(shop, who, id, Format::Text, false).await {
        Err(Error::Rejected(refusal)) => (refusal.code, refusal.detail.clone()),
        answer => panic!("{id}: {answer:?}"),
    }
}

async fn template(shop: &Shop, version: u64, shown: &str) {
    let source = format!("{{% if shift.reprint %}}REPRINT {{% endif %}}{shown}");
    let line = json!({"id": "z", "version": version, "op": "upsert",
        "data": {"kind": "z_report", "format": "paper", "source": source}});
    let body = format!("{line}\n");
    let call =
        Upload { entity: Entity::PrintTemplates, body: body.as_bytes(), from: 1, deadline: Timestamp::MAX };
    let reply = upload(&shop.ports, &caller("demo", &[Role::Integration]), call).await.unwrap();
    assert_eq!(reply.applied, reply.lines, "{:?}", reply.errors);
}

async fn pass(shop: &Shop, seconds: u64) {
    shop.ports.environment.sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test]
async fn a_report_is_printed() {
    let (shop, _) = shop().await;
    a_day(&shop).await;
    for format in Format::ALL {
        let rows = rows(&shop, "sh-1.z_report", format).await;
        assert_rows(
            &rows,
            &[
                "Z REPORT 1",
                "r-1, shift sh-1",
                "Receipts 2 to 5",
                "Sales (3) 22.95",
                "Returns (1) 2.55",
                "Tax 0.00",
                "Tax on returns 0.00",
                "Tips 1.50",
                "Card (1) 5.10",
                "Cash (2) 12.85",
                "refunds (1) -2.55",
                "Voucher (1) 5.00",
                // 100.00 + 12.85 + 0.50 - 2.55 + 20.00 - 7.50.
                "Opening float 100.00",
                "Cash taken, less change 12.85",
                "Cash tips 0.50",
                "Cash refunds -2.55",
                "Paid in 20.00",
                "Paid out -7.50",
                "Cash expected 123.30",
                "Cash counted 123.25",
                "DIFFERENCE -0.05",
            ],
        );
        assert!(!rows.iter().any(|row| row.contains("REPRINT") || row.contains("Tax no.")), "{format}");
    }
}

#[tokio::test]
async fn an_open_shift_has_an_x_report_as_of_now() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh", "amount": gbp(1_000)})).await;
    for format in Format::ALL {
        let rows = rows(&shop, "sh.x_report", format).await;
        assert_rows(&rows, &["X REPORT", "Sales (0) 0.00", "Cash refunds 0.00", "Cash expected 10.00"]);
    }
    sell(&shop, "c", 2, &[("cash", 600, 20)]).await;
    // By card nothing was paid, and something given back.
    let blind = json!({"return_id": "b", "reason": "x"});
    shop.command("s", "start_return", blind).await.unwrap();
    let line = json!({"return_id": "b", "sku": "B", "quantity": 1, "unit_price": "1", "disposition": "none"});
    shop.command("l", "return_line_item", line).await.unwrap();
    let refund = json!({"return_id": "b", "tender": "card", "amount": gbp(100)});
    shop.command("r", "refund_tender", refund).await.unwrap();
    shop.command("f", "finalize_return", json!({"return_id": "b"})).await.unwrap();
    pass(&shop, 3_600).await;
    for format in Format::ALL {
        let rows = rows(&shop, "sh.x_report", format).await;
        assert_rows(
            &rows,
            &[
                "As of 2026-03-02 10:00 +00:00, in GBP",
                "Sales (1) 5.10",
                "Returns (1) 1.00",
                "Card (0) 0.00",
                "refunds (1) -1.00",
                "Cash (1) 5.10",
                "Cash taken, less change 5.10",
                "Cash tips 0.20",
                "Cash expected 15.30",
            ],
        );
        assert!(!rows.iter().any(|row| row.contains("REPRINT")), "what is as of now was never printed");
        assert_eq!(fetch(&shop, "sh.x_report", format).await, fetch(&shop, "sh.x_report", format).await);
    }
    let again = fetch_as(&shop, &operator(), "sh.x_report", Format::Text, true).await.unwrap();
    assert!(again.contains("REPRINT"), "{again}");
}

#[tokio::test]
async fn a_shift_has_one_report_at_a_time() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    let code = "document_not_found";
    let detail = |state: &str, there: &str| (code, format!("the shift is {state}: its report is {there}"));
    assert_eq!(refused(&shop, &operator(), "sh.z_report").await, detail("open", "sh.x_report"));
    send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(0)})).await;
    assert_eq!(refused(&shop, &operator(), "sh.x_report").await, detail("closed", "sh.z_report"));
    sell(&shop, "c", 1, &[("cash", 255, 0)]).await;
    let none_such = (code, "there is no such document".to_owned());
    for id in ["sh.receipt", "sh.report", "c.z_report", "c.x_report", "none.z_report", "a#b.z_report", "sh"] {
        assert_eq!(refused(&shop, &operator(), id).await, none_such, "{id}");
    }
}

/// The answers that have a report name its document, also when they are repeated.
#[tokio::test]
async fn commands_name_the_document_of_their_report() {
    let (shop, _) = shop().await;
    let of = json!({"shift_id": "sh"});
    let end = json!({"shift_id": "sh", "counted": gbp(0)});
    for (key, action, payload, document) in [
        ("o", "open_till", &of, None),
        ("n", "no_sale", &of, None),
        ("c", "cash_count", &end, None),
        ("x", "get_x_report", &of, Some("sh.x_report")),
        ("z", "close_till", &end, Some("sh.z_report")),
    ] {
        let ids = document.map(|id| vec![id.to_owned()]);
        for _ in 0..2 {
            let answered = shop.command(key, action, payload.clone()).await.unwrap();
            assert_eq!(answered.reply.result.document_ids, ids, "{action}");
        }
        if let Some(id) = document {
            fetch(&shop, id, Format::Text).await;
        }
    }
    let again = shop.command("o", "open_till", of).await.unwrap();
    assert_eq!((again.replayed, again.reply.result.document_ids), (true, None), "as it was then");
}

#[tokio::test]
async fn a_z_report_keeps_the_template_of_its_closing() {
    let (shop, _) = shop().await;
    let day = async |id: &str| {
        send(&shop, &format!("{id}-o"), "open_till", json!({"shift_id": id})).await;
        let end = json!({"shift_id": id, "counted": gbp(100)});
        send(&shop, &format!("{id}-z"), "close_till", end).await;
        pass(&shop, 1).await;
    };
    day("a").await;
    template(&shop, 1, "FIRST Z{{ shift.z_number }} {{ shift.cash_difference|amount }}").await;
    pass(&shop, 1).await;
    day("b").await;
    template(&shop, 2, "SECOND Z{{ shift.z_number }}").await;
    pass(&shop, 1).await;
    day("c").await;
    let shown = async |id: &str| {
        let text = fetch(&shop, &format!("{id}.z_report"), Format::Text).await;
        text.trim().to_owned()
    };
    assert!(shown("a").await.contains("Z REPORT 1"), "the built-in one then");
    assert_eq!([shown("b").await, shown("c").await], ["FIRST Z2 1.00", "SECOND Z3"]);
    let page = fetch(&shop, "b.z_report", Format::Html).await;
    assert!(page.contains("Z REPORT 2"), "for HTML there is none");
}

#[tokio::test]
async fn a_z_report_is_a_reprint_when_asked_for_and_from_a_quarter_of_an_hour_on() {
    let (shop, _) = shop().await;
    send(&shop, "o", "open_till", json!({"shift_id": "sh"})).await;
    pass(&shop, 3_600).await;
    // The register said 2010: our clock counts, and from the closing.
    send(&shop, "z", "close_till", json!({"shift_id": "sh", "counted": gbp(0)})).await;
    let print =
        async |reprint| fetch_as(&shop, &operator(), "sh.z_report", Format::Text, reprint).await.unwrap();
    let (original, reprint) = (print(false).await, print(true).await);
    assert!(!original.contains("REPRINT") && reprint.contains("REPRINT"), "{original}\n{reprint}");
    pass(&shop, 15 * 60 - 1).await;
    assert_eq!(print(false).await, original);
    pass(&shop, 1).await;
    assert_eq!([print(false).await, print(true).await], [reprint.clone(), reprint]);
}

#[tokio::test]
async fn a_report_is_for_those_who_may_see_the_shift() {
    let (shop, _) = shop().await;
    shop.store("s-2").await.unwrap();
    send(&shop, "o", "open_till", json!({"shift_id": "open"})).await;
    shop.at("r-2", "p", "open_till", json!({"shift_id": "closed"})).await.unwrap();
    shop.at("r-2", "z", "close_till", json!({"shift_id": "closed", "counted": gbp(0)})).await.unwrap();
    let cashier = |store: &str| Caller {
        stores: Stores::Named([store.to_owned()].into()),
        ..caller("demo", &[Role::Cashier])
    };
    for id in ["open.x_report", "closed.z_report"] {
        fetch_as(&shop, &cashier(STORE), id, Format::Text, false).await.unwrap();
        for far in [cashier("s-2"), caller("another", &[Role::Operator])] {
            let none = ("document_not_found", "there is no such document".to_owned());
            assert_eq!(refused(&shop, &far, id).await, none, "{id}");
        }
        let (code, _) = refused(&shop, &caller("demo", &[Role::WarehouseStaff]), id).await;
        assert_eq!(code, "role_required", "{id}");
    }
    // Which of the two there is, is nothing for others either.
    let (_, detail) = refused(&shop, &cashier("s-2"), "open.z_report").await;
    assert_eq!(detail, "there is no such document");
}
