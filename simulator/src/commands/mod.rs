//! One file per command.

mod batch;
mod can;
mod completions;
mod coverage;
mod explain;
mod graph;
mod hypothetical;
mod list;
mod matrix;
mod profile;
mod question;
mod reach;
mod schema;

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
        Command::Schema(args) => return schema::run(args, output),
        Command::Coverage(_) => return coverage::run(options, format, stdin, output),
        Command::Profile(_) => return profile::run(options, format, output),
        _ => {}
    }
    let session = Session::open(options, stdin, output)?;
    match command {
        Command::Can(args) => can::run(args, &session, format, output),
        Command::Who(args) => reach::who(args, &session, format, output),
        Command::Where(args) => reach::reached(args, &session, format, output),
        Command::Matrix(args) => matrix::run(args, &session, format, output),
        Command::Batch(args) => batch::run(args, options, &session, stdin, output),
        Command::Explain(args) => explain::run(args, &session, format, output),
        Command::List(args) => list::run(args, &session, format, output),
        Command::Graph(args) => graph::run(args, &session, format, output),
        Command::Coverage(_) | Command::Profile(_) | Command::Schema(_) | Command::Completions(_) => Ok(Exit::Clean),
    }
}
