//! JSON that says nothing twice, and types that name the field that is wrong.

use serde::Deserialize;
use serde_json::json;
use tillstream_contracts::strict_json::{Fault, FieldFault, parse, typed};

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    id: String,
    #[serde(default)]
    lines: Vec<Line>,
    #[serde(default)]
    how: Option<How>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Line {
    sku: String,
    quantity: f64,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Fast,
    By { whom: Line },
}

fn read(text: &str) -> Result<Order, (String, String)> {
    let told = |fault: FieldFault| (fault.field, fault.message);
    match parse(text.as_bytes()) {
        Ok(value) => typed(value).map_err(told),
        Err(Fault::Field(fault)) => Err(told(fault)),
        Err(Fault::Malformed(why)) => Err(("malformed".to_owned(), why)),
    }
}

#[test]
fn what_is_right_is_read() {
    let order = read(r#"{"id":"a","lines":[{"sku":"x","quantity":1.5}],"how":"fast"}"#).unwrap();
    let line = Line { sku: "x".to_owned(), quantity: 1.5 };
    assert_eq!(order, Order { id: "a".to_owned(), lines: vec![line], how: Some(How::Fast) });
    let by = read(r#"{"id":"a","how":{"by":{"whom":{"sku":"x","quantity":2}}}}"#).unwrap();
    assert_eq!(by.how, Some(How::By { whom: Line { sku: "x".to_owned(), quantity: 2.0 } }));
    assert_eq!(read(r#"{"id":"a","how":null}"#).unwrap().how, None);
}

#[test]
fn a_list_is_no_object_at_any_depth() {
    for (text, field) in [
        (r#"["a"]"#, ""),
        (r#"{"id":"a","lines":[["x",1]]}"#, "lines[0]"),
        (r#"{"id":"a","how":{"by":[["x",1]]}}"#, "how.by"),
        (r#"{"id":"a","how":{"by":{"whom":["x",1]}}}"#, "how.by.whom"),
    ] {
        let (at, message) = read(text).unwrap_err();
        assert_eq!((at.as_str(), message.as_str()), (field, "invalid type: sequence, expected an object"));
    }
}

#[test]
fn a_member_twice_is_refused_wherever_it_is() {
    for (text, field) in [
        (r#"{"id":"a","id":"b"}"#, "id"),
        (r#"{"id":"a","x":{"y":[{"z":1,"z":1}]}}"#, "x.y[0].z"),
        (r#"{"id":"a","\u0069d":"b"}"#, "id"),
    ] {
        assert_eq!(read(text).unwrap_err().0, field, "{text}");
    }
}

#[test]
fn a_wrong_field_is_named() {
    for (text, field) in [
        (r#"{}"#, "id"),
        (r#"{"id":1}"#, "id"),
        (r#"{"id":"a","lines":[{"sku":"x"}]}"#, "lines[0].quantity"),
        (r#"{"id":"a","line":[]}"#, "line"),
        (r#"{"id":"a","how":"slow"}"#, "how"),
    ] {
        assert_eq!(read(text).unwrap_err().0, field, "{text}");
    }
}

#[test]
fn what_is_no_json_is_malformed() {
    let deep = "[".repeat(100_000);
    for text in ["", "{", "[1,]", r#"{"id":"a"} x"#, r#"{"id":"a","id":"b""#, "1e400", "\u{feff}{}", &deep] {
        assert_eq!(read(text).unwrap_err().0, "malformed", "{text:.20}");
    }
    assert!(matches!(parse(b"\"\xff\""), Err(Fault::Malformed(_))));
    assert_eq!(
        parse(b"[null, true, -1, 18446744073709551615, 0.5]").unwrap(),
        json!([null, true, -1, u64::MAX, 0.5])
    );
}
