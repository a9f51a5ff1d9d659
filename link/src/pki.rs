//! The project's own certificates: one authority per world, and what it issues.
//!
//! | files | who | names |
//! |---|---|---|
//! | `ca.pem`, `ca.key` | the authority | |
//! | `edge.pem`, `edge.key` | an Atlas process on links | `horizon://edge` |
//! | `region.pem`, `region.key` | a region server on links | `horizon://region` |
//! | `tls.pem`, `tls.key` | Atlas towards players | localhost, 127.0.0.1, ::1 and given ones |
//!
//! Everything is idempotent: what is there and good for another month is kept. Keys can be read by
//! their owner alone. Several processes may do it at the same time; a lock file puts them in a row.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use crate::identity::{self, SERVER_NAME};
pub use crate::identity::{CertRole, Identity};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What is issued is good for this long.
const LIFETIME: Duration = DAY.saturating_mul(90);
/// The authority is, in contrast, as durable as the world.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3650);
/// What ends sooner than this is issued again.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// Clocks may be wrong by this much.
const BACKDATED: Duration = DAY;

/// Why there are no certificates. The process should not start.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file does not hold what its name says.
    #[error("{}: {why}; remove it to have it made again", path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Others on the machine can read a key.
    #[error("{0} can be read by others; run `chmod 600 {0}`")]
    Exposed(String),
}

/// Makes the authority and every certificate in `dir` where they are missing. `names` are further
/// DNS names and addresses that players use to reach the edge.
///
/// # Errors
///
/// [`PkiError`].
pub fn ensure(dir: &Path, names: &[String]) -> Result<(), PkiError> {
    create_authority(dir)?;
    issue(dir, CertRole::Edge, &[])?;
    issue(dir, CertRole::Region, &[])?;
    issue(dir, CertRole::Tls, names)
}

/// Makes the authority in `dir` where there is none.
///
/// # Errors
///
/// [`PkiError`].
pub fn create_authority(dir: &Path) -> Result<(), PkiError> {
    let _lock = lock(dir)?;
    let (pem, key) = (dir.join("ca.pem"), dir.join("ca.key"));
    if pem.exists() && key.exists() {
        return Ok(());
    }
    let pair = KeyPair::generate().map_err(|error| broken(&key, error))?;
    let certificate = authority_params().self_signed(&pair).map_err(|error| broken(&pem, error))?;
    write(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    write(&pem, certificate.pem().as_bytes(), 0o644)
}

/// Issues the certificate of `role` in `dir`, unless one is there that is good for another month, from
/// this authority and for these names.
///
/// # Errors
///
/// [`PkiError`], also where there is no authority.
pub fn issue(dir: &Path, role: CertRole, names: &[String]) -> Result<(), PkiError> {
    let _lock = lock(dir)?;
    let (pem, key) = (dir.join(format!("{}.pem", role.stem())), dir.join(format!("{}.key", role.stem())));
    let names = subject_names(role, names).map_err(|error| broken(&pem, error))?;
    if load(dir, role).is_ok_and(|identity| is_good(&identity, role, &names)) {
        return Ok(());
    }
    let (authority_pem, authority_key) = (dir.join("ca.pem"), dir.join("ca.key"));
    let authority = load_certificates(&authority_pem)?;
    let signing = read(&authority_key)?;
    let signing = KeyPair::from_pem(&String::from_utf8_lossy(&signing))
        .map_err(|error| broken(&authority_key, error))?;
    let issuer = Issuer::new(authority_params(), signing);
    let pair = KeyPair::generate().map_err(|error| broken(&key, error))?;
    let certificate =
        leaf_params(role, names).signed_by(&pair, &issuer).map_err(|error| broken(&pem, error))?;
    let made = Identity {
        chain: vec![certificate.der().clone()],
        key: PrivateKeyDer::try_from(pair.serialize_der()).map_err(|error| broken(&key, error))?,
        authority: authority[0].clone(),
    };
    if !is_trusted(&made, role, SystemTime::now()) {
        return Err(broken(&authority_pem, "ca.pem and ca.key do not belong together"));
    }
    write(&key, pair.serialize_pem().as_bytes(), 0o600)?;
    write(&pem, certificate.pem().as_bytes(), 0o644)
}

/// Reads the certificate and key of `role` from `dir`. Needs `ca.pem`, not `ca.key`.
///
/// # Errors
///
/// [`PkiError`]; [`PkiError::Exposed`] where others can read the key.
pub fn load_identity(dir: &Path, role: CertRole) -> Result<Identity, PkiError> {
    let key = dir.join(format!("{}.key", role.stem()));
    let mode = fs::metadata(&key).map_err(|cause| file_error(&key, cause))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(PkiError::Exposed(key.display().to_string()));
    }
    load(dir, role)
}

