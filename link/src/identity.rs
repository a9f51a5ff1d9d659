//! Who a process is on a link: its role, its certificate, and the cryptography both are used with.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Every certificate of a link carries this DNS name, since TLS clients check one.
pub(crate) const SERVER_NAME: &str = "horizon";

/// Who a certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertRole {
    /// An Atlas process on links.
    Edge,
    /// A region server on links.
    Region,
    /// Atlas towards players.
    Tls,
}

impl CertRole {
    /// What `edge`, `region` and `tls` files begin with.
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Region => "region",
            Self::Tls => "tls",
        }
    }

    /// The URI in a link certificate's subject alternative names.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Edge => "horizon://edge",
            Self::Region => "horizon://region",
            Self::Tls => "horizon://players",
        }
    }
}

/// A certificate with its key and the authority that the peers' must come from.
#[derive(Debug)]
pub struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) authority: CertificateDer<'static>,
}

impl Identity {
    /// The certificate, then what lies between it and the authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key, to hand to a TLS configuration.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// The authority's certificate.
    pub const fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }
}

/// The one implementation of TLS's cryptography in use.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
