//! Another process that is measured: started with an empty home, ended when it is dropped.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Bytes of a page counter's unit in `/proc/PID/status`.
const KB: u64 = 1024;

/// A running process that said where it is reached.
pub(super) struct Process {
    child: Child,
    home: PathBuf,
    /// The document that it printed at its start.
    pub(super) said: Value,
}

impl Process {
    /// Starts `program`, with nothing of this process' environment, and reads the JSON document that it prints first.
    pub(super) fn start(program: &Path, args: &[&str], environment: &[(&str, &str)]) -> Process {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = std::env::temp_dir().join(format!("proveil-bench-{}-{number}", std::process::id()));
        std::fs::create_dir(&home).expect("a new directory");
        let mut command = Command::new(program);
        command.args(args).env_clear().env("HOME", &home).env("TMPDIR", &home).current_dir(&home);
        command.envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a program that can be started");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let said = serde_json::Deserializer::from_reader(out).into_iter::<Value>().next();
        let said = said.and_then(Result::ok);
        // Owned before anything can fail, so that the child never outlives this process.
        let process = Process { child, home, said: said.clone().unwrap_or_default() };
        assert!(said.is_some(), "{} did not start: {args:?}", program.display());
        process
    }

    /// A text of the document.
    pub(super) fn text(&self, name: &str) -> String {
        self.said[name].as_str().expect("a text").to_owned()
    }

    /// CPU time of all its threads so far, those that ended included, in microseconds.
    pub(super) fn cpu_us(&self) -> f64 {
        let text = self.read("stat");
        let ticks = cpu_ticks(&text).expect("fields of proc(5)");
        ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64
    }

    /// Bytes in memory now.
    pub(super) fn resident_bytes(&self) -> u64 {
        status_kb(&self.read("status"), "VmRSS").expect("a field of proc(5)") * KB
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("a process that runs")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// User and system time in `/proc/PID/stat`: the 14th and the 15th field. The second is a name in parentheses with anything inside.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn status_kb(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 0 0 20 0 3 0 5";
        assert_eq!(cpu_ticks(stat), Some(281));
        assert_eq!(cpu_ticks("7 (a) S 1 2"), None);
        let status = "Name:\ta\nVmHWM:\t   20 kB\nVmRSS:\t   17 kB\n";
        assert_eq!(status_kb(status, "VmRSS"), Some(17));
        assert_eq!(status_kb(status, "RssAnon"), None);
    }
}
