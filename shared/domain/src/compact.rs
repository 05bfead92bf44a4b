//! Compact binary encoding with a format version in front.
//!
//! DynamoDB bills by the kilobyte, so what only the code reads is binary. The first byte says how the
//! rest is written; every reader knows all older formats.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Postcard as it is.
const FORMAT_PLAIN: u8 = 1;
/// Postcard, deflated (RFC 1951).
const FORMAT_DEFLATED: u8 = 2;
/// Below this, deflating costs more time than it saves money.
const DEFLATE_FROM_BYTES: usize = 3_000;
/// A DynamoDB item has at most 400 KB; nothing that fits inflates to more than this.
const INFLATED_BYTES_MAX: u64 = 8 * 1024 * 1024;

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
    #[error("compact bytes inflate beyond {INFLATED_BYTES_MAX} bytes")]
    TooLarge,
}

/// Encodes `value`, deflated where that pays.
///
/// # Errors
/// [`CompactError::Malformed`] if a value cannot be serialised.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CompactError> {
    let plain =
        postcard::to_extend(value, vec![FORMAT_PLAIN]).map_err(|e| CompactError::Malformed(e.to_string()))?;
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
/// [`CompactError`] for bytes that are not ours.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CompactError> {
    let malformed = |e: postcard::Error| CompactError::Malformed(e.to_string());
    match bytes.split_first() {
        Some((&FORMAT_PLAIN, rest)) => postcard::from_bytes(rest).map_err(malformed),
        Some((&FORMAT_DEFLATED, rest)) => {
            let mut plain = Vec::new();
            let read = DeflateDecoder::new(rest)
                .take(INFLATED_BYTES_MAX + 1)
                .read_to_end(&mut plain)
                .map_err(|e| CompactError::Malformed(e.to_string()))?;
            if u64::try_from(read).unwrap_or(u64::MAX) > INFLATED_BYTES_MAX {
                return Err(CompactError::TooLarge);
            }
            postcard::from_bytes(&plain).map_err(malformed)
        }
        other => Err(CompactError::UnknownFormat(other.map(|(format, _)| *format))),
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
}
