//! What an approval is good for: the exact action, and every amount of it.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, UnitPrice};
use crate::quantity::Quantity;

/// What a cashier may have to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalAction {
    /// A line at another price than the price book's.
    PriceOverride,
    /// Something off a line or the cart.
    ManualDiscount,
    /// Goods back without a known sale.
    BlindReturn,
    /// An order void after it became final.
    VoidOrder,
    /// Cash put into the drawer.
    PaidIn,
    /// Cash taken out of the drawer.
    PaidOut,
    /// The drawer opened without a sale.
    NoSale,
    /// A count sheet closed that is far from the books.
    CloseCount,
    /// What stock says of itself put right.
    CorrectDifference,
}

impl ApprovalAction {
    /// All of them.
    pub const ALL: [ApprovalAction; 9] = [
        ApprovalAction::PriceOverride,
        ApprovalAction::ManualDiscount,
        ApprovalAction::BlindReturn,
        ApprovalAction::VoidOrder,
        ApprovalAction::PaidIn,
        ApprovalAction::PaidOut,
        ApprovalAction::NoSale,
        ApprovalAction::CloseCount,
        ApprovalAction::CorrectDifference,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ApprovalAction::PriceOverride => "price_override",
            ApprovalAction::ManualDiscount => "manual_discount",
            ApprovalAction::BlindReturn => "blind_return",
            ApprovalAction::VoidOrder => "void_order",
            ApprovalAction::PaidIn => "paid_in",
            ApprovalAction::PaidOut => "paid_out",
            ApprovalAction::NoSale => "no_sale",
            ApprovalAction::CloseCount => "close_count",
            ApprovalAction::CorrectDifference => "correct_difference",
        }
    }

    /// Whether it is done at a register.
    pub fn is_at_a_register(self) -> bool {
        !matches!(self, ApprovalAction::CloseCount | ApprovalAction::CorrectDifference)
    }
}

/// How much a manual discount takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Off {
    /// A share, in basis points.
    BasisPoints(u32),
    /// An amount.
    Amount(Money),
}

/// The goods that a share is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goods {
    /// What is left to pay of them when the share is taken off; in an approval, at most.
    pub worth: Money,
    /// What is sold, where it is taken off one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
}

/// An action with all that an approval of it is bound to, store and register apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Binding {
    /// A line of this SKU and quantity at this price.
    PriceOverride {
        /// The cart.
        cart_id: String,
        /// What is sold.
        sku: String,
        /// Price per unit.
        unit_price: UnitPrice,
        /// How many, exactly.
        quantity: Quantity,
    },
    /// This much off this cart, or off one line of it.
    ManualDiscount {
        /// The cart.
        cart_id: String,
        /// Number of the line; all lines together where absent.
        line: Option<u32>,
        /// How much.
        off: Off,
        /// Of a share, of which goods: of more of them, or of others, it is not. Those that were asked for before
        /// this was bound have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        goods: Option<Goods>,
    },
    /// A return without a known sale. The return does not exist yet, so the approval is bound to the most
    /// that may be refunded, which becomes the limit of the return that uses it.
    BlindReturn {
        /// Most that may be refunded. What is compared is its currency; the amount is the return's limit.
        maximum_refund: Money,
    },
    /// This order, whole.
    VoidOrder {
        /// The order.
        order_id: String,
    },
    /// This much into the drawer.
    PaidIn {
        /// The shift.
        shift_id: String,
        /// How much, exactly.
        amount: Money,
    },
    /// This much out of the drawer.
    PaidOut {
        /// The shift.
        shift_id: String,
        /// How much, exactly.
        amount: Money,
    },
    /// The drawer of this shift, once.
    NoSale {
        /// The shift.
        shift_id: String,
    },
    /// This count sheet, as it stands.
    CloseCount {
        /// The sheet.
        count_id: String,
        /// Its version: a line that is counted anew makes it another.
        version: u64,
        /// What it is off by.
        variance: Money,
    },
    /// The difference that this exception tells of, as it was compared.
    CorrectDifference {
        /// The exception.
        exception_id: String,
        /// The stock item's version that was compared.
        version: i64,
    },
}

/// Where an action happens, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The store.
    pub store_id: String,
    /// The register; none of what is done at none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_id: Option<String>,
    /// The action.
    pub binding: Binding,
}

/// One thing in which a command is not what was approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name on the wire.
    pub field: &'static str,
    /// What was approved.
    pub approved: String,
    /// What the command would do.
    pub asked: String,
}

