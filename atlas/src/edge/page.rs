//! The live page: a few files that the program carries, and the headers that keep them to themselves.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// What every answer says besides its body.
const HEADERS: [(HeaderName, &str); 4] = [
    (hyper::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (hyper::header::REFERRER_POLICY, "no-referrer"),
    (hyper::header::X_FRAME_OPTIONS, "DENY"),
    (CACHE_CONTROL, "no-cache"),
];

/// The file at `path` of the page, with its type.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    match path {
        "/" | "/index.html" => Some(("text/html; charset=utf-8", include_str!("../../page/index.html"))),
        "/page.js" => Some(("text/javascript; charset=utf-8", include_str!("../../page/page.js"))),
        "/world.js" => Some(("text/javascript; charset=utf-8", include_str!("../../page/world.js"))),
        "/player.js" => Some(("text/javascript; charset=utf-8", include_str!("../../page/player.js"))),
        "/account.js" => Some(("text/javascript; charset=utf-8", include_str!("../../page/account.js"))),
        "/page.css" => Some(("text/css; charset=utf-8", include_str!("../../page/page.css"))),
        "/icon.svg" => Some(("image/svg+xml", include_str!("../../page/icon.svg"))),
        _ => None,
    }
}

/// An answer with the headers that belong on all of them. `host` is what the request was sent to.
pub fn respond(
    status: StatusCode,
    content_type: &'static str,
    host: Option<&str>,
    body: Bytes,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy(host)) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Nothing but our own files and our own socket. Not every browser counts `wss:` as `'self'`, so the
/// socket is named.
fn policy(host: Option<&str>) -> String {
    let plain = |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    let socket = host.filter(plain).map(|host| format!(" wss://{host}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'{socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_no_inline_script_or_style_and_asks_for_its_own_files_alone() {
        let (_, html) = file("/").expect("the page");
        for forbidden in ["<script>", "<style", " style=", "onclick", "http://", "https://", "javascript:"] {
            assert!(!html.contains(forbidden), "{forbidden} in the page");
        }
        for part in html.split(['"', '\'']).filter(|part| part.starts_with('/') && part.len() > 1) {
            assert!(file(part).is_some(), "{part} is not served");
        }
    }

    #[test]
    fn a_strange_host_does_not_get_into_the_policy() {
        assert!(policy(Some("play.example:7777")).contains(" wss://play.example:7777;"));
        assert!(!policy(Some("x; script-src *")).contains("script-src *"));
    }
}
