//! How answers are made: what is answered, under the tag of its version.

use axum::Json;
use tillstream_runtime::http::Replayed;
use tillstream_runtime::http::etag::EntityTag;

/// What a change left, at its version; whether it took effect before.
pub(crate) type Answered<T> = (EntityTag, Replayed, Json<T>);

pub(crate) fn answered<T>(version: i64, replayed: bool, now: T) -> Answered<T> {
    (EntityTag::of_version(version.unsigned_abs()), Replayed(replayed), Json(now))
}

/// What was read, at its version.
pub(crate) fn found<T>(version: i64, now: T) -> (EntityTag, Json<T>) {
    (EntityTag::of_version(version.unsigned_abs()), Json(now))
}
