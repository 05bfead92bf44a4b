//! Wires `orders` to the Lambda runtime.

fn main() {}
