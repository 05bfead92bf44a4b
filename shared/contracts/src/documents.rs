//! Documents of orders, receipts and the like, and reports on shifts.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The documents of an order or return.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentList {
    /// One entry per document.
    pub items: Vec<DocumentEntry>,
    /// Always null: an order has a handful of documents.
    pub next_cursor: Option<String>,
}

/// A document that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DocumentEntry {
    /// Its id: the order's, a dot, and its kind.
    #[schema(example = "o-1.receipt")]
    pub document_id: String,
    /// `receipt`, `gift_receipt`, `merchant_copy` or `kitchen_chit` of a sale; `return_receipt` or
    /// `merchant_copy` of a return.
    pub kind: &'static str,
    /// Media types to ask for with `Accept`.
    pub formats: Vec<&'static str>,
}

/// Query of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DocumentQuery {
    /// `true` where it was printed before: the document then says that it is a reprint. What is fetched
    /// later than 15 minutes after the order became final, or the shift was closed, is one in any case.
    pub reprint: Option<bool>,
}
