//! Wires `sales-aggregator` to the Lambda runtime.

fn main() {}
