//! The OpenAPI document and the deployed routes are the same routes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "this test needs a part of the template reader")]

use std::collections::BTreeSet;

use tillstream_contracts::openapi;

mod template_file;

use template_file::Template;

/// Whether a request to a documented route reaches a deployed one: they are the same, or the deployed one ends in
/// `{action}` and stands for all that is done to one thing.
fn reaches((method, path): &(String, String), deployed: &(String, String)) -> bool {
    let stands_for = |of: &str| {
        path.strip_prefix(of).is_some_and(|action| !action.is_empty() && !action.contains(['/', '{']))
    };
    *method == deployed.0
        && (*path == deployed.1 || deployed.1.strip_suffix("{action}").is_some_and(stands_for))
}

#[test]
fn every_deployed_route_is_documented_and_every_documented_route_is_deployed() {
    let functions = Template::read("template.yaml").functions();
    let deployed: BTreeSet<(String, String)> =
        functions.iter().flat_map(|function| function.routes()).collect();
    let documented: BTreeSet<(String, String)> =
        openapi::routes().into_iter().map(|(method, path)| (method.to_owned(), path)).collect();
    assert!(deployed.len() > 40, "only {} routes were read from the template", deployed.len());
    let undocumented: Vec<_> =
        deployed.iter().filter(|route| !documented.iter().any(|one| reaches(one, route))).collect();
    assert!(undocumented.is_empty(), "deployed but not in the OpenAPI document: {undocumented:#?}");
    let unclear: Vec<_> = documented
        .iter()
        .filter(|one| deployed.iter().filter(|route| reaches(one, route)).count() != 1)
        .collect();
    assert!(unclear.is_empty(), "in the OpenAPI document but not deployed, or twice: {unclear:#?}");
}

#[test]
fn no_route_belongs_to_two_functions() {
    let mut seen = BTreeSet::new();
    for function in Template::read("template.yaml").functions() {
        for route in function.routes() {
            assert!(seen.insert(route.clone()), "{route:?} is deployed twice");
        }
    }
}
