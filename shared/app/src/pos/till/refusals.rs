//! The till's own refusals, as clients get them.

use tillstream_domain::till::{Shift, TillError};

use crate::error::{Error, Refusal, RefusalKind};

impl From<TillError> for Error {
    fn from(error: TillError) -> Self {
        let kind = match &error {
            TillError::Closed | TillError::DrawerShort { .. } => RefusalKind::Conflict,
            TillError::NotPositive
            | TillError::Negative
            | TillError::CurrencyMismatch(_)
            | TillError::TooManyMovements
            | TillError::CountRequired
            | TillError::DenominationsDoNotSum { .. }
            | TillError::TooManyDenominations
            | TillError::DenominationInvalid
            | TillError::DenominationRepeated { .. }
            | TillError::Money(_) => RefusalKind::Invalid,
        };
        let refusal = Refusal::new(kind, error.code(), error.to_string());
        match &error {
            TillError::NotPositive => refusal.with_error("payload.amount", error.code(), error.to_string()),
            TillError::CountRequired => {
                refusal.with_error("payload.counted", error.code(), error.to_string())
            }
            TillError::DenominationsDoNotSum { .. }
            | TillError::TooManyDenominations
            | TillError::DenominationInvalid
            | TillError::DenominationRepeated { .. } => {
                refusal.with_error("payload.denominations", error.code(), error.to_string())
            }
            TillError::DrawerShort { most } => refusal.with_extra("most", *most),
            _ => refusal,
        }
        .into()
    }
}

/// The refusal of an unknown shift.
pub fn shift_not_found(shift_id: &str) -> Refusal {
    Refusal::not_found("shift_not_found", format!("there is no shift {shift_id}"))
}

/// The refusal of another shift while one is open.
pub fn shift_open(shift_id: &str) -> Refusal {
    let detail = format!("shift {shift_id} is open on this register; close it first");
    Refusal::conflict("shift_open", detail).with_extra("shift_id", shift_id)
}

/// The refusal of a command that is meant for another till.
pub fn shift_of_another(shift: &Shift, store_id: &str) -> Refusal {
    if shift.store_id == store_id {
        let detail = format!("the shift belongs to register {}", shift.register_id);
        Refusal::conflict("shift_of_another_register", detail)
    } else {
        Refusal::conflict("shift_of_another_store", "the shift belongs to another store")
    }
}
