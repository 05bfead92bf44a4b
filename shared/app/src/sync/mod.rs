//! NDJSON feeds from HQ.
