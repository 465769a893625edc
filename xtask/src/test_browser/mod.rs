//! The HTML report and the proxy's page in a real browser without network: `cargo xtask test browser`. The page has its own module.
//!
//! Saved reports of every verdict, one with markup in every place where a stranger has a say, are rendered by `proveil report` and
//! opened in headless Chromium. Its copy of the page must say the verdict, and nothing may have run, been asked for or been complained
//! about. A page that breaks the rules on purpose shows that this test would see it.

mod devtools;
mod page;
mod programs;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{cargo, run};

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser that answers is there, or why the test cannot run.
pub fn missing() -> Option<String> {
    browser().is_none().then(|| format!("no browser ({})", BROWSERS.join(", ")))
}

fn browser() -> Option<&'static str> {
    BROWSERS.into_iter().find(|name| {
        let probe = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    })
}

/// Builds the command line and runs all cases.
pub fn test(root: &Path) -> Result<(), String> {
    run(root, &cargo(), ["build", "--quiet", "--package", "proveil-cli"])?;
    let browser = Browser {
        program: browser().ok_or("no browser")?,
        work: fresh_folder(&root.join("target/browser"))?,
        proveil: root.join("target/debug").join(format!("proveil{}", std::env::consts::EXE_SUFFIX)),
    };
    browser.sees_offences()?;
    println!("ok      a page with a script, an image and a style of its own is noticed");
    for (name, report, words) in cases() {
        for scheme in ["0", "1"] {
            browser.page(name, &report, words, scheme)?;
        }
        println!("ok      {name}, dark and light");
    }
    page::test(browser.program, &browser.proveil, &browser.work)
}

fn fresh_folder(path: &Path) -> Result<PathBuf, String> {
    // Absent is as good as removed.
    let _ = std::fs::remove_dir_all(path);
    std::fs::create_dir_all(path).map_err(|error| format!("cannot make {}: {error}", path.display()))?;
    Ok(path.to_owned())
}

