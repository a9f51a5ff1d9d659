//! The admin surface of Atlas beyond health and metrics: what is going on, and the way to stop it.
//!
//! | route | what | who |
//! |---|---|---|
//! | `GET /api/status` | regions, workers, totals, last handoffs | whoever reaches the listener |
//! | `GET /api/handoffs?since=N` | handoffs after number N, oldest first | whoever reaches the listener |
//! | `POST /api/evacuate?region=R` | another worker goes on with a region; answers when it does | the operator |
//! | `POST /api/shutdown` | stops the whole world; answers when every worker is gone | the operator |
//!
//! The operator shows the token of `operator.token` in the data folder, which is made anew at each
//! start and readable by its owner alone: `Authorization: Bearer TOKEN`. Edges that share the folder share the
//! newest one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use horizon_model::RegionId;
use tokio::sync::{mpsc, oneshot};

use crate::evacuation::Evacuated;
use crate::inbox::ToHub;

/// Name of the token's file in the data folder.
pub const TOKEN_FILE: &str = "operator.token";

/// The token could not be written. The process should not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the operator's token to {}: {source}", path.display())]
pub struct TokenError {
    path: PathBuf,
    source: io::Error,
}

/// Makes a token of 256 random bits and leaves it in `data` for its owner.
///
/// # Errors
///
/// [`TokenError`].
pub fn write_token(data: &Path) -> Result<(), TokenError> {
    let path = data.join(TOKEN_FILE);
    let write = || -> io::Result<()> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::create_dir_all(data)?;
        // Another edge may start at the same moment.
        let fresh = data.join(format!("{TOKEN_FILE}.{}", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(token.as_bytes())?;
        std::fs::rename(&fresh, &path)
    };
    write().map_err(|source| TokenError { path: path.clone(), source })
}

/// The routes of Atlas for its admin listener. The operator's token is the one in `data` at that moment.
pub fn router(hub: mpsc::Sender<ToHub>, data: &Path) -> Router {
    let token: Arc<Path> = data.join(TOKEN_FILE).into();
    let (status, handoffs, evacuated, stop) = (hub.clone(), hub.clone(), hub.clone(), hub);
    let operator = Arc::clone(&token);
    Router::new()
        .route("/api/status", get(move || ask(status, ToHub::Status)))
        .route(
            "/api/handoffs",
            get(move |uri: Uri| {
                let since = since(uri.query().unwrap_or_default());
                ask(handoffs, move |reply| ToHub::Handoffs(since, reply))
            }),
        )
        .route(
            "/api/evacuate",
            post(move |uri: Uri, headers: HeaderMap| evacuate(evacuated, uri, headers, operator)),
        )
        .route("/api/shutdown", post(move |headers: HeaderMap| shutdown(stop, headers, token)))
}

/// The number after `since=`, 0 where there is none.
fn since(query: &str) -> u64 {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("since="));
    value.and_then(|number| number.parse().ok()).unwrap_or(0)
}

async fn ask(hub: mpsc::Sender<ToHub>, question: impl FnOnce(oneshot::Sender<String>) -> ToHub) -> Response {
    let (reply, answer) = oneshot::channel();
    let _ = hub.send(question(reply)).await;
    match answer.await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "atlas is ending\n").into_response(),
    }
}

/// Whether this is the operator, or the answer to somebody who is not.
fn check_operator(what: &str, headers: &HeaderMap, token: &Path) -> Result<(), (StatusCode, &'static str)> {
    let expected = match std::fs::read_to_string(token) {
        Ok(token) if !token.is_empty() => format!("Bearer {token}"),
        _ => {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "there is no operator's token; restart atlas\n"));
        }
    };
    let shown = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    verify_slices_are_equal(shown, expected.as_bytes()).map_err(|_| {
        tracing::warn!(what, "asked for without the operator's token, and refused");
        (StatusCode::UNAUTHORIZED, "show the operator's token\n")
    })
}

async fn evacuate(hub: mpsc::Sender<ToHub>, uri: Uri, headers: HeaderMap, token: Arc<Path>) -> Response {
    if let Err(refused) = check_operator("evacuation", &headers, &token) {
        return refused.into_response();
    }
    let region = uri.query().and_then(|query| query.strip_prefix("region=")?.parse::<RegionId>().ok());
    let Some(region) = region else {
        return (StatusCode::BAD_REQUEST, "name a region as `atlasctl map` does: region=0003\n")
            .into_response();
    };
    let (reply, answer) = oneshot::channel();
    let _ = hub.send(ToHub::Evacuate(region, reply)).await;
    match answer.await {
        Ok(Ok(Evacuated { worker, took })) => {
            let body = serde_json::json!({
                "region": region.to_string(), "worker": worker.to_string(), "seconds": took.as_secs_f64(),
            });
            ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
        Ok(Err(refused)) => (StatusCode::CONFLICT, format!("{refused}\n")).into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "atlas is ending\n").into_response(),
    }
}

async fn shutdown(hub: mpsc::Sender<ToHub>, headers: HeaderMap, token: Arc<Path>) -> Response {
    if let Err(refused) = check_operator("shutdown", &headers, &token) {
        return refused.into_response();
    }
    let (reply, done) = oneshot::channel();
    let _ = hub.send(ToHub::Shutdown(reply)).await;
    match done.await {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], "{\"stopped\":true}").into_response(),
        Err(_) => (StatusCode::CONFLICT, "another atlas directs this world; ask that one\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_new_at_each_start_and_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(TOKEN_FILE);
        let tokens = [(); 2].map(|()| {
            write_token(folder.path()).expect("written");
            std::fs::read_to_string(&path).expect("there")
        });
        assert_ne!(tokens[0], tokens[1]);
        assert_eq!(tokens[1].len(), 64);
        assert_eq!(std::fs::metadata(path).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn queries() {
        assert_eq!([since(""), since("since=7"), since("a=1&since=9"), since("since=x")], [0, 7, 9, 0]);
    }
}
