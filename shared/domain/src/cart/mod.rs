//! The cart: a sale or a return from its first line to its number.
//!
//! One item holds it all, so that a command is one conditional write. The idempotency keys of the
//! commands that took effect are part of it ([`applied`]).

pub mod applied;
mod approvals;
mod charges;
mod course;
mod effects;
mod error;
mod exchange;
mod holds;
mod kits;
mod lots;
pub mod order_status;
mod payments;
mod recorded_total;
mod returns;
mod sale_pricing;
mod sale_terms;
mod stored_value;
pub mod undo;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use applied::{Applied, AppliedCommand, Outcome};
pub use approvals::{APPROVALS_MAX, Approvals, ApprovedPart, UsedApproval};
pub use charges::{
    Charges, DiscountHead, LimitedUse, LineAmounts, LineCharges, LineDiscount, TaxCharge, TaxHead, Unapplied,
};
pub use course::{Course, Parked, Recorded};
pub use effects::Effects;
pub use error::CartError;
pub use exchange::{EXCHANGE, Exchange, ExchangeError, ExchangeMove, Exchanged};
pub use holds::{CartHold, CartHolds, HOLDS_PER_SKU_MAX};
pub use kits::Kits;
pub use lots::{Lots, LotsOfSkus};
pub use payments::{CASH, Payment, PaymentInput, TENDERS};
pub use returns::{Disposition, OriginalLine, OriginalSale, ReturnLine, Returned, ReturnedLine};
pub use sale_pricing::{COUNTERS_MAX, PricedBy};
pub use sale_terms::{AppliedCoupon, CustomerTerms, LineTerms, SaleTerms};
pub use stored_value::{STORED_VALUE_PAYMENTS_MAX, StoredValuePart};

use crate::lane::LaneNumber;
use crate::money::{Currency, MoneyError, UnitPrice};
use crate::quantity::{Quantity, Unit};

/// Most lines a cart holds (DynamoDB items end at 400 KB).
pub const LINES_MAX: usize = 5_000;
/// Most commands a cart takes; each leaves its idempotency key in it.
pub const COMMANDS_MAX: usize = 10_000;
/// Most payments on a cart.
pub const PAYMENTS_MAX: usize = 50;
/// Most payments of a cart that are taken back again: it is kept what they were.
pub const TAKEN_BACK_MAX: usize = 50;
/// Most bytes its encoded lines and keys may take; the rest of an item is room to tender and finalise.
pub const ENCODED_BYTES_MAX: usize = 300 * 1024;

/// A sale takes goods out of the store, a return brings them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartKind {
    /// Goods out, money in.
    Sale,
    /// Goods in, money out.
    Return,
}

/// Where a cart stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CartState {
    /// Lines may change.
    Open,
    /// Lines are fixed, payments may change.
    Tendering,
    /// Paid in full, not yet final.
    Paid,
    /// Final: it has its number.
    Finalized,
    /// Given up.
    Voided,
    /// Put aside.
    Parked,
}

impl CartState {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            CartState::Open => "open",
            CartState::Tendering => "tendering",
            CartState::Paid => "paid",
            CartState::Finalized => "finalized",
            CartState::Voided => "voided",
            CartState::Parked => "parked",
        }
    }
}

/// One line. Amounts are derived, so that they cannot disagree with price and quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Number within the cart, never used again.
    pub number: u32,
    /// SKU.
    pub sku: String,
    /// Name as of the sale.
    pub name: String,
    /// Category as of the sale.
    pub category: Option<String>,
    /// How many, always above zero.
    pub quantity: Quantity,
    /// How it is sold.
    pub unit: Unit,
    /// Whether stock of it is kept.
    pub stocked: bool,
    /// Price per unit.
    pub unit_price: UnitPrice,
    /// Whether that price was set by hand.
    pub price_overridden: bool,
    /// Free text.
    pub notes: Option<String>,
    /// For a return: what happens to the goods, and the line of the original sale.
    pub returned: Option<ReturnLine>,
}

impl Line {
    /// The name on the wire (`l-1`).
    pub fn id(&self) -> String {
        format!("l-{}", self.number)
    }

    /// Quantity × price, rounded once to the minor unit. Of a part of a sold line that comes back, its
    /// share of that line. What it was charged is told by [`Cart::line_amounts`].
    ///
    /// # Errors
    /// [`MoneyError::OutOfRange`].
    fn gross(&self, currency: Currency) -> Result<i64, MoneyError> {
        let before = self.returned.as_ref().map_or(Quantity::ZERO, |returned| returned.returned_before);
        self.unit_price.of_next(before, self.quantity, currency)
    }
}

