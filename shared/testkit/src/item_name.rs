//! Items by name, for fakes that treat some of them otherwise.

use tillstream_app::database::{Table, Write};

/// Table, partition key and sort key.
pub type ItemName = (Table, String, String);

/// The item that a write is about.
pub fn item_name(write: &Write) -> ItemName {
    match write {
        Write::Put { table, item, .. } => {
            let text = |name| item.opt_text(name).unwrap_or_default().to_owned();
            (*table, text("pk"), text("sk"))
        }
        Write::Update { table, key, .. }
        | Write::Delete { table, key, .. }
        | Write::Check { table, key, .. } => (*table, key.pk().to_owned(), key.sk().to_owned()),
    }
}
