//! What becomes of a cart beside its lines and payments: put aside, recorded, undone, its status as an
//! order. Most carts have nothing of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::exchange::Exchanged;
use super::order_status::StatusChange;
use super::stored_value::StoredValuePart;
use super::undo::Undoing;
use super::{Cart, CartError, CartKind, CartState, Payment};

/// What became of a cart, each part in an attribute of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// Set while it is put aside.
    pub parked: Option<Parked>,
    /// For a sale that another system made.
    pub recorded: Option<Recorded>,
    /// For a return that undoes a whole order: as what.
    pub undoes: Option<Undoing>,
    /// For a sale and a return that were made final together.
    pub exchange: Option<Exchanged>,
    /// Changes of its status as an order, oldest first. As many as the states' longest way.
    pub history: Vec<StatusChange>,
    /// Payments that are taken from stored value; of a return, refunds that go to it.
    pub stored_value: Vec<StoredValuePart>,
    /// Of a return of a known sale: what that took from stored value.
    pub paid_from: Vec<StoredValuePart>,
    /// Payments that were taken and given back before it was final, in that order. What was to be taken from stored
    /// value is not among them: it never was.
    pub taken_back: Vec<Payment>,
    /// Of a sale of a register that was cut off, where its lines do not come to it: the total that the register asked,
    /// or that makes its exchange what was asked, in minor units. Of a return of one: what it gave back.
    pub asked_total: Option<i64>,
}

/// Since when, by whom and why a cart is put aside. Which register parked it, the cart says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// When, as the register told it.
    pub at: Timestamp,
    /// Who parked it.
    pub employee_id: String,
    /// What it is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the system that made a sale calls it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recorded {
    /// Its register there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// Its receipt there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_reference: Option<String>,
    /// Whether its goods had left the stock here before, so that it moved none. Unknown of what was recorded before
    /// this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock_already_moved: Option<bool>,
}

impl Cart {
    /// Puts a sale aside, as it is.
    ///
    /// # Errors
    /// [`CartError::WrongState`] unless it is open: what is being paid stays at its till.
    pub fn park(&mut self, parked: Parked) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        self.state = CartState::Parked;
        self.course.parked = Some(parked);
        Ok(())
    }

    /// Brings a parked sale back: it is now of `register_id`.
    ///
    /// # Errors
    /// [`CartError::WrongState`] unless it is parked.
    pub fn recall(&mut self, register_id: &str) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        if self.state != CartState::Parked {
            return Err(CartError::WrongState { is: self.state.name(), needs: "a parked cart" });
        }
        self.state = CartState::Open;
        register_id.clone_into(&mut self.register_id);
        self.course.parked = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{by, cart, line, pay};
    use super::*;

    fn parked() -> Parked {
        Parked { at: Timestamp::UNIX_EPOCH, employee_id: "e-1".into(), note: Some("hat".into()) }
    }

    #[test]
    fn what_is_parked_comes_back_as_it_was() {
        let mut c = cart(CartKind::Sale);
        c.add_line(line("A", 2, "2.55")).unwrap();
        let before = c.clone();
        c.park(parked()).unwrap();
        assert_eq!((c.state, c.course.parked.clone()), (CartState::Parked, Some(parked())));
        let state = CartError::WrongState { is: "parked", needs: "an open cart" };
        assert_eq!(c.add_line(line("A", 1, "1")), Err(state.clone()));
        assert_eq!(c.park(parked()), Err(state));
        assert!(c.check_finalizable(CartKind::Sale).is_err());
        c.recall("r-2").unwrap();
        assert_eq!(c, Cart { register_id: "r-2".into(), ..before });
        let state = CartError::WrongState { is: "open", needs: "a parked cart" };
        assert_eq!(c.recall("r-3"), Err(state));
    }

    #[test]
    fn what_is_being_paid_is_not_parked_and_what_is_parked_can_be_given_up() {
        let mut c = cart(CartKind::Sale);
        c.add_line(line("A", 2, "1")).unwrap();
        c.set_tendering(&by()).unwrap();
        assert!(matches!(c.park(parked()), Err(CartError::WrongState { is: "tendering", .. })));
        c.add_payment(pay("card", 200)).unwrap();
        assert!(matches!(c.park(parked()), Err(CartError::WrongState { is: "paid", .. })));
        assert!(matches!(cart(CartKind::Return).park(parked()), Err(CartError::WrongKind { .. })));
        let mut c = cart(CartKind::Sale);
        c.park(parked()).unwrap();
        c.void(CartKind::Sale, None).unwrap();
        assert_eq!((c.state, &c.course.parked), (CartState::Voided, &None));
        assert!(c.recall("r-1").is_err());
        let mut c = cart(CartKind::Sale);
        c.plan_attempt = Some(1);
        assert_eq!(c.park(parked()), Err(CartError::FinalizeInProgress));
    }
}
