//! `portolan`: manifests and a question in, an answer out.
//!
//! ```text
//! args ─▶ load (files, standard input) ─▶ session (read, lower, compile) ─▶ commands ─▶ dto ─▶ render
//! ```
//!
//! Only [`load`](mod@load) opens files; only `render` writes. [`run`] is the whole program with its streams as
//! arguments, so that tests call it in-process.

mod api_user;
pub mod args;
mod caveats;
mod commands;
pub mod dto;
pub mod exit;
pub mod load;
mod names;
mod profile;
mod progress;
mod render;
mod session;
mod way_names;

use std::ffi::OsString;
use std::fmt;
use std::io::{Read, Write};

use clap::Parser;

use crate::args::{Cli, Color, Options};
pub use crate::exit::{Exit, Failure};
use crate::render::{Output, Palette, Tone};

/// The streams of one run, and what is known about them.
pub struct Streams<'a> {
    /// Standard input; read only when `-f -` or `batch` asks for it.
    pub stdin: &'a mut (dyn Read + Send),
    /// Where answers go.
    pub stdout: &'a mut dyn Write,
    /// Where diagnostics, notices and progress go.
    pub stderr: &'a mut dyn Write,
    /// Whether `stdout` takes colour unless `--color` says otherwise.
    pub stdout_colour: bool,
    /// Whether `stderr` takes colour unless `--color` says otherwise.
    pub stderr_colour: bool,
    /// Whether `stderr` is a terminal: only then is progress shown.
    pub stderr_terminal: bool,
}

impl fmt::Debug for Streams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

/// Runs one command line. `args` begins with the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>, streams: Streams<'_>) -> Exit {
    let Streams { stdin, stdout, stderr, stdout_colour, stderr_colour, stderr_terminal } = streams;
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error, stdout, stdout_colour, stderr, stderr_colour),
    };
    let options = cli.options.and(cli.command.options().clone());
    let colour = |default| match options.color {
        None | Some(Color::Auto) => default,
        Some(Color::Always) => true,
        Some(Color::Never) => false,
    };
    let mut output = Output {
        palette: Palette { on: colour(stdout_colour) },
        stderr_palette: Palette { on: colour(stderr_colour) },
        stderr_terminal,
        quiet: options.quiet,
        stdout,
        stderr,
    };
    let result = commands::run(&cli.command, &options, stdin, &mut output);
    let result = result.and_then(|exit| output.stdout.flush().map(|()| exit).map_err(Failure::from));
    match result {
        Ok(exit) => exit,
        Err(failure) if failure.is_closed_pipe() => Exit::Clean,
        Err(failure) => report(&failure, &mut output),
    }
}

/// What the options name, read and compiled, for a program of another name. Every problem is printed.
///
/// # Errors
/// How that program should end.
pub fn analyse(options: &Options, streams: Streams<'_>) -> Result<policy_core::analysis::Analysis, Exit> {
    let Streams { stdin, stdout, stderr, stdout_colour, stderr_colour, stderr_terminal } = streams;
    let mut output = Output {
        palette: Palette { on: stdout_colour },
        stderr_palette: Palette { on: stderr_colour },
        stderr_terminal,
        quiet: options.quiet,
        stdout,
        stderr,
    };
    let session = session::Session::open(options, stdin, &mut output);
    session.map(|session| session.analysis).map_err(|failure| report(&failure, &mut output))
}

/// Help and version go to standard output, usage errors to standard error.
fn print_usage(
    error: &clap::Error,
    stdout: &mut dyn Write,
    stdout_colour: bool,
    stderr: &mut dyn Write,
    stderr_colour: bool,
) -> Exit {
    let text = error.render();
    let text = |colour| if colour { text.ansi().to_string() } else { text.to_string() };
    // Nobody is left to tell when the stream itself is closed.
    if error.use_stderr() {
        let _ = stderr.write_all(text(stderr_colour).as_bytes());
        Exit::CouldNotRun
    } else {
        let _ = stdout.write_all(text(stdout_colour).as_bytes()).and_then(|()| stdout.flush());
        Exit::Clean
    }
}

