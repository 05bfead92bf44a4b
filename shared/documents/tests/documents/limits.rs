//! Bounds of data and documents.

use std::time::{Duration, Instant};

use tillstream_documents::{
    ALL_ENTRIES_MAX, DOCUMENT_BYTES_MAX, DocumentData, ENTRIES_MAX, Format, Kind, Modifier, TEXT_CHARS_MAX,
    render, sample,
};

use crate::fixtures::{longest_order, made, order};

fn refusal(data: &DocumentData) -> String {
    let error = render(Kind::Receipt, Format::Text, data, None).unwrap_err();
    format!("{}: {error}", error.code())
}

#[test]
fn the_longest_order_is_printed_whole() {
    let data = longest_order();
    for kind in [Kind::Receipt, Kind::KitchenChit] {
        for format in [Format::Text, Format::Escpos] {
            let begun = Instant::now();
            let document = made(kind, format, &data);
            let (bytes, took) = (document.bytes.len(), begun.elapsed());
            println!("{kind} as {format}: {bytes} bytes in {took:?}");
            assert!(bytes < DOCUMENT_BYTES_MAX && took < Duration::from_secs(20));
        }
    }
}

#[test]
fn as_many_plain_lines_as_a_cart_holds_fit_on_a_page() {
    let data = order(|order| order.lines = vec![order.lines[1].clone(); 5_000]);
    for format in Format::ALL {
        let bytes = made(Kind::Receipt, format, &data).bytes.len();
        assert!(bytes < DOCUMENT_BYTES_MAX * 3 / 4, "{format} takes {bytes} bytes");
    }
}

#[test]
fn a_text_may_be_as_long_as_the_pos_takes_it() {
    let of = |name: String| order(|order| order.lines[0].name = name);
    made(Kind::Receipt, Format::Text, &of("é".repeat(TEXT_CHARS_MAX)));
    let refused = refusal(&of("é".repeat(TEXT_CHARS_MAX + 1)));
    assert_eq!(
        refused,
        "document_text_too_long: order.lines.name has 501 characters; it may have at most 500"
    );
}

#[test]
fn lists_are_bounded_one_by_one_and_together() {
    let modifiers = |order: &mut tillstream_documents::OrderDocument, lines: usize, each: usize| {
        let modifier: Modifier = order.lines[0].modifiers[0].clone();
        order.lines[0].discounts.clear();
        order.lines[0].taxes.clear();
        order.lines[0].modifiers = vec![modifier; each];
        order.lines = vec![order.lines[0].clone(); lines];
    };
    made(Kind::Receipt, Format::Text, &order(|order| modifiers(order, 2, ENTRIES_MAX)));
    let refused = refusal(&order(|order| modifiers(order, 1, ENTRIES_MAX + 1)));
    assert!(refused.starts_with("document_too_many_entries: order.lines.modifiers has 201"), "{refused}");
    let refused = refusal(&order(|order| modifiers(order, 5_001, 0)));
    assert!(refused.starts_with("document_too_many_entries: order.lines has 5001"), "{refused}");
    let lines = ALL_ENTRIES_MAX / ENTRIES_MAX;
    let refused = refusal(&order(|order| modifiers(order, lines, ENTRIES_MAX)));
    assert!(refused.starts_with("document_too_many_entries: all lists together has"), "{refused}");
}

#[test]
fn one_document_has_one_currency() {
    let refused = refusal(&order(|order| order.totals.tips.currency = "EUR".parse().unwrap()));
    let expected = "currency_mismatch: order.totals.tips is in EUR; every amount of a document is in its \
                    currency, GBP";
    assert_eq!(refused, expected);
    let refused = refusal(&order(|order| {
        order.lines[1].modifiers = vec![Modifier {
            name: "Gift wrap".to_owned(),
            price: tillstream_domain::money::Money { amount: 1, currency: "USD".parse().unwrap() },
        }]
    }));
    assert!(refused.starts_with("currency_mismatch: order.lines.modifiers.price"), "{refused}");
}

#[test]
fn a_store_has_a_time_zone() {
    let refused = refusal(&order(|order| order.store.time_zone = "Europe/Londin".to_owned()));
    assert!(refused.starts_with("unknown_time_zone: \"Europe/Londin\""), "{refused}");
}

#[test]
fn data_and_names_survive_the_wire() {
    for kind in Kind::ALL {
        let data = sample::full(kind);
        let text = serde_json::to_string(&data).unwrap();
        assert_eq!(serde_json::from_str::<DocumentData>(&text).unwrap(), data);
        assert_eq!(kind.name().parse::<Kind>().unwrap(), kind);
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
    }
    for format in Format::ALL {
        assert_eq!(format.name().parse::<Format>().unwrap(), format);
        assert_eq!(serde_json::to_string(&format).unwrap(), format!("\"{format}\""));
    }
    assert_eq!("pdf".parse::<Format>().unwrap_err().code(), "unknown_document_name");
}
