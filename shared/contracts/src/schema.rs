//! How the domain's own types look in the OpenAPI document. Used as `#[schema(value_type = …)]`.
//!
//! The domain knows nothing of OpenAPI, so the shapes stand here, beside the wire types.

use serde::Serialize;
use utoipa::ToSchema;

/// Money: integer minor units of a currency.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneySchema {
    /// Minor units (pence, cents).
    #[schema(example = 1099, minimum = -1_000_000_000_000_i64, maximum = 1_000_000_000_000_i64)]
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(example = "GBP", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

/// A quantity: an integer for products sold by the piece, a decimal string with up to 3 places for
/// products sold by weight, length or volume.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Quantity)]
pub enum QuantitySchema {
    /// By the piece.
    Whole(i64),
    /// By measure.
    Decimal(String),
}
