//! TLS 1.3 on both ends with certificates of one authority, and who a peer is.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::{hmac, rand};
use horizon_protocol::link::Role;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, ConnectionId, ConnectionIdGenerator, EndpointConfig, ServerConfig,
    TransportConfig, VarInt,
};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{RootCertStore, client};

use crate::LinkError;
use crate::identity::{CertRole, Identity, provider};

const ALPN: &[u8] = b"horizon-link";
/// Taken for a round trip before the first is measured. Links stay within one place, and a dialler says
/// its first packet again after three of these: whoever comes back is found at once.
const INITIAL_RTT: Duration = Duration::from_millis(30);
/// A stopped or vanished peer is noticed after this long.
pub(crate) const IDLE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Streams a peer may have open: the lanes, and batches in flight.
pub(crate) const MAX_STREAMS: u32 = 64;
/// Unread bytes per stream: a whole frame.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Unread bytes per connection.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

fn refused(error: impl Into<Box<dyn Error>>) -> LinkError {
    LinkError::Identity(error.into().to_string())
}

fn roots(identity: &Identity) -> Result<Arc<RootCertStore>, LinkError> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.authority.clone()).map_err(refused)?;
    Ok(Arc::new(roots))
}

/// Both halves of a node: how it accepts, and how it connects.
pub(crate) fn configs(identity: &Identity) -> Result<(ServerConfig, ClientConfig), LinkError> {
    let provider = provider();
    let roots = roots(identity)?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(refused)?;
    let mut accept = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(refused)?;
    accept.alpn_protocols = vec![ALPN.to_vec()];
    accept.session_storage = Arc::new(NoServerSessionStorage {});
    accept.send_tls13_tickets = 0;
    accept.max_early_data_size = 0;

    let servers =
        WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build().map_err(refused)?;
    let mut dial = client::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(refused)?
        .with_webpki_verifier(servers)
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(refused)?;
    dial.alpn_protocols = vec![ALPN.to_vec()];
    dial.resumption = Resumption::disabled();
    dial.enable_early_data = false;

    let transport = Arc::new(transport());
    let mut server =
        ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(accept).map_err(refused)?));
    server.transport_config(transport.clone());
    let mut client = ClientConfig::new(Arc::new(QuicClientConfig::try_from(dial).map_err(refused)?));
    client.transport_config(transport);
    Ok((server, client))
}

/// Resets that follow from the identity's key, so that the next life of a process on the same port
/// can tell peers that still talk to the one before, at their next packet, that it is gone. Otherwise
/// they would notice by a timeout.
pub(crate) fn endpoint(identity: &Identity) -> EndpointConfig {
    let key = hmac::Key::new(hmac::HMAC_SHA256, identity.key.secret_der());
    let reset = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, b"horizon stateless reset").as_ref());
    let mut endpoint = EndpointConfig::new(Arc::new(reset));
    endpoint.cid_generator(|| Box::new(RandomIds));
    endpoint
}

/// Connection ids that no life of a process takes for somebody else's.
struct RandomIds;

impl RandomIds {
    const BYTES: usize = 8;
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; Self::BYTES];
        rand::fill(&mut bytes).expect("the system has randomness");
        ConnectionId::new(&bytes)
    }

    fn cid_len(&self) -> usize {
        Self::BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(IDLE.try_into().expect("five seconds fit")))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_RTT)
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(MAX_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW))
        .send_window(u64::from(CONNECTION_WINDOW))
        .datagram_receive_buffer_size(None);
    transport
}

/// The roles a connected peer's certificate speaks for, as URIs.
pub(crate) fn certified_names(connection: &Connection) -> Vec<String> {
    let chain =
        connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let Some(first) = chain.as_ref().and_then(|chain| chain.first()) else {
        return Vec::new();
    };
    match webpki::EndEntityCert::try_from(first) {
        Ok(certificate) => certificate.valid_uri_names().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}

/// The URI a certificate must carry to speak for `role`.
pub(crate) const fn uri_of(role: Role) -> &'static str {
    match role {
        Role::Edge(_) => CertRole::Edge.uri(),
        Role::Region(_) => CertRole::Region.uri(),
    }
}
