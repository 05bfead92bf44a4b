//! Points on the earth, and which of two is nearer to a third.
//!
//! All in whole numbers, so that every process orders the same places alike. A point becomes a place on a unit sphere,
//! by sines reckoned to some twelve digits, and two points are as far apart as the chord between them, whose square
//! grows with the way over ground: no special case at poles and the date line, and no error that grows with distance
//! but that the earth is no sphere.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Largest latitude either way, in micro-degrees: a pole.
pub const LATITUDE_MAX: i64 = 90_000_000;
/// Largest longitude either way, in micro-degrees.
pub const LONGITUDE_MAX: i64 = 180_000_000;

/// A right angle, in micro-degrees.
const RIGHT_ANGLE: i64 = 90_000_000;
/// One, as sines are reckoned.
const ONE: i128 = 1_000_000_000_000_000;
/// π, so too.
const PI: i128 = 3_141_592_653_589_793;
/// So many terms of the sine's series: the next is below what is kept.
const TERMS: i128 = 12;

/// Why a point is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CoordinatesError {
    /// Beyond a pole.
    #[error("a latitude is -90000000 to 90000000 micro-degrees")]
    Latitude,
    /// More than half around.
    #[error("a longitude is -180000000 to 180000000 micro-degrees")]
    Longitude,
}

/// A point on the earth, in micro-degrees: north and east are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Coordinates {
    latitude: i64,
    longitude: i64,
}

/// How far apart two points are, to compare with other distances only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance(u128);

impl Coordinates {
    /// From micro-degrees.
    ///
    /// # Errors
    /// [`CoordinatesError`] for what is out of range, the latitude first.
    pub fn new(latitude: i64, longitude: i64) -> Result<Self, CoordinatesError> {
        if latitude.unsigned_abs() > LATITUDE_MAX.unsigned_abs() {
            return Err(CoordinatesError::Latitude);
        }
        if longitude.unsigned_abs() > LONGITUDE_MAX.unsigned_abs() {
            return Err(CoordinatesError::Longitude);
        }
        Ok(Coordinates { latitude, longitude })
    }

    /// How far north, in micro-degrees.
    pub fn latitude(self) -> i64 {
        self.latitude
    }

    /// How far east, in micro-degrees.
    pub fn longitude(self) -> i64 {
        self.longitude
    }

    /// How far it is to another point.
    pub fn distance_to(self, other: Coordinates) -> Distance {
        let of = |axis: i128| axis.unsigned_abs() * axis.unsigned_abs();
        let (from, to) = (self.on_unit_sphere(), other.on_unit_sphere());
        Distance(of(from.0 - to.0) + of(from.1 - to.1) + of(from.2 - to.2))
    }

    fn on_unit_sphere(self) -> (i128, i128, i128) {
        let to_axis = cosine(self.latitude);
        (to_axis * cosine(self.longitude) / ONE, to_axis * sine(self.longitude) / ONE, sine(self.latitude))
    }
}

/// The cosine of an angle of at most half a turn either way.
fn cosine(angle: i64) -> i128 {
    sine(RIGHT_ANGLE.saturating_sub(angle.saturating_abs()))
}

