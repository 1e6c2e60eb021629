//! `ip`, `nft` and other programs inside a namespace.

use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use super::Namespace;

/// Runs a program in a namespace with a text as its input, and gives what it printed.
///
/// # Errors
/// When it does not run, or ends with another status than 0; then the error holds what it complained about.
pub fn run(namespace: &Namespace, program: &str, arguments: &[&str], input: &str) -> io::Result<String> {
    let all = || -> io::Result<String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(io::Error::other(format!("{program} {}: {complaint}{input}", arguments.join(" "))))
    };
    namespace.inside(all)?
}

/// Runs commands of `ip`, one a line.
pub(super) fn ip(namespace: &Namespace, commands: &[String]) -> io::Result<()> {
    if commands.is_empty() {
        return Ok(());
    }
    run(namespace, "ip", &["-batch", "-"], &(commands.join("\n") + "\n")).map(drop)
}
