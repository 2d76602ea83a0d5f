//! TLS by rustls.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What accepts TLS with the certificate chain and the private key of these files, PEM.
///
/// # Errors
/// When one cannot be read, or they do not belong together; with the file's name.
pub(crate) fn acceptor(chain: &Path, key: &Path) -> io::Result<TlsAcceptor> {
    let about =
        |path: &Path, error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let certificates: Vec<_> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| about(chain, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| about(key, &error))?;
    // Not the process's own provider: a host whose rustls has several has none that is chosen by itself.
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|error| about(chain, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::crypto::CryptoProvider;

    use super::*;

    /// For the name x, and for nobody.
    const CHAIN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhRABYUjfQpXbs65142PD4crUfnMuzAFBgMrZXAwDDEKMAgG
A1UEAwwBeDAgFw0yNjExMjYyMjI1NTNaGA8yMTI2MTEwMjIyMjU1M1owDDEKMAgG
A1UEAwwBeDAqMAUGAytlcAMhAPHcoXcUckyzH83B0aDx+W602OiL5ylIqgqilWif
BKNwo1MwUTAdBgNVHQ4EFgQUHffpScpacYBzjBDX6bzHimOswMAwHwYDVR0jBBgw
FoAUHffpScpacYBzjBDX6bzHimOswMAwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQDooHU7X4RKv4S8zbOqtYYvEAXIqXtA1fhdyNKuJXNiXiesRTP8LgV/atQOzB4s
67UvxwdFK9miOtgc6fCEzj4K
-----END CERTIFICATE-----
";

    const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBnIhq8TmNESE8YvSlw7pe6Kr8vx8CSQPowK/enFvWFH
-----END PRIVATE KEY-----
";

    #[test]
    fn the_provider_of_the_process_is_left_to_its_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let [chain, key] = [("chain", CHAIN), ("key", KEY)].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        });
        assert!(acceptor(&chain, &key).is_ok());
        assert!(CryptoProvider::get_default().is_none(), "it was asked for, and chosen for everybody");
    }
}
