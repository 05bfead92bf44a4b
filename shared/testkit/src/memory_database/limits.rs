//! Sizes of items, and what DynamoDB refuses because of size or type.
//!
//! Source: DynamoDB Developer Guide, "Item sizes and formats", "Quotas".

use tillstream_app::database::{Index, Item, Table, Value};

/// Largest item.
pub(super) const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Largest page of a query, before it is cut.
pub(super) const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Largest transaction.
pub(super) const TRANSACTION_BYTES_MAX: usize = 4 * 1024 * 1024;
const PARTITION_KEY_BYTES_MAX: usize = 2048;
const SORT_KEY_BYTES_MAX: usize = 1024;

/// Size of an item in bytes: names and values.
pub fn item_size(item: &Item) -> usize {
    item.0.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::S(text) => text.len(),
        Value::B(bytes) => bytes.len(),
        Value::Bool(_) => 1,
        Value::N(number) => number_size(*number),
        Value::L(values) => 3 + values.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        Value::M(values) => {
            3 + values.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
        }
    }
}

/// One byte for every two significant digits, one more, and one more below zero; zeros at either end do
/// not count.
fn number_size(number: i64) -> usize {
    if number == 0 {
        return 1;
    }
    let digits = number.unsigned_abs().to_string();
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    // Pairs are counted from the decimal point, so an odd number of zeros splits one.
    let pairs = (digits.len() - trailing + trailing % 2).div_ceil(2);
    pairs + 1 + usize::from(number < 0)
}

/// Why an item's primary key cannot be one, if it cannot.
pub(super) fn primary_key_fault(pk: &str, sk: &str) -> Option<String> {
    key_fault("pk", pk, PARTITION_KEY_BYTES_MAX).or_else(|| key_fault("sk", sk, SORT_KEY_BYTES_MAX))
}

fn key_fault(name: &str, value: &str, most: usize) -> Option<String> {
    if value.is_empty() {
        Some(format!("{name}: a key attribute cannot contain an empty string value"))
    } else if value.len() > most {
        Some(format!("{name}: the size of the key is above {most} bytes"))
    } else {
        None
    }
}

/// Why an item cannot be stored, if it cannot: its size, or an index key of the wrong type, empty or
/// too long.
pub(super) fn item_fault(table: Table, item: &Item) -> Option<String> {
    let size = item_size(item);
    if size > ITEM_BYTES_MAX {
        return Some(format!("item size {size} has exceeded the maximum allowed size {ITEM_BYTES_MAX}"));
    }
    for index in Index::of(table) {
        let (_, pk, sk, numeric) = index.shape();
        let fault = match item.get(pk) {
            None => None,
            Some(Value::S(text)) => key_fault(pk, text, PARTITION_KEY_BYTES_MAX),
            Some(_) => Some(format!("type mismatch for index key {pk}, expected text")),
        }
        .or_else(|| match (item.get(sk), numeric) {
            (None, _) | (Some(Value::N(_)), true) => None,
            (Some(Value::S(text)), false) => key_fault(sk, text, SORT_KEY_BYTES_MAX),
            (Some(_), _) => Some(format!("type mismatch for index key {sk}")),
        });
        if fault.is_some() {
            return fault;
        }
    }
    None
}

/// Thousandths of write units for an item of `bytes`.
pub(super) fn write_units(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u64::MAX).saturating_mul(1000)
}

/// Thousandths of read units, eventually consistent, for `bytes`: double where strong, fourfold where
/// transactional.
pub(super) fn eventual_read_units(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4096).max(1)).unwrap_or(u64::MAX).saturating_mul(500)
}
