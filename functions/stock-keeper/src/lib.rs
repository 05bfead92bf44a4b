//! Scheduled recovery: expired holds, unfinished plans, missing numbers, waiting deliveries.
