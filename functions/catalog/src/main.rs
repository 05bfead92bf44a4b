//! Wires `catalog` to the Lambda runtime.

fn main() {}
