//! The binary `portolan-enforcer`: arguments, and which exit status.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use enforcer::commands::{Output, PinArgs, apply, cleanup, status, top};
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
    /// Show what is pinned and what became of packets, by policy.
    ///
    /// Exit status: 0 something is pinned, 1 nothing is, 2 could not run.
    Status {
        /// How to write it
        #[arg(short, long, visible_alias = "format", value_enum, default_value_t = Output::Text)]
        output: Output,
        #[command(flatten)]
        pins: PinArgs,
    },
    /// Show which policies packets meet just now.
    ///
    /// On a terminal it is written anew after each interval, with the busiest policies first; in a pipe it is written once,
    /// after one interval, if `--seconds` says nothing else. Exit status: 0 something is pinned, 1 nothing is, 2 could not run.
    Top {
        #[command(flatten)]
        top: top::TopArgs,
    },
    /// Take everything that was pinned out of the kernel.
    Cleanup {
        #[command(flatten)]
        pins: PinArgs,
    },
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
        Command::Status { output, pins } => status::run(&pins, output, &mut out)?,
        Command::Top { top } => top::run(&top, std::io::stdout().is_terminal(), &mut out)?,
        Command::Cleanup { pins } => {
            cleanup::run(&pins, &mut out)?;
            true
        }
    };
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
