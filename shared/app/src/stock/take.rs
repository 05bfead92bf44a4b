//! From which parts of a stock item a quantity is taken.

use tillstream_domain::quantity::Quantity;

use crate::environment::Environment;
use crate::error::Result;
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::layout::{LAYOUT_WHOLE, Place};
use crate::stock::standing::{Standing, standing, standing_together};
use crate::tenancy::TenantScope;

/// What is taken from one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which part; 0 is also the whole.
    pub part: u32,
    /// In which layout.
    pub layout: i64,
    /// How many.
    pub quantity: Quantity,
    /// The part as it was read.
    pub seen: Counters,
}

impl Share {
    /// Where it is taken.
    pub fn place(&self) -> Place {
        match self.layout {
            LAYOUT_WHOLE => Place::Whole,
            layout => Place::Part { part: self.part, layout },
        }
    }
}

/// Parts that were seen empty, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmptyParts(pub u64);

impl EmptyParts {
    fn of(standing: &Standing) -> Self {
        let empty = standing.numbered().filter(|(_, part)| part.available <= 0);
        EmptyParts(empty.fold(0, |bits, (part, _)| bits | (1 << part)))
    }

    /// Any part of so many that was not seen empty; any at all where all were.
    pub fn other(self, parts: u32, environment: &dyn Environment) -> u32 {
        let others: Vec<u32> = (0..parts).filter(|part| self.0 & (1 << part) == 0).collect();
        let random = environment.random();
        let at = u64::try_from(others.len()).ok().and_then(|count| random.checked_rem(count));
        let any = u32::try_from(random % u64::from(parts.max(1))).unwrap_or(0);
        at.and_then(|at| others.get(usize::try_from(at).ok()?)).copied().unwrap_or(any)
    }
}

/// What looking at a stock item came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It suffices: so it is taken.
    Shares(Vec<Share>, EmptyParts),
    /// It does not suffice, as of one moment, over all parts; `None` where there is no such item.
    Short(Option<Counters>),
    /// It cannot be said now, for this reason.
    Again(String),
}

/// Chooses parts: a random one of those that suffice alone, else the fewest that do together. `None` where
/// all do not suffice.
fn choose(environment: &dyn Environment, standing: &Standing, quantity: Quantity) -> Option<Vec<Share>> {
    let layout = standing.layout();
    let share =
        |part: u32, quantity: Quantity, seen: &Counters| Share { part, layout, quantity, seen: *seen };
    let wanted = quantity.thousandths();
    let alone: Vec<_> = standing.numbered().filter(|(_, seen)| seen.available >= wanted).collect();
    let one = u64::try_from(alone.len()).ok().and_then(|count| environment.random().checked_rem(count));
    if let Some((part, seen)) = one.and_then(|at| alone.get(usize::try_from(at).ok()?)) {
        return Some(vec![share(*part, quantity, seen)]);
    }
    let mut by_most: Vec<_> = standing.numbered().filter(|(_, seen)| seen.available > 0).collect();
    by_most.sort_by_key(|(_, seen)| std::cmp::Reverse(seen.available));
    let mut left = wanted;
    let mut shares = Vec::new();
    for (part, seen) in by_most {
        let taken = seen.available.min(left);
        shares.push(share(part, Quantity::of_counter(taken), seen));
        left -= taken;
        if left == 0 {
            return Some(shares);
        }
    }
    None
}

/// Looks at all parts of a stock item and chooses. What is said to be short is so as of one moment. `layout`
/// is a guess at its layout.
///
/// # Errors
/// As the database.
pub async fn take(
    ports: &Ports,
    scope: &TenantScope,
    (location_id, sku): (&str, &str),
    quantity: Quantity,
    layout: i64,
) -> Result<Taken> {
    let database = ports.database.as_ref();
    let environment = ports.environment.as_ref();
    let Some(seen) = standing(database, scope, location_id, sku, layout).await? else {
        return Ok(Taken::Short(None));
    };
    if let Some(shares) = choose(environment, &seen, quantity) {
        return Ok(Taken::Shares(shares, EmptyParts::of(&seen)));
    }
    if seen.layout() == LAYOUT_WHOLE {
        return Ok(Taken::Short(Some(seen.total())));
    }
    // The parts were read one after another: what was given back, or moved, behind the reader's back is
    // there although no part showed it.
    match standing_together(database, scope, location_id, sku, seen.layout()).await {
        Ok(together) => Ok(match together? {
            None => Taken::Again("the stock was laid out anew".to_owned()),
            Some(together) => match choose(environment, &together, quantity) {
                Some(shares) => Taken::Shares(shares, EmptyParts::of(&together)),
                None => Taken::Short(Some(together.total())),
            },
        }),
        Err(error) if error.is_transient() => Ok(Taken::Again(error.to_string())),
        Err(error) => Err(error.into()),
    }
}
