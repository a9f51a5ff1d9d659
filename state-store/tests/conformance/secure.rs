//! A real `redis-server` behind TLS: a user with its rights, and an authority that is not the right one.

use std::path::Path;
use std::process::{Command, Stdio};

use horizon_model::{PlayerId, WorkerId};
use horizon_state_store::open;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::fixture::WORLD;
use crate::rows::{A, TTL, first, won};
use crate::server::{DURABLE, Server, free_port};

/// Where [`child`] finds its address.
const ADDRESS: &str = "STORE_UNDER_TEST";

/// Writes `NAME-ca.pem`, and with it `NAME.pem` and `NAME.key` for a server on this machine.
fn certificates(folder: &Path, name: &str) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signing = KeyPair::generate().expect("a key");
    let signed = authority.self_signed(&signing).expect("signed");
    let pair = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let leaf = leaf.signed_by(&pair, &Issuer::new(authority, signing)).expect("signed");
    for (file, text) in [
        (format!("{name}-ca.pem"), signed.pem()),
        (format!("{name}.pem"), leaf.pem()),
        (format!("{name}.key"), pair.serialize_pem()),
    ] {
        std::fs::write(folder.join(file), text).expect("written");
    }
}

/// What [`child`] says that trusts the authority in this file. A process of its own, because whom to trust is
/// in its environment.
fn told(address: &str, authority: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args(["--exact", "secure::child", "--ignored", "--nocapture"]);
    command.env(ADDRESS, address).env("SSL_CERT_FILE", authority).env_remove("SSL_CERT_DIR");
    let output = command.stderr(Stdio::inherit()).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success(), "{text}");
    text
}

#[tokio::test]
#[ignore = "the other process of tls_needs_the_right_authority_and_the_right_user"]
async fn child() {
    let address = std::env::var(ADDRESS).expect("the test names it");
    match open(&address, WORLD).await {
        Ok(store) => {
            let mine = store.acquire(A, WorkerId(1), TTL).await.expect("free");
            let key = horizon_handoff::EntityKey::Player(PlayerId(1));
            let record = won(store.cas(vec![first(key, &mine, 1)]).await.expect("answers")[0].clone());
            assert_eq!(store.record(key).await, Ok(Some(record)));
            store.release(&mine).await.expect("held");
            println!("it works");
        }
        Err(error) => println!("refused: {error}"),
    }
}

#[tokio::test]
async fn tls_needs_the_right_authority_and_the_right_user() {
    let folder = TempDir::new().expect("a temporary folder");
    certificates(folder.path(), "ours");
    certificates(folder.path(), "theirs");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let port = free_port();
    let (tls_port, pem, key, authority) =
        (port.to_string(), file("ours.pem"), file("ours.key"), file("ours-ca.pem"));
    let words = ["--bind", "127.0.0.1", "--tls-port", &tls_port, "--tls-auth-clients", "no"];
    let files = ["--tls-cert-file", &pem, "--tls-key-file", &key, "--tls-ca-cert-file", &authority];
    let user = "user horizon on >secret ~{00000007}:* resetchannels -@all +info +config|get +script|load +evalsha \
                +time +get +set +del +exists +hget +hset +hmget +hgetall +hdel";
    std::fs::write(folder.path().join("users.acl"), format!("user default off\n{user}\n")).expect("written");
    let users = file("users.acl");
    let Some(_server) = Server::start_with(&[&DURABLE[..], &words, &files, &["--aclfile", &users]].concat())
    else {
        return;
    };
    let address = |user: &str| format!("rediss://{user}localhost:{port}");
    let (ours, theirs) = (folder.path().join("ours-ca.pem"), folder.path().join("theirs-ca.pem"));
    let good = told(&address("horizon:secret@"), &ours);
    assert!(good.contains("it works"), "{good}");
    for (user, authority, why) in [
        ("horizon:secret@", &theirs, "is not trusted here"),
        ("horizon:wrong@", &ours, "does not accept user and password"),
        ("", &ours, "wants user and password"),
    ] {
        let bad = told(&address(user), authority);
        assert!(bad.contains("refused: ") && bad.contains(why), "{bad}");
        assert!(!bad.contains("secret") && !bad.contains("wrong@"), "secrets stay where they are: {bad}");
    }
    let plain = told(&format!("redis://horizon:secret@localhost:{port}"), &ours);
    assert!(plain.contains("refused: "), "nothing is said unencrypted: {plain}");
}
