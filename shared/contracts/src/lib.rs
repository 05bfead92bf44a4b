//! Wire types: HTTP bodies, events, HQ messages. Versioned; the OpenAPI document is made from them.
//!
//! One module per area. A type that a client sends denies unknown fields, so that a field is never
//! accepted and ignored.

pub mod analytics;
pub mod approvals;
pub mod backorders;
pub mod catalog;
pub mod counts;
pub mod date_time;
pub mod dispatch;
pub mod documents;
pub mod events;
pub mod hq;
pub mod identity;
pub mod inventory;
pub mod lots;
pub mod openapi;
pub mod orders;
pub mod pos;
pub mod price_rules;
pub mod purchase_orders;
pub mod replenishment;
pub mod restore;
pub mod schema;
pub mod settings;
pub mod stored_value;
pub mod strict_json;
pub mod suppliers;
pub mod sync;
pub mod till;
pub mod transfers;
pub mod turnover;
