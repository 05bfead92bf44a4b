//! Wires `hq-sync` to the Lambda runtime.

fn main() {}
