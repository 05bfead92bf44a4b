//! Wires `hq-dispatcher` to the Lambda runtime.

fn main() {}
