//! What was counted, as a request says it.

use tillstream_domain::quantity::{Quantity, QuantityInput, Unit};

use crate::error::{Refusal, Result};

/// A count in a request, of something that has this unit.
///
/// # Errors
/// 422 `quantity_invalid` for `field`.
pub(super) fn counted_quantity(
    field: impl Fn() -> String,
    input: &QuantityInput,
    unit: Unit,
) -> Result<Quantity> {
    let invalid = |message: String| Refusal::field(field(), "quantity_invalid", message);
    let quantity = input.resolve(unit).map_err(|error| invalid(error.to_string()))?;
    if quantity < Quantity::ZERO {
        return Err(invalid("a count is 0 or more".to_owned()).into());
    }
    Ok(quantity)
}
