//! What fields of one name have in common, wherever they stand: form, bounds, an example.

use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{ArrayItems, Object, Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr};

/// `tillstream_domain::identifier::check_id`.
const ID: &str = "^[A-Za-z0-9][A-Za-z0-9._~:-]{0,63}$";
/// `tillstream_domain::identifier::check_sku`: printable, without spaces at the ends.
const SKU: &str =
    r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]{0,62}[^\s\u0000-\u001f\u007f-\u009f])?$";
/// Length of a GTIN; its last digit is a check digit.
const GTIN: &str = "^([0-9]{8}|[0-9]{12,14})$";
/// `tillstream_app::fields::text`: no control characters but line feeds and tabs.
const TEXT: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";
/// `tillstream_domain::money::UnitPrice`.
const UNIT_PRICE: &str = "^[0-9]{1,6}([.][0-9]{1,4})?$";
const CURRENCY: &str = "^[A-Z]{3}$";
const DAY: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

/// Pattern and example of the texts of this name.
fn form(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "store_id" | "location_id" => (ID, "s-uk-1"),
        "register_id" => (ID, "r-1"),
        "cart_id" => (ID, "c-1"),
        "order_id" => (ID, "o-1"),
        "reservation_id" => (ID, "v-1"),
        "return_id" => (ID, "rt-1"),
        "shift_id" => (ID, "sh-1"),
        "customer_id" => (ID, "k-1"),
        "sku" => (SKU, "85123A"),
        "category" => (SKU, "lights"),
        "channel" => (ID, "web"),
        "reason" | "notes" => (TEXT, "cycle count"),
        "unit_price" | "unit_price_override" => (UNIT_PRICE, "2.55"),
        "currency" => (CURRENCY, "GBP"),
        "barcode" => (GTIN, "5012345678900"),
        "date" => (DAY, "2010-12-01"),
        "destination" => ("^hq$", "hq"),
        _ => return None,
    })
}

/// Least and most of the query parameter `limit`, of every list that does not say otherwise.
const LIMIT: (usize, usize) = (1, 200);

/// Brings them into the schemas of bodies.
pub(super) fn complete_schemas(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    for schema in components.schemas.values_mut() {
        complete_schema(schema);
    }
}

fn complete_schema(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => {
            for (name, property) in &mut object.properties {
                if let RefOr::T(Schema::Object(property)) = property {
                    complete_text(name, property);
                }
                complete_schema(property);
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                complete_schema(items);
            }
        }
        Schema::OneOf(one_of) => one_of.items.iter_mut().for_each(complete_schema),
        Schema::AllOf(all_of) => all_of.items.iter_mut().for_each(complete_schema),
        Schema::AnyOf(any_of) => any_of.items.iter_mut().for_each(complete_schema),
        _ => {}
    }
}

fn complete_text(name: &str, text: &mut Object) {
    let is_text = match &text.schema_type {
        SchemaType::Type(kind) => *kind == Type::String,
        SchemaType::Array(kinds) => kinds.contains(&Type::String),
        SchemaType::AnyValue => false,
    };
    let Some((pattern, example)) = form(name).filter(|_| is_text && text.pattern.is_none()) else { return };
    text.pattern = Some(pattern.to_owned());
    text.example.get_or_insert_with(|| example.into());
}

/// Brings them into the parameters of an operation. A parameter may be absent, but is never null.
pub(super) fn complete_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            complete_parameter(parameter);
        }
    }
}

fn complete_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(kinds) = &schema.schema_type {
        let mut kinds = kinds.iter().filter(|kind| **kind != Type::Null);
        if let (Some(kind), None) = (kinds.next(), kinds.next()) {
            schema.schema_type = SchemaType::Type(kind.clone());
        }
    }
    if parameter.name == "limit" {
        schema.minimum.get_or_insert(utoipa::Number::UInt(LIMIT.0));
        schema.maximum.get_or_insert(utoipa::Number::UInt(LIMIT.1));
    }
    complete_text(&parameter.name, schema);
}
