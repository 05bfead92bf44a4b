//! Signatures after the Standard Webhooks specification 1.0.0: HMAC-SHA256 over `id.timestamp.body`.
//!
//! The specification's own crate reads the wall clock when it verifies, which a test with its own time
//! cannot use; the scheme is these few lines over `hmac` and `sha2`.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// How far a message's time may be from the receiver's.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Fewest bytes of a secret (the specification's own bound).
pub const SECRET_BYTES_MIN: usize = 24;

/// Why a secret or a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a secret.
    #[error("a signing secret is whsec_ and base64, or plain text, of at least {SECRET_BYTES_MIN} bytes")]
    MalformedSecret,
    /// The time is not a number.
    #[error("webhook-timestamp is not a number of seconds")]
    MalformedTimestamp,
    /// Too old, or from the future.
    #[error("webhook-timestamp is more than {} s from now", TOLERANCE.as_secs())]
    OutOfTolerance,
    /// No signature in the header is right.
    #[error("no signature in webhook-signature is right")]
    Wrong,
}

/// A shared secret.
#[derive(Clone)]
pub struct SigningSecret(Vec<u8>);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

impl SigningSecret {
    /// From its text: `whsec_` and base64 as the specification has it, otherwise the text's own bytes.
    ///
    /// # Errors
    /// [`SignatureError::MalformedSecret`].
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let bytes = match text.strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| SignatureError::MalformedSecret)?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SignatureError::MalformedSecret);
        }
        Ok(SigningSecret(bytes))
    }

    fn mac(&self, id: &str, seconds: i64, body: &[u8]) -> Result<Hmac<Sha256>, SignatureError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).map_err(|_| SignatureError::MalformedSecret)?;
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        Ok(mac)
    }

    /// The value of `webhook-signature`.
    ///
    /// # Errors
    /// [`SignatureError::MalformedSecret`], which [`Self::parse`] has ruled out.
    pub fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> Result<String, SignatureError> {
        let mac = self.mac(id, at.as_second(), body)?;
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }

    /// Checks what came with a message: one of the space-separated signatures must be right, and the
    /// time within [`TOLERANCE`] of `now`.
    ///
    /// # Errors
    /// [`SignatureError`] naming what is wrong.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::MalformedTimestamp)?;
        if seconds.abs_diff(now.as_second()) > TOLERANCE.as_secs() {
            return Err(SignatureError::OutOfTolerance);
        }
        for signature in signatures.split(' ').filter_map(|s| s.strip_prefix("v1,")) {
            let Ok(bytes) = STANDARD.decode(signature) else { continue };
            if self.mac(id, seconds, body)?.verify_slice(&bytes).is_ok() {
                return Ok(());
            }
        }
        Err(SignatureError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_told() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
    }

    /// Test vector of the specification's reference implementations.
    #[test]
    fn signs_as_the_reference_does() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn verifies_only_what_was_signed_and_is_recent() {
        let secret = SigningSecret::parse("twenty-four bytes or more").unwrap();
        let at = Timestamp::from_second(1_000_000).unwrap();
        let good = secret.sign("id", at, b"body").unwrap();
        let verify = |id, stamp: &str, signature: &str, body: &[u8], now| {
            secret.verify(id, stamp, signature, body, Timestamp::from_second(now).unwrap())
        };
        assert_eq!(verify("id", "1000000", &good, b"body", 1_000_300), Ok(()));
        assert_eq!(verify("id", "1000000", &format!("v1,AAAA v2,x {good}"), b"body", 1_000_000), Ok(()));
        assert_eq!(verify("id", "1000000", &good, b"body", 1_000_301), Err(SignatureError::OutOfTolerance));
        assert_eq!(verify("id", "1000000", &good, b"bodY", 1_000_000), Err(SignatureError::Wrong));
        assert_eq!(verify("ix", "1000000", &good, b"body", 1_000_000), Err(SignatureError::Wrong));
        assert_eq!(verify("id", "1000001", &good, b"body", 1_000_000), Err(SignatureError::Wrong));
        assert_eq!(verify("id", "soon", &good, b"body", 1_000_000), Err(SignatureError::MalformedTimestamp));
        assert_eq!(verify("id", "1000000", "", b"body", 1_000_000), Err(SignatureError::Wrong));
    }

    #[test]
    fn short_secrets_are_refused_and_none_is_shown() {
        assert!(SigningSecret::parse("short").is_err());
        assert!(SigningSecret::parse("whsec_c2hvcnQ=").is_err());
        assert!(
            !format!("{:?}", SigningSecret::parse("twenty-four bytes or more").unwrap()).contains("bytes or")
        );
    }
}
