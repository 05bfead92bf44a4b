//! Receipts and the other documents of an order, and the reports on a shift, rendered when they are fetched.
//!
//! Nothing of a document is stored: it is made from the order, which never changes in what it prints, from
//! the template that stood when the order became final ([`template_store`]), and from the store. A Z report
//! is made from its closed shift likewise. The same request has the same bytes, but for these:
//!
//! * **The store's name, address, tax number and time zone are as they are now.** What a store corrects is
//!   to be right on what it prints from then on, and every sale would pay for keeping a copy.
//! * **What is fetched late is a reprint** ([`read::ORIGINAL_FOR`]), and says so.
//! * **An X report is of an open shift as of now**, and is gone once the shift is closed.

mod brief;
mod document_id;
mod order_document;
pub mod read;
mod shift_report;
mod taxes;
pub mod template_store;

pub use document_id::{DocumentId, document_ids, kinds_of, report_ids};
pub use tillstream_documents::{Document, Format, Kind, Template, TemplateFormat};
