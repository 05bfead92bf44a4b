//! Count sheets at rest: each says what was counted, and a closed one corrected the stock by its variance, once.

use tillstream_app::database::Table;
use tillstream_app::stock::counts::get;
use tillstream_app::tenancy::Caller;
use tillstream_contracts::counts::{CountSheet, CountStatus};
use tillstream_domain::quantity::QuantityInput;

use super::super::books::Books;
use super::super::supply_books::{Sheet, SheetEnd, of_tenant};
use super::super::world::{Tenant, World};
use super::at_rest::{Checked, broken, ports, unit_of};

const ONCE: &str = "a closed count sheet corrected the stock by its variance, once";

/// All of it.
pub async fn check(world: &World, books: &Books, tenant: &Tenant, caller: &Caller) -> Checked {
    for (id, known) in of_tenant(&books.supply.sheets, &tenant.id) {
        let sheet = get(&ports(world), caller, id).await.map_err(broken)?;
        stands(&sheet, known).map_err(|seen| {
            ("a count sheet is what was done to it", format!("{} {id}: {seen}", tenant.id))
        })?;
        for line in &sheet.lines {
            let of = |quantity: &Option<QuantityInput>| {
                let resolved = quantity.as_ref().map(|quantity| quantity.resolve(unit_of(tenant, &line.sku)));
                resolved.map(|quantity| quantity.map_or(i64::MIN, |quantity| quantity.thousandths()))
            };
            let counted = known.counted.get(&line.sku).map(|(_, counted)| *counted);
            let seen = || format!("{} {id}: {line:?}, {known:?}", tenant.id);
            if of(&line.counted) != counted {
                return Err(("a count sheet says what was counted last", seen()));
            }
            let moved = world.stock_watch.borrow().moved("count", &tenant.id, id);
            let moved = moved.get(&(known.location.clone(), line.sku.clone())).copied();
            let corrected = match &known.end {
                Some(SheetEnd::Closed(corrected)) => corrected.get(&line.sku).copied(),
                _ => None,
            };
            // What is as the books say moves nothing.
            let expected = corrected.filter(|by| *by != 0).map(|by| (by, 1));
            if moved.map(|moved| (moved.on_hand, moved.times)) != expected {
                return Err((ONCE, format!("{}: {moved:?}", seen())));
            }
            let Some(SheetEnd::Closed(_)) = &known.end else { continue };
            let variance = of(&line.counted).zip(of(&line.book)).map(|(counted, book)| counted - book);
            if of(&line.variance) != variance || corrected.is_some() != counted.is_some() {
                return Err((ONCE, seen()));
            }
            // Not to below nothing, where more was sold since than was counted.
            let is_cut = moved.is_some_and(|moved| moved.left == 0) || corrected == Some(0);
            let is_by_variance = corrected == variance
                || (is_cut && corrected.zip(variance).is_some_and(|(by, variance)| variance < by && by <= 0));
            if !is_by_variance {
                return Err((ONCE, seen()));
            }
        }
    }
    let items = world.memory.items(Table::Stock);
    let stored = items.iter().filter(|item| {
        item.opt_text("sk") == Some("count") && item.opt_text("tenant_id") == Some(&tenant.id)
    });
    let known = |id: &str| books.supply.sheets.contains_key(&(tenant.id.clone(), id.to_owned()));
    match stored.filter_map(|item| item.opt_text("count_id")).find(|id| !known(id)) {
        Some(unknown) => Err(("a count sheet was opened by somebody", format!("{} {unknown}", tenant.id))),
        None => Ok(()),
    }
}

fn stands(sheet: &CountSheet, known: &Sheet) -> Result<(), String> {
    let status = match known.end {
        None => CountStatus::Open,
        Some(SheetEnd::Closed(_)) => CountStatus::Closed,
        Some(SheetEnd::Cancelled) => CountStatus::Cancelled,
    };
    let skus: Vec<String> = sheet.lines.iter().map(|line| line.sku.clone()).collect();
    if (sheet.status, &sheet.location_id, &skus) == (status, &known.location, &known.skus) {
        return Ok(());
    }
    Err(format!("{:?} of {skus:?}, not {known:?}", sheet.status))
}
