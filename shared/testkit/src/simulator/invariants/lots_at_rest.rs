//! Lots when everything has arrived: each is the sum of its movements, stands where it was put last, and whoever asks
//! who got goods of it is told all of them and nobody else.

use std::collections::{BTreeMap, BTreeSet};

use tillstream_app::Ports;
use tillstream_app::database::{Consistency, Get, Query, Range, Table};
use tillstream_app::stock::conservation::prove;
use tillstream_app::stock::lots::{list, sold};
use tillstream_app::tenancy::{Caller, TenantScope};
use tillstream_contracts::lots::{LotSale, LotStatus};
use tillstream_domain::lot_book::{LotBook, LotChange};
use tillstream_domain::quantity::QuantityInput;

use super::super::books::{Books, KnownLot, LotMove, LotTrip, Transfer};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports, unit_of};
use super::lots::{HERE, TRIP};

const SUMS: &str = "a lot is the sum of its movements";
const WHO: &str = "who got goods of a lot is told, and nobody else";

/// Kind of a row that stands for rows that were late: by whom it was is not known.
const GAP_CLOSED: &str = "gap_closed";

/// By lot, and what is of no known one: for sale, and kept aside, in thousandths.
type Sums = BTreeMap<Option<String>, (i64, i64)>;

/// What there is at a location of some goods.
struct Place<'a> {
    location: &'a str,
    sku: &'a str,
    sums: Sums,
    /// Movements of which one row tells the sum, from the first to the last.
    gaps: Vec<(i64, i64)>,
}

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    let by_lots = |sku: &str| tenant.goods_of(sku).is_some_and(|goods| goods.by_lots);
    let mut places = Vec::new();
    for (of, (location, sku)) in books.shelves.keys() {
        if *of == tenant.id && by_lots(sku) {
            places.push(place(&ports(world), caller, (location.as_str(), sku.as_str())).await?);
        }
    }
    for ((of, id), known) in &books.lots {
        if *of == tenant.id && known.has_come {
            stands(&ports(world), tenant, caller, (id.as_str(), known), &places).await?;
            who_got_it(world, books, tenant, caller, (id.as_str(), &places)).await?;
        }
    }
    trips(world, books, tenant)
}

/// What left with a transfer as a lot came as that lot, but for what came damaged; also what was said to be of one.
fn trips(world: &World, books: &Books, tenant: &Tenant) -> Checked {
    let all = world.lot_trips.borrow();
    let mine = books.transfers.iter().filter(|((of, _), _)| *of == tenant.id);
    for (key, transfer) in mine {
        let of_skus = all.get(key).into_iter().flatten();
        let by_lots = |sku: &str| tenant.goods_of(sku).is_some_and(|goods| goods.by_lots);
        for (sku, trip) in of_skus.filter(|(sku, trip)| by_lots(sku) && !trip.is_owed) {
            if !has_travelled(transfer, sku, trip) {
                return Err((TRIP, format!("{key:?} {sku}: {trip:?} of {transfer:?}")));
            }
        }
    }
    Ok(())
}

fn has_travelled(transfer: &Transfer, sku: &str, trip: &LotTrip) -> bool {
    let rest: i64 = trip.left.keys().map(|lot| trip.rest_of(lot)).sum();
    let (_, damaged, _) = transfer.settled.get(sku).copied().unwrap_or_default();
    let on_its_way = transfer.outstanding.get(sku).copied().unwrap_or(0);
    let mut named = transfer.named.iter().filter(|((of, _), _)| of == sku);
    rest == damaged + on_its_way
        && named.all(|((_, lot), (fit, bad, back))| {
            let lot = Some(lot.clone());
            let (there, returned) = trip.came.get(&lot).copied().unwrap_or_default();
            there >= *fit && returned >= *back && trip.rest_of(&lot) >= *bad
        })
}

