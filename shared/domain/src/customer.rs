//! Customers, as far as a till needs to know them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identifier::{IdentifierError, check_id};
use crate::pricing::{RuleError, SEGMENTS_MAX, check_text};

/// Why a customer was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CustomerError {
    /// The id.
    #[error(transparent)]
    Id(#[from] IdentifierError),
    /// The name or a segment.
    #[error(transparent)]
    Text(#[from] RuleError),
    /// Too many segments.
    #[error("a customer is in at most {SEGMENTS_MAX} segments")]
    TooManySegments,
    /// A segment that stands there twice.
    #[error("segment {0} is there twice; each may be there once")]
    SegmentTwice(String),
}

impl CustomerError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            CustomerError::Id(_) => "id_malformed",
            CustomerError::Text(error) => error.code(),
            CustomerError::TooManySegments => "too_many_segments",
            CustomerError::SegmentTwice(_) => "segment_repeated",
        }
    }
}

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Its id, unique in the tenant.
    pub id: String,
    /// Segments the customer is in; the first is the one that reports count the customer's sales under.
    #[serde(default)]
    pub segments: Vec<String>,
    /// Whether the customer bears no tax.
    #[serde(default)]
    pub tax_exempt: bool,
    /// What to call the customer; at most [`crate::pricing::NAME_BYTES_MAX`] bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Counts its changes.
    pub version: u64,
}

impl Customer {
    /// Checks every bound, as it is taken in.
    ///
    /// # Errors
    /// [`CustomerError`] naming the first that is wrong.
    pub fn check(&self) -> Result<(), CustomerError> {
        check_id(&self.id)?;
        if let Some(name) = &self.name {
            check_text("name", name)?;
        }
        if self.segments.len() > SEGMENTS_MAX {
            return Err(CustomerError::TooManySegments);
        }
        let mut seen = BTreeSet::new();
        for segment in &self.segments {
            check_text("a segment", segment)?;
            if !seen.insert(segment) {
                return Err(CustomerError::SegmentTwice(segment.clone()));
            }
        }
        Ok(())
    }
}

/// Whether a text can be a segment: 1 to [`crate::pricing::NAME_BYTES_MAX`] bytes of printable text.
pub fn is_segment(text: &str) -> bool {
    check_text("a segment", text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::NAME_BYTES_MAX;

    #[test]
    fn bounds_hold() {
        let customer = Customer {
            id: "cu-1".into(),
            segments: vec!["gold".into(), "staff".into()],
            tax_exempt: false,
            name: Some("Ada".into()),
            version: 1,
        };
        assert_eq!(customer.check(), Ok(()));
        let many = |count: usize| Customer {
            segments: (0..count).map(|n| format!("s{n}")).collect(),
            ..customer.clone()
        };
        assert_eq!(many(SEGMENTS_MAX).check(), Ok(()));
        for (bad, code) in [
            (Customer { id: "a b".into(), ..customer.clone() }, "id_malformed"),
            (Customer { name: Some("n".repeat(NAME_BYTES_MAX + 1)), ..customer.clone() }, "text_malformed"),
            (Customer { name: Some("a\nb".into()), ..customer.clone() }, "text_malformed"),
            (Customer { segments: vec!["gold".into(), " ".into()], ..customer.clone() }, "text_malformed"),
            (
                Customer { segments: vec!["gold".into(), "gold".into()], ..customer.clone() },
                "segment_repeated",
            ),
            (many(SEGMENTS_MAX + 1), "too_many_segments"),
        ] {
            assert_eq!(bad.check().unwrap_err().code(), code, "{bad:?}");
        }
    }
}
