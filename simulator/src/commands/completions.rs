//! `portolan completions`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::{Exit, Failure};
use crate::render::Output;

pub(crate) fn run(args: &CompletionsArgs, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "portolan", &mut script);
    output.stdout.write_all(&script)?;
    Ok(Exit::Clean)
}
