//! Stored value: gift cards, and accounts that customers have paid money into. A balance that is spent like any
//! tender and never goes below zero.

use jiff::Timestamp;

use crate::identifier::check_id;
use crate::money::{AMOUNT_MAX, Currency};

/// Shortest gift card number, in characters: below that, guessing finds one.
pub const NUMBER_CHARS_MIN: usize = 6;
/// Longest gift card number, in characters: the longest in use have under 30.
pub const NUMBER_CHARS_MAX: usize = 40;

/// What holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredValueKind {
    /// Whoever has its number may spend it.
    GiftCard,
    /// A customer's.
    Account,
}

impl StoredValueKind {
    /// Both.
    pub const ALL: [StoredValueKind; 2] = [StoredValueKind::GiftCard, StoredValueKind::Account];

    /// The name on the wire, which is the tender's that spends it, too.
    pub fn name(self) -> &'static str {
        match self {
            StoredValueKind::GiftCard => "gift_card",
            StoredValueKind::Account => "account",
        }
    }

    /// The kind that a tender spends, if it spends one.
    pub fn of_tender(tender: &str) -> Option<StoredValueKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == tender)
    }
}

/// Why stored value was not changed. None of them names it: a gift card's number is as good as its money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoredValueError {
    /// No number of a gift card.
    #[error(
        "a gift card number is {NUMBER_CHARS_MIN} to {NUMBER_CHARS_MAX} of A-Z a-z 0-9 and -, and begins with a letter or digit"
    )]
    NumberMalformed,
    /// Nothing, or less.
    #[error("an amount is above zero")]
    NotPositive,
    /// More than is kept track of.
    #[error("amounts and balances go from 0 to {AMOUNT_MAX} minor units")]
    OutOfRange,
    /// It holds less than is wanted.
    #[error("{left} minor units are left on it, which is not enough")]
    Insufficient {
        /// What it holds, in minor units.
        left: i64,
    },
    /// It is blocked.
    #[error("it is blocked; take another tender, or have it unblocked")]
    Blocked,
    /// It is not blocked.
    #[error("it is not blocked")]
    NotBlocked,
    /// Its time is over.
    #[error("it was good until {0}")]
    Expired(Timestamp),
    /// Money of another currency.
    #[error("it is in {0}")]
    CurrencyMismatch(Currency),
    /// There is none of this kind by that name.
    #[error("there is no such gift card or account")]
    NotFound,
    /// An account of somebody else.
    #[error("an account pays what its own customer buys: name that customer on the sale")]
    OtherCustomer,
}

impl StoredValueError {
    /// The stable code on the wire.
    pub fn code(&self) -> &'static str {
        match self {
            StoredValueError::NumberMalformed => "gift_card_number_malformed",
            StoredValueError::NotPositive => "amount_not_positive",
            StoredValueError::OutOfRange => "amount_out_of_range",
            StoredValueError::Insufficient { .. } => "insufficient_balance",
            StoredValueError::Blocked => "stored_value_blocked",
            StoredValueError::NotBlocked => "stored_value_not_blocked",
            StoredValueError::Expired(_) => "stored_value_expired",
            StoredValueError::CurrencyMismatch(_) => "currency_mismatch",
            StoredValueError::NotFound => "stored_value_not_found",
            StoredValueError::OtherCustomer => "account_of_another_customer",
        }
    }
}

/// Checks a gift card number.
///
/// # Errors
/// [`StoredValueError::NumberMalformed`].
pub fn check_number(number: &str) -> Result<(), StoredValueError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let fits = (NUMBER_CHARS_MIN..=NUMBER_CHARS_MAX).contains(&number.len());
    if fits && check_id(number).is_ok() && number.bytes().all(allowed) {
        Ok(())
    } else {
        Err(StoredValueError::NumberMalformed)
    }
}

/// Checks an amount that is paid in or out by itself: above zero and within range.
///
/// # Errors
/// [`StoredValueError::NotPositive`], [`StoredValueError::OutOfRange`].
pub fn check_amount(amount: i64) -> Result<i64, StoredValueError> {
    match amount {
        ..=0 => Err(StoredValueError::NotPositive),
        1..=AMOUNT_MAX => Ok(amount),
        _ => Err(StoredValueError::OutOfRange),
    }
}

