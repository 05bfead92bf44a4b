//! Whole orders by REST, and reading them.