fn money(amount: &Money) -> String {
    format!("{} {}", amount.amount, amount.currency)
}

impl Binding {
    /// The blind return that a command in `currency` would begin.
    pub fn blind_return_in(currency: Currency) -> Self {
        Binding::BlindReturn { maximum_refund: Money::zero(currency) }
    }

    /// Which action it is.
    pub fn action(&self) -> ApprovalAction {
        match self {
            Binding::PriceOverride { .. } => ApprovalAction::PriceOverride,
            Binding::ManualDiscount { .. } => ApprovalAction::ManualDiscount,
            Binding::BlindReturn { .. } => ApprovalAction::BlindReturn,
            Binding::VoidOrder { .. } => ApprovalAction::VoidOrder,
            Binding::PaidIn { .. } => ApprovalAction::PaidIn,
            Binding::PaidOut { .. } => ApprovalAction::PaidOut,
            Binding::NoSale { .. } => ApprovalAction::NoSale,
            Binding::CloseCount { .. } => ApprovalAction::CloseCount,
            Binding::CorrectDifference { .. } => ApprovalAction::CorrectDifference,
        }
    }

    /// What is compared, by its name on the wire. Bindings of one action have the same names in the same
    /// order.
    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Binding::PriceOverride { cart_id, sku, unit_price, quantity } => vec![
                ("cart_id", cart_id.clone()),
                ("sku", sku.clone()),
                ("unit_price", unit_price.to_string()),
                ("quantity", quantity.to_string()),
            ],
            Binding::ManualDiscount { cart_id, line, off, .. } => vec![
                ("cart_id", cart_id.clone()),
                ("line_id", line.map_or_else(|| "none".to_owned(), |number| format!("l-{number}"))),
                (
                    "value",
                    match off {
                        Off::BasisPoints(bps) => format!("{bps} basis points"),
                        Off::Amount(amount) => money(amount),
                    },
                ),
            ],
            Binding::BlindReturn { maximum_refund } => {
                vec![("currency", maximum_refund.currency.to_string())]
            }
            Binding::VoidOrder { order_id } => vec![("order_id", order_id.clone())],
            Binding::PaidIn { shift_id, amount } | Binding::PaidOut { shift_id, amount } => {
                vec![("shift_id", shift_id.clone()), ("amount", money(amount))]
            }
            Binding::NoSale { shift_id } => vec![("shift_id", shift_id.clone())],
            Binding::CloseCount { count_id, version, variance } => vec![
                ("count_id", count_id.clone()),
                ("version", version.to_string()),
                ("variance", money(variance)),
            ],
            Binding::CorrectDifference { exception_id, version } => {
                vec![("exception_id", exception_id.clone()), ("version", version.to_string())]
            }
        }
    }

    /// In what the goods of `asked` are others, or more, than was approved.
    fn beyond(&self, asked: &Binding) -> Vec<Difference> {
        let (
            Binding::ManualDiscount { goods: Some(approved), .. },
            Binding::ManualDiscount { goods: Some(asked), .. },
        ) = (self, asked)
        else {
            return Vec::new();
        };
        let mut found = Vec::new();
        if approved.sku.is_some() && approved.sku != asked.sku {
            let name = |sku: &Option<String>| sku.clone().unwrap_or_else(|| "none".to_owned());
            found.push(Difference { field: "sku", approved: name(&approved.sku), asked: name(&asked.sku) });
        }
        let (most, worth) = (&approved.worth, &asked.worth);
        if most.currency != worth.currency || worth.amount > most.amount {
            found.push(Difference { field: "maximum_goods", approved: money(most), asked: money(worth) });
        }
        found
    }
}

impl Bound {
    /// In what `asked` is not what was approved; nothing where it is exactly that, or a share of less.
    pub fn differences(&self, asked: &Bound) -> Vec<Difference> {
        let place = |of: &Bound| {
            vec![
                ("store_id", of.store_id.clone()),
                ("register_id", of.register_id.clone().unwrap_or_else(|| "none".to_owned())),
                ("action", of.binding.action().name().to_owned()),
            ]
        };
        let (mut approved, mut wanted) = (place(self), place(asked));
        if self.binding.action() == asked.binding.action() {
            approved.extend(self.binding.fields());
            wanted.extend(asked.binding.fields());
        }
        let pairs = approved.into_iter().zip(wanted);
        let differ = pairs
            .filter(|((_, approved), (_, asked))| approved != asked)
            .map(|((field, approved), (_, asked))| Difference { field, approved, asked });
        differ.chain(self.binding.beyond(&asked.binding)).collect()
    }
}
