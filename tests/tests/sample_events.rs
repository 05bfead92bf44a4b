//! Every function has sample events, and every sample event is what Lambda would send it: what they do
//! is tested beside each function.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_function_has_samples_that_lambda_could_send() {
    for function in files(&root().join("functions")) {
        let name = function.file_name().unwrap().to_str().unwrap();
        let samples = files(&root().join("events").join(name));
        assert!(!samples.is_empty(), "{name} has no sample event");
        for sample in samples {
            let shown = sample.display();
            let text = std::fs::read_to_string(&sample).unwrap();
            let event: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{shown}: {e}"));
            if event["version"] == "2.0" {
                let request = lambda_http::request::from_str(&text);
                let request = request.unwrap_or_else(|e| panic!("{shown} is no HTTP API event: {e}"));
                assert_eq!(request.method().as_str(), event["requestContext"]["http"]["method"], "{shown}");
            } else if let Some(records) = event["Records"].as_array() {
                assert!(!records.is_empty(), "{shown} has no records");
            } else {
                assert_eq!(event["detail-type"], "Scheduled Event", "{shown} is of no known trigger");
            }
        }
    }
}
