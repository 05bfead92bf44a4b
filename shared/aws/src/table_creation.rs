//! Makes the tables as the template does: for tests and benchmarks on an emulator.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType, StreamSpecification, StreamViewType,
};
use aws_types::SdkConfig;
use tillstream_app::database::{DatabaseError, Index, Table};

use crate::clients::TableNames;
use crate::errors::database_error;

fn unbuilt(error: BuildError) -> DatabaseError {
    DatabaseError::Invalid(error.to_string())
}

fn attribute(name: &str, numeric: bool) -> Result<AttributeDefinition, DatabaseError> {
    let kind = if numeric { ScalarAttributeType::N } else { ScalarAttributeType::S };
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(unbuilt)
}

fn schema(pk: &str, sk: &str) -> Result<Vec<KeySchemaElement>, DatabaseError> {
    [(pk, KeyType::Hash), (sk, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().map_err(unbuilt)
        })
        .collect()
}

/// Which tables have a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// None: on some emulators a stream makes writes slow.
    None,
    /// Those that have one in the template.
    OfTemplate,
}

fn stream_of(table: Table) -> Result<Option<StreamSpecification>, DatabaseError> {
    if !matches!(table, Table::Orders | Table::Stock) {
        return Ok(None);
    }
    let both_images = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build();
    both_images.map(Some).map_err(unbuilt)
}

/// Makes all tables.
///
/// # Errors
/// Whatever the database says.
pub async fn create_tables(
    config: &SdkConfig,
    names: &TableNames,
    streams: Streams,
) -> Result<(), DatabaseError> {
    let client = Client::new(config);
    for table in Table::ALL {
        let mut attributes = vec![attribute("pk", false)?, attribute("sk", false)?];
        let mut indexes = Vec::new();
        for index in Index::of(table) {
            let (name, pk, sk, numeric) = index.shape();
            attributes.extend([attribute(pk, false)?, attribute(sk, numeric)?]);
            let projection = match index.carries() {
                [] => Projection::builder().projection_type(ProjectionType::KeysOnly),
                names => Projection::builder()
                    .projection_type(ProjectionType::Include)
                    .set_non_key_attributes(Some(names.iter().map(|name| (*name).to_owned()).collect())),
            };
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .set_key_schema(Some(schema(pk, sk)?))
                .projection(projection.build());
            indexes.push(index.build().map_err(unbuilt)?);
        }
        let stream = match streams {
            Streams::None => None,
            Streams::OfTemplate => stream_of(table)?,
        };
        client
            .create_table()
            .table_name(names.of(table)?)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(schema("pk", "sk")?))
            .set_attribute_definitions(Some(attributes))
            .set_stream_specification(stream)
            .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
            .send()
            .await
            .map_err(|error| database_error(&error))?;
    }
    Ok(())
}
