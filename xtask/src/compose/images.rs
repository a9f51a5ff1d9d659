//! Base images where no registry of images can be reached: Debian from its packages, with what each image needs.
//!
//! They are called as what they replace is, with `horizon-local` in front, and are made once.

use std::path::Path;
use std::process::Command;

use super::engine::Engine;
use crate::failure::{Failure, Outcome};

const BASE: &str = "horizon-local/debian";
const BUILD: &str = "horizon-local/rust";
const REDIS: &str = "horizon-local/redis";
const SUITE: &str = "bookworm";
const PACKAGES: &str = "http://deb.debian.org/debian";

const BUILD_FILE: &str = "FROM horizon-local/debian
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev ca-certificates
COPY toolchain /usr/local
COPY cargo /cargo
ENV CARGO_HOME=/cargo
";

const REDIS_FILE: &str = "FROM horizon-local/debian
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && install -d -o redis /data
USER redis
";

/// Makes those that are missing, and tells compose to use them.
pub(super) fn make(engine: &mut Engine) -> Outcome<()> {
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    if !engine.has_image(BASE) {
        eprintln!("Debian {SUITE} from its packages");
        debian(engine, folder.path())?;
    }
    if !engine.has_image(BUILD) {
        eprintln!("an image with this machine's compiler");
        let context = folder.path().join("build");
        toolchain(&context)?;
        engine.build(BUILD, BUILD_FILE, &context)?;
    }
    if !engine.has_image(REDIS) {
        eprintln!("an image with Redis");
        let context = folder.path().join("redis");
        std::fs::create_dir_all(&context).map_err(|error| Failure::unwritable(&context, &error))?;
        engine.build(REDIS, REDIS_FILE, &context)?;
    }
    for (name, image) in [("BASE_IMAGE", BASE), ("BUILD_IMAGE", BUILD), ("REDIS_IMAGE", REDIS)] {
        engine.set(name, image);
    }
    Ok(())
}

fn debian(engine: &Engine, folder: &Path) -> Outcome<()> {
    let (root, archive) = (folder.join("root"), folder.join("root.tar"));
    let mut bootstrap = Command::new("debootstrap");
    bootstrap.args(["--variant=minbase", SUITE]).arg(&root).arg(PACKAGES);
    succeed(&mut bootstrap, "debootstrap (Debian: apt-get install debootstrap; it takes root)")?;
    succeed(Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&root).arg("."), "tar")?;
    engine.docker(&["import", &archive.display().to_string(), BASE]).map(|_| ())
}

/// The compiler that builds this repository here, and what cargo has downloaded and knows about registries.
fn toolchain(context: &Path) -> Outcome<()> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output();
    let output = output.map_err(|error| format!("cannot start rustc: {error}"))?;
    let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let cargo = context.join("cargo");
    std::fs::create_dir_all(context.join("toolchain"))
        .and_then(|()| std::fs::create_dir_all(&cargo))
        .map_err(|error| Failure::unwritable(context, &error))?;
    for part in ["bin", "lib"] {
        let from = Path::new(&sysroot).join(part);
        succeed(Command::new("cp").arg("-a").arg(from).arg(context.join("toolchain")), "cp")?;
    }
    let home = std::env::var_os("CARGO_HOME").map(std::path::PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    for part in ["registry", "config.toml"] {
        let from = home.join(part);
        if from.exists() {
            succeed(Command::new("cp").arg("-a").arg(from).arg(&cargo), "cp")?;
        }
    }
    Ok(())
}

fn succeed(command: &mut Command, what: &str) -> Outcome<()> {
    match command.stdout(std::io::stderr()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{what} failed ({status}), see above").into()),
        Err(error) => Err(format!("cannot start {what}: {error}").into()),
    }
}
