//! What a register asked for a sale, or for an exchange, where it tells that as these become final. Online another total is
//! refused; what was sold while a register was cut off is kept at what it asked, and somebody looks where rounding does
//! not explain it.

use tillstream_domain::cart::{Cart, Exchange};
use tillstream_domain::money::Money;
use tillstream_domain::tenant_settings::OfflineTotals;

use super::context::CommandContext;
use super::offline_oversell::OfflineSale;
use crate::database::Write;
use crate::error::{Error, FieldError, Result};
use crate::stock::exceptions::{TotalDiffers, total_differs_write};
use crate::tenancy::TenantScope;

/// Where a register states it.
const FIELD: &str = "payload.total";

/// Holds a sale against the total that its register states, or keeps it at that. `below`: what becomes of one that was
/// asked less for while its register was cut off than its lines come to.
///
/// # Errors
/// 409 `total_differs` of a register that is not cut off, and of one that is where the tenant refuses less; 422
/// `currency_mismatch`, `amount_out_of_range`.
pub(super) fn settle(
    context: &CommandContext,
    cart: &mut Cart,
    stated: Money,
    below: OfflineTotals,
) -> Result<()> {
    let settled = match (context.offline, below) {
        (false, _) => cart.check_asked_total(stated),
        (true, OfflineTotals::Accept) => cart.keep_at_asked_total(stated),
        (true, OfflineTotals::Refuse) => {
            cart.check_asked_not_below(stated).and_then(|()| cart.keep_at_asked_total(stated))
        }
    };
    settled.map_err(at_total)
}

/// Holds an exchange against the total that its register states (what the sale costs less what the return is worth), or
/// keeps its sale at what makes it that. `below`: as of a sale.
///
/// # Errors
/// 409 `total_differs`, as of a sale, and where more was given back than the return is worth; 422 `currency_mismatch`,
/// `amount_out_of_range`; what each cart refuses by itself.
pub(super) fn settle_exchange(
    context: &CommandContext,
    back: &Cart,
    sale: &mut Cart,
    stated: Money,
    below: OfflineTotals,
) -> Result<()> {
    let total = Exchange::total_of(back, sale)?;
    let settled = match (context.offline, below) {
        (false, _) => Exchange::check_asked_total(total, stated),
        (true, OfflineTotals::Accept) => Exchange::keep_at_asked_total(total, sale, stated),
        (true, OfflineTotals::Refuse) => Exchange::check_asked_not_below(total, sale, stated)
            .and_then(|()| Exchange::keep_at_asked_total(total, sale, stated)),
    };
    settled.map_err(at_total)
}

fn at_total(error: impl Into<Error>) -> Error {
    match error.into() {
        Error::Rejected(mut refusal) => {
            let (code, message) = (refusal.code.to_owned(), refusal.detail.clone());
            refusal.errors = vec![FieldError { field: FIELD.to_owned(), code, message }];
            Error::Rejected(refusal)
        }
        other => other,
    }
}

/// The task that is opened with a sale whose register asked another total than rounding explains.
///
/// # Errors
/// A bug if its sums leave the accepted range.
pub(super) fn task_write(scope: &TenantScope, sale: &OfflineSale<'_>) -> Result<Option<Write>> {
    let totals = sale.cart.asked_beyond_rounding().map_err(Error::bug)?;
    Ok(totals.map(|totals| task_of(scope, sale, totals)))
}

/// The task that is opened with an exchange whose register was cut off: where what it `stated` makes the sale another
/// than rounding explains; and where it stated nothing and change went back that nobody knows it gave.
///
/// # Errors
/// A bug if its sums leave the accepted range.
pub(super) fn exchange_task_write(
    context: &CommandContext,
    exchange: &Exchange,
    stated: Option<Money>,
) -> Result<Option<Write>> {
    let (scope, sale) = (&context.caller.scope, context.offline_sale(&exchange.sale));
    if stated.is_some() || !context.offline {
        return task_write(scope, &sale);
    }
    let totals = exchange.change_untold().map_err(Error::bug)?;
    Ok(totals.map(|totals| task_of(scope, &sale, totals)))
}

/// The task of a sale whose lines come to the first of `totals`, and for which the second was asked.
fn task_of(scope: &TenantScope, sale: &OfflineSale<'_>, totals: (i64, i64)) -> Write {
    total_differs_write(
        scope,
        &TotalDiffers {
            order_id: &sale.cart.id,
            register_id: sale.register_id,
            employee_id: sale.employee_id,
            location_id: &sale.cart.store_id,
            totals,
            currency: sale.cart.currency,
            at: sale.at,
            now: sale.now,
        },
    )
}
