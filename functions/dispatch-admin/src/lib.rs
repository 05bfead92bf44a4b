//! Deliveries and dead letters.
