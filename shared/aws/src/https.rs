//! HTTPS for every client: which certificates are trusted, and the HTTP client of the AWS SDK.

use std::env;
use std::fs;

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Where systems keep all certificates that they trust, in one file: Amazon Linux, on which Lambda runs
/// the functions and which AWS keeps up to date, and Debian.
const BUNDLES: [&str; 2] = ["/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"];
/// With these an operator says which certificates are trusted; libraries that look for the system's heed
/// them.
const CHOSEN: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The certificates that this system trusts, as PEM, from its one file. None where there is no such file,
/// where something in it is not understood, or where an operator chose others: what looks for the
/// system's certificates then has to do so itself.
///
/// That is also what it saves: libraries read the file and then, one by one, the hundreds of files of the
/// directory beside it, which hold the same certificates once more. At a cold start it is most of the
/// time.
pub fn trusted_certificates() -> Option<Vec<u8>> {
    if CHOSEN.into_iter().any(|name| env::var_os(name).is_some()) {
        return None;
    }
    BUNDLES.into_iter().find_map(|path| fs::read(path).ok()).filter(|bundle| is_understood(bundle))
}

/// Whether it holds certificates, and each can be an anchor of trust: the SDK stops the process at one
/// that cannot.
fn is_understood(bundle: &[u8]) -> bool {
    let mut certificates = CertificateDer::pem_slice_iter(bundle).peekable();
    certificates.peek().is_some()
        && certificates.all(|certificate| {
            certificate.is_ok_and(|certificate| webpki::anchor_from_trusted_cert(&certificate).is_ok())
        })
}

/// A client of its own pool of connections.
pub(crate) fn client() -> SharedHttpClient {
    let trust = match trusted_certificates() {
        Some(bundle) => TrustStore::empty().with_pem_certificate(bundle),
        None => TrustStore::default(),
    };
    let builder = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
    match TlsContext::builder().with_trust_store(trust).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        // Then with the SDK's own context, which looks for the system's certificates.
        Err(_) => builder.build_https(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_of_which_not_all_is_understood_is_left_alone() {
        let bundle = BUNDLES.into_iter().find_map(|path| fs::read(path).ok());
        let bundle = bundle.unwrap_or_else(|| panic!("this system has none of {BUNDLES:?}"));
        assert!(is_understood(&bundle));

        let end = b"-----END CERTIFICATE-----\n";
        let at = bundle.windows(end.len()).position(|window| window == end).unwrap() + end.len();
        let (first, rest) = bundle.split_at(at);
        assert!(is_understood(first), "one certificate is a bundle too");
        // A certificate that is none, between two that are.
        let forged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(!is_understood(&[first, forged, rest].concat()));
        // One that is cut off in the middle of its text.
        assert!(!is_understood(&[&first[..first.len() / 2], b"\n", end].concat()));
        assert!(!is_understood(b""));
        assert!(!is_understood(b"# certificates\n"));
    }
}
