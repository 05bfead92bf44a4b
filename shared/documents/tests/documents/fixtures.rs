//! Data of the tests, made from the samples by what the test is about.

use serde_json::Value;
use tillstream_documents::{
    Document, DocumentData, DocumentError, DocumentLine, Format, Kind, OrderDocument, Template,
    TemplateFormat, TemplateSource, render, sample,
};

pub fn made(kind: Kind, format: Format, data: &DocumentData) -> Document {
    render(kind, format, data, None).unwrap_or_else(|error| panic!("{kind} as {format}: {error}"))
}

/// What a person reads of a document: no style sheet, no commands.
pub fn read_by_people(document: &Document) -> String {
    match document.media_type {
        "application/vnd.escpos" => super::escpos_reader::printed(&document.bytes),
        _ => {
            let text = String::from_utf8(document.bytes.clone()).unwrap();
            text.split_once("<body>").map_or(text.clone(), |(_, body)| body.to_owned())
        }
    }
}

pub fn order(change: impl FnOnce(&mut OrderDocument)) -> DocumentData {
    let DocumentData::Order(mut order) = sample::full(Kind::Receipt) else { panic!("no order") };
    change(&mut order);
    DocumentData::Order(order)
}

/// As many lines as a cart holds, each with what the sample's first has.
pub fn longest_order() -> DocumentData {
    order(|order| {
        let line: DocumentLine = order.lines[0].clone();
        order.lines = vec![line; 5_000];
    })
}

/// The data with `change` done to every field that is text for people, found by its place in the data, so
/// that a field added later is not forgotten.
pub fn with_texts(data: &DocumentData, change: &mut dyn FnMut(&str) -> String) -> DocumentData {
    let mut value = serde_json::to_value(data).unwrap();
    texts(&mut value, "", change);
    serde_json::from_value(value).unwrap()
}

fn texts(value: &mut Value, name: &str, change: &mut dyn FnMut(&str) -> String) {
    let has_a_form = ["currency", "time_zone", "unit", "unit_price", "at", "opened_at", "closed_at"];
    match value {
        Value::String(text) if !has_a_form.contains(&name) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| texts(item, name, change)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| texts(value, name, change)),
        _ => {}
    }
}

/// The data with another amount at every place that has one; and these amounts.
pub fn with_distinct_amounts(data: &DocumentData) -> (DocumentData, Vec<i64>) {
    let mut value = serde_json::to_value(data).unwrap();
    let mut given = Vec::new();
    amounts(&mut value, &mut given);
    (serde_json::from_value(value).unwrap(), given)
}

fn amounts(value: &mut Value, given: &mut Vec<i64>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| amounts(item, given)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                if name == "amount" && value.is_i64() {
                    let amount = 735_311 + 1_013 * i64::try_from(given.len()).unwrap();
                    given.push(amount);
                    *value = amount.into();
                } else if name == "unit_price" {
                    *value = "98765.4321".into();
                } else {
                    amounts(value, given);
                }
            }
        }
        _ => {}
    }
}

pub fn source(kind: Kind, format: TemplateFormat, source: impl Into<String>) -> TemplateSource {
    TemplateSource { id: "t-1".to_owned(), version: 1, kind, format, source: source.into() }
}

pub fn checked(format: TemplateFormat, text: &str) -> Result<Template, DocumentError> {
    Template::check(source(Kind::Receipt, format, text))
}

/// A template for receipts that is right but for what is put into it.
pub fn with(text: &str) -> String {
    format!("{{% if order.reprint %}}REPRINT{{% endif %}}\n{text}\n")
}