/// Adds up the ledger of a stock item by lots, and holds that against what the item says of them.
async fn place<'a>(
    ports: &Ports,
    caller: &Caller,
    (location, sku): (&'a str, &'a str),
) -> Result<Place<'a>, (&'static str, String)> {
    let scope = TenantScope::from_own_record(caller.scope.tenant_id());
    let (mut sums, mut gaps) = (Sums::new(), Vec::new());
    let (mut reached, mut is_kept, mut is_known) = (0, false, true);
    let mut query = Query {
        range: Range::Between("0".to_owned(), ":".to_owned()),
        ..Query::partition(Table::Ledger, scope.ledger_of_part(location, sku, 0))
    };
    loop {
        let page = ports.database.query(query.clone()).await.map_err(broken)?;
        for row in &page.items {
            let seq = row.number("seq").map_err(broken)?;
            let from = row.opt_number("from_seq");
            gaps.extend(from.map(|from| (from, seq)));
            // A row that came late: its gap was closed, and counted, before.
            if seq <= reached {
                continue;
            }
            if from.unwrap_or(seq) != reached + 1 {
                return Err((SUMS, format!("{location} {sku}: nothing between {reached} and {row:?}")));
            }
            reached = seq;
            if row.opt_text("lots").is_none() {
                // Before its first lot; after it, a gap beside rows that came late, whose lots nobody knows.
                is_known &= !is_kept;
                sums = Sums::from([(None, (row.number("on_hand").map_err(broken)?, 0))]);
                continue;
            }
            is_kept = true;
            for change in row.json::<Vec<LotChange>>("lots").map_err(broken)? {
                let sum = sums.entry(change.lot_id).or_default();
                *sum = (sum.0 + change.on_hand, sum.1 + change.quarantined);
            }
        }
        match page.next {
            Some(next) => query.start = Some(next),
            None => break,
        }
    }
    sums.retain(|_, sum| *sum != (0, 0));
    let get = Get { table: Table::Stock, key: scope.stock(location, sku), consistency: Consistency::Strong };
    let item = ports.database.get(get).await.map_err(broken)?.unwrap_or_default();
    if item.opt_text("lots").is_none() {
        return Ok(Place { location, sku, sums: Sums::new(), gaps });
    }
    let number = |name: &str| item.opt_number(name).unwrap_or(0);
    let book: LotBook = item.json("lots").map_err(broken)?;
    let there = sums_of(&book.as_of(number("on_hand"), number("came_in")));
    let all = there.values().fold((0, 0), |all, sum| (all.0 + sum.0, all.1 + sum.1));
    if all != (number("on_hand"), number("quarantined")) || there.values().any(|sum| sum.0 < 0 || sum.1 < 0) {
        return Err(("all lots together are what is there", format!("{there:?} of {item:?}")));
    }
    if is_known {
        let proof = prove(ports, caller, location, sku).await.map_err(broken)?;
        if sums != there || reached != number("seq") || !proof.lots.as_ref().is_some_and(|lots| lots.holds) {
            return Err((SUMS, format!("{location} {sku}: {sums:?}, {there:?} there, {proof:?}")));
        }
    }
    Ok(Place { location, sku, sums: there, gaps })
}

fn sums_of(book: &LotBook) -> Sums {
    let lots = book.lots().iter().map(|lot| (Some(lot.id.clone()), (lot.quantity, lot.quarantined)));
    lots.chain([(None, (book.unknown(), 0))]).filter(|(_, sum)| *sum != (0, 0)).collect()
}

fn thousandths(tenant: &Tenant, sku: &str, quantity: &QuantityInput) -> i64 {
    quantity.resolve(unit_of(tenant, sku)).map_or(i64::MIN / 4, |quantity| quantity.thousandths())
}

