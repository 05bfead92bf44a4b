//! The cart's own refusals, as clients get them.

use tillstream_domain::cart::{CartError, ExchangeError};

use crate::error::{Error, Refusal, RefusalKind};

impl From<CartError> for Error {
    fn from(error: CartError) -> Self {
        let kind = match &error {
            CartError::WrongState { .. }
            | CartError::FinalizeInProgress
            | CartError::WrongKind { .. }
            | CartError::Empty
            | CartError::Underpaid { .. }
            | CartError::Overpaid { .. }
            | CartError::BelowCoins { .. }
            | CartError::NotInCoins { .. }
            | CartError::StoredValueInPart { .. }
            | CartError::PaymentsPresent
            | CartError::AccountPays
            | CartError::TotalDiffers { .. }
            | CartError::AskedTotalDiffers { .. }
            | CartError::TooManyDiscounts
            | CartError::DiscountAboveTotal { .. }
            | CartError::NothingOff
            | CartError::CouponTwice(_)
            | CartError::TooManyCoupons
            | CartError::TooManyPromotions
            | CartError::AboveSold { .. }
            | CartError::ReturnOutdated { .. }
            | CartError::SettledMeanwhile
            | CartError::AbovePaid { .. } => RefusalKind::Conflict,
            CartError::UnknownLine(_)
            | CartError::UnknownPayment(_)
            | CartError::UnknownDiscount(_)
            | CartError::UnknownCoupon(_)
            | CartError::UnknownPromotion(_) => RefusalKind::NotFound,
            CartError::AboveApproved { .. }
            | CartError::ShareOfMore { .. }
            | CartError::DiscountsAboveAllowed => RefusalKind::Forbidden,
            CartError::TooManyLines
            | CartError::TooManyApprovals
            | CartError::TooManyCommands
            | CartError::TooManyPayments
            | CartError::TooManyTakenBack
            | CartError::TooManyStoredValues
            | CartError::TooLarge
            | CartError::NotPositive
            | CartError::UnknownTender
            | CartError::CurrencyMismatch(_)
            | CartError::NeedsOriginalLine
            | CartError::NeedsSkuAndPrice
            | CartError::Pricing(_)
            | CartError::Money(_) => RefusalKind::Invalid,
        };
        let refusal = Refusal::new(kind, error.code(), error.to_string());
        match &error {
            CartError::NotPositive | CartError::CurrencyMismatch(_) => {
                refusal.with_error("payload.amount", error.code(), error.to_string())
            }
            CartError::UnknownTender => refusal.with_error("payload.tender", error.code(), error.to_string()),
            CartError::AboveApproved { most } => refusal.with_extra("maximum_refund", *most),
            CartError::DiscountAboveTotal { left } => refusal.with_extra("left", *left),
            CartError::BelowCoins { payable } | CartError::NotInCoins { payable } => {
                refusal.with_extra("payable", *payable)
            }
            CartError::Underpaid { due } | CartError::Overpaid { due } => refusal.with_extra("due", *due),
            CartError::AskedTotalDiffers { total, asked } => {
                refusal.with_extra("total", *total).with_extra("asked", *asked)
            }
            CartError::TotalDiffers { total, asked, most } => {
                refusal.with_extra("total", *total).with_extra("asked", *asked).with_extra("most", *most)
            }
            _ => refusal,
        }
        .into()
    }
}

impl From<ExchangeError> for Error {
    fn from(error: ExchangeError) -> Self {
        let refusal = Refusal::conflict(error.code(), error.to_string());
        match error {
            ExchangeError::Cart(error) => return error.into(),
            ExchangeError::TotalDiffers { total, asked } => {
                refusal.with_extra("total", total).with_extra("asked", asked)
            }
            ExchangeError::Owed { due, .. } => refusal.with_extra("due", due),
            ExchangeError::SoldBelowWorth { below, .. } => refusal.with_extra("below", below),
            ExchangeError::ToPay { credit, due } | ExchangeError::PaidTooMuch { credit, due, .. } => {
                refusal.with_extra("credit", credit).with_extra("due", due)
            }
            ExchangeError::ToRefund { credit, due } | ExchangeError::RefundedTooMuch { credit, due, .. } => {
                refusal.with_extra("credit", credit).with_extra("to_refund", due)
            }
        }
        .into()
    }
}

/// The refusal of an unknown cart or return.
pub fn cart_not_found(cart_id: &str) -> Refusal {
    Refusal::not_found("cart_not_found", format!("there is no cart {cart_id}"))
}
