//! The binary `portolan-enforcer`: arguments, and which exit status.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use enforcer::facts::Facts;
use enforcer::preflight::Preflight;
use enforcer::report;

/// The node side of Portolan.
///
/// This release checks whether a node could enforce NetworkPolicies the way Portolan simulates them. It loads nothing
/// into the kernel: the data path comes in a later release.
#[derive(Parser, Debug)]
#[command(name = "portolan-enforcer", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check whether this node could enforce.
    ///
    /// Reads /proc and /sys and changes nothing. Exit status: 0 ready, 1 not ready, 2 could not run.
    Preflight {
        /// How to write the report.
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
        /// Where the node's /proc and /sys lie.
        #[arg(long, default_value = "/", hide = true)]
        root: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Output {
    /// An aligned table.
    Text,
    /// One JSON object.
    Json,
}

fn main() -> ExitCode {
    let Args { command: Command::Preflight { output, root } } = Args::parse();
    match preflight(output, &root) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn preflight(output: Output, root: &std::path::Path) -> Result<bool, Box<dyn std::error::Error>> {
    let preflight = Preflight::of(&Facts::read(root)?);
    let report = match output {
        Output::Text => report::text(&preflight),
        Output::Json => report::json(&preflight)?,
    };
    std::io::stdout().write_all(report.as_bytes())?;
    Ok(preflight.ready)
}
