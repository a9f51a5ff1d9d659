//! A headless Chromium that is told what to do over a pipe: lines of the DevTools protocol, each ending with a zero
//! byte, on file descriptors 3 and 4.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Outcome;
use crate::procfs;

/// Names of the program.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// What the page is shown in.
const SIZE: &str = "--window-size=1360,860";
/// One answer takes this long at most: a cold start on a busy machine takes several seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The browser, if there is one.
pub(super) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// One page in a running browser. Dropping it ends the browser.
pub(super) struct Browser {
    process: Child,
    tell: ChildStdin,
    hear: BufReader<ChildStdout>,
    asked: u64,
    /// The page's.
    session: Option<String>,
}

impl Browser {
    /// Starts `program` with a profile in `folder`, at `url`. Certificates are not checked: the world's own
    /// authority is not the browser's.
    pub(super) async fn open(program: &Path, folder: &Path, url: &str) -> Outcome<Self> {
        let profile = folder.join("profile");
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"])
            .arg(program)
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--remote-debugging-pipe",
            ])
            .args(["--ignore-certificate-errors", "--hide-scrollbars", SIZE])
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |error| format!("cannot start {}: {error}", program.display());
        let mut process = command.spawn().map_err(failed)?;
        let tell = process.stdin.take().expect("it was started with a pipe");
        let hear = BufReader::new(process.stdout.take().expect("it was started with a pipe"));
        let mut browser = Self { process, tell, hear, asked: 0, session: None };
        let target = browser.call("Target.createTarget", json!({ "url": url })).await?;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", target).await?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        Ok(browser)
    }

    /// Asks, and returns the result.
    async fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.asked += 1;
        let mut question = json!({ "id": self.asked, "method": method, "params": params });
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        let answer = async {
            self.tell.write_all(format!("{question}\0").as_bytes()).await?;
            loop {
                let mut bytes = Vec::new();
                if self.hear.read_until(0, &mut bytes).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                bytes.pop();
                let said: Value = serde_json::from_slice(&bytes)?;
                // Everything else is news that nobody asked for.
                if said["id"] == self.asked {
                    return Ok::<_, std::io::Error>(said);
                }
            }
        };
        let answer = timeout(ANSWER_WITHIN, answer).await;
        let said = match answer {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => return Err(format!("the browser is gone ({method}): {error}").into()),
            Err(_) => return Err(format!("the browser does not answer ({method})").into()),
        };
        match said["error"]["message"].as_str() {
            Some(why) => Err(format!("the browser refuses {method}: {why}").into()),
            None => Ok(said["result"].clone()),
        }
    }

    /// The value of an expression in the page.
    pub(super) async fn evaluate(&mut self, expression: &str) -> Outcome<Value> {
        let params = json!({ "expression": expression, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params).await?;
        match result["exceptionDetails"]["text"].as_str() {
            Some(why) => Err(format!("the page says {why} to {expression}").into()),
            None => Ok(result["result"]["value"].clone()),
        }
    }

    /// Waits until an expression is true.
    pub(super) async fn until(&mut self, expression: &str, within: Duration) -> Outcome<()> {
        let deadline = Instant::now() + within;
        while self.evaluate(expression).await? != true {
            if Instant::now() > deadline {
                return Err(format!("the page did not become so in time: {expression}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Presses a key, or lets it go: a letter, or Shift.
    pub(super) async fn key(&mut self, key: &str, down: bool) -> Outcome<()> {
        let (code, number) = match key.chars().next() {
            Some(letter) if key.len() == 1 => {
                let letter = letter.to_ascii_uppercase();
                (format!("Key{letter}"), u32::from(letter))
            }
            _ => (format!("{key}Left"), 16),
        };
        let kind = if down { "rawKeyDown" } else { "keyUp" };
        let params = json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number });
        self.call("Input.dispatchKeyEvent", params).await.map(drop)
    }

    /// The page as PNG.
    pub(super) async fn screenshot(&mut self) -> Outcome<Vec<u8>> {
        let result = self.call("Page.captureScreenshot", json!({ "format": "png" })).await?;
        let text = result["data"].as_str().and_then(decode_base64);
        text.ok_or_else(|| "the browser's picture cannot be read".to_owned().into())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The processes that it started, too.
        if let Some(pid) = self.process.id() {
            procfs::kill_group(pid);
        }
    }
}

/// RFC 4648, section 4; `None` for anything else.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let (mut out, mut bits, mut held) = (Vec::with_capacity(text.len() / 4 * 3), 0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        (bits, held) = (bits << 6 | u32::from(value(byte)?), held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_decoded() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE=", "fooba")]
        {
            assert_eq!(decode_base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode_base64("Zm9v\n"), None);
    }
}
