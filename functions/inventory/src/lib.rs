//! Locations, stock, reservations, movements.
