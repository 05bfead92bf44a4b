//! Parked records: poison, kept whole until a person has looked at it.

use std::hash::{DefaultHasher, Hash, Hasher};

use tillstream_app::database::{Condition, DatabaseError, Item, Table, Write};
use tillstream_app::{Ports, Result, keys};

use crate::wide_event;

/// Longest piece of a record in one item, in bytes: below DynamoDB's 400 KB for the whole item.
const PIECE_BYTES_MAX: usize = 300 * 1024;

/// A record as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// What its source calls it, if that could be read.
    pub identifier: Option<&'a str>,
    /// When it arrived, in epoch milliseconds, if that could be read.
    pub arrived_millis: Option<i64>,
    /// The whole of it.
    pub record: &'a str,
}

/// Where poison records go.
#[derive(Clone)]
pub struct ParkedRecords {
    function: &'static str,
    ports: Ports,
}

impl ParkedRecords {
    /// Parks on behalf of `function`.
    pub fn new(function: &'static str, ports: Ports) -> Self {
        ParkedRecords { function, ports }
    }

    /// Parks a record of `source` whole, in as many items as it takes, with the reason. Parking it again
    /// changes nothing.
    ///
    /// # Errors
    /// Those of the database: then the record may not be parked, and must come again.
    pub async fn park(&self, source: &str, parcel: &Parcel<'_>, reason: &str) -> Result<()> {
        let now = self.ports.environment.now();
        let arrived_millis = parcel.arrived_millis.unwrap_or_else(|| now.as_millisecond());
        let pieces = pieces(parcel.record);
        for (number, piece) in pieces.iter().enumerate() {
            let key = keys::parked_record(arrived_millis, identity(source, parcel, number));
            let item = Item::new(&key)
                .with("kind", "parked_record")
                .with("record_id", format!("{:016x}", identity(source, parcel, 0)))
                .with("function", self.function)
                .with("source", source)
                .with("reason", reason.chars().take(1_000).collect::<String>())
                .with("parked_at", now.to_string())
                .with("piece", i64::try_from(number).unwrap_or(i64::MAX))
                .with("pieces", i64::try_from(pieces.len()).unwrap_or(i64::MAX))
                .with("record", *piece)
                .with_some("request_id", wide_event::request_id());
            let write = Write::Put { table: Table::Dispatch, item, condition: Some(Condition::NotExists) };
            match self.ports.database.write(write).await {
                // Parked before, perhaps by a write whose answer was lost.
                Ok(()) | Err(DatabaseError::ConditionFailed(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// A number for a piece of a record, the same whenever the record comes again. Of a record without
/// identifier the content is its identity; with one it need not be, a message counts its receives.
fn identity(source: &str, parcel: &Parcel<'_>, piece: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (source, parcel.identifier.unwrap_or(parcel.record), piece).hash(&mut hasher);
    hasher.finish()
}

/// Cuts text into pieces of at most [`PIECE_BYTES_MAX`], between characters.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    loop {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES_MAX));
        pieces.push(piece);
        if after.is_empty() {
            return pieces;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_cut_off() {
        assert_eq!(pieces(""), [""]);
        let text = "é".repeat(PIECE_BYTES_MAX);
        let cut = pieces(&text);
        assert!(cut.len() >= 2 && cut.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX));
        assert_eq!(cut.concat(), text);
    }
}
