//! Lanes: where everything that is counted gets its gapless number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::identifier::check_id;

/// Number of virtual lanes of a store's web channel: enough that orders from elsewhere do not queue
/// for one number, few enough to watch.
pub const VIRTUAL_LANES: u64 = 4;

/// A register of a store, or one of its virtual lanes, in one epoch.
///
/// Written `store/register`, with `~epoch` behind it once a restore from backup has raised the epoch. A
/// register whose own name ends so (`r~3`) is never written without its epoch (`r~3~0`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The store.
    pub store_id: String,
    /// The register, or `virtual-<n>`.
    pub register_id: String,
    /// 0 until the first restore from backup.
    pub epoch: u32,
}

impl Lane {
    /// The lane of `register_id` in its first epoch.
    pub fn new(store_id: impl Into<String>, register_id: impl Into<String>) -> Self {
        Lane { store_id: store_id.into(), register_id: register_id.into(), epoch: 0 }
    }

    /// The register part of a virtual lane; `spread` is any number that spreads orders evenly.
    pub fn virtual_register(spread: u64) -> String {
        format!("virtual-{}", spread % VIRTUAL_LANES + 1)
    }

    /// Whether a register is a virtual lane's.
    pub fn is_virtual(register_id: &str) -> bool {
        register_id.starts_with("virtual-")
    }

    /// The registers of all virtual lanes.
    pub fn virtual_registers() -> impl Iterator<Item = String> {
        (0..VIRTUAL_LANES).map(Self::virtual_register)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store_id, self.register_id)?;
        if self.epoch > 0 || split_epoch(&self.register_id).is_some() {
            write!(f, "~{}", self.epoch)?;
        }
        Ok(())
    }
}

/// A register and the digits of an epoch behind the last tilde, since a register may hold tildes too.
fn split_epoch(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('~').filter(|(_, epoch)| is_number(epoch))
}

/// Digits and nothing else: what Rust parses as a number may begin with a plus.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Not the text of a lane or of a consistency token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a lane: expected store/register, or store/register:number for a consistency token")]
pub struct LaneError;

impl FromStr for Lane {
    type Err = LaneError;
    fn from_str(text: &str) -> Result<Self, LaneError> {
        let (store_id, rest) = text.split_once('/').ok_or(LaneError)?;
        let (register_id, epoch) = match split_epoch(rest) {
            Some((register, epoch)) => (register, epoch.parse().map_err(|_| LaneError)?),
            None => (rest, 0),
        };
        check_id(store_id).and_then(|()| check_id(register_id)).map_err(|_| LaneError)?;
        Ok(Lane { store_id: store_id.into(), register_id: register_id.into(), epoch })
    }
}

impl Serialize for Lane {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lane {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where an epoch of a lane ended: the last numbers that a restored table knows of it. Numbers after them
/// may have been given, printed and told; their orders are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEnd {
    /// The epoch.
    pub epoch: u32,
    /// The last receipt number; 0 where there was none.
    pub last: u64,
    /// The number of the last Z report; 0 where there was none.
    pub z_number: u64,
}

/// One number of one lane: the receipt number, the event's identity, and as text the
/// read-your-writes token (`s-uk-1/r-1:42`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneNumber {
    /// The lane.
    pub lane: Lane,
    /// From 1, without gaps.
    pub number: u64,
}

impl LaneNumber {
    /// The number as it stands on paper: `12`, and `12~1` once a restore from backup has raised the epoch,
    /// so that it is told from the `12` of before.
    pub fn printed(&self) -> String {
        match self.lane.epoch {
            0 => self.number.to_string(),
            epoch => format!("{}~{epoch}", self.number),
        }
    }

    /// The epoch of the number, where a restore from backup has raised it.
    pub fn raised_epoch(&self) -> Option<u32> {
        (self.lane.epoch > 0).then_some(self.lane.epoch)
    }
}

impl fmt::Display for LaneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.lane, self.number)
    }
}

impl FromStr for LaneNumber {
    type Err = LaneError;
    fn from_str(text: &str) -> Result<Self, LaneError> {
        let (lane, number) = text.rsplit_once(':').ok_or(LaneError)?;
        if !is_number(number) {
            return Err(LaneError);
        }
        match number.parse() {
            Ok(number) if number > 0 => Ok(LaneNumber { lane: lane.parse()?, number }),
            _ => Err(LaneError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        for text in ["s-uk-1/r-1:42", "s/r~3:1", "s/r~3~0:1", "s/r~99999999999~0:1", "s:1/r:2:7"] {
            assert_eq!(text.parse::<LaneNumber>().unwrap().to_string(), text);
        }
        for bad in ["", "s/r", "s/r:0", "s/r:x", "s/r:+7", "/r:1", "s/:1", "s#/r:1", "s/r~99999999999:1"] {
            assert!(bad.parse::<LaneNumber>().is_err(), "{bad} was accepted");
        }
    }

    /// Number 12 is printed once in every epoch, and each time otherwise.
    #[test]
    fn printed_numbers_of_two_epochs_differ() {
        let of = |epoch| LaneNumber { lane: Lane { epoch, ..Lane::new("s", "r-1") }, number: 12 };
        assert_eq!([of(0).printed(), of(1).printed(), of(20).printed()], ["12", "12~1", "12~20"]);
        assert_eq!([of(0).raised_epoch(), of(3).raised_epoch()], [None, Some(3)]);
        assert_eq!(of(1).to_string().parse(), Ok(of(1)));
    }

    #[test]
    fn a_register_that_ends_like_an_epoch_is_itself() {
        for register in ["a~0", "a~1", "a~1~2", "a~99999999999", "a~", "a~b"] {
            for epoch in [0, 1] {
                let lane = Lane { epoch, ..Lane::new("s", register) };
                assert_eq!(lane.to_string().parse(), Ok(lane));
            }
        }
    }
}
