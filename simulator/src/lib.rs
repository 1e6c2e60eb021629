//! `portolan`: manifests and a question in, an answer out.
//!
//! ```text
//! args ─▶ load (files, standard input) ─▶ session (read, lower, compile) ─▶ commands ─▶ dto ─▶ render
//! ```
//!
//! Only [`load`](mod@load) opens files; only `render` writes. [`run`] is the whole program with its streams as
//! arguments, so that tests call it in-process.

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
