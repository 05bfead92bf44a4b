//! Who asks: verification of bearer tokens in the function itself, without a network hop.
//!
//! Tokens are JWTs (RFC 7519) signed with ES256 and nothing else, verified as RFC 8725 advises: the
//! algorithm is ours to choose, a key id is required, issuer, audience and expiry are checked. The
//! public keys are one item of the identity table; they are kept in memory, read again when they are
//! old, and when a token names a key that is not among them, at most once in [`COOL_DOWN`].
//!
//! Checking a signature takes longer than all the rest of a till's command, and a till sends the same
//! token for minutes. So what a token said is kept beside the keys that it was verified with, and goes
//! with them; its times are checked at every request.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use tillstream_app::database::{Consistency, Database, Get, Table};
use tillstream_app::environment::Environment;
use tillstream_app::tenancy::{Caller, Role, Stores, TenantScope};
use tillstream_app::{Error, Refusal, RefusalKind, keys};
use tillstream_domain::identifier::check_id;

/// How far clocks may differ.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(5);
/// How long an unknown key id does not make the keys be read again.
pub const COOL_DOWN: SignedDuration = SignedDuration::from_secs(30);
/// How old keys may be: a key that was withdrawn is refused after that at the latest.
pub const KEYS_AGE_MAX: SignedDuration = SignedDuration::from_secs(300);
/// Longest token.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Most stores that a token may name.
pub const STORES_MAX: usize = 1_000;
/// Most verified tokens that are kept: the tills that one process of a function serves within the age of
/// the keys, at a few kilobytes each at most.
pub const VERIFIED_MAX: usize = 512;

/// The keys as they were read, and when they were last asked for.
#[derive(Default)]
struct KeySet {
    keys: HashMap<String, DecodingKey>,
    /// Of the last successful read.
    read_at: Option<Timestamp>,
    /// Of the last read, successful or not.
    tried_at: Option<Timestamp>,
    /// By token: whom these keys showed it to be of.
    verified: Mutex<HashMap<String, Arc<Verified>>>,
}

impl KeySet {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.read_at.is_some_and(|at| now.duration_since(at) < KEYS_AGE_MAX)
    }

    fn verified(&self, token: &str) -> Option<Arc<Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    fn keep(&self, token: &str, verified: Arc<Verified>) {
        let mut kept = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        // Rare, and the next requests fill it again: no order of use is worth its keeping.
        if kept.len() >= VERIFIED_MAX {
            kept.clear();
        }
        kept.insert(token.to_owned(), verified);
    }
}

/// What a token with a valid signature said.
struct Verified {
    caller: Caller,
    times: Times,
}

/// When a token may be used, in seconds since the epoch.
#[derive(Clone, Copy)]
struct Times {
    /// `exp`.
    end: i64,
    /// The later of `iat` and `nbf`.
    begin: i64,
}

