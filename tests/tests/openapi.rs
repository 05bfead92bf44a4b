//! The OpenAPI document and the deployed routes are the same routes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "this test needs a part of the template reader")]

use std::collections::BTreeSet;

use tillstream_contracts::openapi;

mod template_file;

use template_file::Template;

#[test]
fn every_deployed_route_is_documented_and_every_documented_route_is_deployed() {
    let functions = Template::read("template.yaml").functions();
    let deployed: BTreeSet<(String, String)> =
        functions.iter().flat_map(|function| function.routes()).collect();
    let documented: BTreeSet<(String, String)> =
        openapi::routes().into_iter().map(|(method, path)| (method.to_owned(), path)).collect();
    assert!(deployed.len() > 40, "only {} routes were read from the template", deployed.len());
    let undocumented: Vec<_> = deployed.difference(&documented).collect();
    assert!(undocumented.is_empty(), "deployed but not in the OpenAPI document: {undocumented:#?}");
    let undeployed: Vec<_> = documented.difference(&deployed).collect();
    assert!(undeployed.is_empty(), "in the OpenAPI document but not deployed: {undeployed:#?}");
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