fn load(dir: &Path, role: CertRole) -> Result<Identity, PkiError> {
    let (pem, key) = (dir.join(format!("{}.pem", role.stem())), dir.join(format!("{}.key", role.stem())));
    let chain = load_certificates(&pem)?;
    let private = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| broken(&key, error))?;
    CertifiedKey::from_der(chain.clone(), private.clone_key(), &identity::provider())
        .map_err(|error| broken(&pem, format!("certificate and key do not belong together ({error})")))?;
    let authority = load_certificates(&dir.join("ca.pem"))?.swap_remove(0);
    Ok(Identity { chain, key: private, authority })
}

/// At least one certificate.
fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(broken(path, "no certificate in it")),
        Err(error) => Err(broken(path, error)),
    }
}

/// Whether it still serves for a while, and for all of `names`.
fn is_good(identity: &Identity, role: CertRole, names: &[SanType]) -> bool {
    let Ok(certificate) = webpki::EndEntityCert::try_from(&identity.chain[0]) else {
        return false;
    };
    let named = names.iter().all(|name| match name {
        SanType::URI(uri) => certificate.valid_uri_names().any(|found| found == uri.as_str()),
        SanType::DnsName(name) => certificate.valid_dns_names().any(|found| found == name.as_str()),
        SanType::IpAddress(address) => {
            let name = rustls::pki_types::ServerName::from(*address);
            certificate.verify_is_valid_for_subject_name(&name).is_ok()
        }
        _ => true,
    });
    named && is_trusted(identity, role, SystemTime::now() + RENEW_BEFORE)
}

fn is_trusted(identity: &Identity, role: CertRole, at: SystemTime) -> bool {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let usage = match role {
        CertRole::Tls => webpki::KeyUsage::server_auth(),
        CertRole::Edge | CertRole::Region => webpki::KeyUsage::client_auth(),
    };
    let Ok(anchor) = webpki::anchor_from_trusted_cert(&identity.authority) else {
        return false;
    };
    let Ok(certificate) = webpki::EndEntityCert::try_from(&identity.chain[0]) else {
        return false;
    };
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let (anchors, time) = ([anchor], UnixTime::since_unix_epoch(since));
    certificate.verify_for_usage(algorithms, &anchors, &identity.chain[1..], time, usage, None, None).is_ok()
}

fn subject_names(role: CertRole, names: &[String]) -> Result<Vec<SanType>, rcgen::Error> {
    let own: &[&str] = match role {
        CertRole::Tls => &["localhost", "127.0.0.1", "::1"],
        CertRole::Edge | CertRole::Region => &[SERVER_NAME],
    };
    let mut found = Vec::new();
    for name in own.iter().copied().chain(names.iter().map(String::as_str)) {
        found.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        });
    }
    if role != CertRole::Tls {
        found.push(SanType::URI(role.uri().try_into()?));
    }
    Ok(found)
}