/// What a cart does to the stock of one SKU at its store; for a sale out, for a return in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockMove {
    /// SKU.
    pub sku: String,
    /// Sold, or back on the shelf.
    pub sellable: Quantity,
    /// Came back damaged.
    pub damaged: Quantity,
}

/// The numbers at the foot of a cart, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Lines before discounts, without tax.
    pub subtotal: i64,
    /// Discounts.
    pub discount: i64,
    /// Tax.
    pub tax: i64,
    /// Tips, on top of the total and never counted as sales.
    pub tips: i64,
    /// What is to be paid: subtotal − discount + tax.
    pub total: i64,
    /// What was handed over, change included.
    pub paid: i64,
    /// What was added to what was due, so that it could be paid in coins; and of a sale that another system
    /// made, or a register that was cut off, what that asked for it beyond `total`. Either sign.
    pub cash_rounding: i64,
    /// What is still to be paid: total + cash rounding − (paid − change).
    pub due: i64,
    /// What was given back.
    pub change: i64,
}

/// What finalising adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finalized {
    /// Its number on its lane.
    pub number: LaneNumber,
    /// Counts the facts of this order: 1 when it becomes final.
    pub order_version: u32,
    /// Where it stands as an order (`completed`, `placed`, `paid`, `returned`).
    pub status: String,
    /// The time of the sale, as the register told it.
    pub at: Timestamp,
    /// Our clock when it became final. A register's clock may be wrong by years, and the time of the last
    /// write moves with each later one; this is what tells what stood at the time of the sale.
    pub recorded_at: Timestamp,
    /// The store's business day of that time.
    pub business_day: Date,
    /// Start of the store's local hour of that time.
    pub hour_start: Timestamp,
    /// Offset from UTC at that hour, in seconds.
    pub offset_seconds: i32,
}

/// A cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cart {
    /// Its id, unique in the tenant; the order's id too.
    pub id: String,
    /// Sale or return.
    pub kind: CartKind,
    /// Counts its writes.
    pub version: u64,
    /// Where it stands.
    pub state: CartState,
    /// Store whose stock it sells.
    pub store_id: String,
    /// Register it was opened at.
    pub register_id: String,
    /// `pos`, `web`, ….
    pub channel: String,
    /// Customer, if known.
    pub customer_id: Option<String>,
    /// The store's region as of the opening, for reports.
    pub region: Option<String>,
    /// Who opened it.
    pub employee_id: String,
    /// The store's currency.
    pub currency: Currency,
    /// When it was opened, as the register told it.
    pub opened_at: Timestamp,
    /// Our clock at its last write. It makes the write of one request differ from that of another with
    /// the same command, so that a duplicate loses on a condition instead of passing for the first.
    pub written_at: Timestamp,
    /// Lines in the order they were added.
    pub lines: Vec<Line>,
    /// Payments, or for a return refunds.
    pub payments: Vec<Payment>,
    /// What was given by hand, and what lines were charged for it.
    pub charges: Charges,
    /// What it is priced by, beside.
    pub terms: SaleTerms,
    /// Which of its lines are kits, and what they take from stock.
    pub kits: Kits,
    /// What it holds of the store's stock until it is final.
    pub holds: CartHolds,
    /// Which lots its lines were taken from, where that was named.
    pub lots: Lots,
    /// What of it was approved.
    pub approvals: Approvals,
    /// Numbers handed out to lines, and to payments.
    pub numbers_used: NumbersUsed,
    /// Commands that took effect.
    pub applied: Applied,
    /// The plan that is finalising it, if one is: attempt number.
    pub plan_attempt: Option<u32>,
    /// For a return: its reason and the sale it belongs to.
    pub return_of: Option<ReturnHead>,
    /// Why it was voided.
    pub void_reason: Option<String>,
    /// What became of it beside its lines and payments.
    pub course: Course,
    /// Set once it is final.
    pub finalized: Option<Finalized>,
}

/// Counters of numbers that are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NumbersUsed {
    /// Lines.
    pub lines: u32,
    /// Payments.
    pub payments: u32,
}

/// What a return is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnHead {
    /// Why.
    pub reason: String,
    /// The sale as it was, when it is known; `None` for a blind return.
    pub original: Option<OriginalSale>,
}

/// What a new line of a sale says; the rest comes from the cart.
#[derive(Debug, Clone)]
pub struct NewLine {
    /// SKU.
    pub sku: String,
    /// Name as of now.
    pub name: String,
    /// Category as of now.
    pub category: Option<String>,
    /// Above zero.
    pub quantity: Quantity,
    /// How it is sold.
    pub unit: Unit,
    /// Whether stock of it is kept.
    pub stocked: bool,
    /// Price per unit.
    pub unit_price: UnitPrice,
    /// Whether that price was set by hand.
    pub price_overridden: bool,
    /// Free text.
    pub notes: Option<String>,
    /// What else the catalogue says of it.
    pub terms: LineTerms,
}

