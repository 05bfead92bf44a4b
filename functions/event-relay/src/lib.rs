//! DynamoDB Streams to Kinesis, SQS and the stock ledger.
