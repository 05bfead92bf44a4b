//! How a gift card or account stands in the orders table, and how its movements do.
//!
//! Sales take from it and undoings give to it by adding to `balance` on conditions; whoever administers it puts
//! the whole of it on its version, which each of them raises. Each writes a movement in the same transaction: the
//! balance is the sum of the movements at every moment.

use jiff::Timestamp;
use tillstream_domain::cart::Cart;
use tillstream_domain::cart::undo::Undoing;
use tillstream_domain::cart::{CartKind, StoredValuePart};
use tillstream_domain::stored_value::{StoredValue, StoredValueError, StoredValueKind};

use crate::database::{Change, Condition, Consistency, Get, Item, Key, Table, Value, Write};
use crate::error::{Error, Result};
use crate::tenancy::TenantScope;

/// Attributes that conditions name.
const BALANCE: &str = "balance";
const BLOCKED: &str = "blocked";
const GOOD_UNTIL: &str = "good_until";

/// A gift card or account with what is kept beside its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Number of the gift card, or id of the account.
    pub id: String,
    /// What its rules are about.
    pub value: StoredValue,
    /// Whose it is, where that is known.
    pub customer_id: Option<String>,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Counts its changes.
    pub version: u64,
}

/// The read of a gift card or account: what is decided on it is to be current.
pub fn stored_value_get(scope: &TenantScope, id: &str) -> Get {
    Get { table: Table::Orders, key: scope.stored_value(id), consistency: Consistency::Strong }
}

fn millis(at: Timestamp) -> Value {
    at.as_millisecond().into()
}

impl Stored {
    /// The customer whose account it is: where nobody was named, the one that it is called after. Nothing of a gift
    /// card, which is spent by whoever has its number.
    fn owner(&self) -> Option<&str> {
        match self.value.kind {
            StoredValueKind::GiftCard => None,
            StoredValueKind::Account => Some(self.customer_id.as_deref().unwrap_or(&self.id)),
        }
    }

    /// Whether it may pay what `customer` buys.
    ///
    /// # Errors
    /// [`StoredValueError::OtherCustomer`] where it is the account of somebody else.
    pub fn check_owner(&self, customer: Option<&str>) -> std::result::Result<(), StoredValueError> {
        match self.owner() {
            Some(owner) if Some(owner) != customer => Err(StoredValueError::OtherCustomer),
            _ => Ok(()),
        }
    }

    /// Reads a gift card or account.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let kind = StoredValueKind::of_tender(item.text("value_kind")?);
        let expires_at = item.opt_number(GOOD_UNTIL).map(Timestamp::from_millisecond);
        Ok(Stored {
            id: item.text("stored_value_id")?.to_owned(),
            value: StoredValue {
                kind: kind.ok_or_else(|| Error::bug("stored value of no known kind"))?,
                currency: item.text("currency")?.parse().map_err(Error::bug)?,
                balance: item.number(BALANCE)?,
                expires_at: expires_at.transpose().map_err(Error::bug)?,
                blocked: item.opt_text(BLOCKED).map(str::to_owned),
            },
            customer_id: item.opt_text("customer_id").map(str::to_owned),
            issued_at: item.text("issued_at")?.parse().map_err(Error::bug)?,
            version: u64::try_from(item.number("version")?).map_err(Error::bug)?,
        })
    }

    /// The put of it: of the next version of one that was read at the version that it has now, or of a new one.
    ///
    /// # Errors
    /// A bug if a number is out of range.
    pub fn put(&self, scope: &TenantScope, is_new: bool) -> Result<Write> {
        let version = i64::try_from(self.version).map_err(Error::bug)?;
        let item = Item::new(&scope.stored_value(&self.id))
            .with("kind", "stored_value")
            .with("tenant_id", scope.tenant_id())
            .with("stored_value_id", self.id.as_str())
            .with("value_kind", self.value.kind.name())
            .with("currency", self.value.currency.code())
            .with(BALANCE, self.value.balance)
            .with_some(GOOD_UNTIL, self.value.expires_at.map(millis))
            .with_some(BLOCKED, self.value.blocked.as_deref())
            .with_some("customer_id", self.customer_id.as_deref())
            .with("issued_at", self.issued_at.to_string())
            .with("version", if is_new { version } else { version + 1 });
        let condition = if is_new { Condition::NotExists } else { Condition::Eq("version", version.into()) };
        Ok(Write::Put { table: Table::Orders, item, condition: Some(condition) })
    }
}

/// The update by which carts take from the balance of `id`, or give to it (`amount` above zero). What is taken
/// must be there, in the cart's currency, and be neither blocked nor over; what is given back finds its place
/// in any case.
pub fn balance_update(scope: &TenantScope, id: &str, amount: i64, currency: &str, now: Timestamp) -> Write {
    let mut all = vec![Condition::Exists, Condition::Eq("currency", currency.into())];
    if amount < 0 {
        all.push(Condition::Ge(BALANCE, amount.saturating_neg().into()));
        all.push(Condition::Lacks(BLOCKED));
        all.push(Condition::Any(vec![Condition::Lacks(GOOD_UNTIL), Condition::Gt(GOOD_UNTIL, millis(now))]));
    }
    Write::Update {
        table: Table::Orders,
        key: scope.stored_value(id),
        changes: vec![Change::Add(BALANCE, amount), Change::Add("version", 1)],
        condition: Some(Condition::All(all)),
    }
}

