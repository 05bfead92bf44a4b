//! Wires `analytics-api` to the Lambda runtime.

fn main() {}
