//! What a benchmark measured: printed as it comes, and kept as JSON under `target/bench`.
//!
//! A line is `name value unit target verdict`. A figure below its target is told, not asserted: the
//! machine may be slow, and a test suite that fails for that is one that nobody believes.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// Nothing is asked: told for its own sake, or to compare with.
    None,
}

impl Target {
    fn verdict(self, value: f64) -> &'static str {
        match self {
            Target::None => "told",
            Target::AtMost(most) if value <= most => "met",
            Target::AtLeast(least) if value >= least => "met",
            Target::AtMost(_) | Target::AtLeast(_) => "missed",
        }
    }

    fn json(self) -> Value {
        match self {
            Target::AtMost(most) => json!({ "at_most": most }),
            Target::AtLeast(least) => json!({ "at_least": least }),
            Target::None => Value::Null,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtMost(most) => write!(f, "≤{most}"),
            Target::AtLeast(least) => write!(f, "≥{least}"),
            Target::None => f.write_str("-"),
        }
    }
}

/// The figures of one benchmark.
pub struct Report {
    name: &'static str,
    figures: Vec<Value>,
}

impl Report {
    /// Of the benchmark with this name, which is also its file's.
    pub fn new(name: &'static str) -> Self {
        Report { name, figures: Vec::new() }
    }

    /// Prints a figure and keeps it. Names and units have no spaces.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let verdict = target.verdict(value);
        println!("{name} {value} {unit} {target} {verdict}");
        self.figures.push(json!({
            "name": name, "value": value, "unit": unit, "target": target.json(), "verdict": verdict,
        }));
    }

    /// Writes `target/bench/<name>.json`.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(self) -> std::io::Result<()> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"));
        std::fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(&json!({ "benchmark": self.name, "figures": self.figures }))?;
        std::fs::write(folder.join(format!("{}.json", self.name)), text + "\n")
    }
}
