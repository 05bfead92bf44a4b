//! Wires `inventory` to the Lambda runtime.

fn main() {}