/// The sine of an angle of at most half a turn either way, by its series.
fn sine(angle: i64) -> i128 {
    let half_turn = 2 * RIGHT_ANGLE;
    let acute = match angle {
        angle if angle > RIGHT_ANGLE => half_turn.saturating_sub(angle),
        angle if angle < -RIGHT_ANGLE => (-half_turn).saturating_sub(angle),
        angle => angle,
    };
    let radians = i128::from(acute) * PI / i128::from(half_turn);
    let square = radians * radians / ONE;
    let (mut sum, mut term) = (radians, radians);
    for n in 1..=TERMS {
        term = -(term * square / ONE) / (2 * n * (2 * n + 1));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::float_arithmetic, reason = "whole numbers are proved against what they stand for")]

    use proptest::prelude::*;

    use super::*;

    const EARTH_METRES: f64 = 6_371_008.8;

    fn at(latitude: i64, longitude: i64) -> Coordinates {
        Coordinates::new(latitude, longitude).unwrap()
    }

    /// The way over ground on a sphere, in metres (haversine formula).
    fn metres(one: Coordinates, other: Coordinates) -> f64 {
        let radians = |micro: i64| (micro as f64 / 1e6).to_radians();
        let half = |from: i64, to: i64| ((radians(to) - radians(from)) / 2.0).sin().powi(2);
        let across = radians(one.latitude).cos() * radians(other.latitude).cos();
        let chord = half(one.latitude, other.latitude) + across * half(one.longitude, other.longitude);
        2.0 * EARTH_METRES * chord.sqrt().min(1.0).asin()
    }

    fn point() -> impl Strategy<Value = Coordinates> {
        (-LATITUDE_MAX..=LATITUDE_MAX, -LONGITUDE_MAX..=LONGITUDE_MAX).prop_map(|(lat, long)| at(lat, long))
    }

    #[test]
    fn what_is_no_point_is_refused() {
        for (latitude, longitude, wrong) in [
            (90_000_000, 180_000_000, None),
            (-90_000_000, -180_000_000, None),
            (90_000_001, 0, Some(CoordinatesError::Latitude)),
            (-90_000_001, 0, Some(CoordinatesError::Latitude)),
            (0, 180_000_001, Some(CoordinatesError::Longitude)),
            (0, -180_000_001, Some(CoordinatesError::Longitude)),
            (i64::MIN, i64::MAX, Some(CoordinatesError::Latitude)),
            (0, i64::MIN, Some(CoordinatesError::Longitude)),
        ] {
            assert_eq!(Coordinates::new(latitude, longitude).err(), wrong, "{latitude} {longitude}");
        }
    }

    #[test]
    fn poles_and_the_date_line_are_ordinary_places() {
        let origin = at(10_000_000, 20_000_000);
        assert_eq!(origin.distance_to(origin), at(0, 0).distance_to(at(0, 0)));
        // A pole is one place, whatever its longitude.
        let from_pole = |longitude| at(LATITUDE_MAX, longitude).distance_to(origin);
        assert_eq!(from_pole(0), from_pole(123_456_789));
        // Fiji is nearer to Samoa, over the date line, than to Sydney.
        let (fiji, samoa, sydney) =
            (at(-17_713_400, 178_065_000), at(-13_759_000, -172_104_600), at(-33_868_800, 151_209_300));
        assert!(fiji.distance_to(samoa) < fiji.distance_to(sydney));
        // By degrees, Oslo is nearer to Reykjavik's longitude than it is: 1,750 km against London's 1,890.
        let (reykjavik, oslo, london) =
            (at(64_146_600, -21_942_600), at(59_913_900, 10_752_200), at(51_507_400, -127_800));
        assert!(reykjavik.distance_to(oslo) < reykjavik.distance_to(london));
        assert_eq!(sine(RIGHT_ANGLE) / 1_000, ONE / 1_000);
        assert_eq!((cosine(RIGHT_ANGLE), sine(2 * RIGHT_ANGLE), sine(0)), (0, 0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Two ways that differ by a metre or more are told apart as they are, anywhere on earth.
        #[test]
        fn the_nearer_is_told_by_a_metre(from in point(), one in point(), other in point()) {
            let (near, far) = (metres(from, one), metres(from, other));
            // Close to the other side of the earth it is the formula with floats that is no better.
            prop_assume!(near.max(far) < 19_990_000.0);
            if (near - far).abs() >= 1.0 {
                prop_assert_eq!(from.distance_to(one) < from.distance_to(other), near < far);
            }
        }

        /// And so are streets of one town.
        #[test]
        fn the_nearer_is_told_in_one_town(
            from in (-80_000_000_i64..80_000_000, -179_000_000_i64..179_000_000),
            one in (-50_000_i64..50_000, -50_000_i64..50_000),
            other in (-50_000_i64..50_000, -50_000_i64..50_000),
        ) {
            let near_it = |by: (i64, i64)| at(from.0 + by.0, from.1 + by.1);
            let (from, one, other) = (near_it((0, 0)), near_it(one), near_it(other));
            let (near, far) = (metres(from, one), metres(from, other));
            if (near - far).abs() >= 0.1 {
                prop_assert_eq!(from.distance_to(one) < from.distance_to(other), near < far);
            }
        }

        #[test]
        fn it_is_as_far_back(from in point(), to in point()) {
            prop_assert_eq!(from.distance_to(to), to.distance_to(from));
        }
    }
}
