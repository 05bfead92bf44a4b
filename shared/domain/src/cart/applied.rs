//! The commands that took effect on a cart: their keys, fingerprints and results.

use serde::{Deserialize, Serialize};

use super::{COMMANDS_MAX, CartError};

/// Bytes kept of a key's hash. Within one cart's 10,000 keys two different ones meet with a
/// probability below 10⁻¹⁶.
pub const KEY_HASH_BYTES: usize = 10;
/// Bytes kept of a payload's hash.
pub const FINGERPRINT_BYTES: usize = 6;

/// What a command answered, as little as it takes to answer the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It made the cart.
    Created,
    /// It has no result of its own.
    Done,
    /// It made, changed or removed a line.
    Line(u32),
    /// It made or removed a payment, giving this change in minor units.
    Payment {
        /// Number of the payment.
        number: u32,
        /// Change given.
        change: i64,
    },
    /// It made the cart final; the result is in the cart.
    Finalized,
    /// It gave or took back a manual discount.
    Discount(u32),
}

/// One command that took effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedCommand {
    key: [u8; KEY_HASH_BYTES],
    fingerprint: [u8; FINGERPRINT_BYTES],
    outcome: Outcome,
}

/// The hash of an idempotency key and of what it was sent with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandIdentity {
    /// Hash of the idempotency key.
    pub key: [u8; KEY_HASH_BYTES],
    /// Hash of tenant, store, register, action and payload, but not of the time.
    pub fingerprint: [u8; FINGERPRINT_BYTES],
}

/// How a key relates to what was applied before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// New here.
    Never,
    /// The same command took effect; it answered this.
    Same(Outcome),
    /// The key was used for another command.
    Reused,
}

/// All commands that took effect on a cart, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Applied {
    commands: Vec<AppliedCommand>,
}

impl Applied {
    /// Looks a command up by its key.
    pub fn seen(&self, identity: &CommandIdentity) -> Seen {
        match self.commands.iter().rev().find(|c| c.key == identity.key) {
            None => Seen::Never,
            Some(c) if c.fingerprint == identity.fingerprint => Seen::Same(c.outcome),
            Some(_) => Seen::Reused,
        }
    }

    /// Records a command. `spare` is room beyond the limit: a cart full of line commands can still be
    /// tendered.
    ///
    /// # Errors
    /// [`CartError::TooManyCommands`] at the limit. A command that finalises or voids always finds
    /// room, so that a full cart can be ended: those call [`Self::record_last`].
    pub fn record(
        &mut self,
        identity: &CommandIdentity,
        outcome: Outcome,
        spare: usize,
    ) -> Result<(), CartError> {
        if self.commands.len() >= COMMANDS_MAX + spare {
            return Err(CartError::TooManyCommands);
        }
        self.record_last(identity, outcome);
        Ok(())
    }

    /// Records here, too, the last command that took effect on another: one command may change two.
    pub fn record_last_of(&mut self, other: &Applied, outcome: Outcome) {
        if let Some(last) = other.commands.last() {
            self.commands.push(AppliedCommand { outcome, ..last.clone() });
        }
    }

    /// Records the command that ends the cart.
    pub fn record_last(&mut self, identity: &CommandIdentity, outcome: Outcome) {
        self.commands.push(AppliedCommand { key: identity.key, fingerprint: identity.fingerprint, outcome });
    }
}
