//! What a register asked for a sale, where it tells that as the sale becomes final. Online another total is refused; what
//! was sold while a register was cut off is kept at what it asked, and somebody looks where rounding does not explain it.
//! An exchange of another total is refused wherever it was made.

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

/// Holds an exchange against the total that its register states: what the sale costs less what the return is worth.
/// Also of a register that was cut off, since nobody could tell which of the two carts was asked another price.
///
/// # Errors
/// 409 `total_differs`; 422 `currency_mismatch`, `amount_out_of_range`; what each cart refuses by itself.
pub(super) fn check_exchange(back: &Cart, sale: &Cart, stated: Money) -> Result<()> {
    let total = Exchange::total_of(back, sale)?;
    Exchange::check_asked_total(total, stated).map_err(at_total)
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
    let Some((total, asked)) = sale.cart.asked_beyond_rounding().map_err(Error::bug)? else {
        return Ok(None);
    };
    Ok(Some(total_differs_write(
        scope,
        &TotalDiffers {
            order_id: &sale.cart.id,
            register_id: sale.register_id,
            employee_id: sale.employee_id,
            location_id: &sale.cart.store_id,
            totals: (total, asked),
            currency: sale.cart.currency,
            at: sale.at,
            now: sale.now,
        },
    )))
}
