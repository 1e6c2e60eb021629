//! The binary `portolan-enforcer`: arguments, and which exit status.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use enforcer::commands::{PinArgs, apply, cleanup, status};
use enforcer::facts::Facts;
use enforcer::preflight::Preflight;
use enforcer::report;
use simulator::args::Options;
use simulator::{Streams, analyse};

/// The node side of Portolan: enforces NetworkPolicies with eBPF as `portolan` simulates them.
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
    /// Enforce what manifests say, without a cluster.
    ///
    /// Loads the program for the pods of one node that the manifests hold, puts it at the hooks of this network namespace
    /// and prints what it drops. It leaves the hooks when the command ends. Knobs are those of the preset `portolan`.
    Apply {
        #[command(flatten)]
        apply: apply::ApplyArgs,
        #[command(flatten)]
        input: Box<Options>,
    },
    /// Show what is pinned and what became of packets.
    ///
    /// Exit status: 0 something is pinned, 1 nothing is, 2 could not run.
    Status {
        #[command(flatten)]
        pins: PinArgs,
    },
    /// Take everything that was pinned out of the kernel.
    Cleanup {
        #[command(flatten)]
        pins: PinArgs,
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
    match run(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is gone too.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let fine = match command {
        Command::Preflight { output, root } => {
            let preflight = Preflight::of(&Facts::read(&root)?);
            let report = match output {
                Output::Text => report::text(&preflight),
                Output::Json => report::json(&preflight)?,
            };
            out.write_all(report.as_bytes())?;
            preflight.ready
        }
        Command::Apply { apply, input } => {
            let preset = input.preset.clone().or_else(|| input.profile.is_none().then(|| "portolan".to_owned()));
            let input = Options { preset, ..*input };
            let streams = Streams {
                stdin: &mut std::io::stdin(),
                stdout: &mut std::io::sink(),
                stderr: &mut std::io::stderr(),
                stdout_colour: false,
                stderr_colour: std::io::stderr().is_terminal(),
                stderr_terminal: std::io::stderr().is_terminal(),
            };
            match analyse(&input, streams) {
                Ok(analysis) => apply::run(&apply, &analysis, &mut out)?,
                // The problems are printed.
                Err(exit) => return Ok(exit.into()),
            }
            true
        }
        Command::Status { pins } => status::run(&pins, &mut out)?,
        Command::Cleanup { pins } => {
            cleanup::run(&pins, &mut out)?;
            true
        }
    };
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
