//! Wires `stock-keeper` to the Lambda runtime.

fn main() {}
