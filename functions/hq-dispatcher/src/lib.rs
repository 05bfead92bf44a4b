//! SQS to HQ.
