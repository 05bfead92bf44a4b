//! Nothing but its tests: of the use cases, through their public side.
