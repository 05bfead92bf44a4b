//! Gift cards and customers' accounts: balances that tenders are taken from, where a tenant's settings say so.
//!
//! [`tender`] finds out what a payment or refund is about and looks at the balance; [`claims`] takes it, or gives
//! it back, in the transaction that makes the cart final; [`administer`] issues, credits, debits and blocks.
//!
//! A gift card's number is as good as its money: no refusal's text, no key and no line of the log names one.

pub mod administer;
pub mod claims;
pub mod item;
pub mod read;
pub mod tender;

use tillstream_domain::cart::{Cart, Payment};
use tillstream_domain::stored_value::{StoredValueError, StoredValueKind};

use crate::error::{Error, Refusal, RefusalKind};

/// The refusal of a rule of stored value. `field`: of the request, where one names it.
pub fn refused(error: StoredValueError, field: Option<&str>) -> Refusal {
    let kind = match &error {
        StoredValueError::NotFound => RefusalKind::NotFound,
        StoredValueError::Insufficient { .. }
        | StoredValueError::Blocked
        | StoredValueError::NotBlocked
        | StoredValueError::OtherCustomer
        | StoredValueError::Expired(_) => RefusalKind::Conflict,
        StoredValueError::NumberMalformed
        | StoredValueError::NotPositive
        | StoredValueError::OutOfRange
        | StoredValueError::CurrencyMismatch(_) => RefusalKind::Invalid,
    };
    let mut refusal = Refusal::new(kind, error.code(), error.to_string());
    if let StoredValueError::Insufficient { left } = error {
        refusal = refusal.with_extra("left", left);
    }
    match field {
        Some(field) => refusal.with_error(field, error.code(), error.to_string()),
        None => refusal,
    }
}

/// The last four of a gift card's number: enough for whoever holds it, and for nobody else.
pub fn last_four(number: &str) -> String {
    let last: Vec<char> = number.chars().rev().take(4).collect();
    last.into_iter().rev().collect()
}

/// What readers of a cart or order see of a payment's reference. A gift card's number is as good as its money,
/// and orders are read by many who may not spend it: they see its last four.
pub fn shown_reference(cart: &Cart, payment: &Payment) -> Option<String> {
    let reference = payment.external_reference.as_deref()?;
    if cart.is_stored_value(payment) && payment.tender == StoredValueKind::GiftCard.name() {
        return Some(format!("*{}", last_four(reference)));
    }
    Some(reference.to_owned())
}

impl From<StoredValueError> for Error {
    fn from(error: StoredValueError) -> Self {
        refused(error, None).into()
    }
}

/// The refusal of stored value that is not there.
pub fn not_found() -> Refusal {
    refused(StoredValueError::NotFound, None)
}