fn report(failure: &Failure, output: &mut Output<'_>) -> Exit {
    if !matches!(failure, Failure::Input) {
        let word = output.stderr_palette.paint(Tone::Bad, "error");
        let mut text = format!("{word}: {failure}\n");
        if let Failure::Usage { help: Some(help), .. } = failure {
            text.push_str(&format!("  help: {help}\n"));
        }
        let _ = output.stderr.write_all(text.as_bytes());
    }
    let _ = output.stdout.flush();
    Exit::CouldNotRun
}

/// Refuses a format that the command does not print.
fn format_of(command: &args::Command, options: &Options) -> Result<args::Format, Failure> {
    let formats = command.formats();
    let Some(wanted) = options.output else {
        return Ok(formats.first().copied().unwrap_or(args::Format::Table));
    };
    if formats.contains(&wanted) {
        return Ok(wanted);
    }
    let names: Vec<_> = formats.iter().map(|format| format.as_str()).collect();
    let help = if names.is_empty() { "leave -o out".to_owned() } else { format!("it prints {}", names.join(", ")) };
    Err(Failure::usage(format!("`{}` does not print {}", command.name(), wanted.as_str()), help))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const CLUSTER: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {containers: [{name: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {containers: [{name: c}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop}, spec: {podSelector: {matchLabels: {app: db}}}}
";

    struct Said {
        exit: Exit,
        stdout: String,
        stderr: String,
    }

    fn say(line: &str, stdin: &str) -> Said {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = with(line, stdin, &mut stdout, &mut stderr);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { exit, stdout: text(stdout), stderr: text(stderr) }
    }

    fn with(line: &str, stdin: &str, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Exit {
        let args = std::iter::once("portolan").chain(line.split_whitespace()).map(OsString::from);
        let mut stdin = stdin.as_bytes();
        let streams = Streams {
            stdin: &mut stdin,
            stdout,
            stderr,
            stdout_colour: false,
            stderr_colour: false,
            stderr_terminal: false,
        };
        run(args, streams)
    }

    /// A reader that went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn allowed_is_0_denied_is_1_and_no_answer_is_2() {
        assert_eq!(say("can shop/db shop/web:80 -f -", CLUSTER).exit.code(), 0);
        assert_eq!(say("can shop/web shop/db:80 -f -", CLUSTER).exit.code(), 1);
        assert_eq!(say("explain shop/web shop/db:80 -f -", CLUSTER).exit.code(), 1);
        assert_eq!(say("can shop/web shop/nobody:80 -f -", CLUSTER).exit.code(), 2);
        assert_eq!(say("can shop/web -f -", CLUSTER).exit.code(), 2);
        assert_eq!(say("can shop/web shop/db:80", CLUSTER).exit.code(), 2);
        assert_eq!(say("list -f -", "").exit.code(), 2);
    }

    #[test]
    fn without_input_the_error_teaches() {
        let said = say("list", "");
        assert!(said.stdout.is_empty());
        assert!(said.stderr.contains("name the manifests with -f PATH"), "{}", said.stderr);
    }

    #[test]
    fn help_goes_to_standard_output_with_examples_and_exit_statuses() {
        let said = say("--help", "");
        assert_eq!(said.exit, Exit::Clean);
        assert!(said.stdout.contains("Examples:") && said.stdout.contains("Exit status:"), "{}", said.stdout);
        for command in ["can", "who", "where", "list", "matrix", "explain", "coverage", "batch", "graph"] {
            let said = say(&format!("{command} --help"), "");
            assert!(said.stdout.contains(&format!("Examples:\n  portolan {command}")), "{}", said.stdout);
        }
    }

    #[test]
    fn a_format_that_a_command_does_not_print_is_refused() {
        let said = say("can shop/web shop/db:80 -o dot -f -", CLUSTER);
        assert_eq!(said.exit, Exit::CouldNotRun);
        assert!(said.stderr.contains("it prints table, wide, json, yaml"), "{}", said.stderr);
    }

    #[test]
    fn a_reader_that_goes_away_is_no_error() {
        for line in ["list -f -", "matrix -o json -f -", "--help", "completions bash"] {
            let mut stderr = Vec::new();
            assert_eq!(with(line, CLUSTER, &mut Closed, &mut stderr), Exit::Clean, "{line}");
            assert!(stderr.is_empty(), "{line}");
        }
    }

    #[test]
    fn colour_is_asked_for_or_left_out() {
        assert!(!say("can shop/db shop/web:80 -f -", CLUSTER).stdout.contains('\u{1b}'));
        assert!(say("can shop/db shop/web:80 -f - --color always", CLUSTER).stdout.contains('\u{1b}'));
    }

    #[test]
    fn input_that_was_skipped_marks_every_answer() {
        let broken = format!("{CLUSTER}---\n{{apiVersion: v1, kind: Pod, metadata: {{nam: x}}}}\n");
        assert_eq!(say("can shop/db shop/web:80 -f -", &broken).exit, Exit::CouldNotRun);
        let said = say("can shop/db shop/web:80 --keep-going -f -", &broken);
        assert_eq!(said.exit, Exit::Clean);
        assert!(said.stderr.contains("incomplete: part of the input was skipped"), "{}", said.stderr);
        let said = say("can shop/db shop/web:80 --keep-going -o json -f -", &broken);
        assert!(said.stdout.contains("\"incomplete\": true"), "{}", said.stdout);
    }

    #[test] // IN-7, IN-8
    fn nothing_to_read_and_nothing_to_ask_are_told_apart() {
        assert!(say("list -f -", "# nothing\n").stderr.contains("error[IN-7]: `<stdin>` holds no document"));
        let policies = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
        assert!(say("list -f -", policies).stderr.contains("error[IN-8]"));
        assert_eq!(say("coverage -f -", policies).exit, Exit::Clean);
    }

    #[test] // NP-32
    fn without_enforcement_it_is_said_once_and_no_rule_is_judged() {
        let open = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: open, namespace: shop}, \
                    spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}}";
        let cluster = format!("{CLUSTER}---\n{open}\n");
        let enforced = say("explain shop/web shop/db:1 -f -", &cluster).stdout;
        assert!(enforced.contains("egress[0] admits it"), "{enforced}");
        let said = say("explain shop/web shop/db:1 --set enforcement=off -f -", &cluster);
        assert_eq!(said.exit, Exit::Clean);
        assert_eq!(said.stdout.matches("nothing enforces").count(), 1, "{}", said.stdout);
        assert!(!said.stdout.contains("admit") && !said.stdout.contains("shop/open"), "{}", said.stdout);
        let document = say("explain shop/web shop/db:1 --set enforcement=off -o json -f -", &cluster).stdout;
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        for end in ["egressPolicies", "ingressPolicies"] {
            let policies = document["traces"][0][end].as_array().unwrap();
            assert_eq!(policies.len(), 2, "{document}");
            for policy in policies {
                assert_eq!(policy["skipped"], "nothing enforces policies (NP-32)");
                assert!(policy.get("rules").is_none(), "{policy}");
            }
        }
    }

    const FAMILIES: &str = "\
{apiVersion: v1, kind: Pod, metadata: {name: four, namespace: x}, spec: {containers: [{name: c}]}, status: {podIPs: [{ip: 10.0.0.4}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: x}, spec: {containers: [{name: c}]}, status: {podIPs: [{ip: 'fd00::6'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: both, namespace: x}, spec: {containers: [{name: c}]}, status: {podIPs: [{ip: 10.0.0.5}, {ip: 'fd00::5'}]}}
";

    fn batch(question: &str) -> serde_json::Value {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pods.yaml");
        std::fs::write(&path, FAMILIES).unwrap();
        let said = say(&format!("batch --set pod_cidr_routable=true -f {}", path.display()), question);
        serde_json::from_str(&said.stdout).unwrap()
    }

    #[test] // NP-30
    fn addresses_of_two_families_share_no_route_whoever_has_them() {
        let of_pods =
            [("10.0.0.4", "fd00::6"), ("fd00::6", "10.0.0.4"), ("10.0.0.5", "fd00::5"), ("10.0.0.4", "fd00::5")];
        for (from, to) in of_pods.into_iter().chain([("192.0.2.1", "fd00::5"), ("10.0.0.5", "2001:db8::1")]) {
            let bracketed = if to.contains(':') { format!("[{to}]") } else { to.to_owned() };
            for line in
                [format!("can {from} {bracketed}:80"), format!("can {from} {to}"), format!("explain {from} {to}")]
            {
                let said = say(&format!("{line} -f -"), FAMILIES);
                assert_eq!(said.exit, Exit::Finding, "{line}: {}", said.stderr);
                assert!(said.stdout.starts_with("no-route"), "{line}: {}", said.stdout);
            }
            let said = say(&format!("can {from} {bracketed}:80 -f -"), FAMILIES).stdout;
            assert!(said.contains("NP-30: the two ends share no IP family"), "{said}");
            let answer = batch(&format!("{{\"from\": \"{from}\", \"to\": \"{to}\", \"port\": 80}}"));
            assert_eq!((&answer["verdict"], &answer["rule"]), (&"no-route".into(), &"NP-30".into()), "{answer}");
        }
        assert_eq!(say("can 10.0.0.4 10.0.0.5:80 -f -", FAMILIES).exit, Exit::Clean);
        assert_eq!(say("can fd00::6 [fd00::5]:80 -f -", FAMILIES).exit, Exit::Clean);
    }

    #[test] // NP-30, M-3
    fn a_part_of_another_family_is_no_route_and_does_not_count() {
        let cells = |from: &str, to: &str| {
            let answer = batch(&format!("{{\"from\": \"{from}\", \"to\": \"{to}\", \"port\": 80}}"));
            assert_eq!(answer["verdict"], "allowed", "{answer}");
            // The reasons are those of the cell that counts.
            assert_ne!(answer["ingress"]["rule"], "NP-30", "{answer}");
            let cells = answer["cells"].as_array().unwrap().iter();
            let of = |cell: &serde_json::Value| {
                let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                [text(&cell["verdict"]), text(&cell["families"][0]), text(&cell["witness"]["family"])]
            };
            let mut cells: Vec<_> = cells.map(of).collect();
            cells.sort();
            cells
        };
        let (v4, v6) = (["allowed", "IPv4", "IPv4"], ["allowed", "IPv6", "IPv6"]);
        let none = |family: &'static str| ["no-route", family, family];
        assert_eq!(cells("internet", "x/four"), [v4, none("IPv6")]);
        assert_eq!(cells("internet", "x/six"), [v6, none("IPv4")]);
        // Sources have the say: an IPv4 pod asks over IPv4 in vain.
        assert_eq!(cells("x/four", "internet"), [v4, none("IPv4")]);
        assert_eq!(cells("x/six", "internet"), [v6, none("IPv6")]);
    }

    #[cfg(unix)]
    #[test]
    fn arguments_that_are_not_utf8_are_no_panic() {
        use std::os::unix::ffi::OsStringExt;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let bad = OsString::from_vec(vec![b'a', 0xff]);
        for args in [vec!["portolan".into(), "list".into(), "-f".into(), bad.clone()], vec!["portolan".into(), bad]] {
            let streams = Streams {
                stdin: &mut io::empty(),
                stdout: &mut stdout,
                stderr: &mut stderr,
                stdout_colour: false,
                stderr_colour: false,
                stderr_terminal: false,
            };
            assert_eq!(run(args, streams), Exit::CouldNotRun);
        }
    }
}
