//! Which requests become a WebSocket.

use horizon_protocol::client::Spelling;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::header::{SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use hyper::{Method, Request, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::spelling;

/// A request that may become a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// How its messages will be spelled.
    pub spelling: Spelling,
    /// The subprotocol that stands for it.
    pub subprotocol: &'static str,
    /// Answer to the request's key.
    pub accept: String,
}

/// Why a request is not upgraded. Its text is the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// Not a WebSocket request of version 13.
    #[error("this is no WebSocket request of version 13")]
    Malformed,
    /// A page of another site.
    #[error("pages of this origin may not connect; add it to [atlas] allowed_origins")]
    Origin,
    /// No spelling in common.
    #[error("offer the subprotocol horizon.v1 or horizon.v1.json")]
    Subprotocol,
}

impl UpgradeError {
    /// Status of the answer.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::Subprotocol => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
        }
    }
}

/// Whether the request asks for a WebSocket at all.
pub fn is_wanted<B>(request: &Request<B>) -> bool {
    has_token(request.headers(), &UPGRADE, "websocket")
}

/// Checks a WebSocket request. A page may connect from the origin it was served from or from one of
/// `allowed`; programs that are no browser send no origin.
///
/// # Errors
///
/// [`UpgradeError`].
pub fn check<B>(request: &Request<B>, allowed: &[String]) -> Result<Upgrade, UpgradeError> {
    let headers = request.headers();
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let key = text(&SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let proper = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && text(&SEC_WEBSOCKET_VERSION) == Some("13");
    let (true, Some(key), Some(host)) = (proper, key, text(&HOST)) else {
        return Err(UpgradeError::Malformed);
    };
    if headers.get_all(ORIGIN).iter().any(|origin| !is_allowed(origin.as_bytes(), host, allowed)) {
        return Err(UpgradeError::Origin);
    }
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let (spelling, subprotocol) =
        offered.into_iter().find_map(spelling::choose).ok_or(UpgradeError::Subprotocol)?;
    Ok(Upgrade { spelling, subprotocol, accept: derive_accept_key(key.as_bytes()) })
}

fn is_allowed(origin: &[u8], host: &str, allowed: &[String]) -> bool {
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    let origin = origin.to_ascii_lowercase();
    origin.strip_prefix("https://") == Some(&host.to_ascii_lowercase()) || allowed.contains(&origin)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// Sixteen bytes in base 64.
fn is_key(key: &str) -> bool {
    let digits = key.strip_suffix("==").unwrap_or_default();
    digits.len() == 22 && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(change: &[(&str, Option<&str>)]) -> Result<Upgrade, UpgradeError> {
        let mut headers = vec![
            ("host", "play.example:7777"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "horizon.v1"),
        ];
        for (name, value) in change {
            headers.retain(|(known, _)| known != name);
            headers.extend(value.map(|value| (*name, value)));
        }
        let builder = headers.iter().fold(Request::get("/"), |b, (name, value)| b.header(*name, *value));
        let request = builder.body(()).expect("a request");
        assert!(is_wanted(&request) || change.iter().any(|c| c.0 == "upgrade"));
        check(&request, &["https://game.example".to_owned()])
    }

    #[test]
    fn answers() {
        use UpgradeError::{Malformed, Origin, Subprotocol};
        let accepted = ask(&[]).expect("a native client");
        assert_eq!(accepted.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let rows = [
            ("origin", Some("https://play.example:7777"), None),
            ("origin", Some("https://GAME.example"), None),
            ("origin", Some("http://play.example:7777"), Some(Origin)),
            ("origin", Some("https://play.example"), Some(Origin)),
            ("origin", Some("https://evil.example"), Some(Origin)),
            ("origin", Some("null"), Some(Origin)),
            ("sec-websocket-protocol", None, Some(Subprotocol)),
            ("sec-websocket-protocol", Some("horizon.v2"), Some(Subprotocol)),
            ("sec-websocket-version", Some("8"), Some(Malformed)),
            ("sec-websocket-key", Some("short"), Some(Malformed)),
            ("connection", Some("keep-alive"), Some(Malformed)),
            ("host", None, Some(Malformed)),
        ];
        for (name, value, expected) in rows {
            assert_eq!(ask(&[(name, value)]).err(), expected, "{name}: {value:?}");
        }
    }
}
