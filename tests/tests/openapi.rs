//! The OpenAPI document and the deployed routes are the same routes.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on fails")]
#![allow(dead_code, reason = "this test needs a part of the template reader")]

use std::collections::BTreeSet;

use tillstream_contracts::openapi;

mod template_file;

use template_file::Template;

/// Whether a request to a documented route reaches a deployed one: they are the same, or the deployed one has a
/// parameter where the documented one has a word, and stands for it too.
fn reaches((method, path): &(String, String), deployed: &(String, String)) -> bool {
    let is_parameter = |part: &str| part.starts_with('{');
    let (parts, of) = (path.split('/').collect::<Vec<_>>(), deployed.1.split('/').collect::<Vec<_>>());
    *method == deployed.0
        && parts.len() == of.len()
        && parts.iter().zip(of).all(|(part, of)| *part == of || is_parameter(of))
}

/// The deployed routes that a request to a documented one may reach, as a gateway chooses: the same where there is one,
/// else the most specific.
fn reached<'a>(
    documented: &(String, String),
    deployed: &'a BTreeSet<(String, String)>,
) -> Vec<&'a (String, String)> {
    let parameters = |route: &(String, String)| route.1.matches('{').count();
    let all: Vec<_> = deployed.iter().filter(|route| reaches(documented, route)).collect();
    if let Some(same) = all.iter().find(|route| **route == documented) {
        return vec![*same];
    }
    let least = all.iter().map(|route| parameters(route)).min();
    all.into_iter().filter(|route| Some(parameters(route)) == least).collect()
}

#[test]
fn every_deployed_route_is_documented_and_every_documented_route_is_deployed() {
    let functions = Template::read("template.yaml").functions();
    let deployed: BTreeSet<(String, String)> =
        functions.iter().flat_map(|function| function.routes()).collect();
    let documented: BTreeSet<(String, String)> =
        openapi::routes().into_iter().map(|(method, path)| (method.to_owned(), path)).collect();
    assert!(deployed.len() > 40, "only {} routes were read from the template", deployed.len());
    let meant: BTreeSet<_> = documented.iter().flat_map(|one| reached(one, &deployed)).collect();
    let undocumented: Vec<_> = deployed.iter().filter(|route| !meant.contains(route)).collect();
    assert!(undocumented.is_empty(), "deployed but not in the OpenAPI document: {undocumented:#?}");
    let unclear: Vec<_> = documented.iter().filter(|one| reached(one, &deployed).len() != 1).collect();
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