/// Name, report, and what the page must say.
fn cases() -> Vec<(&'static str, Value, &'static [&'static str])> {
    let hostile = "<script>document.title='ran'</script><img src=https://evil.example/x onerror=alert(1)>";
    let mut verified = report("VERIFIED", "verified");
    let mut markup = report("REFUSED", "refused");
    for place in ["/provider", "/model", "/checks/0/found", "/facts/0/value", "/not_proven/0", "/recheck"] {
        if let Some(value) = markup.pointer_mut(place) {
            *value = json!(hostile);
        }
    }
    let mut custom = report("VERIFIED", "verified");
    custom["roots"] = json!("custom");
    custom["headline"] = json!("VERIFIED against CUSTOM roots, L2 - prompts are encrypted.");
    verified["policy"]["relaxations"] = json!(["check tcb_info is advisory"]);
    vec![
        (
            "verified",
            verified,
            &["Verified, L2", "check tcb_info is advisory", "Who can read your prompt", "Not proven"],
        ),
        ("refused", report("REFUSED", "refused"), &["Refused", "PV-225", "The quote's signature is wrong."]),
        ("indeterminate", report("COULD NOT CHECK", "indeterminate"), &["Could not check", "PV-225"]),
        ("custom roots", custom, &["Verified, L2", "CUSTOM roots"]),
        ("markup in texts", markup, &["Refused", "&lt;script&gt;document.title='ran'&lt;/script&gt;"]),
    ]
}

fn report(word: &str, verdict: &str) -> Value {
    let verified = verdict == "verified";
    let outcome = match verdict {
        "verified" => "pass",
        "refused" => "fail",
        _ => "not_checked",
    };
    let headline = if verified {
        format!("{word}, L2 - prompts for a model are encrypted to a key.")
    } else {
        format!("{word} (PV-225): nothing was sent.")
    };
    let mut check = json!({ "id": "tdx.quote_signature", "group": "hardware", "title": "The attestation key signed the quote",
        "outcome": outcome, "enforcement": "enforced", "found": "a value" });
    if !verified {
        check["code"] = json!("PV-225");
    }
    let when = |value: Value| if verified { value } else { Value::Null };
    json!({
        "schema": "proveil.report/v1", "verdict": verdict, "level": when(json!("L2")), "roots": "vendor", "headline": headline,
        "code": if verified { Value::Null } else { json!("PV-225") }, "provider": "a provider", "model": "a model",
        "base_url": "", "key": "0x00", "checked_at": 1_781_056_027, "valid_until": when(json!(1_781_057_827)),
        "policy": { "name": "standard", "sha256": "00".repeat(32), "relaxations": [] },
        "missing_to_next_level": when(json!("a reference value")),
        "who_can_read": [{ "name": "your process", "standing": "proven", "note": "encrypts" }],
        "not_proven": ["Model weights."], "checks": [check], "facts": [{ "name": "a fact", "value": "a value" }],
        "platforms": [], "nonce": null, "evidence_sha256": null, "recheck": "proveil verify", "library": "proveil",
    })
}

struct Browser {
    program: &'static str,
    work: PathBuf,
    proveil: PathBuf,
}

/// What a browser made of a page.
struct Seen {
    /// The document after everything in it had its chance to run.
    dom: String,
    /// Messages of the console, requests and refusals, one a line.
    noise: Vec<String>,
}

impl Browser {
    /// Opens a page as a file. Names cannot be resolved, so every request of the page fails and is logged.
    fn open(&self, page: &Path, scheme: &str) -> Result<Seen, String> {
        let profile = self.work.join("profile");
        let log = self.work.join("browser.log");
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(self.program);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--enable-logging", "--v=0"])
            .arg(format!("--log-file={}", log.display()))
            .args(["--virtual-time-budget=1000", "--dump-dom"])
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null());
        let output = finished(&mut command, Duration::from_secs(60))?;
        // With --log-file the messages are there; without support for it, on standard error.
        let mut text = std::fs::read_to_string(&log).unwrap_or_default();
        text.push_str(&output.1);
        let noise = text.lines().filter(|line| is_noise(line)).map(str::to_owned).collect();
        Ok(Seen { dom: output.0, noise })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.work.join(name);
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }

    /// A page under our head's policy that tries what a report must not do.
    fn sees_offences(&self) -> Result<(), String> {
        let page = "<!DOCTYPE html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'\">\
                    <script>document.title='ran'</script><img src=\"https://evil.example/x.png\"><p style=\"color:red\">x</p>";
        let seen = self.open(&self.write("offence.html", page)?, "1")?;
        if seen.noise.len() < 3 {
            return Err(format!("a page that breaks its own policy caused only: {:?}", seen.noise));
        }
        let page = "<!DOCTYPE html><title>quiet</title><script>document.title='ran'</script>";
        let seen = self.open(&self.write("script.html", page)?, "1")?;
        if seen.dom.contains("<title>ran</title>") {
            Ok(())
        } else {
            Err("a script left no trace".to_owned())
        }
    }

    fn page(&self, name: &str, report: &Value, words: &[&str], scheme: &str) -> Result<(), String> {
        let fail = |why: String| Err(format!("{name}: {why}"));
        let saved = self.write("report.json", &report.to_string())?;
        let page = self.work.join("report.html");
        let mut command = Command::new(&self.proveil);
        command.arg("report").arg(&saved).args(["--html", "-o"]).arg(&page);
        let output = command.output().map_err(|error| format!("cannot run proveil: {error}"))?;
        if !output.status.success() {
            return fail(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let seen = self.open(&page, scheme)?;
        if !seen.noise.is_empty() {
            return fail(format!("the browser complains: {:?}", seen.noise));
        }
        if let Some(word) = words.iter().find(|word| !seen.dom.contains(**word)) {
            return fail(format!("{word:?} is not on the page: {}", seen.dom));
        }
        for offence in ["<script", "<img", "<title>ran"] {
            if seen.dom.contains(offence) {
                return fail(format!("{offence} is on the page"));
            }
        }
        Ok(())
    }
}

/// Lines about the page: the console, the page's policy, requests. The browser's own troubles with its surroundings are not.
fn is_noise(line: &str) -> bool {
    ["CONSOLE", "Content Security Policy", "ERR_", "evil.example"].iter().any(|word| line.contains(word))
        && !line.contains("Command line")
}

/// Standard output and error of a program that ends in time.
fn finished(command: &mut Command, limit: Duration) -> Result<(String, String), String> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run the browser: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = [drain(stdout), drain(stderr)];
    let start = std::time::Instant::now();
    loop {
        match child.try_wait().map_err(|error| format!("cannot wait for the browser: {error}"))? {
            Some(status) => {
                let [out, err] = reading.map(|thread| thread.join().unwrap_or_default());
                return if status.success() {
                    Ok((out, err))
                } else {
                    Err(format!("the browser ended with {status}: {err}"))
                };
            }
            None if start.elapsed() > limit => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the browser did not end within {} s", limit.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn drain(stream: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is what there is.
            let _ = stream.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
