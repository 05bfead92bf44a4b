//! Ids of documents. They are derived, so that a sale writes nothing for them: `<order>.<kind>`.

use std::fmt;

use tillstream_documents::Kind;
use tillstream_domain::cart::{Cart, CartKind};
use tillstream_domain::identifier::check_id;

/// A document of an order. That it has the form of one does not say that the order is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentId {
    /// The order, or the return.
    pub order_id: String,
    /// Which of its documents.
    pub kind: Kind,
}

impl DocumentId {
    /// Reads an id; `None` for what no document could have.
    pub fn parse(text: &str) -> Option<Self> {
        // No kind has a dot in its name; an order's id may.
        let (order_id, kind) = text.rsplit_once('.')?;
        check_id(order_id).ok()?;
        let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
        (!kind.is_of_shift()).then(|| DocumentId { order_id: order_id.to_owned(), kind })
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.order_id, self.kind)
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
    let id = |kind: &Kind| DocumentId { order_id: cart.id.clone(), kind: *kind }.to_string();
    kinds_of(cart.kind).iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is_one() {
        for order_id in ["o-1", "web:2011.12.05~7", "o-1.receipt"] {
            for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_of_shift()) {
                let id = DocumentId { order_id: order_id.to_owned(), kind };
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
            "o-1.z_report",
            "o-1#x.receipt",
            "o/1.receipt",
            "o-1..receipt.",
            &long,
        ] {
            assert_eq!(DocumentId::parse(bad), None, "{bad:?}");
        }
    }
}
