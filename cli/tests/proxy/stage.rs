//! A running proxy, the simulators behind it, and callers that speak HTTP/1.1 by hand: what they send is what the test says.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use proveil_testkit::sim::{self, privatemode};
use serde_json::{Value, json};

pub(crate) const KEY: &str = "canary-key-7741";
/// A socket that says nothing for so long is a hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy that ends when it is dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) port: u16,
    pub(crate) home: tempfile::TempDir,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of an error in OpenAI's or Anthropic's shape.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The data of every event.
    pub(crate) fn events(&self) -> Vec<String> {
        self.body.lines().filter_map(|line| line.strip_prefix("data: ").map(str::to_owned)).collect()
    }
}

/// The simulated Venice, and a proxy in front of it.
pub(crate) struct Venice {
    pub(crate) sim: sim::Simulator,
    pub(crate) proxy: Proxy,
}

impl Venice {
    pub(crate) fn new(defects: &[sim::Defect], args: &[&str]) -> Venice {
        let sim = simulated_venice(defects);
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("roots.json"), sim.trust_roots_json()).unwrap();
        let (base, collateral, nvidia) = (sim.base_url(), sim.collateral_url(), sim.nvidia_url());
        let mut all = vec!["--provider", "venice", "--base-url", &base, "--collateral-url", &collateral];
        all.extend(["--nvidia-url", &nvidia, "--trust-roots", "roots.json"]);
        all.extend(args);
        let proxy = Proxy::start(home, &all, &[("VENICE_API_KEY", KEY)]);
        Venice { sim, proxy }
    }
}

pub(crate) fn simulated_venice(defects: &[sim::Defect]) -> sim::Simulator {
    let config = sim::SimConfig {
        gpus: 1,
        defects: defects.to_vec(),
        api_key: Some(KEY.to_owned()),
        ..sim::SimConfig::default()
    };
    sim::Simulator::start(config).unwrap()
}

/// The simulated Privatemode, and a proxy in front of it.
pub(crate) struct Privatemode {
    pub(crate) sim: privatemode::Simulator,
    pub(crate) proxy: Proxy,
}

impl Privatemode {
    pub(crate) fn new(defects: &[privatemode::Defect], args: &[&str]) -> Privatemode {
        Privatemode::with_environment(defects, args, &[("PRIVATEMODE_API_KEY", KEY)])
    }

    pub(crate) fn with_environment(
        defects: &[privatemode::Defect],
        args: &[&str],
        environment: &[(&str, &str)],
    ) -> Privatemode {
        let config = privatemode::SimConfig {
            defects: defects.to_vec(),
            api_key: Some(KEY.to_owned()),
            ..privatemode::SimConfig::default()
        };
        let sim = privatemode::Simulator::start(config).unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("roots.json"), sim.trust_roots_json()).unwrap();
        let (base, kds) = (sim.base_url(), sim.kds_url());
        let mut all = vec!["--provider", "privatemode", "--base-url", &base, "--manifest-url", &base];
        all.extend(["--amd-url", &kds, "--trust-roots", "roots.json"]);
        all.extend(args);
        let proxy = Proxy::start(home, &all, environment);
        Privatemode { sim, proxy }
    }
}

/// A proxy in front of both simulators, shared by tests that leave nothing behind.
pub(crate) fn both() -> &'static Proxy {
    static BOTH: OnceLock<Proxy> = OnceLock::new();
    BOTH.get_or_init(Proxy::shared)
}

/// The command in a home of its own, with nothing else in its environment.
pub(crate) fn command(home: &Path, args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("proveil"));
    command.env_clear().env("HOME", home).current_dir(home).args(["--json", "proxy"]).args(args);
    command.envs(environment.iter().copied());
    command
}

impl Proxy {
    /// One that nobody drops: it ends with this process, whose end of a pipe then closes.
    fn shared() -> Proxy {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let script = "\"$0\" \"$@\" & proxy=$!; read -r _; kill $proxy; wait $proxy";
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().env("HOME", home.path()).current_dir(home.path()).stdin(Stdio::piped());
        shell.args(["-c", script]).arg(assert_cmd::cargo::cargo_bin!("proveil"));
        shell.args(["--json", "proxy", "--demo", "--emulate-tools"]);
        Proxy::run(shell, home)
    }

    pub(crate) fn start(home: tempfile::TempDir, args: &[&str], environment: &[(&str, &str)]) -> Proxy {
        Proxy::run(command(home.path(), args, environment), home)
    }

    fn run(mut command: Command, home: tempfile::TempDir) -> Proxy {
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut documents = serde_json::Deserializer::from_reader(out).into_iter::<Value>();
        let Some(Ok(document)) = documents.next() else {
            let log = std::fs::read_to_string(home.path().join("log")).unwrap();
            panic!("the proxy did not start: {log}");
        };
        let port = document["url"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Proxy { child, port, home }
    }

    /// Whether something comes to pass while the proxy answers 20,000 other requests.
    pub(crate) fn comes_to(&self, mut wanted: impl FnMut() -> bool) -> bool {
        (0..20_000).any(|_| {
            assert_eq!(self.get("/healthz").status, 200);
            wanted()
        })
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Most memory that it ever had, in MiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn peak_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap().div_euclid(1024)
    }

    /// Waits for the end, and gives the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    /// Sends bytes and reads until the proxy closes the connection.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut socket = self.connect();
        // The proxy may answer and close before everything is written.
        let _ = socket.write_all(bytes);
        let mut all = Vec::new();
        let _ = socket.read_to_end(&mut all);
        String::from_utf8_lossy(&all).into_owned()
    }

    /// One request on a connection of its own.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {host}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        parse(&self.raw(&[head.as_bytes(), body].concat()))
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], &[])
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    pub(crate) fn chat(&self, model: &str, stream: bool) -> Answer {
        self.post("/v1/chat/completions", &chat(model, stream))
    }

    /// The value of a counter, 0 while it is not there.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) const PROMPT: &str = "What is sealing? canary-prompt-7741";

pub(crate) fn chat(model: &str, stream: bool) -> Value {
    json!({ "model": model, "stream": stream, "messages": [{ "role": "user", "content": PROMPT }] })
}

/// Reads an answer, with its chunks joined.
pub(crate) fn parse(text: &str) -> Answer {
    let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let chunked = headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked");
    let body = if chunked { joined(rest) } else { rest.to_owned() };
    Answer { status, headers, body }
}

fn joined(mut rest: &str) -> String {
    let mut body = Vec::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        // Chunks end anywhere, but only whole texts are sent by this proxy.
        body.extend_from_slice(&after.as_bytes()[..length]);
        rest = &after[length + 2..];
    }
    String::from_utf8(body).unwrap()
}
