//! What a register uploads that sold while it was cut off.

use serde_json::{Value, json};
use tillstream_testkit::shop::{STORE, envelope};

/// A whole sale as a register remembers it, at 1.00 a piece.
pub fn sale(register: &str, cart: &str, lines: &[(&str, i64)]) -> Vec<Value> {
    let at = |key: String, action: &str, payload: Value| envelope(STORE, register, &key, action, payload);
    let mut commands = vec![at(format!("{cart}-open"), "create_cart", json!({"cart_id": cart}))];
    for (n, (sku, pieces)) in lines.iter().enumerate() {
        let line = json!({"cart_id": cart, "sku": sku, "quantity": pieces});
        commands.push(at(format!("{cart}-{n}"), "add_line_item", line));
    }
    let total: i64 = lines.iter().map(|(_, pieces)| pieces * 100).sum();
    let paid = json!({"cart_id": cart, "tender": "card", "amount": {"amount": total, "currency": "GBP"}});
    commands.push(at(format!("{cart}-tender"), "set_tendering", json!({"cart_id": cart})));
    commands.push(at(format!("{cart}-pay"), "add_payment", paid));
    commands.push(at(format!("{cart}-final"), "finalize_order", json!({"cart_id": cart})));
    commands
}
