//! What documents there are, and what they can be made as.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DocumentError;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The customer's proof of a sale.
    Receipt,
    /// Proof of a sale for whoever gets the goods as a present: no price, nor anything one could tell it by.
    GiftReceipt,
    /// What the shop keeps: payment references and a line to sign on.
    MerchantCopy,
    /// What the kitchen makes: quantities, names, modifiers and notes, without prices.
    KitchenChit,
    /// The customer's proof of a return.
    ReturnReceipt,
    /// Figures of a shift that goes on.
    XReport,
    /// Figures of a shift that is closed, with its number.
    ZReport,
}

/// What a document is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A page of its own, for a screen or a browser's printer.
    Html,
    /// Text in 42 columns.
    Text,
    /// Commands of a receipt printer.
    Escpos,
}

/// What a template is written for. Text and ESC/POS come from the same template, so that a tenant writes
/// one for paper and one for the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateFormat {
    /// HTML; what comes from the data is escaped.
    Html,
    /// The markup of [`crate::markup`].
    Paper,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [
        Kind::Receipt,
        Kind::GiftReceipt,
        Kind::MerchantCopy,
        Kind::KitchenChit,
        Kind::ReturnReceipt,
        Kind::XReport,
        Kind::ZReport,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Receipt => "receipt",
            Kind::GiftReceipt => "gift_receipt",
            Kind::MerchantCopy => "merchant_copy",
            Kind::KitchenChit => "kitchen_chit",
            Kind::ReturnReceipt => "return_receipt",
            Kind::XReport => "x_report",
            Kind::ZReport => "z_report",
        }
    }

    /// Whether it is made from a shift; the others are made from an order.
    pub fn is_of_shift(self) -> bool {
        matches!(self, Kind::XReport | Kind::ZReport)
    }

    /// Whether its templates are given amounts at all.
    pub fn has_prices(self) -> bool {
        !matches!(self, Kind::GiftReceipt | Kind::KitchenChit)
    }
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 3] = [Format::Html, Format::Text, Format::Escpos];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Text => "text",
            Format::Escpos => "escpos",
        }
    }

    /// The media type of a document made so.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Html => "text/html; charset=utf-8",
            Format::Text => "text/plain; charset=utf-8",
            Format::Escpos => "application/vnd.escpos",
        }
    }

    /// What templates of it are written for.
    pub fn template_format(self) -> TemplateFormat {
        match self {
            Format::Html => TemplateFormat::Html,
            Format::Text | Format::Escpos => TemplateFormat::Paper,
        }
    }
}

impl TemplateFormat {
    /// Every format of templates.
    pub const ALL: [TemplateFormat; 2] = [TemplateFormat::Html, TemplateFormat::Paper];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            TemplateFormat::Html => "html",
            TemplateFormat::Paper => "paper",
        }
    }
}

fn known<T: Copy>(
    what: &'static str,
    text: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, DocumentError> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| DocumentError::UnknownName {
        what,
        is: text.chars().take(64).collect(),
        known: all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", "),
    })
}

impl FromStr for Kind {
    type Err = DocumentError;
    fn from_str(text: &str) -> Result<Self, DocumentError> {
        known("kind of document", text, &Kind::ALL, Kind::name)
    }
}

impl FromStr for Format {
    type Err = DocumentError;
    fn from_str(text: &str) -> Result<Self, DocumentError> {
        known("format", text, &Format::ALL, Format::name)
    }
}

impl FromStr for TemplateFormat {
    type Err = DocumentError;
    fn from_str(text: &str) -> Result<Self, DocumentError> {
        known("format of templates", text, &TemplateFormat::ALL, TemplateFormat::name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TemplateFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
