//! Valid input: the sample events of the project, and what is in them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The sample events of a function.
pub fn events(function: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events").join(function);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

/// The bodies of a function's sample requests.
pub fn bodies(function: &str) -> Vec<String> {
    events(function).iter().filter_map(|event| Some(event["body"].as_str()?.to_owned())).collect()
}

/// Those of them that are JSON.
pub fn json_bodies(function: &str) -> Vec<Value> {
    bodies(function).iter().filter_map(|body| serde_json::from_str(body).ok()).collect()
}

/// Every record of a function's sample events.
pub fn records(function: &str) -> Vec<Value> {
    events(function).iter().flat_map(|event| event["Records"].as_array().unwrap().clone()).collect()
}

/// The sale events of the sample records.
pub fn sale_events() -> Vec<Value> {
    let data = records("sales-aggregator");
    let data = data.iter().filter_map(|record| STANDARD.decode(record["kinesis"]["data"].as_str()?).ok());
    data.filter_map(|data| serde_json::from_slice(&data).ok()).collect()
}
