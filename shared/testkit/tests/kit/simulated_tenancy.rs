//! What crosses from one tenant of the simulator to another is seen.

use tillstream_app::database::{Item, Table, Write};
use tillstream_testkit::simulator::parts::{Tenancy, names_another};

fn put(pk: &str, tenant: &str) -> Write {
    let item = Item::default().with("pk", pk).with("sk", "cart").with("tenant_id", tenant);
    Write::Put { table: Table::Orders, item, condition: None }
}

/// The invariant that is broken where a command of `acting` writes.
fn broken(acting: Option<&str>, write: &Write) -> Option<&'static str> {
    let tenancy = Tenancy::default();
    if let Some(acting) = acting {
        tenancy.begin(acting);
    }
    tenancy.written(write);
    tenancy.crossed().map(|(invariant, _)| invariant)
}

#[test]
fn a_command_writes_below_the_keys_of_its_tenant() {
    assert_eq!(broken(Some("acme"), &put("acme#cart#c-1", "acme")), None);
    let crossed = Some("what a tenant does stays below its keys");
    assert_eq!(broken(Some("globex"), &put("acme#cart#c-1", "acme")), crossed);
    assert_eq!(broken(Some("mallory"), &put("globex#cart#c-1", "mallory")), crossed);
    // A name that begins like another is another.
    assert_eq!(broken(Some("acme"), &put("acme-2#cart#c-1", "")), crossed);
    // Of nobody's command only the item is asked.
    assert_eq!(broken(None, &put("acme#cart#c-1", "acme")), None);
    assert_eq!(broken(None, &put("acme#cart#c-1", "globex")), Some("an item is of the tenant of its key"));
}

#[test]
fn a_command_is_over_once_another_goes_on() {
    let tenancy = Tenancy::default();
    let before = tenancy.begin("acme");
    let within = tenancy.begin("globex");
    tenancy.written(&put("globex#cart#c-1", "globex"));
    tenancy.end(within);
    tenancy.written(&put("acme#cart#c-1", "acme"));
    tenancy.end(before);
    tenancy.written(&put("globex#cart#c-1", "globex"));
    assert_eq!(tenancy.crossed(), None);
}

#[test]
fn an_answer_names_no_other_tenant_and_a_message_no_two() {
    let seen = |answer: &str| names_another("acme", ["acme", "globex"].into_iter(), &answer).is_some();
    assert!(seen("Product sku-1 of globex") && seen("e-3-of-globex") && !seen("Product sku-1 of acme"));
    // Ids that are drawn may hold any letters.
    assert!(!seen("x9globex4"));
    let sent = |message: &str| {
        let tenancy = Tenancy::default();
        tenancy.sent(message.as_bytes());
        tenancy.crossed().is_some()
    };
    assert!(sent(r#"{"tenant_id":"acme","employee":"e-1-of-globex"}"#));
    assert!(!sent(r#"{"tenant_id":"acme","employee":"e-1-of-acme"}"#));
}
