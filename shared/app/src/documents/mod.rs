//! Receipts and the other documents of an order, rendered when they are fetched.
//!
//! Nothing of a document is stored: it is made from the order, which never changes in what it prints, from
//! the template that stood when the order became final ([`template_store`]), and from the store. The same
//! request has the same bytes, but for these:
//!
//! * **The store's name, address, tax number and time zone are as they are now.** What a store corrects is
//!   to be right on what it prints from then on, and every sale would pay for keeping a copy.
//! * **What is fetched late is a reprint** ([`read::ORIGINAL_FOR`]), and says so.

mod document_id;
mod order_document;
pub mod read;
mod shift_report;
mod taxes;
pub mod template_store;

pub use document_id::{DocumentId, document_ids, kinds_of};
pub use shift_report::render_shift;
pub use tillstream_documents::{
    Denomination, Document, Format, Kind, ShiftReport, Store, TaxTotal, Template, TemplateFormat, TenderTotal,
};
