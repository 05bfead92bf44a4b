//! What becomes of a cart beside its lines and payments: put aside, recorded, undone, its status as an
//! order. Most carts have nothing of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::order_status::StatusChange;
use super::undo::Undoing;
use super::{Cart, CartError, CartKind, CartState};

/// What became of a cart, each part in an attribute of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Course {
    /// Set while it is put aside.
    pub parked: Option<Parked>,
    /// For a sale that another system made.
    pub recorded: Option<Recorded>,
    /// For a return that undoes a whole order: as what.
    pub undoes: Option<Undoing>,
    /// Changes of its status as an order, oldest first. As many as the states' longest way.
    pub history: Vec<StatusChange>,
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
