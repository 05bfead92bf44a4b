//! Commands that a register sends together when it is back.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::{AnyOfBuilder, Array, ArrayBuilder, ObjectBuilder, SchemaType};

use super::BATCH_COMMANDS_MAX;

/// An array of anything, in which envelopes are meant.
fn envelopes_or_not() -> Array {
    let one = AnyOfBuilder::new()
        .item(Ref::from_schema_name("CommandEnvelope"))
        .item(ObjectBuilder::new().schema_type(SchemaType::AnyValue));
    ArrayBuilder::new()
        .description(Some(
            "Envelopes, applied in order per cart; at most 1,000. What is none is refused by itself, in its \
             outcome, and holds up no other.",
        ))
        .items(one)
        .min_items(Some(1))
        .max_items(Some(BATCH_COMMANDS_MAX))
        .build()
}

/// An offline batch.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandBatch {
    /// Envelopes, applied in order per cart; at most 1,000.
    #[schema(schema_with = envelopes_or_not)]
    pub commands: Vec<Value>,
}

/// What became of one command of a batch.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CommandOutcome {
    /// The command's key, if it had one.
    pub idempotency_key: Option<String>,
    /// HTTP status it would have had alone.
    pub status: u16,
    /// The reply without its cart, or the problem document.
    #[schema(value_type = Object)]
    pub body: Value,
}

/// What a batch answers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchReply {
    /// One per command before `resume_from`, in order; of all where that is null.
    pub outcomes: Vec<CommandOutcome>,
    /// Where to go on, if time ran out: index of the first command that was not come to, or of an earlier one that was
    /// refused on a cart that goes on there. Send all from there on again: what took effect is answered as it was.
    pub resume_from: Option<usize>,
}
