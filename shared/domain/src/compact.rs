//! Compact binary encoding with a format version in front.
//!
//! DynamoDB bills by the kilobyte, so what only the code reads is binary. The first byte says how the
//! rest is written; every reader knows all older formats.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Postcard as it is.
const FORMAT_PLAIN: u8 = 1;
/// Postcard, deflated (RFC 1951).
const FORMAT_DEFLATED: u8 = 2;
/// Below this, deflating costs more time than it saves money.
const DEFLATE_FROM_BYTES: usize = 3_000;
/// Nothing is read that inflates to more, nor written. A DynamoDB item has at most 400 KB, and few contents
/// deflate to a twentieth.
const INFLATED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why bytes could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The first byte names no format this build knows.
    #[error("unknown format version {0:?}")]
    UnknownFormat(Option<u8>),
    /// The bytes do not hold what was asked for.
    #[error("malformed compact bytes: {0}")]
    Malformed(String),
    /// It would inflate beyond the bound.
    #[error("compact bytes inflate beyond {INFLATED_BYTES_MAX} bytes or leave too little room below")]
    TooLarge,
}

/// Encodes `value`, deflated where that pays.
///
/// # Errors
/// [`CompactError::TooLarge`] for what [`decode`] would refuse, [`CompactError::Malformed`] if a value
/// cannot be serialised.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CompactError> {
    encode_with_room(value, 0)
}

/// As [`encode`], for a value that must still be encodable when it has grown by `room` bytes.
///
/// # Errors
/// As [`encode`].
pub fn encode_with_room<T: Serialize>(value: &T, room: usize) -> Result<Vec<u8>, CompactError> {
    let plain =
        postcard::to_extend(value, vec![FORMAT_PLAIN]).map_err(|e| CompactError::Malformed(e.to_string()))?;
    // Less the byte of the format.
    if (plain.len() - 1).saturating_add(room) > INFLATED_BYTES_MAX {
        return Err(CompactError::TooLarge);
    }
    if plain.len() < DEFLATE_FROM_BYTES {
        return Ok(plain);
    }
    let mut encoder = DeflateEncoder::new(vec![FORMAT_DEFLATED], Compression::fast());
    encoder
        .write_all(&plain[1..])
        .and_then(|()| encoder.finish())
        .map_err(|e| CompactError::Malformed(e.to_string()))
        .map(|deflated| if deflated.len() < plain.len() { deflated } else { plain })
}

/// Decodes what [`encode`] wrote, in this or any older format.
///
/// # Errors
/// [`CompactError`] for bytes that are not ours, or that something stands behind.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CompactError> {
    match bytes.split_first() {
        Some((&FORMAT_PLAIN, rest)) => whole(rest),
        Some((&FORMAT_DEFLATED, rest)) => {
            let mut plain = Vec::new();
            let mut inflated = DeflateDecoder::new(rest).take(INFLATED_BYTES_MAX as u64 + 1);
            inflated.read_to_end(&mut plain).map_err(|e| CompactError::Malformed(e.to_string()))?;
            if plain.len() > INFLATED_BYTES_MAX {
                return Err(CompactError::TooLarge);
            }
            nothing_behind(inflated.into_inner().into_inner())?;
            whole(&plain)
        }
        other => Err(CompactError::UnknownFormat(other.map(|(format, _)| *format))),
    }
}

/// A value that takes all of `plain`. Bytes behind it would mean that it was written as another type, and
/// that what was read is something else than was meant.
fn whole<T: DeserializeOwned>(plain: &[u8]) -> Result<T, CompactError> {
    let (value, behind) =
        postcard::take_from_bytes(plain).map_err(|e| CompactError::Malformed(e.to_string()))?;
    nothing_behind(behind)?;
    Ok(value)
}

fn nothing_behind(behind: &[u8]) -> Result<(), CompactError> {
    if behind.is_empty() {
        Ok(())
    } else {
        Err(CompactError::Malformed(format!("{} bytes behind the value", behind.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_values_round_trip() {
        for size in [0_usize, 10, 5_000] {
            let value: Vec<String> = (0..size).map(|n| format!("WHITE HANGING HEART {n}")).collect();
            let bytes = encode(&value).unwrap();
            assert_eq!(decode::<Vec<String>>(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn rubbish_is_refused_and_bounded() {
        assert_eq!(decode::<u64>(&[]), Err(CompactError::UnknownFormat(None)));
        assert_eq!(decode::<u64>(&[9, 1]), Err(CompactError::UnknownFormat(Some(9))));
        assert!(decode::<String>(&[FORMAT_PLAIN, 5, 1]).is_err());
        let mut bomb = DeflateEncoder::new(vec![FORMAT_DEFLATED], Compression::best());
        for _ in 0..20 {
            bomb.write_all(&vec![0; 1 << 20]).unwrap();
        }
        assert_eq!(decode::<String>(&bomb.finish().unwrap()), Err(CompactError::TooLarge));
    }

    #[test]
    fn what_cannot_be_read_is_not_written() {
        // A length of four bytes stands before the text.
        let largest = "x".repeat(INFLATED_BYTES_MAX - 4);
        assert_eq!(decode::<String>(&encode(&largest).unwrap()), Ok(largest.clone()));
        assert_eq!(encode_with_room(&largest, 1), Err(CompactError::TooLarge));
        assert_eq!(encode(&(largest + "x")), Err(CompactError::TooLarge));
    }

    #[test]
    fn bytes_behind_a_value_are_refused() {
        for size in [1, 5_000] {
            let value: Vec<u64> = (0..size).collect();
            let bytes = encode(&value).unwrap();
            assert!(decode::<Vec<u64>>(&[bytes.clone(), vec![0]].concat()).is_err());
            // Within what is deflated, too.
            assert_eq!(decode::<(Vec<u64>, u64)>(&encode(&(&value, 7_u64)).unwrap()), Ok((value.clone(), 7)));
            assert!(decode::<Vec<u64>>(&encode(&(&value, 7_u64)).unwrap()).is_err());
        }
    }
}