/// A gift card or an account, as far as its rules go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredValue {
    /// What it is.
    pub kind: StoredValueKind,
    /// Its currency, for good.
    pub currency: Currency,
    /// What it holds, in minor units; never below zero.
    pub balance: i64,
    /// First instant at which it is spent no more.
    pub expires_at: Option<Timestamp>,
    /// Why it is blocked, while it is.
    pub blocked: Option<String>,
}

impl StoredValue {
    /// New stored value that holds `opening`.
    ///
    /// # Errors
    /// [`StoredValueError::OutOfRange`] for less than nothing, or too much.
    pub fn issue(
        kind: StoredValueKind,
        currency: Currency,
        opening: i64,
        expires_at: Option<Timestamp>,
    ) -> Result<Self, StoredValueError> {
        if !(0..=AMOUNT_MAX).contains(&opening) {
            return Err(StoredValueError::OutOfRange);
        }
        Ok(StoredValue { kind, currency, balance: opening, expires_at, blocked: None })
    }

    /// Pays in, whether it is blocked or not: that stops spending only.
    ///
    /// # Errors
    /// Those of [`check_amount`]; [`StoredValueError::OutOfRange`] where it would hold too much.
    pub fn credit(&mut self, amount: i64) -> Result<(), StoredValueError> {
        let sum = self.balance.saturating_add(check_amount(amount)?);
        if sum > AMOUNT_MAX {
            return Err(StoredValueError::OutOfRange);
        }
        self.balance = sum;
        Ok(())
    }

    /// Pays out, by hand: what is on a card that was blocked or ran out is moved to another so.
    ///
    /// # Errors
    /// Those of [`check_amount`]; [`StoredValueError::Insufficient`].
    pub fn debit(&mut self, amount: i64) -> Result<(), StoredValueError> {
        let amount = check_amount(amount)?;
        if amount > self.balance {
            return Err(StoredValueError::Insufficient { left: self.balance });
        }
        self.balance -= amount;
        Ok(())
    }

    /// Stops it from being spent.
    ///
    /// # Errors
    /// [`StoredValueError::Blocked`] where it is already.
    pub fn block(&mut self, reason: String) -> Result<(), StoredValueError> {
        if self.blocked.is_some() {
            return Err(StoredValueError::Blocked);
        }
        self.blocked = Some(reason);
        Ok(())
    }

