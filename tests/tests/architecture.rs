//! The rules of the house that the compiler does not know.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file, by its path from the root.
fn sources() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in ["shared", "functions", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 60, "only {} files were found", files.len());
    files
}

fn collect(folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().unwrap() != "target" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            files.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// The code of a file without its comments and without its tests (the `#[cfg(test)]` module at its end,
/// and files of tests).
fn code(name: &str, text: &str) -> String {
    if name.starts_with("tests/") || name.contains("/tests/") || name.ends_with("/tests.rs") {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let bare = |line: &str| line.split("//").next().unwrap().to_owned();
    text.lines().map(bare).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `text` by itself.
fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(inside)
            && !text[at + word.len()..].chars().next().is_some_and(inside)
    })
}

/// A dependency and its kind: `normal` or `dev`.
type Dependency = (String, String);

/// What cargo says of each package of the workspace.
fn metadata() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().clone();
    assert!(packages.len() >= 20, "only {} packages were found", packages.len());
    packages
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Name, manifest and dependencies of each package of the workspace.
fn packages() -> Vec<(String, String, Vec<Dependency>)> {
    metadata()
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter().map(|dependency| {
                (text(&dependency["name"]), dependency["kind"].as_str().unwrap_or("normal").to_owned())
            });
            (text(&package["name"]), text(&package["manifest_path"]), dependencies.collect())
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed = |package: &str, manifest: &str| -> Vec<&str> {
        match package {
            "tillstream-allocator" | "tillstream-domain" => vec![],
            "tillstream-contracts" => vec!["tillstream-domain"],
            "tillstream-documents" => vec!["tillstream-domain"],
            "tillstream-app" => {
                vec!["tillstream-contracts", "tillstream-documents", "tillstream-domain"]
            }
            "tillstream-aws" => vec!["tillstream-app", "tillstream-contracts", "tillstream-domain"],
            "tillstream-runtime" => {
                vec!["tillstream-aws", "tillstream-app", "tillstream-contracts", "tillstream-domain"]
            }
            // For tests only, so it may reach what it stands in for.
            "tillstream-testkit" => vec![
                "tillstream-allocator",
                "tillstream-aws",
                "tillstream-app",
                "tillstream-contracts",
                "tillstream-domain",
            ],
            "tillstream-tests" | "tillstream-app-tests" => vec![],
            _ => {
                assert!(manifest.contains("/functions/"), "{package} is in no known place");
                vec![
                    "tillstream-allocator",
                    "tillstream-runtime",
                    "tillstream-aws",
                    "tillstream-app",
                    "tillstream-contracts",
                    "tillstream-domain",
                ]
            }
        }
    };
    let packages = packages();
    for (name, manifest, dependencies) in packages.iter().filter(|(_, at, _)| at.contains("/functions/")) {
        let has_allocator = dependencies.iter().any(|(name, _)| name == "tillstream-allocator");
        assert!(has_allocator, "{name} allocates otherwise than the other functions: {manifest}");
    }
    let own: Vec<&str> = packages.iter().map(|(name, ..)| name.as_str()).collect();
    for (name, manifest, dependencies) in &packages {
        let allowed = allowed(name, manifest);
        for (dependency, kind) in dependencies.iter().filter(|(name, _)| own.contains(&name.as_str())) {
            let for_tests = kind == "dev" && (dependency == "tillstream-testkit" || name.ends_with("-tests"));
            assert!(
                for_tests || allowed.contains(&dependency.as_str()),
                "{name} depends on {dependency} ({kind}), which points the wrong way"
            );
        }
    }
}

/// Libraries of which no test is compiled, so that they are not built twice, have their tests elsewhere.
#[test]
fn no_test_is_left_out() {
    let packages = metadata();
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    let tested: BTreeSet<PathBuf> = targets
        .filter(|target| target["test"].as_bool().unwrap())
        .map(|target| Path::new(&text(&target["src_path"])).canonicalize().unwrap())
        .map(|source| source.parent().unwrap().to_owned())
        .collect();
    let root = root().canonicalize().unwrap();
    assert!(tested.contains(&root.join("shared/app/src")), "{tested:?}");
    for (name, text) in sources() {
        let is_seen = root.join(&name).ancestors().any(|folder| tested.contains(folder));
        let is_fine = is_seen || !text.contains("#[cfg(test)]");
        assert!(is_fine, "nothing compiles the tests in {name}: they belong into its package's tests/");
    }
}

#[test]
fn one_crate_names_the_aws_sdk() {
    for (name, _, dependencies) in packages().iter().filter(|(name, ..)| name != "tillstream-aws") {
        for (dependency, _) in dependencies {
            let sdk = ["aws-sdk-", "aws-smithy-", "aws-config", "aws-types"];
            assert!(!sdk.iter().any(|start| dependency.starts_with(start)), "{name} depends on {dependency}");
        }
    }
    for (name, text) in sources() {
        let named = ["aws_sdk_", "aws_smithy_", "aws_config::", "aws_types::"]
            .iter()
            .any(|word| code(&name, &text).contains(word));
        assert!(!named || name.starts_with("shared/aws/"), "{name} names the AWS SDK");
    }
}

