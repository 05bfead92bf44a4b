//! Compact binary encoding with a format version in front.
//!
//! DynamoDB bills by the kilobyte, so what only the code reads is binary. The first byte says how the
//! rest is written; every reader knows all older formats.

use std::borrow::Cow;
use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

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
    Ok(deflated(&plain)?.unwrap_or(plain))
}

thread_local! {
    // Kept, since they are hundreds of kilobytes: to get that much from the system and to give it back for
    // each page takes longer than all the rest.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// `plain`, a format byte and content, deflated; none if it would not be smaller.
fn deflated(plain: &[u8]) -> Result<Option<Vec<u8>>, CompactError> {
    // There is no room for more than that, so what does not fit does not pay.
    let mut deflated = Vec::with_capacity(plain.len() - 1);
    deflated.push(FORMAT_DEFLATED);
    DEFLATE.with_borrow_mut(|deflater| {
        deflater.reset();
        match deflater.compress_vec(&plain[1..], &mut deflated, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => Ok(Some(deflated)),
            Ok(Status::Ok | Status::BufError) => Ok(None),
            Err(error) => Err(CompactError::Malformed(error.to_string())),
        }
    })
}

fn inflated(deflated: &[u8]) -> Result<Vec<u8>, CompactError> {
    // Pages deflate to a third or less.
    let mut plain = Vec::with_capacity(deflated.len().saturating_mul(4).min(INFLATED_BYTES_MAX));
    INFLATE.with_borrow_mut(|inflater| {
        inflater.reset(false);
        loop {
            let so_far = (inflater.total_in(), inflater.total_out());
            let read = usize::try_from(so_far.0).unwrap_or(usize::MAX);
            let status = inflater
                .decompress_vec(deflated.get(read..).unwrap_or_default(), &mut plain, FlushDecompress::None)
                .map_err(|e| CompactError::Malformed(e.to_string()))?;
            if plain.len() > INFLATED_BYTES_MAX {
                return Err(CompactError::TooLarge);
            }
            if status == Status::StreamEnd {
                break;
            }
            if plain.len() == plain.capacity() {
                plain.reserve(plain.len().max(4_096));
            } else if so_far == (inflater.total_in(), inflater.total_out()) {
                return Err(CompactError::Malformed("the deflated bytes end too early".to_owned()));
            }
        }
        let read = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
        nothing_behind(deflated.get(read..).unwrap_or_default())?;
        Ok(plain)
    })
}

/// Decodes what [`encode`] wrote, in this or any older format.
///
/// # Errors
/// [`CompactError`] for bytes that are not ours, or that something stands behind.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CompactError> {
    of_plain(&plain(bytes)?)
}

/// The postcard that [`encode`] made bytes of, for [`of_plain`].
///
/// # Errors
/// As [`decode`].
pub fn plain(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CompactError> {
    match bytes.split_first() {
        Some((&FORMAT_PLAIN, rest)) => Ok(Cow::Borrowed(rest)),
        Some((&FORMAT_DEFLATED, rest)) => inflated(rest).map(Cow::Owned),
        other => Err(CompactError::UnknownFormat(other.map(|(format, _)| *format))),
    }
}

/// A value that takes all of `plain`, and may borrow from it. Bytes behind it would mean that it was written
/// as another type, and that what was read is something else than was meant.
///
/// # Errors
/// [`CompactError::Malformed`].
pub fn of_plain<'a, T: Deserialize<'a>>(plain: &'a [u8]) -> Result<T, CompactError> {
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
    use std::io::Write;

    use flate2::write::DeflateEncoder;

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

    /// As pages written with another encoder are read, and one that was cut off is not taken for whole.
    #[test]
    fn deflated_bytes_of_any_encoder_are_read_to_their_end() {
        let value: Vec<u64> = (0..100_000).map(|n| n / 7).collect();
        let plain = postcard::to_extend(&value, Vec::new()).unwrap();
        for level in [Compression::none(), Compression::fast(), Compression::best()] {
            let mut encoder = DeflateEncoder::new(vec![FORMAT_DEFLATED], level);
            encoder.write_all(&plain).unwrap();
            let bytes = encoder.finish().unwrap();
            assert_eq!(decode::<Vec<u64>>(&bytes).unwrap(), value);
            for end in [1, 2, bytes.len() / 2, bytes.len() - 1] {
                assert!(decode::<Vec<u64>>(&bytes[..end]).is_err(), "the first {end} bytes");
                // What was read before leaves nothing behind.
                assert_eq!(decode::<Vec<u64>>(&bytes).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_does_not_deflate_stays_plain() {
        let mut state = 1_u64;
        let noise: Vec<u8> = (0..10_000)
            .map(|_| {
                state = state.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(23) ^ 0x9e37_79b9_7f4a_7c15;
                state.to_be_bytes()[0]
            })
            .collect();
        let bytes = encode(&noise).unwrap();
        assert_eq!(bytes[0], FORMAT_PLAIN);
        assert_eq!(decode::<Vec<u8>>(&bytes).unwrap(), noise);
        assert_eq!(encode(&vec![7_u64; 5_000]).unwrap()[0], FORMAT_DEFLATED);
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
