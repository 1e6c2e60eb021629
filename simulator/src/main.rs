//! The binary: hands the process's arguments and streams to [`simulator::run`].

use std::io::{BufWriter, IsTerminal};
use std::process::ExitCode;

use simulator::Streams;

fn main() -> ExitCode {
    let stdout = std::io::stdout();
    let stderr = std::io::stderr();
    let streams = Streams {
        stdin: &mut std::io::stdin(),
        stdout_colour: wants_colour(anstream::AutoStream::choice(&stdout)),
        stderr_colour: wants_colour(anstream::AutoStream::choice(&stderr)),
        stderr_terminal: stderr.is_terminal(),
        stdout: &mut BufWriter::with_capacity(1 << 16, stdout.lock()),
        // Not locked: the progress line is drawn by another thread.
        stderr: &mut std::io::stderr(),
    };
    simulator::run(std::env::args_os(), streams).into()
}

fn wants_colour(choice: anstream::ColorChoice) -> bool {
    !matches!(choice, anstream::ColorChoice::Never)
}
