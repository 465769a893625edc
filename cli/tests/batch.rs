//! `proveil batch` against the simulated providers: every row answered once, whatever happens in between (threats T33, T49).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use proveil_testkit::sim::privatemode::models::{EMBEDDER, VISION};
use proveil_testkit::sim::{CHAT_PATH, Defect, models, privatemode, text};
use serde_json::{Value, json};
use support::Stage;

const KEY: &str = "canary-key-b47c";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Stage {
    fn new(defects: &[Defect]) -> Stage {
        Stage::with_key(KEY, defects)
    }

    fn input(&self, rows: &[String]) {
        std::fs::write(self.home.path().join("in.jsonl"), rows.join("\n")).unwrap();
    }

    fn arguments(&self, args: &[&str]) -> Vec<String> {
        let (base, collateral) = (self.sim.base_url(), self.sim.collateral_url());
        let fixed = ["batch", "venice", "in.jsonl", "-o", "out.jsonl", "--base-url", &base];
        let more = ["--collateral-url", &collateral, "--trust-roots", "roots.json"];
        fixed.iter().chain(&more).chain(args).map(|arg| (*arg).to_owned()).collect()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home.path()).env("VENICE_API_KEY", KEY);
        command.env("PRIVATEMODE_API_KEY", KEY).current_dir(self.home.path());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(proveil()).args(self.arguments(args)))
    }

    fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(proveil());
        command.args(self.arguments(args)).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn output(&self) -> PathBuf {
        self.home.path().join("out.jsonl")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.output()).unwrap_or_default()
    }

    /// Until the output has so many lines, in at most so many looks at it.
    fn wait_for_lines(&self, count: usize) {
        for _ in 0..20_000_000 {
            if self.text().matches('\n').count() >= count {
                return;
            }
            std::thread::yield_now();
        }
        panic!("no {count} lines: {}", self.text());
    }

    fn lines(&self) -> BTreeMap<String, Value> {
        by_id(&self.text())
    }

    /// How often each prompt was opened by the enclave.
    fn prompts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for prompt in self.sim.recorded().prompts() {
            *counts.entry(prompt.to_owned()).or_default() += 1;
        }
        counts
    }

    fn chats(&self) -> usize {
        self.sim.recorded().to_path(CHAT_PATH).count()
    }
}

fn proveil() -> &'static str {
    env!("CARGO_BIN_EXE_proveil")
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ran.out.contains(KEY) && !ran.err.contains(KEY), "no key in any output");
    ran
}

/// The lines by their ids, each of which is there once.
fn by_id(text: &str) -> BTreeMap<String, Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "nothing torn");
    let mut lines = BTreeMap::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let id = value["custom_id"].as_str().unwrap().to_owned();
        assert!(value["id"].as_str().unwrap().starts_with("batch_req_"));
        assert!(lines.insert(id, value).is_none(), "doubled: {line}");
    }
    lines
}

fn row(id: &str, url: &str, body: &Value) -> String {
    json!({ "custom_id": id, "method": "POST", "url": url, "body": body }).to_string()
}

fn chat(id: &str, prompt: &str) -> String {
    let messages = json!([{ "role": "user", "content": prompt }]);
    row(id, "/v1/chat/completions", &json!({ "model": models::E2EE, "messages": messages }))
}

fn prompt(row: usize) -> String {
    format!("What is number {row}? canary-{row}-b47c")
}

fn chats(count: usize) -> Vec<String> {
    (0..count).map(|row| chat(&format!("row-{row}"), &prompt(row))).collect()
}

fn content(line: &Value) -> &str {
    assert_eq!((&line["error"], &line["response"]["status_code"]), (&Value::Null, &json!(200)), "{line}");
    line["response"]["body"]["choices"][0]["message"]["content"].as_str().unwrap()
}

/// Every row has its own answer, once.
fn assert_complete(stage: &Stage, count: usize) {
    let lines = stage.lines();
    assert_eq!(lines.len(), count);
    for row in 0..count {
        let line = &lines[&format!("row-{row}")];
        assert_eq!(content(line), text::answer(&prompt(row), false, 0, true).content, "{row}");
    }
}