/// A lot is what its keepers know of it, and of a recalled one nothing is for sale.
async fn stands(
    ports: &Ports,
    tenant: &Tenant,
    caller: &Caller,
    (id, known): (&str, &KnownLot),
    places: &[Place<'_>],
) -> Checked {
    let detail = list::one(ports, caller, id, Some(200), None).await.map_err(broken)?;
    let status = if known.is_recalled { LotStatus::Quarantined } else { LotStatus::Sellable };
    let is = (&detail.lot.sku, detail.lot.expires_on, detail.lot.status);
    if is != (&known.sku, known.expires_on, status) {
        return Err(("a lot stands where it was put last", format!("{detail:?}, not {known:?}")));
    }
    let of_lot = Some(id.to_owned());
    let own = places.iter().filter_map(|place| Some((place.location, *place.sums.get(&of_lot)?)));
    let expected: BTreeMap<&str, i64> = own.map(|(location, sum)| (location, sum.0 + sum.1)).collect();
    let (mut shown, mut for_sale) = (BTreeMap::new(), 0);
    let mut held_at = BTreeSet::new();
    for level in &detail.locations {
        let on_hand = thousandths(tenant, &level.sku, &level.on_hand);
        let aside = thousandths(tenant, &level.sku, &level.quarantined);
        for_sale += on_hand;
        // Where it is quarantined it is known also where there is none of it.
        if on_hand + aside != 0 {
            shown.insert(level.location_id.as_str(), on_hand + aside);
        }
        let is_kept_aside = level.status == LotStatus::Quarantined;
        if level.quarantined_here {
            held_at.insert(level.location_id.clone());
        } else if is_kept_aside && !known.is_recalled {
            return Err(("what is released is for sale again", format!("{level:?} of {known:?}")));
        }
    }
    if held_at != known.held_at {
        return Err((HERE, format!("{id}: {held_at:?}, not {:?}", known.held_at)));
    }
    if shown != expected || (known.is_recalled && for_sale != 0) {
        return Err(("there is of a lot what its movements left", format!("{detail:?}, not {expected:?}")));
    }
    Ok(())
}

/// What is told of one who got goods of a lot is what the movement did; nothing is said of what came late.
pub fn is_right(tenant: &Tenant, moves: Option<&BTreeMap<(String, i64), LotMove>>, told: &LotSale) -> bool {
    let known = moves.and_then(|moves| moves.get(&(told.location_id.clone(), told.seq)));
    let is_of_reservation = told.kind == "commit";
    let reference = if is_of_reservation { &told.reservation_id } else { &told.order_id };
    told.kind == GAP_CLOSED
        || known.is_some_and(|known| {
            known.sku == told.sku
                && known.kind == told.kind
                && Some(&known.reference) == reference.as_ref()
                && known.quantity == thousandths(tenant, &told.sku, &told.quantity)
        })
}

/// Who got goods of a lot is told completely, but for movements of which one row tells the sum.
async fn who_got_it(
    world: &World,
    books: &Books,
    tenant: &Tenant,
    caller: &Caller,
    (id, places): (&str, &[Place<'_>]),
) -> Checked {
    let moves =
        world.lot_moves.borrow().get(&(tenant.id.clone(), id.to_owned())).cloned().unwrap_or_default();
    let (mut told, mut cursor) = (BTreeMap::new(), None::<String>);
    loop {
        let page =
            sold::orders(&ports(world), caller, id, Some(50), cursor.as_deref()).await.map_err(broken)?;
        for sale in page.items {
            if !is_right(tenant, Some(&moves), &sale) {
                return Err((WHO, format!("{id}: {sale:?} of {moves:?}")));
            }
            let key = (sale.location_id.clone(), sale.seq);
            if let Some(other) = told.insert(key, sale.clone()) {
                return Err((WHO, format!("{id}: {sale:?} and {other:?}")));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let was_late = |location: &str, sku: &str, seq: i64| {
        let mut here = places.iter().filter(|place| place.location == location && place.sku == sku);
        here.any(|place| place.gaps.iter().any(|(from, to)| (*from..=*to).contains(&seq)))
    };
    for (key, known) in &moves {
        let is_told = told.get(key).is_some_and(|told| told.kind == known.kind);
        if !is_told && !was_late(&key.0, &known.sku, key.1) {
            return Err((WHO, format!("{id}: nothing of {key:?} {known:?}")));
        }
        let is_sale = matches!(known.kind.as_str(), "sale" | "exchange");
        let is_there = books.orders.contains_key(&(tenant.id.clone(), known.reference.clone()));
        // What was lost with a restore has taken its goods.
        if is_sale && !is_there && world.restores.count.get() == 0 {
            return Err((WHO, format!("{id}: {key:?} {known:?} is no order")));
        }
    }
    Ok(())
}
