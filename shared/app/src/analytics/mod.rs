//! Queries over the pages.
//!
//! Every query reads in one order: completeness records, then pages, all strongly consistent; so what
//! the watermark claims is in the figures. Amounts of different currencies are never summed.

mod buckets;
pub mod dashboard;
mod figures;
pub mod products;
mod rows;
pub mod sales;
mod span;
mod stores;
mod watermark;

use tillstream_domain::lane::LaneNumber;

use crate::error::{Refusal, RefusalKind, Result};
use crate::tenancy::Role;

/// Who may see figures.
pub const READERS: &[Role] = &[Role::Analyst, Role::StoreManager, Role::FranchiseOwner];

/// An answer, and what came of the caller's consistency token.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The reply.
    pub reply: T,
    /// Whether what the token stands for is in it; absent without a token.
    pub satisfied: Option<bool>,
}

/// Reads a consistency token (`X-Consistency-Token`, `store/register:number`).
///
/// # Errors
/// 400 `consistency_token_malformed`.
pub fn consistency_token(text: &str) -> Result<LaneNumber> {
    text.parse().map_err(|_| {
        Refusal::new(
            RefusalKind::Malformed,
            "consistency_token_malformed",
            "X-Consistency-Token is the consistency_token of a reply, such as s-uk-1/r-1:42",
        )
        .into()
    })
}