impl Cart {
    /// The kind's name in messages.
    fn kind_name(kind: CartKind) -> &'static str {
        match kind {
            CartKind::Sale => "sale",
            CartKind::Return => "return",
        }
    }

    /// Checks that the cart is of `kind` and free to change.
    ///
    /// # Errors
    /// [`CartError::WrongKind`], [`CartError::FinalizeInProgress`].
    pub fn require(&self, kind: CartKind) -> Result<(), CartError> {
        if self.kind != kind {
            return Err(CartError::WrongKind {
                is: Self::kind_name(self.kind),
                needs: Self::kind_name(kind),
            });
        }
        if self.plan_attempt.is_some() {
            return Err(CartError::FinalizeInProgress);
        }
        Ok(())
    }

    fn require_open(&self) -> Result<(), CartError> {
        match self.state {
            CartState::Open => Ok(()),
            other => Err(CartError::WrongState { is: other.name(), needs: "an open cart" }),
        }
    }

    fn require_tendering(&self) -> Result<(), CartError> {
        match self.state {
            CartState::Tendering | CartState::Paid => Ok(()),
            other => Err(CartError::WrongState { is: other.name(), needs: "a cart that is tendering" }),
        }
    }

    /// Adds a line to a sale; answers its number. The lines are to be priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::TooManyLines`], [`CartError::Money`] where a total would
    /// leave the accepted range.
    pub fn add_line(&mut self, new: NewLine) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        self.push_line(new, None)
    }

    fn push_line(&mut self, new: NewLine, returned: Option<ReturnLine>) -> Result<u32, CartError> {
        if self.lines.len() >= LINES_MAX {
            return Err(CartError::TooManyLines);
        }
        let number = self.numbers_used.lines + 1;
        let line = Line {
            number,
            sku: new.sku,
            name: new.name,
            category: new.category,
            quantity: new.quantity,
            unit: new.unit,
            stocked: new.stocked,
            unit_price: new.unit_price,
            price_overridden: new.price_overridden,
            notes: new.notes,
            returned,
        };
        self.lines.push(line);
        let checked = self.totals();
        if let Err(error) = checked.and_then(|totals| self.check_refund_limit(&totals)) {
            self.lines.pop();
            return Err(error);
        }
        if new.terms != LineTerms::default() {
            self.terms.lines.insert(number, new.terms);
        }
        self.numbers_used.lines = number;
        Ok(number)
    }

    fn line_position(&self, line_id: &str) -> Result<usize, CartError> {
        line_id
            .strip_prefix("l-")
            .and_then(|n| n.parse::<u32>().ok())
            .and_then(|number| self.lines.binary_search_by_key(&number, |line| line.number).ok())
            .ok_or_else(|| CartError::UnknownLine(line_id.to_owned()))
    }

    /// The line called `line_id`.
    ///
    /// # Errors
    /// [`CartError::UnknownLine`].
    pub fn line(&self, line_id: &str) -> Result<&Line, CartError> {
        self.line_position(line_id).map(|at| &self.lines[at])
    }

    /// Changes quantity or notes of a line of a sale (`Some(None)` clears the notes). The lines are to be
    /// priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownLine`], [`CartError::Money`].
    pub fn update_line(
        &mut self,
        line_id: &str,
        quantity: Option<Quantity>,
        notes: Option<Option<String>>,
    ) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        let at = self.line_position(line_id)?;
        if let Some(quantity) = quantity {
            self.lines[at].quantity = quantity;
        }
        if let Some(notes) = notes {
            self.lines[at].notes = notes;
        }
        Ok(self.lines[at].number)
    }

    /// Takes a line off a sale, with the discounts given on it alone. The lines are to be priced anew.
    ///
    /// # Errors
    /// [`CartError::WrongState`], [`CartError::UnknownLine`].
    pub fn remove_line(&mut self, line_id: &str) -> Result<u32, CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        let at = self.line_position(line_id)?;
        let number = self.lines.remove(at).number;
        self.charges.manual.retain(|given| given.kind.line() != Some(number));
        self.charges.lines.remove(&number);
        self.terms.lines.remove(&number);
        self.kits.remove(number);
        self.lots.remove(number);
        Ok(number)
    }

    /// Prices the lines a last time and fixes them, so that payments can be taken.
    ///
    /// # Errors
    /// [`CartError::Empty`], [`CartError::WrongState`]; those of [`Self::reprice`].
    pub fn set_tendering(&mut self, by: &PricedBy<'_>) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_open()?;
        if self.lines.is_empty() {
            return Err(CartError::Empty);
        }
        self.reprice(by)?;
        self.terms.cash_increment = by.rules.settings.cash_increment_of(self.currency);
        self.state = CartState::Tendering;
        Ok(())
    }

    /// Goes back to editing the lines.
    ///
    /// # Errors
    /// [`CartError::PaymentsPresent`], [`CartError::WrongState`].
    pub fn resume_editing(&mut self) -> Result<(), CartError> {
        self.require(CartKind::Sale)?;
        self.require_tendering()?;
        if !self.payments.is_empty() {
            return Err(CartError::PaymentsPresent);
        }
        self.state = CartState::Open;
        Ok(())
    }

    /// Gives the cart up.
    ///
    /// # Errors
    /// [`CartError::WrongState`] once it is final or voided.
    pub fn void(&mut self, kind: CartKind, reason: Option<String>) -> Result<(), CartError> {
        self.require(kind)?;
        match self.state {
            // What undoes an order is nobody's to give up between two of its steps.
            _ if self.course.undoes.is_some() => {
                Err(CartError::WrongState { is: "undoing an order", needs: "a return of a till" })
            }
            CartState::Finalized | CartState::Voided => {
                Err(CartError::WrongState { is: self.state.name(), needs: "a cart that is not final" })
            }
            _ => {
                self.state = CartState::Voided;
                self.void_reason = reason;
                self.course.parked = None;
                Ok(())
            }
        }
    }

    /// Checks everything that must hold before the cart can become final, stock apart.
    ///
    /// # Errors
    /// [`CartError`] naming what is missing.
    pub fn check_finalizable(&self, kind: CartKind) -> Result<Totals, CartError> {
        let totals = self.check_ready(kind)?;
        match totals.due {
            0 => Ok(totals),
            due @ 1.. => Err(CartError::Underpaid { due }),
            due => Err(CartError::Overpaid { due }),
        }
    }

    /// Checks everything but payments that must hold before the cart can become final, stock apart.
    ///
    /// # Errors
    /// [`CartError`] naming what is missing.
    pub fn check_ready(&self, kind: CartKind) -> Result<Totals, CartError> {
        if self.kind != kind {
            return Err(CartError::WrongKind {
                is: Self::kind_name(self.kind),
                needs: Self::kind_name(kind),
            });
        }
        match (kind, self.state) {
            (CartKind::Sale, CartState::Tendering | CartState::Paid)
            | (CartKind::Return, CartState::Open) => {}
            (CartKind::Sale, other) => {
                return Err(CartError::WrongState {
                    is: other.name(),
                    needs: "a cart that is tendering or paid",
                });
            }
            (CartKind::Return, other) => {
                return Err(CartError::WrongState { is: other.name(), needs: "an open return" });
            }
        }
        if self.lines.is_empty() {
            return Err(CartError::Empty);
        }
        let totals = self.totals()?;
        self.check_refund_limit(&totals)?;
        self.check_stored_value()?;
        Ok(totals)
    }

    /// The numbers at its foot.
    ///
    /// # Errors
    /// [`CartError::Money`] where a sum leaves the accepted range.
    pub fn totals(&self) -> Result<Totals, CartError> {
        let (mut subtotal, mut discount, mut tax) = (0_i64, 0_i64, 0_i64);
        for line in &self.lines {
            let amounts = self.line_amounts(line)?;
            subtotal = subtotal.saturating_add(amounts.gross);
            discount = discount.saturating_add(amounts.discount);
            tax = tax.saturating_add(amounts.tax);
        }
        let sum = |of: fn(&Payment) -> i64| self.payments.iter().map(of).fold(0_i64, i64::saturating_add);
        let (paid, change, tips) = (sum(|p| p.amount), sum(|p| p.change), sum(|p| p.tip));
        let total = subtotal.saturating_sub(discount).saturating_add(tax);
        if subtotal.max(total) > crate::money::AMOUNT_MAX {
            return Err(MoneyError::OutOfRange.into());
        }
        let cash_rounding =
            self.terms.cash_rounding.values().fold(0_i64, |sum, one| sum.saturating_add(*one));
        let due = total.saturating_add(cash_rounding).saturating_sub(paid.saturating_sub(change));
        Ok(Totals { subtotal, discount, tax, tips, total, paid, cash_rounding, due, change })
    }

    /// Marks it final.
    pub fn finalize(&mut self, finalized: Finalized) {
        self.state = CartState::Finalized;
        self.plan_attempt = None;
        self.finalized = Some(finalized);
    }
}

#[cfg(test)]
mod tests;