    /// Lets it be spent again.
    ///
    /// # Errors
    /// [`StoredValueError::NotBlocked`].
    pub fn unblock(&mut self) -> Result<(), StoredValueError> {
        self.blocked.take().map(|_| ()).ok_or(StoredValueError::NotBlocked)
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether a tender of `kind` in `currency` may take it up or put money on it at all.
    ///
    /// # Errors
    /// [`StoredValueError::NotFound`] for the other kind: who knows a customer's id is not to spend from the
    /// customer's account as if it were a gift card; [`StoredValueError::CurrencyMismatch`],
    /// [`StoredValueError::Blocked`], [`StoredValueError::Expired`].
    pub fn check_use(
        &self,
        kind: StoredValueKind,
        currency: Currency,
        now: Timestamp,
    ) -> Result<(), StoredValueError> {
        if self.kind != kind {
            return Err(StoredValueError::NotFound);
        }
        if self.currency != currency {
            return Err(StoredValueError::CurrencyMismatch(self.currency));
        }
        if self.blocked.is_some() {
            return Err(StoredValueError::Blocked);
        }
        match self.expires_at {
            Some(end) if self.is_expired(now) => Err(StoredValueError::Expired(end)),
            _ => Ok(()),
        }
    }

    /// Whether `amount` may be spent from it, tips and other payments of the cart from it included.
    ///
    /// # Errors
    /// Those of [`Self::check_use`]; [`StoredValueError::Insufficient`].
    pub fn check_spend(
        &self,
        kind: StoredValueKind,
        currency: Currency,
        amount: i64,
        now: Timestamp,
    ) -> Result<(), StoredValueError> {
        self.check_use(kind, currency, now)?;
        if amount > self.balance {
            return Err(StoredValueError::Insufficient { left: self.balance });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn card(balance: i64) -> StoredValue {
        StoredValue::issue(StoredValueKind::GiftCard, Currency::GBP, balance, None).unwrap()
    }

    #[test]
    fn numbers_have_a_form() {
        for good in ["GC-123", "abcdef", "000000", &"x".repeat(40), "1-----"] {
            assert_eq!(check_number(good), Ok(()), "{good}");
        }
        for bad in ["", "12345", &"x".repeat(41), "GC 123", "GC#1234", "-123456", "GC_1234", "ÄÖÜabc"] {
            assert_eq!(check_number(bad), Err(StoredValueError::NumberMalformed), "{bad}");
        }
    }

    #[test]
    fn what_is_blocked_or_over_or_of_another_kind_is_not_spent() {
        let (gift_card, account) = (StoredValueKind::GiftCard, StoredValueKind::Account);
        let spend = |card: &StoredValue, amount| card.check_spend(gift_card, Currency::GBP, amount, NOW);
        let mut one = card(100);
        assert_eq!(spend(&one, 100), Ok(()));
        assert_eq!(spend(&one, 101), Err(StoredValueError::Insufficient { left: 100 }));
        assert_eq!(
            one.check_spend(account, Currency::GBP, 1, NOW),
            Err(StoredValueError::NotFound),
            "an account's tender does not spend a gift card"
        );
        let euro: Currency = "EUR".parse().unwrap();
        let mismatch = Err(StoredValueError::CurrencyMismatch(Currency::GBP));
        assert_eq!(one.check_spend(gift_card, euro, 1, NOW), mismatch);
        one.block("lost".to_owned()).unwrap();
        assert_eq!(spend(&one, 1), Err(StoredValueError::Blocked));
        assert_eq!(one.block("again".to_owned()), Err(StoredValueError::Blocked));
        assert_eq!(one.blocked.as_deref(), Some("lost"));
        one.credit(5).unwrap();
        one.debit(105).unwrap();
        one.unblock().unwrap();
        assert_eq!(one.unblock(), Err(StoredValueError::NotBlocked));
        assert_eq!(spend(&one, 1), Err(StoredValueError::Insufficient { left: 0 }));
        let over = StoredValue { expires_at: Some(NOW), ..card(100) };
        assert_eq!(spend(&over, 1), Err(StoredValueError::Expired(NOW)));
        let later = Timestamp::from_second(1).unwrap();
        assert_eq!(spend(&StoredValue { expires_at: Some(later), ..card(100) }, 1), Ok(()));
    }

    #[test]
    fn amounts_are_bounded() {
        let issue = |amount| StoredValue::issue(StoredValueKind::Account, Currency::GBP, amount, None);
        assert_eq!(issue(-1), Err(StoredValueError::OutOfRange));
        assert_eq!(issue(AMOUNT_MAX + 1), Err(StoredValueError::OutOfRange));
        assert_eq!(issue(0).map(|one| one.balance), Ok(0));
        let mut full = issue(AMOUNT_MAX).unwrap();
        assert_eq!(full.credit(1), Err(StoredValueError::OutOfRange));
        assert_eq!(full.credit(0), Err(StoredValueError::NotPositive));
        assert_eq!(full.debit(-1), Err(StoredValueError::NotPositive));
        assert_eq!(full.balance, AMOUNT_MAX);
    }

    proptest! {
        /// Whatever is paid in and out: the balance is what took effect, and never below zero.
        #[test]
        fn a_balance_is_the_sum_of_what_took_effect(
            opening in 0_i64..1_000,
            changes in prop::collection::vec((any::<bool>(), -5_i64..1_000), 0..60),
        ) {
            let mut one = card(opening);
            let mut sum = opening;
            for (pays_in, amount) in changes {
                let before = one.clone();
                let done = if pays_in { one.credit(amount) } else { one.debit(amount) };
                match done {
                    Ok(()) => sum += if pays_in { amount } else { -amount },
                    Err(_) => prop_assert_eq!(&one, &before),
                }
                prop_assert_eq!(one.balance, sum);
                prop_assert!(sum >= 0);
            }
        }
    }
}
