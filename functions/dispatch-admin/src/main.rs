//! Wires `dispatch-admin` to the Lambda runtime.

fn main() {}
