//! The binary `portolan-enforcer` on a node of the stage.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tests::netns::Place;

use super::stage::{ONE, Stage, ground, pods};

/// Where pins may be.
const BPF: &str = "/sys/fs/bpf";

/// A folder of pins that is cleaned up when this value is dropped, and manifests beside it.
pub(crate) struct Workplace {
    pins: PathBuf,
    manifests: tempfile::TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        mount();
        sweep();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pins = Path::new(BPF).join(format!("portolan-test-{}-{number}", std::process::id()));
        Self { pins, manifests: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn pins(&self) -> &str {
        self.pins.to_str().unwrap()
    }

    /// The stage's manifests with these policies, as a file.
    pub(crate) fn manifests(&self, policies: &str) -> String {
        self.write(&(ground() + &pods() + policies))
    }

    /// These manifests as a file.
    pub(crate) fn write(&self, manifests: &str) -> String {
        let path = self.manifests.path().join("cluster.yaml");
        fs::write(&path, manifests).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = command().args(["cleanup", "--pins", self.pins()]).output();
    }
}

fn mount() {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    if !mounts.lines().any(|line| line.split_whitespace().nth(1) == Some(BPF)) {
        let mounted = Command::new("mount").args(["-t", "bpf", "bpf", BPF]).output().unwrap();
        assert!(mounted.status.success(), "no bpf file system at {BPF}: {mounted:?}");
    }
}

/// Takes away what tests have left behind that were killed.
fn sweep() {
    for folder in fs::read_dir(BPF).unwrap().filter_map(|entry| Some(entry.ok()?.path())) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let process = name.strip_prefix("portolan-test-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = command().args(["cleanup", "--pins"]).arg(folder).output();
        }
    }
}

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_enforcer-under-test"))
}

/// Runs the binary on a node to its end.
pub(crate) fn run(stage: &Stage, node: Place, arguments: &[&str]) -> Output {
    stage.network.at(node).unwrap().inside(|| command().args(arguments).output()).unwrap().unwrap()
}

/// The same where it must end well.
pub(crate) fn run_well(stage: &Stage, node: Place, arguments: &[&str]) -> String {
    let output = run(stage, node, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the binary on a node and kills it after so many milliseconds, if it is not through by then.
pub(crate) fn kill_after(stage: &Stage, milliseconds: u64, arguments: &[&str]) {
    let start = || command().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut child = stage.network.at(ONE).unwrap().inside(start).unwrap();
    thread::sleep(Duration::from_millis(milliseconds));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `portolan-enforcer apply` on a node, in the background. It is killed when this value is dropped, and ends by itself
/// after two minutes at the latest.
pub(crate) struct Agent {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Agent {
    /// Starts it and waits until it says that it protects pods.
    pub(crate) fn start(stage: &Stage, node: Place, manifests: &str, more: &[&str]) -> Self {
        let name = if node == ONE { "one" } else { "two" };
        let mut command = command();
        command.args(["apply", "--node", name, "--seconds", "120", "-f", manifests]).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = stage.network.at(node).unwrap().inside(|| command.spawn()).unwrap().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let written = Arc::clone(&lines);
        let printed = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            printed.lines().map_while(Result::ok).for_each(|line| written.lock().unwrap().push(line))
        });
        let agent = Self { child, lines };
        agent.wait_for("protected");
        agent
    }

    /// Waits for a line that holds this text, and gives it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the agent has not said {text:?}, but {:?}", self.lines.lock().unwrap());
    }

    /// Everything that it has said.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
