//! Bodies of products and locations.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tillstream_domain::coordinates::Coordinates;
use tillstream_domain::kit::KitComponent;
use tillstream_domain::location::{Location, LocationKind};
use tillstream_domain::money::{Currency, UnitPrice};
use tillstream_domain::product::{PriceEntry, Product, ProductModifier};
use tillstream_domain::quantity::{QuantityInput, Unit};
use tillstream_domain::signed_unit_price::SignedUnitPrice;
use utoipa::{IntoParams, ToSchema};

use crate::schema::QuantitySchema;
use crate::settings::StockPoliciesBody;

/// How a product is sold: by the piece, or by kilogram, metre or litre.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Unit)]
pub enum UnitSchema {
    /// Whole pieces.
    Piece,
    /// Kilograms.
    Kg,
    /// Metres.
    M,
    /// Litres.
    L,
}

/// What a location is for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LocationKind)]
pub enum LocationKindSchema {
    /// Sells to people, has registers.
    Store,
    /// Holds stock only.
    Warehouse,
}

fn yes() -> bool {
    true
}

fn midnight() -> String {
    "00:00".to_owned()
}

// The next two keep the bytes of a body without these fields as they were: the fingerprint under an
// idempotency key covers them.
fn is_yes(flag: &bool) -> bool {
    *flag
}

fn is_no(flag: &bool) -> bool {
    !*flag
}

/// Something to choose with a product that changes its price (a larger size, oat milk).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProductModifier)]
pub struct ModifierBody {
    /// Its id, unique in the product.
    #[schema(example = "oat-milk", max_length = 64)]
    pub id: String,
    /// What people call it.
    #[schema(example = "Oat milk", min_length = 1, max_length = 200)]
    pub name: String,
    /// What it adds to the price per unit, in major units and the product's currency, up to four decimals;
    /// negative takes off, at most the product's price.
    #[schema(value_type = String, example = "0.40", pattern = r"^-?[0-9]{1,6}(\.[0-9]{1,4})?$")]
    pub unit_price: SignedUnitPrice,
}

/// So much of a product in one kit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = KitComponent)]
pub struct ComponentBody {
    /// SKU of the component: a product that is no kit.
    #[schema(example = "22423", min_length = 1, max_length = 64)]
    pub sku: String,
    /// How many of it in one kit, or how much, as its own unit has it: above zero, at most 10,000.
    #[schema(value_type = QuantitySchema)]
    pub quantity: QuantityInput,
}

impl From<KitComponent> for ComponentBody {
    fn from(component: KitComponent) -> Self {
        ComponentBody { sku: component.sku, quantity: component.quantity }
    }
}

/// A product as it is sent: the body of `PUT /v1/products/{sku}` and the data of a catalogue line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductBody {
    /// Stock keeping unit; where given, the one that is addressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "85123A", max_length = 64)]
    pub sku: Option<String>,
    /// What people call it.
    #[schema(example = "WHITE HANGING HEART T-LIGHT HOLDER", min_length = 1, max_length = 200)]
    pub name: String,
    /// Price per unit in major units, up to four decimals.
    #[schema(value_type = String, example = "2.55")]
    pub unit_price: UnitPrice,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// Whether stock of it is kept.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub stocked: bool,
    /// How it is sold.
    #[serde(default)]
    #[schema(value_type = UnitSchema)]
    pub unit: Unit,
    /// Category, for reports and filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub category: Option<String>,
    /// GTINs that stand for it; each stands for one product only.
    #[serde(default)]
    #[schema(max_items = 20)]
    pub barcodes: Vec<String>,
    /// Free attributes (size, colour, heat); at most 50.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What tax rules know it as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "standard")]
    pub tax_category: Option<String>,
    /// Whether it bears no tax at all.
    #[serde(default, skip_serializing_if = "is_no")]
    #[schema(default = false)]
    pub tax_exempt: bool,
    /// Whether it may be discounted. What may not (gift cards, deposits) counts toward no threshold either.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schema(default = true)]
    pub discountable: bool,
    /// What may be chosen with it; each id once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub modifiers: Vec<ModifierBody>,
    /// Makes it a kit: what one of it is made of, each SKU once. A kit is sold by the piece, takes its
    /// components' stock and has none of its own. Components may be sent later than the kit; until all are
    /// there, it is neither sold nor reserved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 20)]
    pub components: Vec<ComponentBody>,
    /// SKU of the product that this is a variant of: what it differs in stands in `attributes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "SHIRT")]
    pub variant_of: Option<String>,
    /// Whether it is sold by itself; `false` for what has variants to choose from.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    #[schema(default = true)]
    pub sellable: bool,
    /// Whether its stock is kept by lots (batches): then who receives it may name one, and who sold which is known.
    #[serde(default, skip_serializing_if = "is_no")]
    #[schema(default = false)]
    pub lots: bool,
}

