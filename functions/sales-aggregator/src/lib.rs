//! Kinesis to analytics pages.
