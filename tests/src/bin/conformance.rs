//! Runs case files against one of the evaluators; the formats are in `docs/conformance.md`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use enforcer::datapath::LoadError;
use tests::discover::{self, CaseFile};
use tests::on_nodes::Evaluator;
use tests::pipeline::Backend;
use tests::report::{Outcome, Report};
use tests::{ingress, peer, reach, route, service_flow, validate};

/// Runs case files and compares what they want with what an evaluator says.
#[derive(Parser, Debug)]
#[command(after_help = "Exit status: 0 all cases pass, 1 a case fails, 2 could not run, or no case was found.")]
struct Arguments {
    /// Who answers.
    #[arg(long, value_enum, default_value = "compiled")]
    backend: Asked,
    /// Case files, and folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// Who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Asked {
    /// The slow, obvious reference evaluator.
    Spec,
    /// Classes and tables.
    Compiled,
    /// The programs of all nodes, in Rust: policies alone.
    NodeProgram,
    /// The same in the kernel, by BPF_PROG_TEST_RUN: policies alone. Needs root.
    Bpf,
    /// The same at the hooks of nodes, by connections between network namespaces. Needs root.
    Netns,
}

impl Asked {
    /// The evaluator, and the one that also answers what is not about policies alone.
    fn evaluators(self) -> Result<(Evaluator, Option<Backend>), LoadError> {
        Ok(match self {
            Self::Spec => (Evaluator::Cluster(Backend::Spec), Some(Backend::Spec)),
            Self::Compiled => (Evaluator::Cluster(Backend::Compiled), Some(Backend::Compiled)),
            Self::NodeProgram => (Evaluator::NodeProgram, None),
            Self::Bpf => (Evaluator::bpf()?, None),
            Self::Netns => (Evaluator::netns(), None),
        })
    }
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
    let (evaluator, backend) = arguments.backend.evaluators().map_err(io::Error::other)?;
    for file in &found.files {
        match (file.schema.as_str(), backend) {
            ("reach-case/v1", _) => report.case(out, &reach::run(&evaluator, file))?,
            ("service-flow/v1", Some(backend)) => report.case(out, &service_flow::run(backend, file))?,
            ("ingress-case/v1", Some(backend)) => report.case(out, &ingress::run(backend, file))?,
            ("validate-cases/v1", Some(_)) => report.case(out, &validate::run(file))?,
            ("route-case/v1", Some(backend)) => report.case(out, &route::run(backend, file))?,
            ("route-status/v1", Some(_)) => report.case(out, &route::run_status(file))?,
            // Objects for other cases.
            ("route-base/v1", Some(_)) => {}
            ("peer-case/v1", Some(backend)) => match peer::run(backend, file) {
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