#[test]
fn a_tenants_scope_comes_from_where_it_may_come_from() {
    // Each of these holds an item, record or message that this system wrote for that tenant.
    let own_records = [
        "shared/app/src/aggregation/fold.rs",
        "shared/app/src/catalog/standing.rs",
        "shared/app/src/dispatch/delivery.rs",
        "shared/app/src/dispatch/sweeper.rs",
        "shared/app/src/dispatch/wake_up.rs",
        "shared/app/src/keeper/mod.rs",
        "shared/app/src/pos/plan.rs",
        "shared/app/src/relay.rs",
        "shared/app/src/stock/backorders/recover.rs",
        "shared/app/src/stock/change_feed.rs",
        "shared/app/src/stock/counts/drive.rs",
        "shared/app/src/stock/expiry.rs",
        "shared/app/src/stock/ledger.rs",
        "shared/app/src/stock/long_reservations/drive.rs",
        "shared/app/src/stock/reconciliation/mod.rs",
        "shared/app/src/stock/lots/due.rs",
        "shared/app/src/stock/lots/recall.rs",
        "shared/app/src/stock/lots/trace.rs",
        "shared/app/src/stock/purchases/drive.rs",
        "shared/app/src/stock/stock_facts.rs",
        "shared/app/src/stock/transfers/drive.rs",
    ];
    for (name, text) in sources() {
        if name == "shared/app/src/tenancy.rs" || name.starts_with("shared/testkit/") {
            continue;
        }
        let code = code(&name, &text);
        assert!(
            !code.contains("from_verified_token") || name == "shared/runtime/src/auth.rs",
            "{name} makes a scope as if from a token"
        );
        assert!(
            !code.contains("from_own_record") || own_records.contains(&name.as_str()),
            "{name} makes a scope as if from a record; if it holds one, add it to the list"
        );
    }
}

#[test]
fn files_are_called_after_what_is_in_them() {
    for name in sources().keys() {
        let stem = Path::new(name).file_stem().unwrap().to_str().unwrap();
        let folder = Path::new(name).parent().unwrap().file_name().unwrap().to_str().unwrap();
        for word in ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"] {
            let is_part = |text: &str| text.split(['_', '-']).any(|part| part == word);
            assert!(!is_part(stem) && !is_part(folder), "{name} says nothing of what is in it");
        }
    }
}

#[test]
fn money_and_quantities_are_never_floats() {
    for (name, text) in sources() {
        // It passes on whatever JSON holds, and gives it no meaning.
        if name == "shared/contracts/src/strict_json.rs" {
            continue;
        }
        let exact = ["shared/domain/", "shared/documents/", "shared/contracts/", "shared/app/", "functions/"];
        if exact.iter().any(|folder| name.starts_with(folder)) {
            for word in ["f32", "f64"] {
                assert!(!has_word(&code(&name, &text), word), "{name} uses {word}");
            }
        }
    }
}

#[test]
fn rules_know_no_clock_no_chance_and_no_outside() {
    let outside = [
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "SystemTime",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "tokio::",
        "rand::",
        "println!",
    ];
    for (name, text) in sources() {
        let pure =
            ["shared/domain/src/", "shared/documents/src/", "shared/contracts/src/", "shared/app/src/"];
        if pure.iter().any(|folder| name.starts_with(folder)) {
            let code = code(&name, &text);
            for word in outside {
                assert!(!code.contains(word), "{name} uses {word}");
            }
        }
    }
}

/// A member of a refusal that is called as one of the problem document's own would never be seen.
#[test]
fn what_a_refusal_tells_beside_its_code_hides_nothing_of_the_document() {
    let own = ["type", "title", "status", "detail", "instance", "code", "errors"];
    for (name, text) in sources() {
        for member in own {
            assert!(!text.contains(&format!("with_extra(\"{member}\"")), "{name} tells `{member}` twice");
        }
    }
}

#[test]
fn a_function_is_called_what_its_folder_is() {
    for (name, manifest, _) in packages() {
        let Some((_, folder)) = manifest.split_once("/functions/") else { continue };
        assert_eq!(folder, format!("{name}/Cargo.toml"));
        let source =
            std::fs::read_to_string(root().join("functions").join(&name).join("src/lib.rs")).unwrap();
        assert!(
            source.contains(&format!("pub const FUNCTION: &str = \"{name}\";")),
            "{name} does not say its name in FUNCTION"
        );
    }
}

#[test]
fn the_checks_see_what_they_should() {
    assert!(has_word("let x: f64 = y;", "f64") && !has_word("xf64 f64x", "f64"));
    let text = "a // f64\n#[cfg(test)]\nmod tests {\nf64\n}";
    assert!(!code("shared/x.rs", text).contains("f64"));
    assert!(code("shared/x.rs", "use std::fs;").contains("std::fs"));
}
