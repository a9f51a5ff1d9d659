//! The engine and its two commands, `docker` and compose, as an operator uses them.

use std::process::{Command, Output};

use serde_json::Value;

use crate::cargo;
use crate::failure::{Failure, Outcome};
use crate::layout::Ports;

/// Containers, volumes and networks of the trial have this name in front.
const PROJECT: &str = "horizon-trial";
/// Lines of each container's log that are shown where something failed.
const LOG_LINES: &str = "20";

/// A running engine, and what compose is to be told.
#[derive(Debug)]
pub(super) struct Engine {
    /// `docker compose`, or `docker-compose` where there is no such plugin.
    compose: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
    ports: [u16; 2],
}

impl Engine {
    /// The engine that `docker` reaches (`DOCKER_HOST` says where).
    pub(super) fn find() -> Outcome<Self> {
        let info = Command::new("docker").args(["info", "--format", "{{.ServerVersion}}"]).output();
        if !info.is_ok_and(|output| output.status.success()) {
            return Err("no Docker engine answers; install one (Debian: docker.io) and start it, or let \
                        DOCKER_HOST name one"
                .to_owned()
                .into());
        }
        let answers = |words: &[&str]| {
            let output = Command::new(words[0]).args(&words[1..]).arg("version").output();
            output.is_ok_and(|output| output.status.success())
        };
        let known = [vec!["docker", "compose"], vec!["docker-compose"]];
        let compose = known
            .into_iter()
            .find(|words| answers(words))
            .ok_or_else(|| "compose is missing; install it (Debian: docker-compose)".to_owned())?;
        let free = Ports::free()?;
        let ports = [free.listen, free.admin];
        let environment = vec![
            ("COMPOSE_PROJECT_NAME", PROJECT.to_owned()),
            ("ATLAS_1_PORT", ports[0].to_string()),
            ("ATLAS_2_PORT", ports[1].to_string()),
            ("HORIZON_IMAGE", "horizon:trial".to_owned()),
        ];
        Ok(Self { compose, environment, ports })
    }

    /// Compose is to see this variable.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Where players connect.
    pub(super) fn urls(&self) -> [String; 2] {
        self.ports.map(|port| format!("wss://localhost:{port}/"))
    }

    /// Runs compose with these words; what it says goes to standard error.
    pub(super) fn compose(&self, words: &[&str]) -> Outcome<()> {
        let mut command = self.command(&self.compose);
        command.args(words).stdout(std::io::stderr());
        let status = command.status().map_err(|error| format!("cannot start compose: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let sentence = format!("`{} {}` failed, see above", self.compose.join(" "), words.join(" "));
        Err(Failure::with_code(sentence, status.code()))
    }

    /// `docker` with these words, the last of which names a service or a container.
    pub(super) fn act(&self, words: &[&str]) -> Outcome<()> {
        let (name, verb) = words.split_last().expect("it is not empty");
        let container = self.container(name)?;
        let mut words = verb.to_vec();
        words.push(&container);
        self.docker(&words).map(|_| ())
    }

    /// What a command prints in the container of a service.
    pub(super) fn exec(&self, service: &str, words: &[&str]) -> Outcome<String> {
        let container = self.container(service)?;
        let mut all = vec!["exec", &container];
        all.extend_from_slice(words);
        self.docker(&all)
    }

    /// What the health check of a service says: `starting`, `healthy` or `unhealthy`; nothing where it does not run.
    pub(super) fn health(&self, service: &str) -> Outcome<String> {
        let container = self.container(service)?;
        let state = self.docker(&["inspect", "--format", "{{json .State}}", &container])?;
        let state: Value = serde_json::from_str(&state).unwrap_or_default();
        let health = if state["Running"] == true { state["Health"]["Status"].as_str() } else { None };
        Ok(health.unwrap_or_default().to_owned())
    }

    /// The status of the world, by an edge that directs; null where none does.
    pub(super) fn status(&self) -> Outcome<Value> {
        let status = |edge| {
            let text = self.exec(edge, &["atlasctl", "status", "-o", "json"]).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        };
        let all = ["atlas-1", "atlas-2"].map(status).into_iter().flatten();
        Ok(all.into_iter().find(|status| status["directs"] == true).unwrap_or_default())
    }

    /// The container of a worker that serves a region.
    pub(super) fn serving_worker(&self) -> Outcome<String> {
        let status = self.status()?;
        let workers = status["workers"].as_array().cloned().unwrap_or_default();
        let serving = workers.iter().find(|worker| worker["state"] == "serving");
        let endpoint = serving.and_then(|worker| worker["endpoint"].as_str()).unwrap_or_default();
        let ip = endpoint.rsplit_once(':').map_or("", |(ip, _)| ip);
        let format = "{{.Name}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        for container in self.containers("region-server")? {
            let line = self.docker(&["inspect", "--format", format, &container])?;
            if !ip.is_empty() && line.trim().ends_with(&format!(" {ip}")) {
                return Ok(container);
            }
        }
        Err(format!("no container of a region server has the address {endpoint:?}").into())
    }

    /// The end of every container's log, on standard error.
    pub(super) fn show_logs(&self) {
        let _ = self.compose(&["ps"]);
        let _ = self.compose(&["logs", "--tail", LOG_LINES]);
    }

    /// Version of the engine.
    pub(super) fn version(&self) -> String {
        self.docker(&["version", "--format", "{{.Server.Version}}"]).unwrap_or_default().trim().to_owned()
    }

    /// Version of compose.
    pub(super) fn compose_version(&self) -> String {
        let output = self.command(&self.compose).args(["version", "--short"]).output();
        output.map(|output| text(&output.stdout).trim().to_owned()).unwrap_or_default()
    }

    /// `docker build` of a file that is given as text, with a folder as its context.
    pub(super) fn build(&self, tag: &str, file: &str, context: &std::path::Path) -> Outcome<()> {
        let dockerfile = context.join("Dockerfile");
        std::fs::write(&dockerfile, file).map_err(|error| Failure::unwritable(&dockerfile, &error))?;
        let mut command = self.command(&["docker", "build", "--network", "host", "--tag", tag]);
        let status = command.arg(context).stdout(std::io::stderr()).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            _ => Err(format!("the image {tag} could not be made, see above").into()),
        }
    }

    /// Whether there is an image of this name.
    pub(super) fn has_image(&self, tag: &str) -> bool {
        self.docker(&["image", "inspect", tag]).is_ok()
    }

    /// Runs `docker` and returns what it prints.
    pub(super) fn docker(&self, words: &[&str]) -> Outcome<String> {
        let output = self.command(&["docker"]).args(words).output();
        let output = output.map_err(|error| format!("cannot start docker: {error}"))?;
        good(words, &output)
    }

    /// The id of a service's first container, also of one that does not run; a container's own name is as good.
    fn container(&self, name: &str) -> Outcome<String> {
        match self.containers(name)?.into_iter().next() {
            Some(id) => Ok(id),
            None => Ok(name.to_owned()),
        }
    }

    fn containers(&self, service: &str) -> Outcome<Vec<String>> {
        let project = format!("label=com.docker.compose.project={PROJECT}");
        let service = format!("label=com.docker.compose.service={service}");
        let ids = self.docker(&["ps", "--all", "--quiet", "--filter", &project, "--filter", &service])?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(cargo::root());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn good(words: &[&str], output: &Output) -> Outcome<String> {
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("`docker {}`: {}", words.join(" "), text(&output.stderr).trim()).into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