impl ProductBody {
    /// Its fields by path: what a feed's line may hold besides is tolerated and counted.
    pub const FIELDS: &'static [&'static str] = &[
        "sku",
        "name",
        "unit_price",
        "currency",
        "stocked",
        "unit",
        "category",
        "barcodes",
        "attributes",
        "tax_category",
        "tax_exempt",
        "discountable",
        "modifiers",
        "modifiers.id",
        "modifiers.name",
        "modifiers.unit_price",
        "components",
        "components.sku",
        "components.quantity",
        "variant_of",
        "sellable",
        "lots",
    ];
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductReply {
    /// Stock keeping unit.
    pub sku: String,
    /// What people call it.
    pub name: String,
    /// Price per unit where no price book entry is valid.
    #[schema(value_type = String, example = "2.55")]
    pub unit_price: UnitPrice,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// Whether stock of it is kept.
    pub stocked: bool,
    /// How it is sold.
    #[schema(value_type = UnitSchema)]
    pub unit: Unit,
    /// Category.
    pub category: Option<String>,
    /// GTINs that stand for it.
    pub barcodes: Vec<String>,
    /// Free attributes.
    pub attributes: BTreeMap<String, String>,
    /// What tax rules know it as.
    pub tax_category: Option<String>,
    /// Whether it bears no tax at all.
    pub tax_exempt: bool,
    /// Whether it may be discounted.
    pub discountable: bool,
    /// What may be chosen with it.
    pub modifiers: Vec<ModifierBody>,
    /// What one of it is made of; empty for what is no kit.
    pub components: Vec<ComponentBody>,
    /// SKU of the product that this is a variant of.
    pub variant_of: Option<String>,
    /// Whether it is sold by itself.
    pub sellable: bool,
    /// Whether its stock is kept by lots. Left out where it is not.
    #[serde(default, skip_serializing_if = "is_no")]
    pub lots: bool,
    /// Grows with every change; the `ETag` holds it.
    pub version: u64,
}

impl From<ProductModifier> for ModifierBody {
    fn from(modifier: ProductModifier) -> Self {
        ModifierBody { id: modifier.id, name: modifier.name, unit_price: modifier.unit_price }
    }
}

impl From<Product> for ProductReply {
    fn from(product: Product) -> Self {
        ProductReply {
            sku: product.sku,
            name: product.name,
            unit_price: product.unit_price,
            currency: product.currency,
            stocked: product.stocked,
            unit: product.unit,
            category: product.category,
            barcodes: product.barcodes,
            attributes: product.attributes,
            tax_category: product.tax_category,
            tax_exempt: product.tax_exempt,
            discountable: product.discountable,
            modifiers: product.modifiers.into_iter().map(ModifierBody::from).collect(),
            components: product.components.into_iter().map(ComponentBody::from).collect(),
            variant_of: product.variant_of,
            sellable: product.sellable,
            lots: product.lots,
            version: product.version,
        }
    }
}

/// One entry of the price book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriceReply {
    /// Id of the entry in the feed.
    pub id: String,
    /// Version of the feed line that wrote it.
    pub version: u64,
    /// Price per unit in major units.
    #[schema(value_type = String, example = "2.10")]
    pub unit_price: UnitPrice,
    /// ISO 4217 code.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// The location it is for; all where null.
    pub location_id: Option<String>,
    /// The customer segment it is for; all customers where null.
    pub segment: Option<String>,
    /// First instant it is valid; always where null.
    #[schema(value_type = Option<String>)]
    pub valid_from: Option<Timestamp>,
    /// First instant it is no longer valid; never where null.
    #[schema(value_type = Option<String>)]
    pub valid_to: Option<Timestamp>,
}

impl From<PriceEntry> for PriceReply {
    fn from(entry: PriceEntry) -> Self {
        PriceReply {
            id: entry.id,
            version: entry.version,
            unit_price: entry.unit_price,
            currency: entry.currency,
            location_id: entry.location_id,
            segment: entry.segment,
            valid_from: entry.valid_from,
            valid_to: entry.valid_to,
        }
    }
}

/// A variant, in the list of the product that it is one of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VariantReply {
    /// Its SKU.
    pub sku: String,
    /// What people call it.
    pub name: String,
    /// What it differs in.
    pub attributes: BTreeMap<String, String>,
    /// Whether it is sold by itself.
    pub sellable: bool,
}

impl From<Product> for VariantReply {
    fn from(product: Product) -> Self {
        VariantReply {
            sku: product.sku,
            name: product.name,
            attributes: product.attributes,
            sellable: product.sellable,
        }
    }
}

/// A product with its price book entries and its variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductDetailReply {
    /// The product.
    #[serde(flatten)]
    pub product: ProductReply,
    /// Its price book entries: past, valid and future ones.
    pub prices: Vec<PriceReply>,
    /// Its variants by SKU, the first 50. The `ETag` is of the product alone.
    pub variants: Vec<VariantReply>,
    /// Whether there are more: `GET /v1/products?variant_of=<sku>` lists all, page by page.
    pub more_variants: bool,
}