/// Verifies tokens.
pub struct Authenticator {
    database: Arc<dyn Database>,
    environment: Arc<dyn Environment>,
    validation: Validation,
    known: RwLock<Arc<KeySet>>,
    /// Held while keys are being read: one read serves all who wait.
    reading: tokio::sync::Mutex<()>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    /// One name (RFC 7519 section 4.1.1): the validation that compares it takes a list, too.
    #[serde(rename = "iss")]
    _issuer: Option<String>,
    sub: String,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    tenant_id: String,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    stores: Vec<String>,
    register_id: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct EcKey {
    kid: String,
    kty: String,
    crv: String,
    x: String,
    y: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
}

fn unauthenticated(code: &'static str, detail: impl Into<String>) -> Error {
    Refusal::new(RefusalKind::Unauthenticated, code, detail).into()
}

impl Authenticator {
    /// For tokens of `issuer` to `audience`.
    pub fn new(
        database: Arc<dyn Database>,
        environment: Arc<dyn Environment>,
        issuer: &str,
        audience: &str,
    ) -> Self {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["iss", "aud"]);
        // Times are checked below, by the environment's clock.
        validation.validate_exp = false;
        Authenticator {
            database,
            environment,
            validation,
            known: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// Reads the keys before the first request.
    ///
    /// # Errors
    /// [`Error::Retryable`] if the table does not answer.
    pub async fn warm(&self) -> Result<(), Error> {
        self.read_keys(self.environment.now()).await
    }

    /// Who sent a request with these headers.
    ///
    /// # Errors
    /// A 401 refusal whose code says what was wrong with the token; [`Error::Retryable`] if the keys
    /// could not be read.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(unauthenticated(
                "token_missing",
                "send exactly one header `Authorization: Bearer <token>`",
            ));
        };
        let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(unauthenticated(
                "token_missing",
                "the scheme of the Authorization header must be Bearer",
            ));
        }
        self.verify(token.trim()).await
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn verify(&self, token: &str) -> Result<Caller, Error> {
        let now = self.environment.now();
        let known = self.known();
        // Old keys are read again first: one may have been withdrawn.
        if known.is_fresh(now)
            && let Some(verified) = known.verified(token)
        {
            check_times(verified.times, now)?;
            return Ok(verified.caller.clone());
        }
        let key_id = key_id(token)?;
        let keys = self.keys_with(&key_id, now).await?;
        let key = keys.keys.get(&key_id).ok_or_else(unknown_key)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|error| refuse(error.kind()))?
            .claims;
        let times = Times { end: claims.exp, begin: claims.iat.max(claims.nbf.unwrap_or(i64::MIN)) };
        check_times(times, now)?;
        let caller = caller(claims)?;
        keys.keep(token, Arc::new(Verified { caller: caller.clone(), times }));
        Ok(caller)
    }

    /// The keys, fresh and with this one if there is such a one.
    async fn keys_with(&self, id: &str, now: Timestamp) -> Result<Arc<KeySet>, Error> {
        let known = self.known();
        let has_it = known.keys.contains_key(id);
        if has_it && known.is_fresh(now) {
            return Ok(known);
        }
        match self.read_keys(now).await {
            Ok(()) => Ok(self.known()),
            // Old keys serve on while the table does not answer; the failure is logged.
            Err(error) if has_it => {
                tracing::warn!(%error, "public keys could not be read again, old ones are used");
                Ok(known)
            }
            Err(error) => Err(error),
        }
    }

    fn known(&self) -> Arc<KeySet> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_known(&self, set: KeySet) {
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }

    /// Reads the keys unless they were asked for within the cool-down.
    async fn read_keys(&self, now: Timestamp) -> Result<(), Error> {
        let _one_at_a_time = self.reading.lock().await;
        let known = self.known();
        if known.tried_at.is_some_and(|at| now.duration_since(at) < COOL_DOWN) {
            // Just asked, perhaps by whom we waited for: what is known is what there is.
            return if known.read_at.is_some() {
                Ok(())
            } else {
                Err(Error::retryable("public keys could not be read a moment ago"))
            };
        }
        let get = Get { table: Table::Identity, key: keys::jwks(), consistency: Consistency::Eventual };
        let read = async {
            match self.database.get(get).await? {
                Some(item) => parse_keys(item.text("document")?),
                None => Err(Error::Bug("the identity table holds no public keys".to_owned())),
            }
        };
        match read.await {
            Ok(keys) => {
                self.set_known(KeySet {
                    keys,
                    read_at: Some(now),
                    tried_at: Some(now),
                    verified: Mutex::default(),
                });
                Ok(())
            }
            Err(error) => {
                // The cool-down counts only where there is something to serve on with, so that a
                // first failed read does not refuse everybody for half a minute.
                let tried_at = known.read_at.map(|_| now);
                self.set_known(KeySet {
                    keys: known.keys.clone(),
                    read_at: known.read_at,
                    tried_at,
                    verified: Mutex::default(),
                });
                Err(error)
            }
        }
    }
}

fn unknown_key() -> Error {
    unauthenticated("token_key_unknown", "the token's `kid` names no key of the issuer")
}

