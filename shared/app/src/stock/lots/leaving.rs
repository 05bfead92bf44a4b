//! Goods that leave and are of lots that whoever takes them named: a till, an order, the commit of a reservation.
//!
//! What is named leaves its lot; what else leaves with it leaves in the order of the lots. The write is on condition
//! that what the lots follow from is as it was read, so of two who take the last of a lot one is told.
//!
//! What does not fit is refused, as long as the goods are still there. Where they have left the shop it is made to fit:
//! what is kept aside of the lot is taken all the same; what the lot has too little of is entered as of it first, out
//! of what was of no known lot, or of others; and what can be of no lot that is known leaves as goods do of which no
//! lot is named. Somebody is told of each (`lot_mismatch`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use tillstream_contracts::lots::LotProblem;
use tillstream_domain::lot_book::{Lot, LotBook};
use tillstream_domain::quantity::{Quantity, Unit};

use super::back::{Origin, brought, known_of};
use super::due::keep_aside_if_due;
use super::header;
use super::named::{Named, known};
use super::stock::{LotStock, Taking};
use crate::catalog::items::{catalog_get, product_if_any};
use crate::database::{Consistency, DatabaseError, Get, Table, Write};
use crate::error::{Error, Refusal, RefusalKind, Result};
use crate::ports::Ports;
use crate::pos::counted_since::KnownCounts;
use crate::stock::attempts::Attempts;
use crate::stock::counters::{Counters, Delta, Movement, not_counted_after, shown};
use crate::stock::exceptions::{LotMismatch, lot_mismatch_id, lot_mismatch_write};
use crate::stock::layout::LAYOUT_WHOLE;
use crate::stock::listing::StockName;
use crate::stock::split::make_whole;
use crate::stock::taken_beyond::{DISCREPANCY, Taker};
use crate::tenancy::TenantScope;

/// Most lots that a refusal names beside the one that was asked for.
const OTHERS_MAX: usize = 10;

/// Goods of one SKU that leave, and perhaps come back at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Leaving<'a> {
    /// What.
    pub(crate) sku: String,
    /// How many leave, named or not, in thousandths.
    pub(crate) quantity: i64,
    /// How many of these were held for whoever takes them, in thousandths.
    pub(crate) held: i64,
    /// How many of these are of lots that are named, in thousandths.
    pub(crate) lots: BTreeMap<String, i64>,
    /// What comes back.
    pub(crate) back: Option<Back>,
    /// Why it moves.
    pub(crate) movement: &'a Movement,
}

impl Leaving<'_> {
    /// How many are taken in all, in thousandths; below zero where more comes back.
    pub(crate) fn taken(&self) -> i64 {
        self.quantity - self.back.as_ref().map_or(0, |back| back.quantity)
    }
}

/// Goods of one SKU that come back while others leave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Back {
    /// On the shelf, in thousandths.
    pub(crate) quantity: i64,
    /// Damaged, in thousandths.
    pub(crate) damaged: i64,
    /// Of which lots.
    pub(crate) origin: Origin,
}

/// Where goods leave, and on what terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// Where.
    pub(crate) location_id: &'a str,
    /// When they must be fit for sale.
    pub(crate) good_at: Timestamp,
    /// Our time.
    pub(crate) now: Timestamp,
    /// Who took them, where they have left the shop: then nothing is refused.
    pub(crate) gone: Option<Taker<'a>>,
    /// Of what left the shop before it was told: when it did, and the counts since that are known.
    pub(crate) left: Option<(Timestamp, &'a KnownCounts)>,
}

/// How goods leave.
#[derive(Debug)]
pub(crate) enum Leaves {
    /// As any goods: no lot that is named is in the books.
    AsAnyGoods,
    /// So. A condition that fails is a lost race.
    So(Vec<Write>),
    /// So many are not available beside what is held, or less is on hand than is held. With the stock as it was found.
    Short(i64, Option<Box<Counters>>),
}

/// A lot that goods cannot be of, or that should not have been sold.
#[derive(Debug, Clone)]
pub(crate) struct Misfit {
    pub(crate) sku: String,
    pub(crate) lot_id: String,
    problem: LotProblem,
    /// How many are said to be of it, in thousandths; of those that have left the shop, of how many it is wrong.
    quantity: i64,
    /// How many of it are for sale there, in thousandths.
    there: i64,
    lot_sku: Option<String>,
    expires_on: Option<Date>,
    unit: Option<Unit>,
    /// Lots that are for sale there.
    others: Vec<Lot>,
}

