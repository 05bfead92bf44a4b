//! Adapters of the ports on AWS. The only crate that names the AWS SDK.

mod attribute_values;
mod calls;
pub mod clients;
pub mod dynamodb;
pub mod environment;
mod errors;
mod expressions;
pub mod https;
pub mod kinesis;
pub mod sqs;
#[cfg(feature = "table-creation")]
pub mod table_creation;
