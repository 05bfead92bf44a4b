use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tillstream_app::database::{DatabaseError, Item, Query, QueryPage, Write};
use tillstream_testkit::memory_database::MemoryDatabase;
use tillstream_testkit::test_environment::TestEnvironment;
use tillstream_testkit::tokens::{AUDIENCE, Claims, ISSUER, TokenIssuer, tampered};

use super::*;

/// Counts reads of the keys; fails them when told.
#[derive(Default)]
struct Watched {
    inner: MemoryDatabase,
    reads: AtomicUsize,
    away: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl Database for Watched {
    async fn get(&self, get: Get) -> Result<Option<Item>, DatabaseError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.away.load(Ordering::SeqCst) {
            return Err(DatabaseError::Unavailable("away".to_owned()));
        }
        self.inner.get(get).await
    }
    async fn get_many(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.inner.get_many(gets).await
    }
    async fn get_together(&self, gets: Vec<Get>) -> Result<Vec<Option<Item>>, DatabaseError> {
        self.inner.get_together(gets).await
    }
    async fn query(&self, query: Query) -> Result<QueryPage, DatabaseError> {
        self.inner.query(query).await
    }
    async fn write(&self, write: Write) -> Result<(), DatabaseError> {
        self.inner.write(write).await
    }
    async fn transact(&self, writes: Vec<Write>) -> Result<(), DatabaseError> {
        self.inner.transact(writes).await
    }
    async fn put_many(&self, table: Table, items: Vec<Item>) -> Result<(), DatabaseError> {
        self.inner.put_many(table, items).await
    }
}

struct Scene {
    database: Arc<Watched>,
    environment: Arc<TestEnvironment>,
    issuer: TokenIssuer,
    authenticator: Authenticator,
}

impl Scene {
    async fn new() -> Self {
        let issuer = TokenIssuer::new("key-1").unwrap();
        let (database, environment) = (Arc::new(Watched::default()), Arc::new(TestEnvironment::new(1)));
        database.write(TokenIssuer::publish(&[&issuer])).await.unwrap();
        let authenticator = Authenticator::new(database.clone(), environment.clone(), ISSUER, AUDIENCE);
        Scene { database, environment, issuer, authenticator }
    }

    fn claims(&self) -> Claims {
        Claims::new("demo", &["cashier"], self.environment.now())
    }