/// Checks a token's form and header; answers its key id.
fn key_id(token: &str) -> Result<String, Error> {
    let malformed = || unauthenticated("token_malformed", "the token is not a signed JWT of up to 8 KB");
    let (header, rest) = token.split_once('.').ok_or_else(malformed)?;
    if token.len() > TOKEN_BYTES_MAX || rest.split('.').count() != 2 {
        return Err(malformed());
    }
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed())?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| malformed())?;
    if header.alg != "ES256" || header.crit.is_some() {
        return Err(unauthenticated(
            "token_algorithm_refused",
            "the token's header must say `alg: ES256` and no `crit`",
        ));
    }
    header
        .kid
        .filter(|kid| !kid.is_empty())
        .ok_or_else(|| unauthenticated("token_key_missing", "the token's header must name its key (`kid`)"))
}

/// The ES256 keys of a JWKS document (RFC 7517); keys of other kinds are not ours to use.
fn parse_keys(document: &str) -> Result<HashMap<String, DecodingKey>, Error> {
    let document: Document = serde_json::from_str(document)
        .map_err(|error| Error::Bug(format!("the public keys are no JWKS: {error}")))?;
    let usable = |key: &EcKey| {
        key.kty == "EC"
            && key.crv == "P-256"
            && key.alg.as_deref().is_none_or(|alg| alg == "ES256")
            && key.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
    };
    document
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<EcKey>(key).ok())
        .filter(usable)
        .map(|key| match DecodingKey::from_ec_components(&key.x, &key.y) {
            Ok(decoding) => Ok((key.kid, decoding)),
            Err(error) => Err(Error::Bug(format!("public key {}: {error}", key.kid))),
        })
        .collect()
}

fn refuse(kind: &ErrorKind) -> Error {
    match kind {
        ErrorKind::InvalidSignature => {
            unauthenticated("token_signature_invalid", "the token's signature does not match its key")
        }
        ErrorKind::InvalidIssuer => {
            unauthenticated("token_issuer_wrong", "the token's `iss` is not the issuer that is trusted here")
        }
        ErrorKind::InvalidAudience => {
            unauthenticated("token_audience_wrong", "the token's `aud` does not name this service")
        }
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => {
            unauthenticated("token_issuer_wrong", "the token lacks `iss`")
        }
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => {
            unauthenticated("token_audience_wrong", "the token lacks `aud`")
        }
        ErrorKind::Json(error) => unauthenticated(
            "token_claims_malformed",
            format!("the token's claims are not as expected: {error}"),
        ),
        _ => unauthenticated("token_malformed", "the token is not a signed JWT"),
    }
}

fn check_times(times: Times, now: Timestamp) -> Result<(), Error> {
    let (now, leeway) = (now.as_second(), LEEWAY.as_secs());
    if times.end.saturating_add(leeway) <= now {
        return Err(unauthenticated("token_expired", "the token has expired; fetch a new one"));
    }
    if times.begin.saturating_sub(leeway) > now {
        return Err(unauthenticated(
            "token_from_future",
            "the token's `iat` or `nbf` is in the future; check the issuer's clock",
        ));
    }
    Ok(())
}

fn caller(claims: Claims) -> Result<Caller, Error> {
    let malformed = |claim: &str| {
        unauthenticated("token_claims_malformed", format!("the token's `{claim}` is not as expected"))
    };
    if claims.sub.is_empty() || claims.sub.len() > 256 {
        return Err(malformed("sub"));
    }
    if claims.stores.len() > STORES_MAX {
        return Err(malformed("stores"));
    }
    if claims.register_id.as_deref().is_some_and(|id| check_id(id).is_err()) {
        return Err(malformed("register_id"));
    }
    let scope = TenantScope::from_verified_token(&claims.tenant_id).map_err(|_| malformed("tenant_id"))?;
    let stores = if claims.stores.iter().any(|store| store == "*") {
        Stores::All
    } else {
        Stores::Named(claims.stores.into_iter().collect::<BTreeSet<_>>())
    };
    Ok(Caller {
        scope,
        subject: claims.sub,
        roles: claims.roles.iter().filter_map(|role| Role::parse(role)).collect(),
        stores,
        register_id: claims.register_id,
    })
}

#[cfg(test)]
mod tests;
