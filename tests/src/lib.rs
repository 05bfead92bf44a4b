//! What the benchmarks share. The tests are in `tests/`, the benchmarks in `benches/`.

pub mod bench_report;
pub mod cpu_clock;
pub mod machine_speed;