    async fn code(&self, token: &str) -> &'static str {
        match self.authenticator.verify(token).await {
            Ok(caller) => panic!("accepted as {caller:?}"),
            Err(Error::Rejected(refusal)) => {
                assert_eq!(refusal.kind, RefusalKind::Unauthenticated);
                refusal.code
            }
            Err(other) => panic!("{other}"),
        }
    }

    async fn code_of(&self, claims: &Claims) -> &'static str {
        self.code(&self.issuer.token(claims).unwrap()).await
    }

    fn reads(&self) -> usize {
        self.database.reads.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_valid_token_says_who_asks() {
    let scene = Scene::new().await;
    let claims = scene
        .claims()
        .with("roles", json!(["store_manager", "king"]))
        .with("stores", json!(["s-1", "s-2"]))
        .with("aud", json!(["other", AUDIENCE]))
        .with("device_id", "d-1")
        .with("register_id", "r-1");
    let caller = scene.authenticator.verify(&scene.issuer.token(&claims).unwrap()).await.unwrap();
    assert_eq!(caller.scope.tenant_id(), "demo");
    assert_eq!(caller.subject, "user-1");
    assert_eq!(caller.roles, BTreeSet::from([Role::StoreManager]));
    assert!(caller.reaches("s-2") && !caller.reaches("s-3"));
    assert_eq!(caller.register_id.as_deref(), Some("r-1"));
    let all = scene.authenticator.verify(&scene.issuer.token(&scene.claims()).unwrap()).await.unwrap();
    assert_eq!(all.stores, Stores::All);
    let none = scene.issuer.token(&scene.claims().without("stores")).unwrap();
    assert!(!scene.authenticator.verify(&none).await.unwrap().reaches("s-1"));
}

#[tokio::test]
async fn every_wrong_token_is_refused_with_a_code_of_its_own() {
    let scene = Scene::new().await;
    let good = scene.claims();
    let valid = scene.issuer.token(&good).unwrap();
    assert!(scene.authenticator.verify(&valid).await.is_ok());

    assert_eq!(scene.code(&scene.issuer.unsigned(&good)).await, "token_algorithm_refused");
    assert_eq!(scene.code(&scene.issuer.signed_with_public_key(&good)).await, "token_algorithm_refused");
    let critical = json!({"alg": "ES256", "kid": "key-1", "crit": ["exp"], "exp": 1});
    let critical = scene.issuer.token_with_header(&critical, &good).unwrap();
    assert_eq!(scene.code(&critical).await, "token_algorithm_refused");
    let nameless = scene.issuer.token_with_header(&json!({"alg": "ES256"}), &good).unwrap();
    assert_eq!(scene.code(&nameless).await, "token_key_missing");
    let foreign = TokenIssuer::new("key-9").unwrap().token(&good).unwrap();
    assert_eq!(scene.code(&foreign).await, "token_key_unknown");
    assert_eq!(scene.code(&scene.issuer.forged(&good).unwrap()).await, "token_signature_invalid");
    let other_tenant = Claims::new("other", &["operator"], scene.environment.now());
    assert_eq!(scene.code(&tampered(&valid, &other_tenant)).await, "token_signature_invalid");
    assert_eq!(scene.code_of(&good.clone().with("iss", "https://evil.example")).await, "token_issuer_wrong");
    assert_eq!(scene.code_of(&good.clone().without("iss")).await, "token_issuer_wrong");
    assert_eq!(scene.code_of(&good.clone().with("aud", "another")).await, "token_audience_wrong");
    assert_eq!(scene.code_of(&good.clone().without("aud")).await, "token_audience_wrong");
    for (claim, value) in [
        ("tenant_id", json!("a#b")),
        ("tenant_id", json!("")),
        ("sub", json!("")),
        ("iss", json!([ISSUER])),
        ("register_id", json!("r/1")),
        ("exp", json!("tomorrow")),
        ("roles", json!("cashier")),
        ("stores", json!(vec!["s"; STORES_MAX + 1])),
    ] {
        let code = scene.code_of(&good.clone().with(claim, value.clone())).await;
        assert_eq!(code, "token_claims_malformed", "{claim} {value}");
    }
    for claim in ["exp", "iat", "sub", "tenant_id"] {
        assert_eq!(scene.code_of(&good.clone().without(claim)).await, "token_claims_malformed", "{claim}");
    }
    let long = format!("{valid}{}", "A".repeat(TOKEN_BYTES_MAX));
    for rubbish in ["", "x", "a.b", "a.b.c.d", "a.b.c", &long] {
        assert_eq!(scene.code(rubbish).await, "token_malformed", "{rubbish:.20}");
    }
}

#[tokio::test]
async fn times_hold_to_five_seconds() {
    let scene = Scene::new().await;
    let now = scene.environment.now().as_second();
    let with = |name, offset| scene.claims().with(name, now + offset);
    assert_eq!(scene.code_of(&with("exp", -5)).await, "token_expired");
    assert_eq!(scene.code_of(&with("iat", 6)).await, "token_from_future");
    assert_eq!(scene.code_of(&with("nbf", 6)).await, "token_from_future");
    for (name, offset) in [("exp", -4), ("iat", 5), ("nbf", 5)] {
        let token = scene.issuer.token(&with(name, offset)).unwrap();
        assert!(scene.authenticator.verify(&token).await.is_ok(), "{name} {offset}");
    }
}

#[tokio::test]
async fn keys_are_read_once_and_again_for_an_unknown_one_after_the_cool_down() {
    let scene = Scene::new().await;
    let old = scene.issuer.token(&scene.claims()).unwrap();
    let (a, b) = tokio::join!(scene.authenticator.verify(&old), scene.authenticator.verify(&old));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(scene.reads(), 1, "two first requests share one read");

    let next = TokenIssuer::new("key-2").unwrap();
    scene.database.write(TokenIssuer::publish(&[&scene.issuer, &next])).await.unwrap();
    let new = next.token(&scene.claims()).unwrap();
    assert_eq!(scene.code(&new).await, "token_key_unknown");
    assert_eq!(scene.reads(), 1, "the cool-down holds");
    scene.environment.advance(Duration::from_secs(30));
    assert!(scene.authenticator.verify(&new).await.is_ok());
    assert!(scene.authenticator.verify(&old).await.is_ok());
    assert_eq!(scene.reads(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_in_the_end() {
    let scene = Scene::new().await;
    let claims = scene.claims();
    let token = scene.issuer.token(&claims).unwrap();
    assert!(scene.authenticator.verify(&token).await.is_ok());
    let next = TokenIssuer::new("key-2").unwrap();
    scene.database.write(TokenIssuer::publish(&[&next])).await.unwrap();
    scene.environment.advance(Duration::from_secs(299));
    assert!(scene.authenticator.verify(&token).await.is_ok());
    scene.environment.advance(Duration::from_secs(1));
    assert_eq!(scene.code(&token).await, "token_key_unknown");
}

#[tokio::test]
async fn without_the_table_old_keys_serve_on_and_a_first_read_may_be_repeated() {
    let scene = Scene::new().await;
    let token = scene.issuer.token(&scene.claims()).unwrap();
    scene.database.away.store(true, Ordering::SeqCst);
    let error = scene.authenticator.verify(&token).await.unwrap_err();
    assert!(matches!(error, Error::Retryable { .. }), "{error}");
    scene.database.away.store(false, Ordering::SeqCst);
    assert!(scene.authenticator.verify(&token).await.is_ok(), "no cool-down after a failed first read");

    scene.environment.advance(Duration::from_secs(301));
    scene.database.away.store(true, Ordering::SeqCst);
    assert!(scene.authenticator.verify(&token).await.is_ok());
}

#[tokio::test]
async fn only_one_bearer_header_will_do() {
    let scene = Scene::new().await;
    let token = scene.issuer.token(&scene.claims()).unwrap();
    let ask = |values: &[String]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        headers
    };
    for values in
        [vec![], vec![format!("Basic {token}")], vec![token.clone()], vec![format!("Bearer {token}"); 2]]
    {
        let error = scene.authenticator.authenticate(&ask(&values)).await.unwrap_err();
        assert_eq!(error.code(), Some("token_missing"), "{values:?}");
    }
    assert!(scene.authenticator.authenticate(&ask(&[format!("bearer  {token}")])).await.is_ok());
}

#[tokio::test]
async fn what_a_token_said_is_kept_as_long_as_its_keys_and_its_times_hold() {
    let scene = Scene::new().await;
    let kept = || scene.authenticator.known().verified.lock().unwrap().len();
    let now = scene.environment.now().as_second();
    let short = scene.issuer.token(&scene.claims().with("exp", now + 60)).unwrap();
    let long = scene.issuer.token(&scene.claims()).unwrap();
    for token in [&short, &long, &short, &long] {
        assert_eq!(scene.authenticator.verify(token).await.unwrap().subject, "user-1");
    }
    assert_eq!(kept(), 2);
    let forged = tampered(&long, &Claims::new("other", &["operator"], scene.environment.now()));
    assert_eq!(scene.code(&forged).await, "token_signature_invalid");
    assert_eq!(kept(), 2, "what was refused is not kept");

    scene.environment.advance(Duration::from_secs(65));
    assert_eq!(scene.code(&short).await, "token_expired");
    assert!(scene.authenticator.verify(&long).await.is_ok());

    // Another key takes the place of the first one, and is met before the first one is too old.
    let next = TokenIssuer::new("key-2").unwrap();
    scene.database.write(TokenIssuer::publish(&[&next])).await.unwrap();
    assert!(scene.authenticator.verify(&long).await.is_ok());
    assert!(scene.authenticator.verify(&next.token(&scene.claims()).unwrap()).await.is_ok());
    assert_eq!(scene.code(&long).await, "token_key_unknown");
}

#[tokio::test]
async fn only_so_many_tokens_are_kept() {
    let scene = Scene::new().await;
    let kept = || scene.authenticator.known().verified.lock().unwrap().len();
    for number in 0..=VERIFIED_MAX {
        let token = scene.issuer.token(&scene.claims().with("sub", format!("user-{number}"))).unwrap();
        let caller = scene.authenticator.verify(&token).await.unwrap();
        assert_eq!(caller.subject, format!("user-{number}"));
        assert!(kept() <= VERIFIED_MAX);
    }
    assert_eq!(kept(), 1);
}
