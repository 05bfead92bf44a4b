//! Wires `identity` to the Lambda runtime.

fn main() {}
