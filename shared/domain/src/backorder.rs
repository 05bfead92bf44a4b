//! Backorders: what customers wait for, in the order in which they asked.

/// Shortest time that what was reserved for a backorder waits to be fetched, in seconds.
pub const HOLD_SECONDS_MIN: u32 = 60;
/// Longest, in seconds: 30 days.
pub const HOLD_SECONDS_MAX: u32 = 30 * 86_400;
/// Where a tenant says nothing, in seconds: three days.
pub const HOLD_SECONDS_DEFAULT: u32 = 3 * 86_400;

/// Where a backorder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackorderState {
    /// In its queue.
    Waiting,
    /// A reservation holds what it is for.
    Reserved,
    /// All of it was sold.
    Fulfilled,
    /// Its reservation's time ran out, or it was needed before it could be served.
    Expired,
    /// Called off, or its reservation given back.
    Cancelled,
}

impl BackorderState {
    /// All of them.
    pub const ALL: [BackorderState; 5] = [
        BackorderState::Waiting,
        BackorderState::Reserved,
        BackorderState::Fulfilled,
        BackorderState::Expired,
        BackorderState::Cancelled,
    ];

    /// Its name, stored and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            BackorderState::Waiting => "waiting",
            BackorderState::Reserved => "reserved",
            BackorderState::Fulfilled => "fulfilled",
            BackorderState::Expired => "expired",
            BackorderState::Cancelled => "cancelled",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing becomes of it any more.
    pub fn is_over(self) -> bool {
        !matches!(self, BackorderState::Waiting | BackorderState::Reserved)
    }

    /// Whether it may stand so next. What is over stays so: whose goods went to the next in the queue asks anew.
    pub fn may_become(self, next: BackorderState) -> bool {
        match self {
            BackorderState::Waiting => {
                matches!(next, BackorderState::Reserved | BackorderState::Expired | BackorderState::Cancelled)
            }
            BackorderState::Reserved => next.is_over(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_so_and_nothing_goes_back_into_the_queue() {
        use BackorderState::{Cancelled, Expired, Fulfilled, Reserved, Waiting};
        let ways: Vec<_> = BackorderState::ALL
            .into_iter()
            .flat_map(|from| BackorderState::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .collect();
        let expected = [
            (Waiting, Reserved),
            (Waiting, Expired),
            (Waiting, Cancelled),
            (Reserved, Fulfilled),
            (Reserved, Expired),
            (Reserved, Cancelled),
        ];
        assert_eq!(ways, expected);
        assert!(!Waiting.is_over() && !Reserved.is_over());
    }

    #[test]
    fn states_are_told_by_their_names() {
        for state in BackorderState::ALL {
            assert_eq!(BackorderState::parse(state.name()), Some(state));
        }
        assert_eq!(BackorderState::parse("lost"), None);
    }
}
