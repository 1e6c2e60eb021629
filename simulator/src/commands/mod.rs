//! One file per command.

mod completions;
mod profile;

use std::io::Read;

use crate::args::{Command, Options};
use crate::exit::{Exit, Failure};
use crate::render::Output;

/// Runs one command.
pub(crate) fn run(
    command: &Command,
    options: &Options,
    stdin: &mut (dyn Read + Send),
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let format = crate::format_of(command, options)?;
    let _ = (stdin, format);
    match command {
        Command::Completions(args) => completions::run(args, output),
        Command::Profile(_) => profile::run(options, format, output),
        _ => Ok(Exit::Clean),
    }
}
