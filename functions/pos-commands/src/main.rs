//! Wires `pos-commands` to the Lambda runtime.

fn main() {}
