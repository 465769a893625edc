//! Drives a browser over the DevTools protocol: messages on a pair of pipes, each ended by a zero byte, so no socket and no other program
//! is needed (Chromium's `--remote-debugging-pipe`; <https://chromedevtools.github.io/devtools-protocol/>).

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For one answer of the browser, and for one state of a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one page.
pub(super) struct Devtools {
    child: Child,
    to_browser: ChildStdin,
    from_browser: Receiver<Value>,
    last_id: u64,
    session: Option<String>,
    noise: Vec<String>,
    origin: String,
}

impl Devtools {
    /// Starts a browser that reaches loopback addresses only.
    pub(super) fn start(program: &str, profile: &Path) -> Result<Devtools, String> {
        // The browser talks on descriptors 3 and 4; the shell puts our pipes there.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", program])
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--remote-debugging-pipe", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run the browser: {error}"))?;
        let (Some(to_browser), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the browser has no pipes".to_owned());
        };
        let (sender, from_browser) = channel();
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut message = Vec::new();
            while out.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message);
                message.clear();
                if parsed.is_ok_and(|message: Value| sender.send(message).is_err()) {
                    break;
                }
            }
        });
        let mut devtools = Devtools {
            child,
            to_browser,
            from_browser,
            last_id: 0,
            session: None,
            noise: Vec::new(),
            origin: String::new(),
        };
        devtools.attach_new()?;
        Ok(devtools)
    }

    /// A new page in the place of the one so far.
    fn attach_new(&mut self) -> Result<(), String> {
        let made = self.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        self.attach(&made["targetId"])
    }

    fn attach(&mut self, target: &Value) -> Result<(), String> {
        self.session = None;
        let attached = self.call("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))?;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network", "Audits"] {
            self.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(())
    }

    /// Goes on with the page that was opened at an address that contains `part`.
    pub(super) fn switch_to(&mut self, part: &str) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let targets = self.call("Target.getTargets", json!({}))?;
            let found = targets["targetInfos"].as_array().into_iter().flatten().find(|target| {
                target["type"] == "page" && target["url"].as_str().is_some_and(|url| url.contains(part))
            });
            if let Some(target) = found {
                return self.attach(&target["targetId"].clone());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("no page was opened at {part}"))
    }

    /// Sends a command and waits for its result.
    pub(super) fn call(&mut self, method: &str, parameters: Value) -> Result<Value, String> {
        self.last_id = self.last_id.wrapping_add(1);
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = self
            .session
            .as_ref()
            .filter(|_| !method.starts_with("Target.") && !method.starts_with("Browser."))
        {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to_browser.write_all(&bytes).map_err(|error| format!("{method}: {error}"))?;
        loop {
            let message = self
                .from_browser
                .recv_timeout(PATIENCE)
                .map_err(|error| format!("{method}: no answer from the browser: {error}"))?;
            if message["id"] == self.last_id {
                return match message.get("error") {
                    Some(error) => Err(format!("{method}: {error}")),
                    None => Ok(message["result"].clone()),
                };
            }
            self.hear(&message);
        }
    }

    /// Keeps what a quiet page does not cause: messages on the console, failures, offences, requests to other origins.
    fn hear(&mut self, message: &Value) {
        let what = &message["params"];
        let noise = match message["method"].as_str().unwrap_or_default() {
            "Runtime.consoleAPICalled" => format!("console: {}", what["args"]),
            "Runtime.exceptionThrown" => format!("exception: {}", what["exceptionDetails"]),
            "Log.entryAdded" => format!("log: {} {}", what["entry"]["text"], what["entry"]["url"]),
            "Audits.issueAdded" if what["issue"]["code"] == "ContentSecurityPolicyIssue" => {
                format!("policy: {}", what["issue"]["details"])
            }
            "Network.requestWillBeSent" => {
                let url = what["request"]["url"].as_str().unwrap_or_default();
                let own = ["data:", "blob:", "about:"].iter().any(|scheme| url.starts_with(scheme))
                    || url.starts_with(&self.origin);
                if own {
                    return;
                }
                format!("request: {url}")
            }
            _ => return,
        };
        self.noise.push(noise);
    }

    /// What was heard since the last time.
    pub(super) fn take_noise(&mut self) -> Result<Vec<String>, String> {
        // What was said before this answer has arrived with it.
        self.evaluate("0")?;
        Ok(std::mem::take(&mut self.noise))
    }

    /// Opens an address of an origin: requests to others are noise from here on.
    pub(super) fn open(&mut self, origin: &str) -> Result<(), String> {
        self.origin = format!("{}/", origin.trim_end_matches('/'));
        let url = self.origin.clone();
        self.call("Page.navigate", json!({ "url": url }))?;
        self.wait(&format!("location.href.startsWith({}) && document.readyState === 'complete'", json!(url)))
    }

    /// The value of an expression.
    pub(super) fn evaluate(&mut self, expression: &str) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters)?;
        match result.get("exceptionDetails") {
            Some(details) => Err(format!("{expression}: {details}")),
            None => Ok(result["result"]["value"].clone()),
        }
    }

    pub(super) fn text(&mut self, expression: &str) -> Result<String, String> {
        Ok(self.evaluate(expression)?.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until an expression is true. Says what the page shows when it never is.
    pub(super) fn wait(&mut self, expression: &str) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // A page that is being replaced cannot answer.
            if self.evaluate(&format!("Boolean({expression})")).is_ok_and(|value| value == true) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let shown = self.text("document.body.innerText")?;
        Err(format!("never came true: {expression}\nThe page shows:\n{shown}"))
    }

    /// Fails unless an expression is true now.
    pub(super) fn expect(&mut self, expression: &str) -> Result<(), String> {
        if self.evaluate(&format!("Boolean({expression})"))? == true {
            return Ok(());
        }
        let shown = self.text("document.body.innerText")?;
        Err(format!("not true: {expression}\nThe page shows:\n{shown}"))
    }

    /// Presses a key: `Tab`, `Enter`, `Shift+Enter`, ...
    pub(super) fn press(&mut self, key: &str) -> Result<(), String> {
        let (shift, name) = key.strip_prefix("Shift+").map_or((false, key), |name| (true, name));
        let (code, text) = match name {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowDown" => (40, ""),
            _ => return Err(format!("no such key: {name}")),
        };
        for kind in [if text.is_empty() { "rawKeyDown" } else { "keyDown" }, "keyUp"] {
            let mut event = json!({ "type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code,
                                    "modifiers": if shift { 8 } else { 0 } });
            if kind == "keyDown" {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// Types into what has the focus.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        self.call("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// A window of this width and height, in CSS pixels.
    pub(super) fn size(&mut self, width: u32, height: u32) -> Result<(), String> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics).map(drop)
    }

    /// What the person prefers: `light` or `dark`, and less motion or not.
    pub(super) fn prefer(&mut self, scheme: &str, less_motion: bool) -> Result<(), String> {
        let motion = if less_motion { "reduce" } else { "no-preference" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": motion },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).map(drop)
    }

    /// Saves a picture of the window, or of the whole page.
    pub(super) fn picture(&mut self, file: &Path, whole: bool) -> Result<(), String> {
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": whole }))?;
        let text = taken["data"].as_str().unwrap_or_default();
        let bytes = proveil_core::wire::base64::decode(text).ok_or("the picture is no base64")?;
        std::fs::write(file, bytes).map_err(|error| format!("cannot write {}: {error}", file.display()))
    }
}

impl Drop for Devtools {
    fn drop(&mut self) {
        self.session = None;
        // It ends its own processes when asked to; a browser that is gone already needs nothing.
        let _ = self.call("Browser.close", json!({}));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