#[test]
fn every_row_is_sealed_and_answered() {
    let stage = Stage::new(&[]);
    let mut rows = chats(120);
    let messages = json!([{ "role": "user", "content": prompt(7) }]);
    let body =
        json!({ "model": format!("venice/{}", models::E2EE), "max_tokens": 900, "messages": messages });
    rows.push(row("claude", "/v1/messages", &body));
    stage.input(&rows);
    let ran = stage.run(&["--json"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let summary: Value = serde_json::from_str(&ran.out).unwrap();
    let expected = json!({
        "schema": "proveil.batch/v1", "ending": "complete", "rows": 121, "done": 121, "failed": {}, "skipped": 0, "left": 0,
        "output": "out.jsonl",
    });
    assert_eq!(summary, expected);
    let mut lines = stage.lines();
    let claude = lines.remove("claude").unwrap();
    let body = &claude["response"]["body"];
    assert_eq!(
        (&body["type"], &body["model"]),
        (&json!("message"), &json!(format!("venice/{}", models::E2EE)))
    );
    assert_eq!(body["content"][0]["text"], text::answer(&prompt(7), false, 0, true).content);
    let first = &lines["row-0"]["response"];
    assert_eq!(first["body"]["object"], "chat.completion");
    assert!(first["request_id"].is_string());
    assert_eq!(lines.len(), 120);
    assert!(lines.iter().all(|(id, line)| id.starts_with("row-") && !content(line).is_empty()));
    assert!(!stage.sim.recorded().saw_in_clear("canary"));
    assert!(ran.err.lines().any(|line| line.starts_with("100/121 rows, 0 failed")), "{}", ran.err);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(stage.output()).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // All there: nothing is verified or sent any more, and nothing written.
    let (before, requests) = (stage.text(), stage.sim.recorded().requests().count());
    let ran = stage.run(&["--resume", "--quiet"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "121 rows: 121 done, 0 failed, 0 left; 121 from an earlier run\n")
    );
    assert_eq!((stage.text(), stage.sim.recorded().requests().count()), (before, requests));
}

#[test]
fn all_endpoints_of_privatemode() {
    let config = privatemode::SimConfig { api_key: Some(KEY.to_owned()), ..Default::default() };
    let sim = privatemode::Simulator::start(config).unwrap();
    let stage = Stage::new(&[]);
    std::fs::write(stage.home.path().join("pm-roots.json"), sim.trust_roots_json()).unwrap();
    let messages = json!([{ "role": "user", "content": prompt(1) }]);
    stage.input(&[
        row("chat", "/v1/chat/completions", &json!({ "model": VISION, "messages": messages })),
        row(
            "named",
            "/v1/chat/completions",
            &json!({ "model": format!("privatemode/{VISION}"), "messages": messages }),
        ),
        row("text", "/v1/completions", &json!({ "model": VISION, "prompt": prompt(2) })),
        row("vector", "/v1/embeddings", &json!({ "model": EMBEDDER, "input": ["a", "b"] })),
        row("claude", "/v1/messages", &json!({ "model": VISION, "max_tokens": 9, "messages": messages })),
    ]);
    let (base, kds) = (sim.base_url(), sim.kds_url());
    let mut command = stage.command(proveil());
    command.args(["batch", "privatemode", "in.jsonl", "-o", "out.jsonl", "--base-url", &base]);
    let ran = ran(command.args(["--amd-url", &kds, "--trust-roots", "pm-roots.json"]));
    assert_eq!(ran.code, 0, "{}{}{}", ran.out, ran.err, stage.text());
    let lines = stage.lines();
    let body = |id: &str| lines[id]["response"]["body"].clone();
    assert_eq!(content(&lines["chat"]), text::answer(&prompt(1), false, 0, true).content);
    assert_eq!(content(&lines["named"]), content(&lines["chat"]));
    assert!(body("text")["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!(body("vector")["data"].as_array().unwrap().len(), 2);
    assert_eq!(body("claude")["type"], "message");
    assert!(!sim.recorded().saw_in_clear("canary"));
}

#[test]
fn errors_of_rows_are_their_lines() {
    let stage = Stage::new(&[]);
    let messages = json!([{ "role": "user", "content": prompt(0) }]);
    let chat_path = "/v1/chat/completions";
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    stage.input(&[
        row("tools", chat_path, &json!({ "model": models::E2EE, "messages": messages, "tools": tools })),
        chat("row-0", &prompt(0)),
        row("model", chat_path, &json!({ "model": "e2ee-sim-28b", "messages": messages })),
        row("stream", chat_path, &json!({ "model": models::E2EE, "messages": messages, "stream": true })),
        row("vector", "/v1/embeddings", &json!({ "model": models::E2EE, "input": "a" })),
        row("path", "/v1/images", &json!({ "model": models::E2EE })),
        row("other", chat_path, &json!({ "model": "privatemode/x", "messages": messages })),
        r#"{"custom_id":"get","method":"GET","url":"/v1/chat/completions","body":{}}"#.to_owned(),
        row("body", chat_path, &json!([])),
        chat("row-1", &prompt(1)),
    ]);
    let expected = [
        ("body", "PV-102"),
        ("get", "PV-101"),
        ("model", "PV-105"),
        ("other", "PV-101"),
        ("path", "PV-124"),
        ("stream", "PV-101"),
        ("tools", "PV-112"),
        ("vector", "PV-124"),
    ];
    let ran = stage.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.out.starts_with("10 rows: 2 done, 8 failed (3 of PV-101, "), "{}", ran.out);
    let mut lines = stage.lines();
    for row in ["row-0", "row-1"] {
        assert!(!content(&lines.remove(row).unwrap()).is_empty());
    }
    let found: Vec<(&str, &str)> = lines
        .iter()
        .map(|(id, line)| {
            assert!(line["response"].is_null() && line["error"]["message"].as_str().unwrap().len() > 20);
            (id.as_str(), line["error"]["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(found, expected);
    assert_eq!(stage.chats(), 2, "{}", stage.text());
    // They would fail again, so they are left alone, until somebody asks.
    let before = stage.text();
    assert_eq!(stage.run(&["--resume"]).code, 2);
    assert_eq!(stage.text(), before);
    let kept: Vec<&str> = before.lines().filter(|line| line.contains("\"error\":null")).collect();
    let ran = stage.run(&["--resume", "--retry-failed"]);
    assert!(ran.out.ends_with("; 2 from an earlier run\n"), "{}", ran.out);
    assert_eq!(stage.lines().len(), 10);
    assert_eq!(stage.text().lines().take(2).collect::<Vec<_>>(), kept);
    assert_eq!(stage.chats(), 2);
}

/// Tools in the sealed prompt, where that was asked for.
#[test]
fn tools_can_be_emulated() {
    let stage = Stage::new(&[]);
    let messages = json!([{ "role": "user", "content": prompt(0) }]);
    let tools = json!([{ "type": "function", "function": { "name": "canary_tool", "parameters": { "type": "object" } } }]);
    let body = json!({ "model": models::E2EE, "messages": messages, "tools": tools });
    let mut required = body.clone();
    required["tool_choice"] = json!("required");
    let mut called = body.clone();
    called["messages"] = json!([{ "role": "user", "content": "Use the tool, canary." }]);
    let mut told = called.clone();
    let call =
        json!({ "id": "1", "type": "function", "function": { "name": "canary_tool", "arguments": {} } });
    told["messages"] = json!([
        called["messages"][0],
        { "role": "assistant", "content": [{ "type": "text", "text": "canary-said" }], "tool_calls": [call] },
        { "role": "tool", "tool_call_id": "1", "content": [{ "type": "text", "text": "canary-result" }] },
    ]);
    let mut lost = told.clone();
    lost["messages"][2]["content"] = json!([{ "type": "image_url", "image_url": { "url": "data:," } }]);
    stage.input(&[
        row("tools", "/v1/chat/completions", &body),
        row("required", "/v1/chat/completions", &required),
        row("called", "/v1/chat/completions", &called),
        row("told", "/v1/chat/completions", &told),
        row("lost", "/v1/chat/completions", &lost),
    ]);
    let ran = stage.run(&["--emulate-tools"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    let lines = stage.lines();
    assert!(!content(&lines["tools"]).is_empty());
    let message = &lines["called"]["response"]["body"]["choices"][0]["message"];
    assert_eq!(message["tool_calls"][0]["function"]["name"], "canary_tool", "{message}");
    assert!(content(&lines["told"]).contains("canary-result"));
    assert_eq!(lines["lost"]["error"]["code"], "PV-113");
    // The simulated model calls nothing by itself.
    assert_eq!(lines["required"]["error"]["code"], "PV-516");
    let recorded = stage.sim.recorded();
    assert!(recorded.prompts().iter().any(|prompt| prompt.contains("canary_tool")));
    assert!(recorded.prompts().iter().any(|prompt| prompt.contains("canary-said")));
    assert!(!recorded.saw_in_clear("canary"));
}

#[test]
fn a_failed_row_can_end_the_run() {
    let stage = Stage::new(&[]);
    let mut rows = chats(3);
    rows.insert(0, row("bad", "/v1/images", &json!({})));
    stage.input(&rows);
    let ran = stage.run(&["--on-error", "stop"]);
    assert_eq!(ran.code, 2);
    assert!(ran.out.starts_with("4 rows: 0 done, 1 failed (1 of PV-124), 3 left\n"), "{}", ran.out);
    assert!(ran.out.contains("proveil batch venice in.jsonl -o out.jsonl --resume"), "{}", ran.out);
    assert_eq!((stage.lines().len(), stage.chats()), (1, 0));
    assert_eq!(stage.run(&["--resume"]).code, 2);
    assert_eq!(stage.lines().len(), 4);
}

#[test]
fn wrong_files_are_refused_before_anything_is_sent() {
    let duplicate = [chats(2), chats(1)].concat();
    let torn = [chats(1), vec![r#"{"custom_id":"x","method":"#.to_owned()]].concat();
    let nameless = [chats(2), vec![r#"{"method":"POST"}"#.to_owned()]].concat();
    let cases = [
        (duplicate, "", &[][..], "Lines 1 and 3 have the same `custom_id`"),
        (torn, "", &[], "Line 2, column 26."),
        (nameless, "", &[], "Line 3, column 1."),
        (chats(1), "mine\n", &[], "--resume"),
        (chats(1), "mine\n", &["--resume"], "Line 1, column 1."),
        (chats(1), "mine", &["--resume"], "Line 1, column 1."),
        (chats(1), "{\"custom_id\":\"row-7\",\"response\":{},\"error\":null}\n", &["--resume"], "Line 1"),
        (chats(1), "", &["--retry-failed"], "--resume"),
        (chats(1), "", &["--concurrency", "0"], "--concurrency"),
        (chats(1), "", &["--policy", "strikt"], "strict"),
    ];
    let stage = Stage::new(&[]);
    for (rows, output, args, said) in cases {
        stage.input(&rows);
        std::fs::write(stage.output(), output).unwrap();
        let ran = stage.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{said}: {}", ran.err);
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
        assert_eq!(stage.text(), output, "{said}");
    }
    stage.input(&[]);
    std::fs::write(stage.output(), "").unwrap();
    let ran = stage.run(&[]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "0 rows: 0 done, 0 failed, 0 left\n"));
    for (from, to) in
        [("in.jsonl", "-"), ("out.jsonl", "-"), ("in.jsonl", "missing.jsonl"), ("in.jsonl", ".")]
    {
        let args = stage.arguments(&[]).into_iter().map(|arg| if arg == from { to.to_owned() } else { arg });
        assert_eq!(ran_code(&stage, args), 2, "{to}");
    }
    assert_eq!(stage.sim.recorded().requests().count(), 0);
}

fn ran_code(stage: &Stage, args: impl Iterator<Item = String>) -> i32 {
    ran(stage.command(proveil()).args(args)).code
}

#[test]
fn without_proof_nothing_is_sent() {
    for (defect, code, pv) in [(Defect::TamperedQuote, 3, "PV-225"), (Defect::CollateralDown, 4, "PV-304")] {
        let stage = Stage::new(&[defect]);
        stage.input(&chats(5));
        let ran = stage.run(&[]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
        assert!(ran.err.contains(pv), "{}", ran.err);
        assert_eq!((stage.chats(), stage.text().as_str()), (0, ""));
        stage.sim.set_defects(&[]);
        assert_eq!(stage.run(&[]).code, 0);
        assert_complete(&stage, 5);
    }
}

#[test]
fn t49_killed_at_any_moment_and_gone_on_with() {
    // Enough that there is something left to do after each kill.
    const ROWS: usize = 100;
    let stage = Stage::new(&[]);
    stage.input(&chats(ROWS));
    let mut earlier = String::new();
    for more in [1, 7, 20] {
        // One answer never ends, so that the run cannot be over before it is killed.
        let held = stage.sim.hold_next(2);
        let mut child = stage.start(&["--concurrency", "3", "--resume"]);
        stage.wait_for_lines((earlier.matches('\n').count() + more).min(ROWS - 1));
        if more == 1 {
            // A first line shows that the run has the file: nobody else writes meanwhile.
            let second = stage.run(&["--resume"]);
            assert!(second.code == 2 && second.err.contains("Another run"), "{}", second.err);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        drop(held);
        // The kill itself may have torn a line.
        let mut text = stage.text();
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        assert!(text.starts_with(&earlier) && text.matches('\n').count() < ROWS, "{text}");
        // As a power cut would leave it.
        std::fs::write(stage.output(), format!("{text}{{\"id\":\"batch_req_00\",\"custom_id\":\"row-5"))
            .unwrap();
        earlier = text;
    }
    let before: BTreeSet<String> = by_id(&earlier).into_keys().collect();
    let ran = stage.run(&["--resume"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let from = format!("100 rows: 100 done, 0 failed, 0 left; {} from an earlier run\n", before.len());
    assert_eq!(ran.out, from);
    assert!(stage.text().starts_with(&earlier));
    assert_complete(&stage, ROWS);
    // Only what was under way at a kill was sent again, and never the same bytes.
    let prompts = stage.prompts();
    let sent: usize = prompts.values().sum();
    assert!(prompts.len() == ROWS && sent > ROWS && sent <= ROWS + 3 * 3, "{prompts:?}");
    let recorded = stage.sim.recorded();
    let bodies: BTreeSet<&[u8]> = recorded.to_path(CHAT_PATH).map(|request| &*request.body).collect();
    assert_eq!(bodies.len(), recorded.to_path(CHAT_PATH).count());
}

#[cfg(unix)]
#[test]
fn ctrl_c_says_how_to_go_on() {
    use rustix::process::{Pid, Signal, kill_process};
    for args in [&["--json", "--concurrency", "2"][..], &["--concurrency", "2"]] {
        let stage = Stage::new(&[]);
        stage.input(&chats(40));
        let held = stage.sim.hold_next(2);
        let child = stage.start(args);
        stage.wait_for_lines(2);
        kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(held);
        let (out, code) = (String::from_utf8(output.stdout).unwrap(), output.status.code());
        assert_eq!(code, Some(130), "{out}");
        let lines = stage.lines().len();
        if args.contains(&"--json") {
            let summary: Value = serde_json::from_str(&out).unwrap();
            assert_eq!((&summary["ending"], &summary["done"]), (&json!("interrupted"), &json!(lines)));
            assert_eq!(summary["left"], 40 - lines);
        } else {
            assert!(out.contains("proveil batch venice in.jsonl -o out.jsonl --resume"), "{out}");
        }
        assert_eq!(stage.run(&["--resume"]).code, 0);
        assert_complete(&stage, 40);
    }
}

#[test]
fn t49_a_busy_provider_is_asked_again_and_later() {
    let stage = Stage::new(&[Defect::RateLimited]);
    stage.input(&chats(2));
    let ran = stage.run(&["--max-retries", "1"]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    assert!(ran.out.starts_with("2 rows: 0 done, 2 failed (2 of PV-507), 0 left\n"), "{}", ran.out);
    assert!(ran.out.contains("--resume"), "{}", ran.out);
    assert!(stage.lines().values().all(|line| line["error"]["retryable"] == true));
    // The client tries each time twice.
    assert_eq!(stage.chats(), 8);
    let recorded = stage.sim.recorded();
    let bodies: BTreeSet<&[u8]> = recorded.to_path(CHAT_PATH).map(|request| &*request.body).collect();
    assert_eq!(bodies.len(), 8, "sealed anew");
    stage.sim.set_defects(&[]);
    let ran = stage.run(&["--resume"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "2 rows: 2 done, 0 failed, 0 left\n"));
    assert_complete(&stage, 2);
}

#[test]
fn t39_an_answer_that_was_cut_is_no_answer_and_not_asked_for_again() {
    let stage = Stage::new(&[Defect::StreamCut]);
    stage.input(&chats(2));
    let ran = stage.run(&[]);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(
        stage.lines().values().all(|line| line["error"]["code"] == "PV-502" && line["response"].is_null())
    );
    stage.sim.set_defects(&[]);
    // It may have been paid for.
    assert_eq!(stage.run(&["--resume"]).code, 5);
    assert_eq!(stage.chats(), 2);
    assert_eq!(stage.run(&["--resume", "--retry-failed"]).code, 0);
    assert_complete(&stage, 2);
}

#[test]
fn a_key_that_is_not_accepted_costs_no_row() {
    let stage = Stage::new(&[]);
    stage.input(&chats(3));
    let mut command = stage.command(proveil());
    let ran = ran(command.env("VENICE_API_KEY", "wrong").args(stage.arguments(&[])));
    assert!(ran.code != 0 && ran.err.contains("PV-"), "{}", ran.err);
    assert_eq!((stage.text().as_str(), stage.chats()), ("", 0));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_whole_lines() {
    let stage = Stage::new(&[]);
    stage.input(&chats(20));
    // No file may get longer than 4 KiB, and who tries is told instead of killed.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let mut command = stage.command("/bin/sh");
    command.env("PATH", "/usr/bin:/bin").args(["-c", script, proveil()]);
    let ran = ran(command.args(stage.arguments(&["--no-cache"])));
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(ran.err.contains("PV-138"), "{}", ran.err);
    let lines = stage.lines().len();
    assert!((1..20).contains(&lines), "{lines}");
    assert_eq!(stage.run(&["--resume"]).code, 0);
    assert_complete(&stage, 20);
}
