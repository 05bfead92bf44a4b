//! How the stock of some lines is laid out, and from where each is taken.

use jiff::Timestamp;

use crate::database::{Cancellation, Consistency, Get, Item, Table};
use crate::error::{Error, Result};
use crate::ports::Ports;
use crate::stock::counters::Counters;
use crate::stock::expiry::{HoldReads, free_enough};
use crate::stock::layout::{LAYOUT_WHOLE, Place, parts_in};
use crate::stock::lots::due::keep_aside_if_due;
use crate::stock::reservation_item::HeldPart;
use crate::stock::split::{LaidOut, merge, parts_for, split};
use crate::stock::take::{EmptyParts, Share, Taken, take};
use crate::stock::wanted::Wanted;
use crate::tenancy::TenantScope;

/// How often one request loses a whole stock item to other transactions before it splits it: once or twice
/// may be chance.
const LOST_UNTIL_SPLIT: u32 = 3;
/// Of so many refusals for want of any one tries to merge the stock.
const SOLD_OUT_TRY: u64 = 8;

/// What there is of some lines.
pub(super) enum Looked {
    /// Enough of all: from where each is taken.
    All(Vec<Vec<Share>>),
    /// Of these, by position, too little, of which so much is there.
    Short(Vec<(usize, Option<Counters>)>),
    /// It cannot be said now, for this reason.
    Again(String),
}

/// Frees expired holds on what is short, as much as is short. `reads`: what the request has read of hold lines for it.
/// Answers whether any were freed.
///
/// # Errors
/// As [`free_enough`].
pub(super) async fn free_short(
    ports: &Ports,
    scope: &TenantScope,
    wanted: &[Wanted],
    short: &[(usize, Option<Counters>)],
    reads: &mut HoldReads,
    now: Timestamp,
) -> Result<bool> {
    let mut any = false;
    for (at, stock) in short {
        let Some(line) = wanted.get(*at) else { continue };
        if !stock.is_some_and(|stock| stock.may_have_expired_holds(now)) {
            continue;
        }
        let needed = line.quantity.thousandths() - stock.map_or(0, |stock| stock.available);
        let what = (line.location_id.as_str(), line.sku.as_str());
        any |= free_enough(ports, scope, what, needed, reads, now).await?.any;
    }
    Ok(any)
}

/// What a header keeps of where a line was taken.
pub(super) fn parts_of(shares: &[Share]) -> Vec<HeldPart> {
    let is_whole = shares.iter().all(|share| share.layout == LAYOUT_WHOLE);
    let part = |share: &Share| HeldPart { part: share.part, layout: share.layout, quantity: share.quantity };
    if is_whole { Vec::new() } else { shares.iter().map(part).collect() }
}

/// What one request knows of how the stock of its lines is laid out.
pub(super) struct Layouts<'a> {
    ports: &'a Ports,
    scope: &'a TenantScope,
    /// By line: the layout as it was met last.
    layouts: Vec<i64>,
    /// By line: how often another transaction, or too many of them, stood in the way of one whole item.
    lost: Vec<u32>,
}

impl<'a> Layouts<'a> {
    pub(super) fn new(ports: &'a Ports, scope: &'a TenantScope, wanted: &[Wanted]) -> Self {
        let hot = ports.environment.hot_stock();
        let layout =
            |line: &Wanted| hot.map_or(LAYOUT_WHOLE, |hot| hot.layout(scope, &line.location_id, &line.sku));
        let layouts = wanted.iter().map(layout).collect();
        Layouts { ports, scope, layouts, lost: vec![0; wanted.len()] }
    }

    /// Where to look for each line: at the whole, or at any one part that was not empty.
    pub(super) fn places(&self, wanted: &[Wanted]) -> Vec<Place> {
        let environment = self.ports.environment.as_ref();
        let place = |(layout, line): (&i64, &Wanted)| match *layout {
            LAYOUT_WHOLE => Place::Whole,
            layout => {
                let empty = environment
                    .hot_stock()
                    .map_or(0, |hot| hot.empty_parts(self.scope, &line.location_id, &line.sku));
                Place::Part { part: EmptyParts(empty).other(parts_in(layout), environment), layout }
            }
        };
        self.layouts.iter().zip(wanted).map(place).collect()
    }

    fn note(&mut self, at: usize, line: &Wanted, layout: i64) {
        if let Some(known) = self.layouts.get_mut(at) {
            *known = layout;
        }
        if let Some(hot) = self.ports.environment.hot_stock() {
            hot.note_layout(self.scope, &line.location_id, &line.sku, layout);
        }
    }

    /// Notes what the catalogue said at `now`, of the lines whose stock is split. Of what was wanted for kits alone
    /// it was not asked whether it is sold by itself.
    pub(super) fn note_units(&self, wanted: &[Wanted], now: Timestamp) {
        let Some(hot) = self.ports.environment.hot_stock() else { return };
        for line in wanted.iter().filter(|line| line.is_named) {
            hot.note_unit(self.scope, &line.location_id, &line.sku, line.unit, now);
        }
    }

