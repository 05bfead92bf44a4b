//! The one place that says what an SDK error means.
//!
//! Source: DynamoDB Developer Guide, "Error handling"; API reference of TransactWriteItems.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::CancellationReason;
use tillstream_app::Error;
use tillstream_app::database::{Cancellation, DatabaseError};

use crate::attribute_values::to_item;

/// An error of a read, of a batch, or of a write that had no condition to fail.
pub(crate) fn database_error<E, R>(error: &SdkError<E, R>) -> DatabaseError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let SdkError::ServiceError(context) = error else {
        let what = unanswered(error);
        return match error {
            SdkError::ConstructionFailure(_) => DatabaseError::Invalid(what),
            // Timed out, cut off, or an answer that could not be read: it may have been done.
            _ => DatabaseError::Unavailable(what),
        };
    };
    by_code(context.err().code(), context.err().message())
}

fn by_code(code: Option<&str>, message: Option<&str>) -> DatabaseError {
    let what = format!("{}: {}", code.unwrap_or("no code"), message.unwrap_or("no message"));
    match code.unwrap_or_default() {
        "TransactionConflictException" | "ReplicatedWriteConflictException" => DatabaseError::Conflict(what),
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "LimitExceededException" => DatabaseError::Throttled(what),
        // In progress: the first sending of this very request is still at work, and may succeed.
        "TransactionInProgressException"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        // Credentials that ran out between signing and arrival are replaced by the next request's.
        | "ExpiredTokenException"
        | "RequestExpired"
        // An answer without a code is not DynamoDB's: a proxy, a balancer.
        | "" => DatabaseError::Unavailable(what),
        _ => DatabaseError::Invalid(what),
    }
}

fn unanswered<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: std::fmt::Debug,
{
    // The chain of causes: "dispatch failure" alone says nothing.
    let mut what = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        what.push_str(": ");
        what.push_str(&error.to_string());
        cause = error.source();
    }
    what
}

/// An error of a single put.
pub(crate) fn put_error<R: std::fmt::Debug>(error: SdkError<PutItemError, R>) -> DatabaseError {
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => condition_failed(failed.item()),
        _ => database_error(&error),
    }
}

/// An error of a single update.
pub(crate) fn update_error<R: std::fmt::Debug>(error: SdkError<UpdateItemError, R>) -> DatabaseError {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(failed)) => condition_failed(failed.item()),
        _ => database_error(&error),
    }
}

/// An error of a single delete.
pub(crate) fn delete_error<R: std::fmt::Debug>(error: SdkError<DeleteItemError, R>) -> DatabaseError {
    match error.as_service_error() {
        Some(DeleteItemError::ConditionalCheckFailedException(failed)) => condition_failed(failed.item()),
        _ => database_error(&error),
    }
}

type Attributes = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

fn condition_failed(item: Option<&Attributes>) -> DatabaseError {
    match old_item(item) {
        Ok(item) => DatabaseError::ConditionFailed(item),
        Err(error) => error,
    }
}

/// An item that was not there comes as no attributes, or as an empty map of them.
fn old_item(item: Option<&Attributes>) -> Result<Option<tillstream_app::database::Item>, DatabaseError> {
    item.filter(|item| !item.is_empty()).cloned().map(to_item).transpose()
}

/// An error of a transaction of writes: reasons by position of the action.
pub(crate) fn transaction_error<R: std::fmt::Debug>(
    error: SdkError<TransactWriteItemsError, R>,
) -> DatabaseError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = cancelled.cancellation_reasons().iter().map(cancellation);
            match reasons.collect::<Result<Vec<_>, _>>() {
                Ok(reasons) => DatabaseError::Cancelled(reasons),
                Err(error) => error,
            }
        }
        _ => database_error(&error),
    }
}

fn cancellation(reason: &CancellationReason) -> Result<Cancellation, DatabaseError> {
    let what = || format!("{}: {}", reason.code().unwrap_or("no code"), reason.message().unwrap_or(""));
    Ok(match reason.code().unwrap_or("None") {
        "None" => Cancellation::None,
        "ConditionalCheckFailed" => Cancellation::ConditionFailed(old_item(reason.item())?),
        "TransactionConflict" => Cancellation::Conflict,
        "ThrottlingError" | "ProvisionedThroughputExceeded" => Cancellation::Throttled,
        _ => Cancellation::Invalid(what()),
    })
}

/// An error of a transaction of reads: nothing can have been written, so a conflict or a throttle of
/// any of them is one of the whole.
pub(crate) fn transaction_read_error<R: std::fmt::Debug>(
    error: SdkError<aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError, R>,
) -> DatabaseError {
    use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
    let Some(TransactGetItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return database_error(&error);
    };
    let codes: Vec<&str> = cancelled.cancellation_reasons().iter().filter_map(|r| r.code()).collect();
    let what = format!("TransactGetItems cancelled: {codes:?}");
    if codes.iter().any(|code| {
        !matches!(*code, "None" | "TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded")
    }) {
        DatabaseError::Invalid(what)
    } else if codes.contains(&"TransactionConflict") {
        DatabaseError::Conflict(what)
    } else {
        DatabaseError::Throttled(what)
    }
}

/// An error of a call that sends (Kinesis, SQS): retryable where the service or the network was at
/// fault, ours where the request was.
pub(crate) fn sending_error<E, R>(service: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let SdkError::ServiceError(context) = error else {
        let what = format!("{service}: {}", unanswered(error));
        return match error {
            SdkError::ConstructionFailure(_) => Error::Bug(what),
            _ => Error::retryable(what),
        };
    };
    let code = context.err().code().unwrap_or_default();
    let what = format!("{service}: {code}: {}", context.err().message().unwrap_or("no message"));
    // SQS puts a namespace before some codes.
    match code.rsplit('.').next().unwrap_or_default() {
        // Names, sizes, permissions: sending the same again would not help.
        "ResourceNotFoundException"
        | "QueueDoesNotExist"
        | "NonExistentQueue"
        | "InvalidArgumentException"
        | "ValidationException"
        | "AccessDeniedException"
        | "AccessDenied"
        | "ReceiptHandleIsInvalid"
        | "MessageNotInflight"
        | "InvalidMessageContents"
        | "BatchRequestTooLong"
        | "InvalidParameterValue"
        | "UnsupportedOperation"
        | "InvalidAddress"
        | "InvalidSecurity" => Error::Bug(what),
        _ => Error::retryable(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let kind = |code| by_code(Some(code), None);
        assert!(matches!(kind("TransactionConflictException"), DatabaseError::Conflict(_)));
        assert!(matches!(kind("ThrottlingException"), DatabaseError::Throttled(_)));
        assert!(matches!(kind("TransactionInProgressException"), DatabaseError::Unavailable(_)));
        assert!(matches!(kind("InternalServerError"), DatabaseError::Unavailable(_)));
        assert!(matches!(kind("ValidationException"), DatabaseError::Invalid(_)));
        assert!(matches!(by_code(None, None), DatabaseError::Unavailable(_)));
    }

    #[test]
    fn reasons_are_told_apart() {
        let reason = |code: &str| cancellation(&CancellationReason::builder().code(code).build());
        assert_eq!(reason("None"), Ok(Cancellation::None));
        assert_eq!(reason("ConditionalCheckFailed"), Ok(Cancellation::ConditionFailed(None)));
        assert_eq!(reason("TransactionConflict"), Ok(Cancellation::Conflict));
        assert_eq!(reason("ThrottlingError"), Ok(Cancellation::Throttled));
        assert!(matches!(reason("ValidationError"), Ok(Cancellation::Invalid(_))));
    }
}
