//! `gigastt health`: asks the service of this machine how it is, for containers and scripts.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use gigastt_core::{Error, ErrorKind};
use gigastt_sidecar::{Given, Settings, Unusable};
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::cli::Health;
use crate::failure::{Exit, tell};
use crate::output;

/// The answer is short; more is not read.
const ANSWER_MAX: u64 = 64 * 1024;

/// Asks, and prints the answer.
pub(crate) fn run(args: &Health) -> Exit {
    let (at, tls) = match place(args) {
        Ok(place) => place,
        Err(error) => {
            tell(&Error::new(ErrorKind::InvalidArgument, error.to_string()));
            return Exit::Usage;
        }
    };
    let path = if args.ready { "/ready" } else { "/health" };
    match ask(at, tls, path, Duration::from_secs(args.timeout_secs)) {
        Ok((200, body)) => {
            // Whoever only wants the exit code may have closed standard output.
            let _ = output::print(&format!("{body}\n"));
            Exit::Done
        }
        Ok((status, body)) => unwell(at, &format!("{path} answered {status}: {body}")),
        Err(error) => unwell(at, &error.to_string()),
    }
}

fn unwell(at: SocketAddr, what: &str) -> Exit {
    output::complain(&format!("{at}: {what}"), None);
    Exit::SomeFailed
}

/// Where the service listens that is set up by the same flags, variables and file, and whether by TLS.
fn place(args: &Health) -> Result<(SocketAddr, bool), Unusable> {
    let file = args.config.as_deref().map(Given::read).transpose()?.unwrap_or_default();
    let given = Given {
        host: args.host.clone().or(file.host),
        port: args.port.or(file.port),
        bind_all: Some(true), // It is not bound here.
        ..Given::default()
    };
    let mut at = Settings::new(&given)?.address;
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        });
    }
    Ok((at, args.tls_cert.is_some() || file.tls_cert.is_some()))
}

/// The status and the body of an answer.
fn ask(at: SocketAddr, tls: bool, path: &str, wait: Duration) -> io::Result<(u16, String)> {
    let socket = TcpStream::connect_timeout(&at, wait)?;
    socket.set_read_timeout(Some(wait))?;
    socket.set_write_timeout(Some(wait))?;
    let answer = if tls { talk(encrypted(at, socket)?, path) } else { talk(socket, path) }?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn talk(mut socket: impl Read + Write, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    socket.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.trim().to_owned()))
}

fn encrypted(at: SocketAddr, socket: TcpStream) -> io::Result<impl Read + Write> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(at.ip().into()))
        .map_err(io::Error::other)?;
    Ok(rustls::StreamOwned::new(connection, socket))
}

/// Takes every certificate: it is for another name than this address, nothing secret is sent, and the answer
/// is believed for no more than "it lives".
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |answer: &str, expected: Option<(u16, &str)>| {
            assert_eq!(parse(answer), expected.map(|(status, body)| (status, body.to_owned())), "{answer}");
        };
        check("HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"status\":\"ok\"}\n", Some((200, "{\"status\":\"ok\"}")));
        check("HTTP/1.0 503 Service Unavailable\r\n\r\n", Some((503, "")));
        check("HTTP/1.1 200 OK\r\n", None);
        check("SSH-2.0-OpenSSH\r\n\r\n", None);
        check("", None);
    }

    #[test]
    fn an_address_that_means_all_is_asked_on_loopback() {
        let check = |host: Option<&str>, expected: &str| {
            let args = Health { host: host.map(str::to_owned), port: Some(1), ..Health::default() };
            assert_eq!(place(&args).expect("a place"), (expected.parse().expect("an address"), false));
        };
        check(None, "127.0.0.1:1");
        check(Some("0.0.0.0"), "127.0.0.1:1");
        check(Some("::"), "[::1]:1");
        check(Some("*"), "[::1]:1");
        check(Some("192.168.0.7"), "192.168.0.7:1");
    }
}