/// What looking at goods came to.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// By position of the goods. Tells nothing while goods that are still there do not fit, or something is to be
    /// entered.
    pub(crate) goods: Vec<Leaves>,
    /// What does not fit.
    pub(crate) misfits: Vec<Misfit>,
    /// What is to be entered first, each in a transaction of its own; then it is to be looked at again.
    pub(crate) entries: Vec<Vec<Write>>,
}

/// A lot of which something is not as it was said.
struct Wrong<'g> {
    lot_id: &'g str,
    wanted: i64,
    there: i64,
    /// Not there at all.
    missing: i64,
}

/// The lots as goods leave them.
struct Judged<'g> {
    book: LotBook,
    /// Taken of lots that are named.
    named: i64,
    /// What of that was kept aside.
    aside: i64,
    wrong: Vec<Wrong<'g>>,
}

fn judged<'g>(one: &'g Leaving<'_>, stock: &LotStock, terms: &Terms<'_>) -> Judged<'g> {
    let mut judged = Judged { book: stock.book.clone(), named: 0, aside: 0, wrong: Vec::new() };
    let good_at = terms.good_at.as_millisecond();
    for (lot_id, wanted) in &one.lots {
        let lot = stock.book.lot(lot_id);
        let (there, kept_aside) = lot.map_or((0, 0), |lot| (lot.quantity, lot.quarantined));
        let is_expired = lot.is_some_and(|lot| lot.has_expired(good_at));
        let wrong = |missing| Wrong { lot_id, wanted: *wanted, there, missing };
        if terms.gone.is_none() && (there < *wanted || is_expired) {
            judged.wrong.push(wrong((*wanted - there).max(0)));
            continue;
        }
        let for_sale = there.min(*wanted).max(0);
        let aside = kept_aside.min(*wanted - for_sale).max(0);
        for (quantity, is_aside) in [(for_sale, false), (aside, true)] {
            if quantity > 0 && judged.book.take(lot_id, quantity, is_aside).is_ok() {
                judged.named += quantity;
            }
        }
        judged.aside += aside;
        if for_sale < *wanted || is_expired {
            judged.wrong.push(wrong(*wanted - for_sale - aside));
        }
    }
    judged.book.take_any(one.quantity - judged.named);
    judged
}

/// Looks at the lots of goods, and answers how they leave.
///
/// # Errors
/// As the database; [`Error::Retryable`] where a lot is being recalled, or split stock was merged or cannot be.
pub(crate) async fn look(
    ports: &Ports,
    scope: &TenantScope,
    terms: &Terms<'_>,
    goods: &[Leaving<'_>],
) -> Result<Looked> {
    let mut looked = Looked::default();
    for (one, stock) in goods.iter().zip(stock_of(ports, scope, terms, goods).await?) {
        let found = Found { ports, scope, terms, one, stock: &stock };
        let leaves = found.leaves(&mut looked).await?;
        looked.goods.push(leaves);
    }
    Ok(looked)
}

/// The stock of goods, without lots past their day among what is available.
async fn stock_of(
    ports: &Ports,
    scope: &TenantScope,
    terms: &Terms<'_>,
    goods: &[Leaving<'_>],
) -> Result<Vec<LotStock>> {
    let mut attempts = Attempts::new(ports.environment.as_ref());
    loop {
        let get = |one: &Leaving<'_>| Get {
            table: Table::Stock,
            key: scope.stock(terms.location_id, &one.sku),
            consistency: Consistency::Strong,
        };
        let items = ports.database.get_many(goods.iter().map(get).collect()).await?;
        let (mut stocks, mut is_changed) = (Vec::with_capacity(goods.len()), false);
        for (one, item) in goods.iter().zip(&items) {
            let stock = LotStock::of(item.as_ref())?;
            let what = (terms.location_id, one.sku.as_str());
            is_changed |=
                keep_aside_if_due(ports, scope, what, stock.counters.as_ref(), terms.good_at).await?;
            let is_split = stock.counters.is_some_and(|seen| seen.layout != LAYOUT_WHOLE);
            if is_split && terms.gone.is_some() && !one.lots.is_empty() {
                // What is entered as of a lot is entered of the whole.
                make_whole(ports, scope, what.0, what.1).await?;
                is_changed = true;
            }
            stocks.push(stock);
        }
        if !is_changed {
            return Ok(stocks);
        }
        attempts.at_once("lots past their day were kept aside, or split stock was merged")?;
    }
}

/// Goods, and the stock that they leave.
struct Found<'f> {
    ports: &'f Ports,
    scope: &'f TenantScope,
    terms: &'f Terms<'f>,
    one: &'f Leaving<'f>,
    stock: &'f LotStock,
}

