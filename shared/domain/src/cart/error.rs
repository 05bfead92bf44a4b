//! Why a command is refused by the cart's own rules.

use super::{
    APPROVALS_MAX, COMMANDS_MAX, ENCODED_BYTES_MAX, LINES_MAX, PAYMENTS_MAX, STORED_VALUE_PAYMENTS_MAX,
    TAKEN_BACK_MAX,
};
use crate::money::{Currency, MoneyError};
use crate::pricing::{COUPONS_MAX, MANUAL_DISCOUNTS_MAX, PricingError, REQUESTED_PROMOTIONS_MAX};
use crate::quantity::Quantity;

/// Why a command was refused by the cart's own rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CartError {
    /// The command does not fit the cart's state.
    #[error("the cart is {is}; this needs {needs}")]
    WrongState {
        /// State it is in.
        is: &'static str,
        /// What it would have to be.
        needs: &'static str,
    },
    /// A plan is finalising the cart.
    #[error("the cart is being finalised; ask again shortly")]
    FinalizeInProgress,
    /// A sale's command on a return, or the other way round.
    #[error("this is a {is}, the command is for a {needs}")]
    WrongKind {
        /// What it is.
        is: &'static str,
        /// What the command is for.
        needs: &'static str,
    },
    /// No such line.
    #[error("the cart has no line {0}")]
    UnknownLine(String),
    /// No such payment.
    #[error("the cart has no payment {0}")]
    UnknownPayment(String),
    /// [`LINES_MAX`].
    #[error("a cart holds at most {LINES_MAX} lines")]
    TooManyLines,
    /// [`COMMANDS_MAX`].
    #[error("a cart takes at most {COMMANDS_MAX} commands")]
    TooManyCommands,
    /// [`PAYMENTS_MAX`].
    #[error("a cart holds at most {PAYMENTS_MAX} payments")]
    TooManyPayments,
    /// [`TAKEN_BACK_MAX`].
    #[error("at most {TAKEN_BACK_MAX} payments of a cart are taken back: void it, and begin another")]
    TooManyTakenBack,
    /// [`STORED_VALUE_PAYMENTS_MAX`].
    #[error("at most {STORED_VALUE_PAYMENTS_MAX} payments of a cart are taken from gift cards and accounts")]
    TooManyStoredValues,
    /// [`ENCODED_BYTES_MAX`].
    #[error("a cart holds at most {ENCODED_BYTES_MAX} bytes; shorten notes or begin another")]
    TooLarge,
    /// Nothing to sell or to bring back.
    #[error("the cart has no lines")]
    Empty,
    /// Payments below the total.
    #[error("{due} minor units are still to be paid")]
    Underpaid {
        /// Still to be paid.
        due: i64,
    },
    /// Cash above what is due, and below what can be paid of it in coins.
    #[error("in coins {payable} minor units are to be paid")]
    BelowCoins {
        /// What would be right.
        payable: i64,
    },
    /// Cash to be given back that no coins are there for.
    #[error("cash is given back in coins: {payable} minor units, or a part of that in coins")]
    NotInCoins {
        /// Most that can be given back in cash now; nothing where what is due comes to no coin.
        payable: i64,
    },
    /// Payments by one tender of which some are taken from stored value, and some are not.
    #[error(
        "some payments by {tender} are taken from a balance that is kept here, and some are not: take one back and \
         name what it is taken from"
    )]
    StoredValueInPart {
        /// The tender.
        tender: String,
    },
    /// More than is due, by a tender that gives no change.
    #[error("{due} minor units are due and this tender gives no change")]
    Overpaid {
        /// What would be right.
        due: i64,
    },
    /// What an account pays is its own customer's.
    #[error("an account pays what its own customer buys: take that payment back before the customer changes")]
    AccountPays,
    /// The cart must be tendering without payments to go back to editing.
    #[error("remove the payments before editing the cart")]
    PaymentsPresent,
    /// What another system asked for a sale is further from what its lines come to here than rounding explains.
    #[error(
        "the lines come to {total} minor units here and {asked} were asked for them: that may differ by {most}, one \
         for each line"
    )]
    TotalDiffers {
        /// What its lines come to here.
        total: i64,
        /// What the other system asked.
        asked: i64,
        /// By how much that may differ.
        most: i64,
    },
    /// What the register asked for a sale is not what its lines come to.
    #[error(
        "the register asked {asked} minor units, and the lines come to {total} here: nothing was made final; look at \
         the cart, and take the payments anew"
    )]
    AskedTotalDiffers {
        /// What its lines come to here.
        total: i64,
        /// What the register asked.
        asked: i64,
    },
    /// A payment of nothing.
    #[error("a payment's amount is above zero")]
    NotPositive,
    /// Not one of [`super::TENDERS`].
    #[error("a tender is one of cash, card, gift_card, voucher, account")]
    UnknownTender,
    /// Money of another currency.
    #[error("the cart is in {0}")]
    CurrencyMismatch(Currency),
    /// More than was sold and not yet returned.
    #[error("line {line}: at most {left} can still be returned")]
    AboveSold {
        /// Line of the original sale.
        line: String,
        /// What is left to return.
        left: Quantity,
    },
    /// Another return of the line became final meanwhile, and the rounding falls elsewhere.
    #[error("line {line}: some of it came back meanwhile; void this return and begin again")]
    ReturnOutdated {
        /// Line of the original sale.
        line: String,
    },
    /// What was owed on account was settled by other tenders meanwhile.
    #[error(
        "the order was settled since this return was begun, so refunds go elsewhere; void it and begin again"
    )]
    SettledMeanwhile,
    /// More than was paid by that tender and not yet refunded.
    #[error("at most {left} minor units can still be refunded to {tender}")]
    AbovePaid {
        /// The tender.
        tender: String,
        /// What is left to refund.
        left: i64,
    },
    /// A return of a known sale names the sale's lines.
    #[error("a return of a known sale takes line_id of that sale, and its price stands")]
    NeedsOriginalLine,
    /// A blind return names SKU and price.
    #[error("a blind return takes sku and unit_price")]
    NeedsSkuAndPrice,
    /// [`MANUAL_DISCOUNTS_MAX`].
    #[error("a cart takes at most {MANUAL_DISCOUNTS_MAX} manual discounts")]
    TooManyDiscounts,
    /// No such discount.
    #[error("the cart has no manual discount {0}")]
    UnknownDiscount(String),
    /// An amount off that is above what is left to pay of what it is taken off.
    #[error("at most {left} minor units can be taken off")]
    DiscountAboveTotal {
        /// What is left to pay.
        left: i64,
    },
    /// A discount that would change nothing.
    #[error("it takes nothing off: nothing is left to pay, or it rounds to nothing")]
    NothingOff,
    /// A coupon once more.
    #[error("coupon {0} is on the cart already")]
    CouponTwice(String),
    /// [`COUPONS_MAX`].
    #[error("a cart takes at most {COUPONS_MAX} coupons")]
    TooManyCoupons,
    /// No such coupon.
    #[error("the cart has no coupon {0}")]
    UnknownCoupon(String),
    /// [`REQUESTED_PROMOTIONS_MAX`].
    #[error("at most {REQUESTED_PROMOTIONS_MAX} promotions are applied or taken off by hand")]
    TooManyPromotions,
    /// No such promotion.
    #[error("the cart has no promotion {0}")]
    UnknownPromotion(String),
    /// [`APPROVALS_MAX`].
    #[error("a cart takes at most {APPROVALS_MAX} approvals")]
    TooManyApprovals,
    /// Discounts by a cashier above what needs no approval.
    #[error(
        "the discounts given without an approval come to more than the tenant allows; have this one approved, or take one back"
    )]
    DiscountsAboveAllowed,
    /// A share that is taken of more than it was approved of, or given of by whoever needs no approval.
    #[error(
        "discount {discount} was given or approved of goods of which {goods} minor units were left to pay, and by now it would be taken of more, as lines, promotions or other discounts of the cart changed; take it back and have it approved anew, or have a store manager do this"
    )]
    ShareOfMore {
        /// The discount.
        discount: String,
        /// What was left to pay of the goods then, in minor units.
        goods: i64,
    },
    /// A blind return above what was approved.
    #[error("the approval is of a refund of at most {most} minor units; ask for another return")]
    AboveApproved {
        /// Most that may be refunded.
        most: i64,
    },
    /// The cart could not be priced.
    #[error(transparent)]
    Pricing(#[from] PricingError),
    /// An amount left the accepted range.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl CartError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            CartError::WrongState { .. } => "wrong_cart_state",
            CartError::FinalizeInProgress => "finalize_in_progress",
            CartError::WrongKind { .. } => "wrong_cart_kind",
            CartError::UnknownLine(_) => "line_not_found",
            CartError::UnknownPayment(_) => "payment_not_found",
            CartError::TooManyLines => "too_many_lines",
            CartError::TooManyCommands => "too_many_commands",
            CartError::TooManyPayments | CartError::TooManyTakenBack | CartError::TooManyStoredValues => {
                "too_many_payments"
            }
            CartError::TooLarge => "cart_too_large",
            CartError::Empty => "cart_empty",
            CartError::Underpaid { .. } => "underpaid",
            CartError::Overpaid { .. } => "overpaid",
            CartError::BelowCoins { .. } => "cash_below_coins",
            CartError::NotInCoins { .. } => "cash_not_in_coins",
            CartError::StoredValueInPart { .. } => "stored_value_in_part",
            CartError::PaymentsPresent | CartError::AccountPays => "payments_present",
            CartError::TotalDiffers { .. } => "recorded_total_differs",
            CartError::AskedTotalDiffers { .. } => "total_differs",
            CartError::NotPositive => "amount_not_positive",
            CartError::UnknownTender => "unknown_tender",
            CartError::CurrencyMismatch(_) => "currency_mismatch",
            CartError::AboveSold { .. } => "return_above_sold",
            CartError::ReturnOutdated { .. } | CartError::SettledMeanwhile => "return_outdated",
            CartError::AbovePaid { .. } => "refund_above_paid",
            CartError::NeedsOriginalLine => "original_line_required",
            CartError::NeedsSkuAndPrice => "sku_and_price_required",
            CartError::TooManyDiscounts => "too_many_discounts",
            CartError::UnknownDiscount(_) => "discount_not_found",
            CartError::DiscountAboveTotal { .. } => "discount_above_total",
            CartError::NothingOff => "discount_takes_nothing_off",
            CartError::CouponTwice(_) => "coupon_already_applied",
            CartError::TooManyCoupons => "too_many_coupons",
            CartError::UnknownCoupon(_) => "coupon_not_applied",
            CartError::TooManyPromotions => "too_many_promotions",
            CartError::UnknownPromotion(_) => "promotion_not_applied",
            CartError::TooManyApprovals => "too_many_approvals",
            CartError::DiscountsAboveAllowed => "approval_required",
            CartError::AboveApproved { .. } | CartError::ShareOfMore { .. } => "approval_does_not_match",
            CartError::Pricing(error) => error.code(),
            CartError::Money(_) => "amount_out_of_range",
        }
    }
}
