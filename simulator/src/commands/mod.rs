//! One file per command.

mod can;
mod completions;
mod profile;
mod question;
mod reach;

use std::io::Read;

use crate::args::{Command, Format, Options};
use crate::exit::{Exit, Failure};
use crate::render::Output;
use crate::session::Session;

/// Runs one command.
pub(crate) fn run(
    command: &Command,
    options: &Options,
    stdin: &mut (dyn Read + Send),
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let format = crate::format_of(command, options)?;
    match command {
        Command::Completions(args) => return completions::run(args, output),
        Command::Profile(_) => return profile::run(options, format, output),
        _ => {}
    }
    let session = Session::open(options, stdin, output)?;
    match command {
        Command::Can(args) => can::run(args, &session, format, output),
        Command::Who(args) => reach::who(args, &session, format, output),
        Command::Where(args) => reach::reached(args, &session, format, output),
        _ => Ok(Exit::Clean),
    }
}