impl Found<'_> {
    async fn leaves(&self, looked: &mut Looked) -> Result<Leaves> {
        let Found { one, stock, .. } = self;
        let judged = judged(one, stock, self.terms);
        let seen = stock.counters.unwrap_or_default();
        if self.terms.gone.is_none() && !judged.wrong.is_empty() {
            for wrong in &judged.wrong {
                looked.misfits.extend(self.explained(wrong).await?.0);
            }
            return Ok(Leaves::AsAnyGoods);
        }
        let needed = one.taken() - one.held - judged.aside;
        // Less may have been found than is held, by a count or a recall: on hand is never below zero.
        let is_held_short = one.held > 0 && seen.on_hand < one.taken() - judged.aside;
        if (needed > 0 && seen.available < needed) || is_held_short {
            return Ok(Leaves::Short(needed, stock.counters.map(Box::new)));
        }
        let mut is_entered = false;
        for wrong in &judged.wrong {
            let (misfit, named) = self.explained(wrong).await?;
            let entry = match named.filter(|_| wrong.missing > 0 && !is_entered) {
                Some(named) => self.entry(wrong, &named)?,
                None => None,
            };
            match entry {
                Some(entry) => {
                    looked.entries.push(entry);
                    is_entered = true;
                }
                None => looked.misfits.extend(misfit),
            }
        }
        if is_entered || (judged.named == 0 && one.back.is_none()) {
            return Ok(Leaves::AsAnyGoods);
        }
        self.write(judged).await
    }

    /// How goods leave of which something is of a lot that is known.
    async fn write(&self, judged: Judged<'_>) -> Result<Leaves> {
        let Found { ports, scope, terms, one, stock } = self;
        let (mut book, mut beside) = (judged.book, Vec::new());
        let mut more = Delta { reserved: -one.held, ..Delta::default() };
        if let Some(back) = &one.back {
            let what = (terms.location_id, one.sku.as_str());
            let lots = known_of(ports, scope, what, &back.origin, terms.now).await?;
            let seen = stock.counters.unwrap_or_default();
            if judged.named == 0 && lots.is_empty() && seen.lots_version == 0 {
                return Ok(Leaves::AsAnyGoods);
            }
            if seen.layout != LAYOUT_WHOLE {
                make_whole(ports, scope, what.0, what.1).await?;
                return Err(Error::retryable("the stock was split"));
            }
            let brought = brought(scope, stock, &book, (back.quantity, &back.origin), &lots);
            more.damaged = back.damaged + brought.damaged;
            book = brought.book;
            beside.extend(brought.checks.into_iter().chain(brought.places));
        }
        let how = (one.movement, Taking::Chosen);
        let left = terms.left.filter(|_| one.taken() > 0);
        let not_counted = left.map(|(at, known)| not_counted_after(known.until(&one.sku, at)));
        let also = not_counted.into_iter().collect();
        let write = stock.write(scope, &self.name(), (&book, more), how, None, also)?;
        beside.insert(0, write);
        Ok(Leaves::So(beside))
    }

    fn name(&self) -> StockName {
        StockName { location_id: self.terms.location_id.to_owned(), sku: self.one.sku.clone() }
    }

    /// Why a lot does not fit; nothing where goods that have left were of it rightly, and what there was of it is kept
    /// aside only since. And the lot, where it is one of the SKU.
    async fn explained(&self, wrong: &Wrong<'_>) -> Result<(Option<Misfit>, Option<Named>)> {
        let Found { ports, scope, terms, one, stock } = self;
        let found = header::find(ports, scope, wrong.lot_id).await?;
        let of_sku = found.as_ref().is_some_and(|header| header.sku == one.sku);
        let named = match of_sku {
            true => {
                let what = (terms.location_id, one.sku.as_str());
                known(ports, scope, what, wrong.lot_id, terms.now).await?
            }
            false => None,
        };
        let problem = match (&found, &named) {
            (_, Some(named)) if named.lot().has_expired(terms.good_at.as_millisecond()) => {
                Some(LotProblem::Expired)
            }
            (_, Some(named)) if named.header.is_recalled => Some(LotProblem::Recalled),
            (_, Some(named)) if named.is_aside_in(&stock.book) && !named.is_aside() => {
                Some(LotProblem::Quarantined)
            }
            (_, Some(_)) if wrong.missing > 0 => Some(LotProblem::Short),
            // Its day was over after the goods left.
            (_, Some(_)) => None,
            (Some(_), None) => Some(LotProblem::OfAnotherSku),
            (None, None) => {
                let item = ports.database.get(catalog_get(scope.product(&one.sku))).await?;
                let is_by_lots = product_if_any(item.as_ref())?.is_some_and(|product| product.lots);
                Some(if is_by_lots { LotProblem::Unknown } else { LotProblem::SkuWithoutLots })
            }
        };
        let now = terms.good_at.as_millisecond();
        let others = stock
            .book
            .lots()
            .iter()
            .filter(|lot| lot.id != wrong.lot_id && lot.quantity > 0 && !lot.has_expired(now));
        let misfit = problem.map(|problem| Misfit {
            sku: one.sku.clone(),
            lot_id: wrong.lot_id.to_owned(),
            problem,
            quantity: match (problem, terms.gone) {
                (LotProblem::Short, Some(_)) => wrong.missing,
                _ => wrong.wanted,
            },
            there: wrong.there,
            lot_sku: found.as_ref().filter(|_| !of_sku).map(|header| header.sku.clone()),
            expires_on: found.as_ref().filter(|_| of_sku).and_then(|header| header.expires_on),
            unit: stock.counters.and_then(|seen| seen.unit),
            others: others.take(OTHERS_MAX).cloned().collect(),
        });
        Ok((misfit, named))
    }

    /// What enters goods as of a lot of which there were too few; `None` where there is nothing else that they could
    /// have been, or no room for the lot.
    fn entry(&self, wrong: &Wrong<'_>, named: &Named) -> Result<Option<Vec<Write>>> {
        let Found { scope, terms, one, stock, .. } = self;
        let Some(taker) = terms.gone else { return Ok(None) };
        let mut book = stock.book.clone();
        let found = book.take_but(wrong.lot_id, wrong.missing);
        let Some(book) = named.changed(&book, found).ok().flatten().filter(|_| found > 0) else {
            return Ok(None);
        };
        let mismatch = LotMismatch {
            taker,
            location_id: terms.location_id,
            sku: &one.sku,
            unit: stock.counters.and_then(|seen| seen.unit),
            lot_id: wrong.lot_id,
            problem: LotProblem::Short,
            quantity: found,
            is_entered: true,
        };
        let movement = Movement {
            kind: DISCREPANCY,
            reference: lot_mismatch_id(&mismatch),
            actor: taker.employee_id.to_owned(),
            at: taker.at,
            reason: Some(format!("sold by {} as of lot {}", taker.reference, wrong.lot_id)),
        };
        let (what, how) = ((&book, Delta::default()), (&movement, Taking::Whatever));
        let mut writes = vec![stock.write(scope, &self.name(), what, how, None, Vec::new())?];
        writes.extend(named.writes(scope, &stock.book));
        writes.push(lot_mismatch_write(scope, &mismatch));
        Ok(Some(writes))
    }
}

