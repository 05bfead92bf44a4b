//! The body of every refusal (RFC 9457), as the document shows it.

use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

/// Brings the schemas into the document.
#[derive(OpenApi)]
#[openapi(components(schemas(ProblemDocument, FieldProblem)))]
pub(super) struct Api;

/// A problem document (RFC 9457). A code may add members of its own, such as what is left of a SKU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// `urn:tillstream:problem:` and the code.
    #[schema(example = "urn:tillstream:problem:insufficient_stock")]
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    #[schema(example = "Insufficient stock")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// Stable: what a program decides by.
    #[schema(example = "insufficient_stock")]
    pub code: String,
    /// What was wrong and what would be right, for a person.
    pub detail: String,
    /// `urn:tillstream:request:` and the request's id, under which it is logged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Fields that were wrong.
    #[serde(default)]
    pub errors: Vec<FieldProblem>,
}

/// One field that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Its path in the request.
    #[schema(example = "lines[3].sku")]
    pub field: String,
    /// Stable.
    #[schema(example = "field_invalid")]
    pub code: String,
    /// What was wrong and what would be right.
    pub message: String,
}
