//! Coarse pages.
