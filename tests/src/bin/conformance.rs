//! Runs case files against one of the evaluators; the formats are in `docs/conformance.md`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tests::discover::{self, CaseFile};
use tests::pipeline::Backend;
use tests::report::{Outcome, Report};
use tests::{ingress, peer, reach, route, service_flow, validate};

/// Runs case files and compares what they want with what an evaluator says.
#[derive(Parser, Debug)]
#[command(after_help = "Exit status: 0 all cases pass, 1 a case fails, 2 could not run, or no case was found.")]
struct Arguments {
    /// Who answers.
    #[arg(long, value_enum, default_value = "compiled")]
    backend: Backend,
    /// Case files, and folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    match run(&arguments, &mut out, &mut err) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments, out: &mut impl Write, err: &mut impl Write) -> io::Result<ExitCode> {
    let found = discover::discover(&arguments.paths)?;
    let mut report = Report::default();
    for (path, problem) in &found.broken {
        report.case(out, &Outcome::broken(path.display().to_string(), problem))?;
    }
    let mut other: Vec<&CaseFile> = Vec::new();
    for file in &found.files {
        match file.schema.as_str() {
            "reach-case/v1" => report.case(out, &reach::run(arguments.backend, file))?,
            "service-flow/v1" => report.case(out, &service_flow::run(arguments.backend, file))?,
            "ingress-case/v1" => report.case(out, &ingress::run(arguments.backend, file))?,
            "validate-cases/v1" => report.case(out, &validate::run(file))?,
            "route-case/v1" => report.case(out, &route::run(arguments.backend, file))?,
            "route-status/v1" => report.case(out, &route::run_status(file))?,
            // Objects for other cases.
            "route-base/v1" => {}
            "peer-case/v1" => match peer::run(arguments.backend, file) {
                peer::PeerOutcome::Ran { outcome, left_out } => {
                    if let Some(left_out) = left_out {
                        report.left_out(left_out);
                    }
                    report.case(out, &outcome)?;
                }
                peer::PeerOutcome::LeftOut(why) => report.left_out(why),
            },
            _ => other.push(file),
        }
    }
    for (schema, count) in discover::count_by_schema(other) {
        report.left_out(format!("{count} of schema `{schema}`, which this runner does not ask"));
    }
    report.close(out, err)?;
    if report.is_empty() {
        writeln!(err, "error: no case was found")?;
        return Ok(ExitCode::from(2));
    }
    Ok(if report.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
