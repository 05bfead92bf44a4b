//! Tokens for tests, right and wrong in every way that matters.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use tillstream_app::database::{Item, Table, Write};
use tillstream_app::keys;

/// Issuer of the tokens, as the local stack has it.
pub const ISSUER: &str = "https://identity.tillstream.local";
/// Audience of the tokens, as the local stack has it.
pub const AUDIENCE: &str = "tillstream";

/// Why an issuer could not be made or could not sign: the machine has no randomness, in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningFailed;

/// An issuer of tokens with an ES256 key pair of its own.
pub struct TokenIssuer {
    key_id: String,
    pair: EcdsaKeyPair,
}

/// The claims of a token.
#[derive(Debug, Clone)]
pub struct Claims(BTreeMap<String, Value>);

impl Claims {
    /// A token of `tenant` with `roles`, for all stores, good for an hour from `now`.
    pub fn new(tenant: &str, roles: &[&str], now: Timestamp) -> Self {
        let seconds = now.as_second();
        Claims(BTreeMap::new())
            .with("iss", ISSUER)
            .with("aud", AUDIENCE)
            .with("sub", "user-1")
            .with("iat", seconds)
            .with("exp", seconds + 3_600)
            .with("tenant_id", tenant)
            .with("roles", json!(roles))
            .with("stores", json!(["*"]))
    }

    /// With another value of a claim.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Without a claim.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }
}

impl TokenIssuer {
    /// With a new key pair under `key_id`.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn new(key_id: &str) -> Result<Self, SigningFailed> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningFailed)?;
        Ok(TokenIssuer { key_id: key_id.to_owned(), pair })
    }

    /// Its public key as a JWK.
    pub fn jwk(&self) -> Value {
        // An uncompressed point: 4, then 32 bytes each of x and y (SEC 1, section 2.3.3).
        let point = self.pair.public_key().as_ref();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.key_id,
            "x": coordinate(1..33), "y": coordinate(33..65),
        })
    }

    /// The identity table's item of the keys of `issuers`.
    pub fn jwks_item(issuers: &[&TokenIssuer]) -> Item {
        let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        Item::new(&keys::jwks()).with("document", json!({ "keys": keys }).to_string())
    }

    /// Writes that item.
    pub fn publish(issuers: &[&TokenIssuer]) -> Write {
        Write::Put { table: Table::Identity, item: TokenIssuer::jwks_item(issuers), condition: None }
    }

    /// A token that holds, if its claims do.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn token(&self, claims: &Claims) -> Result<String, SigningFailed> {
        self.token_with_header(&json!({"alg": "ES256", "typ": "JWT", "kid": self.key_id}), claims)
    }

    /// A rightly signed token with another header.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn token_with_header(&self, header: &Value, claims: &Claims) -> Result<String, SigningFailed> {
        self.signed(&header.to_string(), &json!(claims.0).to_string())
    }

    /// A rightly signed token of any header and any claims, be they JSON or not.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn signed(&self, header: &str, claims: &str) -> Result<String, SigningFailed> {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature =
            self.pair.sign(&SystemRandom::new(), message.as_bytes()).map_err(|_| SigningFailed)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A token that says it needs no signature.
    pub fn unsigned(&self, claims: &Claims) -> String {
        format!("{}.", message(&json!({"alg": "none", "kid": self.key_id}), claims))
    }

    /// A token signed by HMAC with the public key as secret, which anybody can make.
    pub fn signed_with_public_key(&self, claims: &Claims) -> String {
        let message = message(&json!({"alg": "HS256", "kid": self.key_id}), claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// A token that another's key signed in this one's name.
    ///
    /// # Errors
    /// [`SigningFailed`].
    pub fn forged(&self, claims: &Claims) -> Result<String, SigningFailed> {
        TokenIssuer::new(&self.key_id)?.token(claims)
    }
}

/// A token with other claims under the same signature.
pub fn tampered(token: &str, claims: &Claims) -> String {
    let mut parts = token.split('.');
    let (header, signature) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    format!("{header}.{}.{signature}", encode(&json!(claims.0)))
}

fn message(header: &Value, claims: &Claims) -> String {
    format!("{}.{}", encode(header), encode(&json!(claims.0)))
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
