//! Reads the deployed templates. An intrinsic function is a text such as `!GetAtt Data.Outputs.X`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use yaml_serde::Value as Yaml;

/// The project's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A template.
pub struct Template(Value);

/// A function of a template.
pub struct Function {
    /// Its name: its folder's and its binary's.
    pub name: String,
    /// Its properties.
    pub properties: Value,
}

impl Template {
    /// Reads `template.yaml`, or one in `infra/`.
    pub fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        Template(plain(yaml_serde::from_str(&text).unwrap()))
    }

    /// What is at a JSON pointer; null where nothing is.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Resources of a type, by logical id.
    pub fn resources(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let resources = self.at("/Resources").as_object().unwrap();
        resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(id, resource)| (id.as_str(), &resource["Properties"]))
            .collect()
    }

    /// The functions.
    pub fn functions(&self) -> Vec<Function> {
        let of = |properties: &Value| {
            let code = properties["CodeUri"].as_str().unwrap();
            let name = code.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();
            Function { name, properties: properties.clone() }
        };
        self.resources("AWS::Serverless::Function").into_values().map(of).collect()
    }
}

impl Function {
    /// Its events of a type.
    pub fn events(&self, kind: &str) -> Vec<&Value> {
        let events = self.properties["Events"].as_object().into_iter().flat_map(Map::values);
        events.filter(|event| event["Type"] == kind).map(|event| &event["Properties"]).collect()
    }

    /// Method and path of its routes, the default route left out.
    pub fn routes(&self) -> BTreeSet<(String, String)> {
        let text = |event: &Value, name: &str| event[name].as_str().map(str::to_owned);
        self.events("HttpApi")
            .into_iter()
            .filter_map(|event| Some((text(event, "Method")?.to_uppercase(), text(event, "Path")?)))
            .collect()
    }
}

fn plain(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(yes) => json!(yes),
        Yaml::Number(number) => number.as_i64().map_or_else(|| json!(number.to_string()), |n| json!(n)),
        Yaml::String(text) => json!(text),
        Yaml::Sequence(items) => items.into_iter().map(plain).collect(),
        Yaml::Mapping(members) => {
            let key = |key: Yaml| plain(key).as_str().map(str::to_owned).unwrap();
            Value::Object(members.into_iter().map(|(name, member)| (key(name), plain(member))).collect())
        }
        Yaml::Tagged(tagged) => match plain(tagged.value) {
            Value::String(text) => json!(format!("{} {text}", tagged.tag)),
            other => json!({ tagged.tag.to_string(): other }),
        },
    }
}
