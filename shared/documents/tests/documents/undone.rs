//! What is printed of a sale that does not stand any more says so.

use tillstream_documents::{Format, Kind};

use crate::fixtures::{made, order, read_by_people};

/// A return is no sale that could be undone: its receipt is the proof that the other one was.
const OF_SALES: [Kind; 4] = [Kind::Receipt, Kind::GiftReceipt, Kind::MerchantCopy, Kind::KitchenChit];

#[test]
fn every_document_of_a_sale_says_so_in_every_format() {
    for kind in OF_SALES {
        for format in Format::ALL {
            let shown = |undone: Option<&str>| {
                let data = order(|order| order.undone = undone.map(str::to_owned));
                read_by_people(&made(kind, format, &data))
            };
            let standing = shown(None);
            for (undone, said, other) in
                [("voided", "VOIDED", "CANCELLED"), ("cancelled", "CANCELLED", "VOIDED")]
            {
                assert!(!standing.contains(said), "{kind} as {format}:\n{standing}");
                let text = shown(Some(undone));
                assert_eq!(text.matches(said).count(), 1, "{kind} as {format}:\n{text}");
                assert!(!text.contains(other), "{kind} as {format}:\n{text}");
                // Above what was bought: nobody reads a receipt to its end.
                if kind == Kind::Receipt {
                    assert!(text.find(said) < text.find("Subtotal"), "{format}:\n{text}");
                }
            }
        }
    }
}
