//! Ids of documents. They are derived, so that a sale or a shift writes nothing for them: `<order>.<kind>`,
//! `<shift>.<kind>`.

use std::fmt;

use tillstream_contracts::till::{ShiftState, ShiftView};
use tillstream_documents::Kind;
use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::identifier::check_id;

/// A document of an order or a shift. That it has the form of one does not say that it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentId {
    /// The order, the return, or for a report the shift.
    pub owner_id: String,
    /// Which of its documents.
    pub kind: Kind,
}

impl DocumentId {
    /// Reads an id; `None` for what no document could have.
    pub fn parse(text: &str) -> Option<Self> {
        // No kind has a dot in its name; an order's id may.
        let (owner_id, kind) = text.rsplit_once('.')?;
        check_id(owner_id).ok()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        Some(DocumentId { owner_id: owner_id.to_owned(), kind })
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.owner_id, self.kind)
    }
}

/// The documents that a sale has, or a return.
pub fn kinds_of(kind: CartKind) -> &'static [Kind] {
    match kind {
        CartKind::Sale => &[Kind::Receipt, Kind::GiftReceipt, Kind::MerchantCopy, Kind::KitchenChit],
        CartKind::Return => &[Kind::ReturnReceipt, Kind::MerchantCopy],
    }
}

/// Ids of the documents of a final cart.
pub fn document_ids(cart: &Cart) -> Vec<String> {
    let id = |kind: &Kind| DocumentId { owner_id: cart.id.clone(), kind: *kind }.to_string();
    kinds_of(cart.kind).iter().map(id).collect()
}

/// The report that a shift has: while it goes on the X report, then the Z report.
pub(super) fn report_of(state: ShiftState) -> Kind {
    match state {
        ShiftState::Open => Kind::XReport,
        ShiftState::Closed => Kind::ZReport,
    }
}

/// Ids of the documents of a shift, where a command answers with its report; `None` where without.
pub fn report_ids(shift: &ShiftView) -> Option<Vec<String>> {
    let id = DocumentId { owner_id: shift.id.clone(), kind: report_of(shift.state) };
    shift.report.as_ref().map(|_| vec![id.to_string()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is_one() {
        for owner_id in ["o-1", "web:2011.12.05~7", "o-1.receipt"] {
            for kind in Kind::ALL {
                let id = DocumentId { owner_id: owner_id.to_owned(), kind };
                assert_eq!(DocumentId::parse(&id.to_string()), Some(id));
            }
        }
        let long = format!("{}.receipt", "x".repeat(65));
        for bad in [
            "",
            ".",
            "o-1",
            "o-1.",
            ".receipt",
            "o-1.Receipt",
            "o-1.receipt ",
            "o-1.invoice",
            "o-1.Z_report",
            "o-1.report",
            "o-1#x.receipt",
            "o/1.receipt",
            "o-1..receipt.",
            &long,
        ] {
            assert_eq!(DocumentId::parse(bad), None, "{bad:?}");
        }
    }
}
