//! Bearer tokens, and the public keys they are verified with.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use tillstream_app::database::{Database, Item, Table, Write};
use tillstream_app::environment::Environment;
use tillstream_app::error::{Error, RefusalKind};
use tillstream_app::keys;
use tillstream_app::tenancy::Caller;
use tillstream_runtime::auth::Authenticator;
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer};

use crate::alterations::{altered_bytes, altered_json, altered_text, any_text, json_input};
use crate::guarded_async;

struct Gate {
    issuer: TokenIssuer,
    authenticator: Authenticator,
    now: i64,
}

/// What verifies tokens with the keys of `document`, or with those of its own issuer.
async fn gate(document: Option<&str>) -> Gate {
    let issuer = TokenIssuer::new("key-1").unwrap();
    let environment = Arc::new(TestEnvironment::new(1));
    let database = Arc::new(MemoryDatabase::new());
    let item = match document {
        Some(document) => Item::new(&keys::jwks()).with("document", document),
        None => TokenIssuer::jwks_item(&[&issuer]),
    };
    database.write(Write::Put { table: Table::Identity, item, condition: None }).await.unwrap();
    let now = environment.now().as_second();
    let authenticator = Authenticator::new(database, environment, ISSUER, AUDIENCE);
    Gate { issuer, authenticator, now }
}

fn claims(now: i64) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user-1", "iat": now, "nbf": now, "exp": now + 3_600,
        "tenant_id": "demo", "roles": ["cashier", "operator"], "stores": ["s-1", "s-2"],
        "register_id": "r-1", "device_id": "d-1", "scope": "x",
    })
}

/// What must be meant as it is said. Other claims may be anything, also too deep for a [`Value`].
#[derive(Deserialize)]
struct Said {
    tenant_id: String,
    sub: String,
    iss: String,
    exp: i64,
    iat: i64,
    register_id: Option<String>,
}

fn header() -> Value {
    json!({"alg": "ES256", "typ": "JWT", "kid": "key-1"})
}

fn unauthenticated(result: &Result<Caller, Error>) -> bool {
    matches!(result, Err(Error::Rejected(refusal)) if refusal.kind == RefusalKind::Unauthenticated)
}

const START: i64 = 1_772_442_000;

fn jwks() -> Value {
    let issuer = TokenIssuer::new("key-1").unwrap();
    json!({"keys": [issuer.jwk(), {"kty": "RSA", "kid": "key-2", "n": "AQAB", "e": "AQAB"}]})
}

proptest! {
    /// The signature covers all of it: not one letter may be another.
    #[test]
    fn an_altered_token_is_refused(
        changes in altered_text(vec!["\0".repeat(400)]),
        odd in prop_oneof![Just(None), any_text().prop_map(Some)],
    ) {
        guarded_async(1_000, 20, async {
            let gate = gate(None).await;
            let token = gate.issuer.token(&Claims::new("demo", &["cashier"], TestEnvironment::new(1).now())).unwrap();
            assert!(gate.authenticator.verify(&token).await.is_ok());
            // Where the pattern of zeros was changed, the token is.
            let pattern = changes.bytes().chain(std::iter::repeat(0));
            let altered: Vec<u8> = token.bytes().zip(pattern).map(|(byte, change)| byte ^ change).collect();
            let altered = String::from_utf8_lossy(&altered[..altered.len().min(changes.len().max(1))]).into_owned();
            for text in [Some(altered), odd].into_iter().flatten().filter(|text| *text != token) {
                let answer = gate.authenticator.verify(&text).await;
                assert!(unauthenticated(&answer), "{text}: {answer:?}");
            }
        });
    }

    /// Rightly signed, but not what a token says: read as it stands, or refused.
    #[test]
    fn odd_headers_and_claims_are_refused_or_meant(
        header in prop_oneof![Just(header().to_string()), altered_json(vec![header()])],
        claims in altered_json(vec![claims(START)]),
    ) {
        guarded_async(header.len() + claims.len(), 60, async {
            let gate = gate(None).await;
            assert_eq!(gate.now, START);
            let token = gate.issuer.signed(&header, &claims).unwrap();
            match gate.authenticator.verify(&token).await {
                Ok(caller) => {
                    let said: Said = serde_json::from_str(&claims).unwrap();
                    assert_eq!(said.tenant_id, caller.scope.tenant_id());
                    assert_eq!(said.sub, caller.subject);
                    assert_eq!(said.iss, ISSUER);
                    assert!(said.exp > START - 6 && said.iat < START + 6, "{claims}");
                    assert_eq!(said.register_id, caller.register_id);
                }
                refused => assert!(unauthenticated(&refused), "{claims}: {refused:?}"),
            }
        });
    }

    #[test]
    fn arbitrary_parts_are_refused(
        header in json_input(vec![header()]),
        payload in json_input(vec![claims(START)]),
        signature in altered_bytes(vec![vec![7; 64]]),
    ) {
        let parts = [&header, &payload, &signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let token = parts.join(".");
        guarded_async(token.len(), 60, async {
            let answer = gate(None).await.authenticator.verify(&token).await;
            assert!(unauthenticated(&answer), "{answer:?}");
        });
    }

    /// The keys are ours, but a broken document must not be more than an error.
    #[test]
    fn odd_key_sets_are_no_more_than_errors(document in json_input(vec![jwks()])) {
        let document = String::from_utf8_lossy(&document).into_owned();
        guarded_async(document.len(), 100, async {
            let gate = gate(Some(&document)).await;
            let claims = Claims::new("demo", &["cashier"], TestEnvironment::new(1).now());
            let token = gate.issuer.token(&claims).unwrap();
            assert!(gate.authenticator.verify(&token).await.is_err(), "signed by a key that is not in it");
        });
    }
}
