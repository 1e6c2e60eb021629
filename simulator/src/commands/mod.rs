//! One file per command.

mod api;
mod batch;
mod by_ways;
mod can;
mod completions;
mod coverage;
mod destination;
mod explain;
mod explain_api;
mod exposed;
mod graph;
mod hypothetical;
mod list;
mod matrix;
mod profile;
mod question;
mod reach;
mod reasons;
mod route;
mod schema;

use std::io::Read;

use crate::args::{Command, Options};
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
        Command::Completions(args) => completions::run(args, output),
        Command::Schema(args) => schema::run(args, output),
        Command::Profile(_) => profile::run(options, format, output),
        Command::Coverage(_) => coverage::run(options, format, stdin, output),
        Command::Can(args) => can::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Who(args) => reach::who(args, &Session::open(options, stdin, output)?, format, output),
        Command::Where(args) => reach::reached(args, &Session::open(options, stdin, output)?, format, output),
        Command::List(args) => list::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Graph(args) => graph::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Exposed(args) => exposed::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Route(args) => route::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Matrix(args) => matrix::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Explain(args) => explain::run(args, &Session::open(options, stdin, output)?, format, output),
        Command::Batch(args) => {
            let session = Session::open(options, stdin, output)?;
            batch::run(args, options, &session, stdin, output)
        }
    }
}