fn leaf_params(role: CertRole, names: Vec<SanType>) -> CertificateParams {
    let mut params = dated(LIFETIME);
    params.subject_alt_names = names;
    params.distinguished_name = named(&format!("Horizon {}", role.stem()));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    if role != CertRole::Tls {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority_params() -> CertificateParams {
    let mut params = dated(AUTHORITY_LIFETIME);
    params.distinguished_name = named("Horizon authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn dated(lifetime: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now.saturating_sub(BACKDATED);
    params.not_after = date_time_ymd(1970, 1, 1) + now + lifetime;
    params
}

/// Keeps other processes from writing to `dir` until it is dropped.
fn lock(dir: &Path) -> Result<File, PkiError> {
    fs::create_dir_all(dir).map_err(|cause| file_error(dir, cause))?;
    let path = dir.join(".lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|cause| file_error(&path, cause))?;
    file.lock().map_err(|cause| file_error(&path, cause))?;
    Ok(file)
}

fn read(path: &Path) -> Result<Vec<u8>, PkiError> {
    fs::read(path).map_err(|cause| file_error(path, cause))
}

/// Writes all of it under another name first, so that nobody reads half a file.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PkiError> {
    let fresh = path.with_extension("new");
    let written = (|| {
        if fresh.exists() {
            fs::remove_file(&fresh)?;
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(mode).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    written.map_err(|cause| file_error(path, cause))
}

fn file_error(path: &Path, cause: io::Error) -> PkiError {
    PkiError::File { path: path.to_owned(), cause }
}

fn broken(path: &Path, why: impl Into<Box<dyn Error>>) -> PkiError {
    PkiError::Broken { path: path.to_owned(), why: why.into().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dir: &Path, name: &str) -> Vec<u8> {
        fs::read(dir.join(name)).expect("there")
    }

    #[test]
    fn certificates_are_made_once_and_keys_are_private() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("pki");
        ensure(&dir, &[]).expect("made");
        let files =
            ["ca.pem", "ca.key", "edge.pem", "edge.key", "region.pem", "region.key", "tls.pem", "tls.key"];
        let before = files.map(|name| text(&dir, name));
        ensure(&dir, &[]).expect("kept");
        assert_eq!(before, files.map(|name| text(&dir, name)));
        for role in [CertRole::Edge, CertRole::Region, CertRole::Tls] {
            load_identity(&dir, role).expect("readable");
            let key = dir.join(format!("{}.key", role.stem()));
            assert_eq!(fs::metadata(&key).expect("there").permissions().mode() & 0o777, 0o600);
        }
        ensure(&dir, &["game.example".to_owned(), "192.0.2.7".to_owned()]).expect("issued again");
        assert_eq!(before[2], text(&dir, "edge.pem"));
        assert_ne!(before[6], text(&dir, "tls.pem"));
    }

    #[test]
    fn a_mismatched_or_exposed_key_is_refused_and_issued_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path();
        ensure(dir, &[]).expect("made");
        fs::copy(dir.join("edge.key"), dir.join("region.key")).expect("copied");
        assert!(matches!(load_identity(dir, CertRole::Region), Err(PkiError::Broken { .. })));
        issue(dir, CertRole::Region, &[]).expect("issued again");
        load_identity(dir, CertRole::Region).expect("readable");
        fs::set_permissions(dir.join("region.key"), fs::Permissions::from_mode(0o644)).expect("set");
        let error = load_identity(dir, CertRole::Region).expect_err("exposed");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn processes_that_start_together_agree() {
        let folder = tempfile::tempdir().expect("a folder");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ensure(folder.path(), &[]).expect("made"));
            }
        });
        let identity = load_identity(folder.path(), CertRole::Edge).expect("readable");
        assert!(is_trusted(&identity, CertRole::Edge, SystemTime::now() + DAY * 89));
        assert!(!is_trusted(&identity, CertRole::Edge, SystemTime::now() + DAY * 91));
        assert!(!is_trusted(
            &load(folder.path(), CertRole::Tls).expect("readable"),
            CertRole::Edge,
            SystemTime::now()
        ));
    }
}
