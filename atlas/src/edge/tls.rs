//! TLS 1.3 for players: the certificate of the public side, nothing optional.

use std::path::Path;
use std::sync::Arc;

use horizon_link::CertRole;
use horizon_link::pki::{PkiError, load_identity};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use tokio_rustls::TlsAcceptor;

/// Why players cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files are missing or unusable. Run `atlasctl pki init`, or put your own there.
    #[error("no certificate for players ({0}); run `atlasctl pki init`, or put tls.pem and tls.key there")]
    Files(#[source] PkiError),
    /// Certificate and key do not fit together, or cannot be used.
    #[error("cannot use the certificate for players: {0}")]
    Unusable(#[from] rustls::Error),
}

/// An acceptor with `tls.pem` and `tls.key` of `folder`: TLS 1.3 only, `http/1.1`, session tickets
/// whose keys rotate every six hours, no early data.
///
/// # Errors
///
/// [`TlsError`].
pub fn acceptor(folder: &Path) -> Result<TlsAcceptor, TlsError> {
    let identity = load_identity(folder, CertRole::Tls).map_err(TlsError::Files)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(identity.chain().to_vec(), identity.key())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