    /// Looks for each line, strongly consistent.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn look_at_all(&mut self, wanted: &[Wanted]) -> Result<Looked> {
        let places = self.places(wanted);
        let gets = wanted.iter().zip(&places).map(|(line, place)| Get {
            table: Table::Stock,
            key: place.key(self.scope, &line.location_id, &line.sku),
            consistency: Consistency::Strong,
        });
        let items = self.ports.database.get_many(gets.collect()).await?;
        self.look_at(wanted, &places, items).await
    }

    /// What was read in the `places` where the lines were looked for: enough, or what is short over all parts.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn look_at(
        &mut self,
        wanted: &[Wanted],
        places: &[Place],
        items: impl IntoIterator<Item = Option<Item>>,
    ) -> Result<Looked> {
        let seen = items.into_iter().map(|item| item.as_ref().map(Counters::of).transpose());
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let (mut shares, mut short, mut again) = (Vec::new(), Vec::new(), None);
        for (at, (line, (place, seen))) in wanted.iter().zip(places.iter().zip(seen)).enumerate() {
            match self.look(at, line, *place, seen).await? {
                Taken::Shares(of_line, _) => shares.push(of_line),
                Taken::Short(stock) => short.push((at, stock)),
                Taken::Again(why) => again = Some(why),
            }
        }
        Ok(match again {
            Some(why) => Looked::Again(why),
            None if short.is_empty() => Looked::All(shares),
            None => Looked::Short(short),
        })
    }

    /// What was `seen` in the `place` where a line was looked for: enough, or a reason to look at all parts.
    async fn look(
        &mut self,
        at: usize,
        line: &Wanted,
        place: Place,
        seen: Option<Counters>,
    ) -> Result<Taken> {
        let (name, now) = ((line.location_id.as_str(), line.sku.as_str()), self.ports.environment.now());
        if keep_aside_if_due(self.ports, self.scope, name, seen.as_ref(), now).await? {
            return Ok(Taken::Again("lots past their day were kept aside".to_owned()));
        }
        let expected = self.layouts.get(at).copied().unwrap_or(LAYOUT_WHOLE);
        let stands = seen.filter(|seen| seen.layout == expected);
        if let Some(seen) = stands.filter(|seen| seen.available >= line.quantity.thousandths()) {
            let share = Share { part: place.part(), layout: expected, quantity: line.quantity, seen };
            return Ok(Taken::Shares(vec![share], EmptyParts::default()));
        }
        if expected == LAYOUT_WHOLE && (seen.is_none() || stands.is_some()) {
            return Ok(Taken::Short(seen));
        }
        if let Some(split) = seen.filter(|seen| expected == LAYOUT_WHOLE && seen.layout != LAYOUT_WHOLE) {
            // Any part will do: to look at all now would only be another read of the first, which every
            // process that meets the split for the first time reads.
            self.note(at, line, split.layout);
            return Ok(Taken::Again("the stock is split".to_owned()));
        }
        // Another layout stands, or this part is short.
        let layout = seen.map_or(expected, |seen| if place.part() == 0 { seen.layout } else { expected });
        let taken = take(self.ports, self.scope, name, line.quantity, layout).await?;
        match &taken {
            Taken::Shares(shares, empty) => {
                self.note(at, line, shares.first().map_or(LAYOUT_WHOLE, |share| share.layout));
                if let Some(hot) = self.ports.environment.hot_stock() {
                    hot.note_empty_parts(self.scope, &line.location_id, &line.sku, empty.0);
                }
            }
            Taken::Short(stock) => {
                self.note(at, line, stock.map_or(LAYOUT_WHOLE, |stock| stock.layout));
                self.merge_sold_out(at, line, *stock).await?;
            }
            Taken::Again(_) => {}
        }
        Ok(taken)
    }

    /// Merges what is sold out, now and then: a refusal rests on all parts, and costs each of them more reads
    /// than a sale does.
    async fn merge_sold_out(&mut self, at: usize, line: &Wanted, stock: Option<Counters>) -> Result<()> {
        let sold_out = stock.is_some_and(|stock| stock.layout != LAYOUT_WHOLE && stock.available <= 0);
        // One of some: many meet it at once, and each attempt stands in the way of the others.
        if sold_out && self.ports.environment.random().is_multiple_of(SOLD_OUT_TRY) {
            match merge(self.ports, self.scope, &line.location_id, &line.sku).await {
                Ok(LaidOut::Now(layout)) => self.note(at, line, layout),
                Err(Error::Bug(why)) => return Err(Error::Bug(why)),
                // It need not be done now, and not by us: the answer stands without it.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Counts what stood in the way of a transaction, and splits the stock that many want.
    pub(super) async fn lost(
        &mut self,
        wanted: &[Wanted],
        shares: &[Vec<Share>],
        reasons: &[Cancellation],
        line_of: &[Option<usize>],
    ) -> Result<()> {
        for (reason, at) in reasons.iter().zip(line_of) {
            let Some(at) = *at else { continue };
            let (Some(line), Some(shares), Some(lost)) =
                (wanted.get(at), shares.get(at), self.lost.get_mut(at))
            else {
                continue;
            };
            let stood_in_the_way = matches!(reason, Cancellation::Conflict | Cancellation::Throttled);
            let Some(whole) = shares.first().filter(|share| share.layout == LAYOUT_WHOLE) else { continue };
            if !stood_in_the_way {
                continue;
            }
            *lost += 1;
            let parts = parts_for(whole.seen.available);
            if *lost < LOST_UNTIL_SPLIT || parts < 2 {
                continue;
            }
            match split(self.ports, self.scope, &line.location_id, &line.sku, parts).await {
                Ok(LaidOut::Now(layout)) => self.note(at, line, layout),
                Err(Error::Bug(why)) => return Err(Error::Bug(why)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }
}