/// A page of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductList {
    /// Products. A page may be short, or empty, although there are more: `next_cursor` says so.
    pub items: Vec<ProductReply>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// A location as it is sent: the body of `POST /v1/locations` and the data of a location line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LocationBody {
    /// Its id, unique in the tenant.
    #[schema(example = "s-uk-1", max_length = 64)]
    pub id: String,
    /// Store or warehouse.
    #[schema(value_type = LocationKindSchema)]
    pub kind: LocationKind,
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    pub name: String,
    /// IANA time zone.
    #[schema(example = "Europe/London")]
    pub time_zone: String,
    /// The currency it sells in.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// Local time at which its business day begins.
    #[serde(default = "midnight")]
    #[schema(example = "00:00", pattern = "^[0-2][0-9]:[0-5][0-9]$")]
    pub business_day_start: String,
    /// Region, for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub region: Option<String>,
    /// Postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub address: Option<String>,
    /// Its tax registration, as the law wants it on receipts, which show it from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "GB 999 9999 73")]
    pub tax_number: Option<String>,
    /// How much it holds, in the unit the tenant counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub capacity: Option<i64>,
    /// Opening hours as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub hours: Option<String>,
    /// How far north it is, in micro-degrees (53.800755° is 53800755); south is negative. With `longitude`, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -90_000_000, maximum = 90_000_000, example = 53_800_755)]
    pub latitude: Option<i64>,
    /// How far east it is, in micro-degrees; west is negative. With `latitude`, or neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = -180_000_000, maximum = 180_000_000, example = -1_549_077)]
    pub longitude: Option<i64>,
    /// What it decides about its stock otherwise than the tenant's settings. What is left out is as they have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<StockPoliciesBody>,
    /// Ids of its registers; only a store has some.
    #[serde(default)]
    #[schema(max_items = 200)]
    pub registers: Vec<String>,
}

impl LocationBody {
    /// Its fields by name.
    pub const FIELDS: &'static [&'static str] = &[
        "id",
        "kind",
        "name",
        "time_zone",
        "currency",
        "business_day_start",
        "region",
        "address",
        "tax_number",
        "capacity",
        "hours",
        "latitude",
        "longitude",
        "stock",
        "stock.unsynced",
        "stock.at_cart",
        "stock.hold_minutes",
        "registers",
    ];
}

/// A location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocationReply {
    /// Its id.
    pub id: String,
    /// Store or warehouse.
    #[schema(value_type = LocationKindSchema)]
    pub kind: LocationKind,
    /// What people call it.
    pub name: String,
    /// IANA time zone.
    pub time_zone: String,
    /// The currency it sells in.
    #[schema(value_type = String, example = "GBP")]
    pub currency: Currency,
    /// Local time at which its business day begins.
    pub business_day_start: String,
    /// Region.
    pub region: Option<String>,
    /// Postal address.
    pub address: Option<String>,
    /// Its tax registration, as receipts show it.
    pub tax_number: Option<String>,
    /// How much it holds.
    pub capacity: Option<i64>,
    /// Opening hours.
    pub hours: Option<String>,
    /// How far north it is, in micro-degrees.
    pub latitude: Option<i64>,
    /// How far east it is, in micro-degrees.
    pub longitude: Option<i64>,
    /// What it decides about its stock otherwise than the tenant's settings; null where that is nothing.
    pub stock: Option<StockPoliciesBody>,
    /// Ids of its registers.
    pub registers: Vec<String>,
    /// Grows with every change; the `ETag` holds it.
    pub version: u64,
}

impl From<Location> for LocationReply {
    fn from(location: Location) -> Self {
        LocationReply {
            id: location.id,
            kind: location.kind,
            name: location.name,
            time_zone: location.time_zone,
            currency: location.currency,
            business_day_start: location.business_day_start,
            region: location.region,
            address: location.address,
            tax_number: location.tax_number,
            capacity: location.capacity,
            hours: location.hours,
            latitude: location.coordinates.map(Coordinates::latitude),
            longitude: location.coordinates.map(Coordinates::longitude),
            stock: (!location.stock.is_empty()).then(|| location.stock.into()),
            registers: location.registers,
            version: location.version,
        }
    }
}

/// A page of locations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocationList {
    /// Locations. A page may be short, or empty, although there are more: `next_cursor` says so.
    pub items: Vec<LocationReply>,
    /// Where the next page begins; null at the end.
    pub next_cursor: Option<String>,
}

/// Query of a list of products. Beside these, `attr.<name>=<value>` filters by an attribute, at most ten
/// times.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProductListQuery {
    /// Of this category.
    #[param(max_length = 64)]
    pub category: Option<String>,
    /// Whose name begins so, whatever the case.
    #[param(max_length = 200)]
    pub q: Option<String>,
    /// For which this GTIN stands.
    pub barcode: Option<String>,
    /// That are variants of the product with this SKU.
    #[param(max_length = 64)]
    pub variant_of: Option<String>,
    /// With these attributes: written `attr.size=M`.
    #[param(value_type = Option<Object>, rename = "attr.<name>")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// Most items of the page; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}
