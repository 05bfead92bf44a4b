//! A benchmark's work in a process of its own whose standard output is a pipe, as that of a function
//! under Lambda is: functions write a wide event there for each request, which is part of their work
//! but not of a benchmark's output.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio, exit};

const MARK: &str = "TILLSTREAM_BENCH_WORKER";

/// Runs `work` in a process of its own; hands each line that it printed to `line`: its own ones as they
/// are, of a function's log only how many bytes it had.
pub fn run(work: impl FnOnce(), mut line: impl FnMut(Printed<'_>)) {
    if std::env::var_os(MARK).is_some() {
        work();
        exit(0);
    }
    let mut worker =
        Command::new(std::env::current_exe().unwrap()).env(MARK, "1").stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(worker.stdout.take().unwrap());
    for text in output.lines() {
        let text = text.unwrap();
        if text.starts_with('{') { line(Printed::Logged(text.len() + 1)) } else { line(Printed::Told(&text)) }
    }
    let status = worker.wait().unwrap();
    assert!(status.success(), "the benchmark's work ended with {status}");
}

/// A line that a worker printed.
pub enum Printed<'a> {
    /// By the benchmark.
    Told(&'a str),
    /// By a function: bytes.
    Logged(#[allow(dead_code, reason = "only the cost of logs wants it")] usize),
}

/// Lets what the benchmark told through, and drops what functions logged.
#[allow(dead_code, reason = "a benchmark that reads its worker's lines has its own way")]
pub fn told_only(printed: Printed<'_>) {
    if let Printed::Told(text) = printed {
        println!("{text}");
    }
}
