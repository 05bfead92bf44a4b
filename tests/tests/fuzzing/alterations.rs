//! Arbitrary input, and valid input with something wrong in it.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Number, Value, json};

/// Written in place of a member's name to say it twice; no sample has it.
const TWICE: &str = "\u{1}";

/// Bytes of any kind.
pub fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..300)
}

/// Text of any kind.
pub fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        vec(any::<char>(), 0..40).prop_map(String::from_iter),
        "[ -~]{0,60}",
        "[0-9+.:TtZz/~#-]{0,40}",
    ]
}

/// Numbers where types end.
fn odd_number() -> impl Strategy<Value = Value> {
    let float = |value: f64| Number::from_f64(value).map_or(Value::Null, Value::Number);
    prop_oneof![
        select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]).prop_map(Value::from),
        select(vec![1 << 31, 1 << 32, 1 << 53, (1 << 53) + 1, u64::MAX]).prop_map(Value::from),
        select(vec![1_000_000_000_000_i64, 1_000_000_000_001, -1_000_000_000_001]).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(float),
        select(vec![0.5, -0.0, 1e300, -1e300, f64::MIN_POSITIVE]).prop_map(float),
    ]
}

/// JSON of any kind, members of a few names.
pub fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        odd_number(),
        any_text().prop_map(Value::from),
    ];
    let name = prop_oneof![
        3 => select(vec!["id", "version", "op", "data", "payload", "lines", "sku", "quantity", "Records"])
            .prop_map(str::to_owned),
        1 => any_text(),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec((name.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

#[derive(Debug, Clone)]
enum ByteChange {
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

fn byte_change() -> impl Strategy<Value = ByteChange> {
    prop_oneof![
        4 => (any::<Index>(), 1..=255_u8).prop_map(|(at, bits)| ByteChange::Flip(at, bits)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..12)).prop_map(|(at, what)| ByteChange::Insert(at, what)),
        1 => (any::<Index>(), 1..40_usize).prop_map(|(at, count)| ByteChange::Remove(at, count)),
        1 => (any::<Index>(), 1..40_usize).prop_map(|(at, count)| ByteChange::Repeat(at, count)),
        1 => any::<Index>().prop_map(ByteChange::Cut),
    ]
}

fn change_bytes(bytes: &mut Vec<u8>, change: &ByteChange) {
    let place = |at: &Index| if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
    match change {
        ByteChange::Flip(at, bits) => {
            let at = place(at);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bits;
            }
        }
        ByteChange::Insert(at, what) => {
            let at = place(at);
            bytes.splice(at..at, what.iter().copied());
        }
        ByteChange::Remove(at, count) => {
            let at = place(at);
            bytes.drain(at..(at + count).min(bytes.len()));
        }
        ByteChange::Repeat(at, count) => {
            let at = place(at);
            let again = bytes[at..(at + count).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
        ByteChange::Cut(at) => bytes.truncate(place(at)),
    }
}

/// One of `valid`, with a few bytes changed, put in, left out, said twice, or its end cut off.
pub fn altered_bytes(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (select(valid), vec(byte_change(), 1..4)).prop_map(|(mut bytes, changes)| {
        changes.iter().for_each(|change| change_bytes(&mut bytes, change));
        bytes
    })
}

/// The same for texts; what is no UTF-8 any more is replaced.
pub fn altered_text(valid: Vec<String>) -> impl Strategy<Value = String> {
    altered_bytes(valid.into_iter().map(String::into_bytes).collect())
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Debug, Clone)]
enum JsonChange {
    Replace(Value),
    Remove,
    SayTwice(Value),
    Add(String, Value),
    Wrap,
    Deepen(usize),
    Lengthen(usize),
}

fn json_change() -> impl Strategy<Value = JsonChange> {
    prop_oneof![
        3 => any_json().prop_map(JsonChange::Replace),
        3 => odd_number().prop_map(JsonChange::Replace),
        2 => any_text().prop_map(|text| JsonChange::Replace(text.into())),
        2 => Just(JsonChange::Replace(Value::Null)),
        3 => Just(JsonChange::Remove),
        2 => any_json().prop_map(JsonChange::SayTwice),
        1 => (any_text(), any_json()).prop_map(|(name, value)| JsonChange::Add(name, value)),
        1 => Just(JsonChange::Wrap),
        1 => (1..200_usize).prop_map(JsonChange::Deepen),
        1 => (1..2_000_usize).prop_map(JsonChange::Lengthen),
    ]
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Changes the node that is `at` further on in document order.
fn change_json(value: &mut Value, at: &mut usize, change: &JsonChange) {
    if *at == 0 {
        match change {
            JsonChange::Replace(with) => *value = with.clone(),
            JsonChange::Remove | JsonChange::SayTwice(_) => *value = Value::Null,
            JsonChange::Add(name, with) => match value {
                Value::Object(members) => {
                    members.insert(name.clone(), with.clone());
                }
                Value::Array(items) => items.push(with.clone()),
                _ => *value = json!({ name: with }),
            },
            JsonChange::Wrap => *value = json!([value.take()]),
            JsonChange::Deepen(levels) => {
                for _ in 0..*levels {
                    *value = json!([value.take()]);
                }
            }
            JsonChange::Lengthen(count) => {
                if let Value::String(text) = value {
                    text.push_str(&"x".repeat(*count));
                }
            }
        }
    }
    match value {
        Value::Array(items) => {
            for place in 0..items.len() {
                if *at == 0 {
                    return;
                }
                *at -= 1;
                if *at == 0 && matches!(change, JsonChange::Remove) {
                    items.remove(place);
                    return;
                }
                change_json(&mut items[place], at, change);
            }
        }
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            for name in names {
                if *at == 0 {
                    return;
                }
                *at -= 1;
                match change {
                    JsonChange::Remove if *at == 0 => {
                        members.remove(&name);
                        return;
                    }
                    JsonChange::SayTwice(with) if *at == 0 => {
                        members.insert(format!("{name}{TWICE}"), with.clone());
                        return;
                    }
                    _ => change_json(&mut members[&name], at, change),
                }
            }
        }
        _ => {}
    }
}

/// One of `valid` as JSON text: values of another type or at a limit, members left out, said twice or
/// put in, lists where none belong.
pub fn altered_json(valid: Vec<Value>) -> impl Strategy<Value = String> {
    (select(valid), vec((any::<Index>(), json_change()), 1..4)).prop_map(|(mut value, changes)| {
        for (at, change) in &changes {
            let mut at = at.index(nodes(&value));
            change_json(&mut value, &mut at, change);
        }
        value.to_string().replace("\\u0001\":", "\":")
    })
}

/// Both kinds, as bytes, of what is JSON when it is right.
pub fn json_input(valid: Vec<Value>) -> impl Strategy<Value = Vec<u8>> {
    let texts = valid.iter().map(|value| value.to_string().into_bytes()).collect();
    prop_oneof![
        4 => altered_json(valid).prop_map(String::into_bytes),
        2 => altered_bytes(texts),
        1 => any_json().prop_map(|value| value.to_string().into_bytes()),
        1 => any_bytes(),
    ]
}
