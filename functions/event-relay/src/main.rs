//! Wires `event-relay` to the Lambda runtime.

fn main() {}
