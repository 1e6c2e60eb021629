//! A command line of `portolan`, in this process.

use std::ffi::OsString;

use simulator::{Exit, Streams, run};

/// How it ended, and what it wrote.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub exit: Exit,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs `portolan` with these words after its name and this text on standard input. No stream is a terminal.
#[expect(clippy::unwrap_used, reason = "output that is no UTF-8 fails the test that asked for it")]
pub fn portolan<W: Into<OsString>>(words: impl IntoIterator<Item = W>, stdin: &str) -> Said {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let streams = Streams {
        stdin: &mut stdin.as_bytes(),
        stdout: &mut stdout,
        stderr: &mut stderr,
        stdout_colour: false,
        stderr_colour: false,
        stderr_terminal: false,
    };
    let exit = run(std::iter::once("portolan".into()).chain(words.into_iter().map(Into::into)), streams);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { exit, stdout: text(stdout), stderr: text(stderr) }
}