/// Opens the exceptions of what did not fit of goods that have left the shop, once each.
///
/// # Errors
/// As the database.
pub(crate) async fn tell(
    ports: &Ports,
    scope: &TenantScope,
    terms: &Terms<'_>,
    misfits: &[Misfit],
) -> Result<()> {
    let Some(taker) = terms.gone else { return Ok(()) };
    for misfit in misfits {
        let mismatch = LotMismatch {
            taker,
            location_id: terms.location_id,
            sku: &misfit.sku,
            unit: misfit.unit,
            lot_id: &misfit.lot_id,
            problem: misfit.problem,
            quantity: misfit.quantity,
            is_entered: false,
        };
        match ports.database.write(lot_mismatch_write(scope, &mismatch)).await {
            // It was told before.
            Ok(()) | Err(DatabaseError::ConditionFailed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Enters what is to be entered before goods that have left the shop can leave the books, each while what it
/// `stands_on` holds. Where others are first, whoever looks again finds so.
///
/// # Errors
/// A bug if the database refuses the request itself.
pub(crate) async fn enter(ports: &Ports, entries: Vec<Vec<Write>>, stands_on: &[Write]) -> Result<()> {
    for entry in entries {
        let writes = stands_on.iter().cloned().chain(entry).collect();
        if let Err(error) = ports.database.transact(writes).await {
            crate::pos::cart_write::lost_race(error)?;
        }
    }
    Ok(())
}

impl Misfit {
    /// Its code.
    fn code(&self) -> &'static str {
        match self.problem {
            LotProblem::Unknown => "lot_unknown",
            LotProblem::OfAnotherSku => "lot_of_another_sku",
            LotProblem::SkuWithoutLots => "sku_without_lots",
            LotProblem::Short => "lot_short",
            LotProblem::Expired => "lot_expired",
            LotProblem::Quarantined => "lot_quarantined",
            LotProblem::Recalled => "lot_recalled",
        }
    }

    fn message(&self, location_id: &str) -> String {
        let Misfit { sku, lot_id, .. } = self;
        match self.problem {
            LotProblem::Unknown => format!("there is no lot {lot_id} of {sku}"),
            LotProblem::OfAnotherSku => {
                let lot_sku = self.lot_sku.as_deref().unwrap_or_default();
                format!("lot {lot_id} is one of {lot_sku}, not of {sku}")
            }
            LotProblem::SkuWithoutLots => format!("the stock of {sku} is not kept by lots"),
            LotProblem::Short => {
                let (wanted, there) = (Quantity::of_counter(self.quantity), Quantity::of_counter(self.there));
                format!("lot {lot_id} of {sku}: {wanted} wanted, {there} there")
            }
            LotProblem::Expired => {
                let day = self.expires_on.map_or_else(String::new, |day| format!(" of {day}"));
                format!("the last day of sale{day} of lot {lot_id} of {sku} is over")
            }
            LotProblem::Quarantined => format!("lot {lot_id} of {sku} is quarantined at {location_id}"),
            LotProblem::Recalled => format!("lot {lot_id} of {sku} is recalled"),
        }
    }

    fn shown(&self) -> serde_json::Value {
        let other = |lot: &Lot| {
            let on_hand = shown(lot.quantity, self.unit);
            json!({"lot": lot.id, "on_hand": on_hand, "expires_on": lot.expires_on})
        };
        json!({
            "sku": self.sku,
            "lot": self.lot_id,
            "code": self.code(),
            "requested": shown(self.quantity, self.unit),
            "available": shown(self.there, self.unit),
            "lot_sku": self.lot_sku,
            "expires_on": self.expires_on,
            "others": self.others.iter().map(other).collect::<Vec<_>>(),
        })
    }
}

/// The refusal of lots that do not fit, each at its field: 422 where that is nothing that time changes, else 409.
/// `lots` says of each what is there of it, and which others are for sale.
pub(crate) fn refusal(
    location_id: &str,
    misfits: &[Misfit],
    field_of: impl Fn(&Misfit) -> String,
) -> Refusal {
    let (code, detail) = match misfits {
        [] => ("lot_unknown", String::new()),
        [one] => (one.code(), one.message(location_id)),
        [first, ..] => (first.code(), format!("{} lots do not fit; see lots", misfits.len())),
    };
    let is_invalid = matches!(
        misfits.first().map(|misfit| misfit.problem),
        Some(LotProblem::Unknown | LotProblem::OfAnotherSku | LotProblem::SkuWithoutLots)
    );
    let kind = if is_invalid { RefusalKind::Invalid } else { RefusalKind::Conflict };
    let mut refusal = Refusal::new(kind, code, detail);
    for misfit in misfits {
        refusal = refusal.with_error(field_of(misfit), misfit.code(), misfit.message(location_id));
    }
    refusal.with_extra("lots", misfits.iter().map(Misfit::shown).collect::<Vec<_>>())
}