/// Why a balance moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// `issue`, `credit`, `debit`, `block`, `unblock`, `sale`, `refund`, `void`, `cancellation`.
    pub kind: String,
    /// What was added, in minor units; either sign.
    pub amount: i64,
    /// Currency.
    pub currency: String,
    /// When, by our clock.
    pub at: Timestamp,
    /// Who did it.
    pub by: String,
    /// Why, where that was told.
    pub reason: Option<String>,
    /// The order or return that did it, and which of its payments.
    pub payment: Option<MovedBy>,
}

/// The payment that moved a balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedBy {
    /// Order, or return.
    pub order_id: String,
    /// Its payment.
    pub payment_id: String,
    /// Where.
    pub store_id: String,
    /// Register.
    pub register_id: String,
}

impl Movement {
    /// Reads a movement.
    ///
    /// # Errors
    /// A bug if the item is not one.
    pub fn of(item: &Item) -> Result<Self> {
        let payment = match item.opt_text("order_id") {
            None => None,
            Some(order_id) => Some(MovedBy {
                order_id: order_id.to_owned(),
                payment_id: item.text("payment_id")?.to_owned(),
                store_id: item.text("store_id")?.to_owned(),
                register_id: item.text("register_id")?.to_owned(),
            }),
        };
        Ok(Movement {
            kind: item.text("movement")?.to_owned(),
            amount: item.number("amount")?,
            currency: item.text("currency")?.to_owned(),
            at: item.text("at")?.parse().map_err(Error::bug)?,
            by: item.text("by")?.to_owned(),
            reason: item.opt_text("reason").map(str::to_owned),
            payment,
        })
    }

    /// The put of it, which must not be there yet.
    pub fn put(&self, scope: &TenantScope, key: &Key) -> Write {
        let payment = self.payment.as_ref();
        let item = Item::new(key)
            .with("kind", "stored_value_movement")
            .with("tenant_id", scope.tenant_id())
            .with("movement", self.kind.as_str())
            .with("amount", self.amount)
            .with("currency", self.currency.as_str())
            .with("at", self.at.to_string())
            .with("by", self.by.as_str())
            .with_some("reason", self.reason.as_deref())
            .with_some("order_id", payment.map(|by| by.order_id.as_str()))
            .with_some("payment_id", payment.map(|by| by.payment_id.as_str()))
            .with_some("store_id", payment.map(|by| by.store_id.as_str()))
            .with_some("register_id", payment.map(|by| by.register_id.as_str()));
        Write::Put { table: Table::Orders, item, condition: Some(Condition::NotExists) }
    }
}

/// What a part of a cart adds to the balance: a sale takes, a return gives.
pub fn signed(cart: &Cart, part: &StoredValuePart) -> i64 {
    match cart.kind {
        CartKind::Sale => part.amount.saturating_neg(),
        CartKind::Return => part.amount,
    }
}

/// The put of the movement of a part of a cart that becomes final.
pub fn part_movement(scope: &TenantScope, cart: &Cart, part: &StoredValuePart, now: Timestamp) -> Write {
    let kind = match (cart.kind, cart.course.undoes) {
        (CartKind::Sale, _) => "sale",
        (CartKind::Return, None) => "refund",
        (CartKind::Return, Some(Undoing::Void)) => "void",
        (CartKind::Return, Some(Undoing::Cancellation)) => "cancellation",
    };
    let movement = Movement {
        kind: kind.to_owned(),
        amount: signed(cart, part),
        currency: cart.currency.code().to_owned(),
        at: now,
        by: cart.employee_id.clone(),
        reason: cart.return_of.as_ref().map(|head| head.reason.clone()),
        payment: Some(MovedBy {
            order_id: cart.id.clone(),
            payment_id: part.payment.clone(),
            store_id: cart.store_id.clone(),
            register_id: cart.register_id.clone(),
        }),
    };
    let cause = format!("{}#{}", cart.id, part.payment);
    movement.put(scope, &scope.stored_value_movement(&part.account, part.at_millis, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tillstream_domain::money::Currency;

    #[test]
    fn an_account_is_its_customers_also_where_none_was_kept() {
        let stored = |kind, customer: Option<&str>| Stored {
            id: "k-1".to_owned(),
            value: StoredValue::issue(kind, Currency::GBP, 1, None).unwrap(),
            customer_id: customer.map(str::to_owned),
            issued_at: Timestamp::UNIX_EPOCH,
            version: 1,
        };
        let (account, card) = (StoredValueKind::Account, StoredValueKind::GiftCard);
        let others = Err(StoredValueError::OtherCustomer);
        for (kind, owner, buyer, expected) in [
            (account, Some("k-2"), Some("k-2"), Ok(())),
            (account, Some("k-2"), Some("k-1"), others),
            (account, Some("k-2"), None, others),
            // As accounts were kept before their customer was: called after whose they are.
            (account, None, Some("k-1"), Ok(())),
            (account, None, Some("k-2"), others),
            (card, Some("k-2"), Some("k-1"), Ok(())),
            (card, None, None, Ok(())),
        ] {
            assert_eq!(stored(kind, owner).check_owner(buyer), expected, "{kind:?} {owner:?} {buyer:?}");
        }
    }
}
