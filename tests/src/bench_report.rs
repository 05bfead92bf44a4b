//! What a benchmark measured: printed as it comes, and kept as JSON under `target/bench`, one file a
//! figure.
//!
//! A line is `name value unit target verdict`. A figure that misses its target is told, not asserted:
//! the machine may be slow, and a test suite that fails for that is one that nobody believes.

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
            // Where nothing is asked nothing falls short.
            Target::None => "holds",
            Target::AtMost(most) if value <= most => "holds",
            Target::AtLeast(least) if value >= least => "holds",
            Target::AtMost(_) | Target::AtLeast(_) => "short",
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

/// How the code that a figure tells of was compiled.
const BUILD: &str = if cfg!(debug_assertions) { "dev" } else { "release" };

/// The figures of one benchmark.
pub struct Report {
    name: &'static str,
    build: &'static str,
    figures: Vec<Value>,
}

impl Report {
    /// Of the benchmark with this name, which measures times: they are those of one build.
    pub fn of_times(name: &'static str) -> Self {
        Report { name, build: BUILD, figures: Vec::new() }
    }

    /// Of the benchmark with this name, which counts: the figures are the same in every build.
    pub fn of_counts(name: &'static str) -> Self {
        Report { name, build: "any", figures: Vec::new() }
    }

    /// Prints a figure and keeps it. Names and units have no spaces; a name is also a file's, so it is the
    /// only one of all benchmarks.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str, target: Target) {
        let verdict = target.verdict(value);
        println!("{name} {value} {unit} {target} {verdict}");
        self.figures.push(json!({
            "benchmark": self.name, "name": name, "value": value, "unit": unit, "target": target.json(),
            "verdict": verdict, "build": self.build,
        }));
    }

    /// Writes each figure to `target/bench/<name>.json`, and removes those of this benchmark that it has
    /// no longer.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub fn write(self) -> std::io::Result<()> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench"));
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let kept: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
                if kept.get("benchmark").and_then(Value::as_str) == Some(self.name) {
                    std::fs::remove_file(path)?;
                }
            }
        }
        for (place, mut figure) in self.figures.into_iter().enumerate() {
            let name = figure.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            // The order in which a table shows them.
            if let Some(members) = figure.as_object_mut() {
                members.insert("place".to_owned(), json!(place));
            }
            let text = serde_json::to_string_pretty(&figure)? + "\n";
            std::fs::write(folder.join(format!("{name}.json")), text)?;
        }
        Ok(())
    }
}
