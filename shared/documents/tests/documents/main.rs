//! What documents promise: their looks, what they never show, and what no data and no template can do.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test that cannot go on fails")]

mod escpos_reader;
mod fixtures;
mod hostile_templates;
mod hostile_text;
mod limits;
mod looks;
mod prices;
mod reprints;
mod sums;
mod undone;
