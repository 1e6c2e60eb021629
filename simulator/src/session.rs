//! From options to something that can be asked: read, lower and compile, with every problem said once.

use std::io::Read;

use policy_core::analysis::Analysis;
use policy_core::diagnostic::Diagnostic;
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{EncodingError, ReadOptions, combine, decode_bytes, pieces, read_piece};
use policy_core::model::{Cluster, Profile};
use policy_core::snapshot::Snapshot;
use policy_core::source::{SourceMap, Span};
use rayon::prelude::*;

use crate::args::Options;
use crate::exit::Failure;
use crate::load::{self, Content, Found, Skipped};
use crate::profile;
use crate::progress::Progress;
use crate::render::{Output, counted};

/// These leave nothing to answer from, or hide a typo: `--keep-going` does not pass over them.
const FATAL: [&str; 4] = ["IN-5", "IN-7", "IN-8", "IN-20"];

/// What the input is read for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To answer questions.
    Ask,
    /// To say what it holds.
    Account,
}

/// What was read and what it means, before it is compiled.
pub(crate) struct Input {
    pub(crate) sources: SourceMap,
    pub(crate) snapshot: Snapshot,
    pub(crate) cluster: Cluster,
    pub(crate) profile: Profile,
    pub(crate) skipped: Vec<Skipped>,
}

/// A compiled input, and the texts that it came from.
pub(crate) struct Session {
    pub(crate) sources: SourceMap,
    pub(crate) analysis: Analysis,
    pub(crate) namespace: Option<String>,
}

impl Session {
    /// Reads and compiles what the options name.
    pub(crate) fn open(options: &Options, stdin: &mut dyn Read, output: &mut Output<'_>) -> Result<Self, Failure> {
        let progress = Progress::new(output.stderr_terminal && !output.quiet);
        let Input { sources, cluster, profile, snapshot, .. } =
            Input::open(options, Purpose::Ask, stdin, &progress, output)?;
        // The bodies of 150,000 pods are not needed any more.
        drop(snapshot);
        progress.step("compiling");
        let analysis = Analysis::new(cluster, profile);
        Ok(Self { sources, analysis, namespace: options.namespace.clone() })
    }
}

impl Input {
    /// Reads and lowers what the options name. Prints every diagnostic, and fails when one forbids an answer.
    /// Without workloads there is nothing to ask (IN-8), but there is something to account for.
    pub(crate) fn open(
        options: &Options,
        purpose: Purpose,
        stdin: &mut dyn Read,
        progress: &Progress,
        output: &mut Output<'_>,
    ) -> Result<Self, Failure> {
        if options.files.is_empty() {
            let help = "name the manifests with -f PATH (a file, a folder, or - for standard input), such as -f k8s/";
            return Err(Failure::usage("there is no input", help));
        }
        let mut profile_sources = SourceMap::default();
        let (profile, profile_problems) = profile::resolve(options, &mut profile_sources);

        progress.step("reading files");
        let Found { files, skipped, diagnostics: file_problems } =
            load::load(&options.files, options.max_file_size, stdin);
        let texts = decode(files);

        progress.step("reading manifests");
        let read_options = ReadOptions { keep_going: options.keep_going, ..ReadOptions::default() };
        let pieces = pieces(&texts.good, &read_options);
        let parts = pieces.par_iter().map(|piece| read_piece(&texts.good, piece, &read_options)).collect();
        let (mut snapshot, read_problems) = combine(&texts.good, parts);
        let unread = file_problems.iter().chain(&texts.problems).any(Diagnostic::is_error);
        snapshot.incomplete |= unread;

        progress.step("resolving");
        let mut lower_options = LowerOptions { nodeport_range: profile.ways.nodeport_range, ..LowerOptions::default() };
        if let Some(name) = options.namespace.as_deref() {
            lower_options.default_namespace = name.into();
        }
        let (cluster, mut problems) = lower(&snapshot, &lower_options);
        let empty = snapshot.objects.is_empty() && read_problems.is_empty() && !unread;
        // IN-8 would only repeat that nothing could be read.
        if purpose == Purpose::Account
            || empty
            || unread
            || read_problems.iter().any(Diagnostic::is_error) && !options.keep_going
        {
            problems.retain(|problem| problem.rule != "IN-8");
        }
        if empty {
            problems.push(nothing_read(&texts.good));
        }
        problems.extend(read_problems);

        let batches = [&profile_problems, &file_problems, &texts.problems, &problems];
        let errors = || batches.iter().flat_map(|batch| batch.iter()).filter(|problem| problem.is_error());
        let refused = errors().any(|problem| !options.keep_going || FATAL.contains(&problem.rule));
        output.diagnostics(vec![
            (profile_problems, &profile_sources),
            (file_problems, &texts.good),
            (texts.problems, &texts.bad),
            (problems, &texts.good),
        ])?;
        if refused {
            Err(Failure::Input)
        } else {
            Ok(Self { sources: texts.good, snapshot, cluster, profile, skipped })
        }
    }
}

/// IN-7: files without a single document.
fn nothing_read(sources: &SourceMap) -> Diagnostic {
    let message = match sources.iter().next() {
        Some((_, only)) if sources.iter().len() == 1 => format!("`{}` holds no document", only.name),
        _ => format!("none of {} holds a document", counted(sources.iter().len(), "file")),
    };
    Diagnostic::error("IN-7", None, message).help("is it the right path, or did the command before the pipe fail?")
}

/// Texts that can be read, and what can be shown of those that cannot.
#[derive(Default)]
struct Texts {
    good: SourceMap,
    bad: SourceMap,
    problems: Vec<Diagnostic>,
}

fn decode(files: Vec<Content>) -> Texts {
    let decoded: Vec<(String, Result<String, EncodingError>)> = files
        .into_par_iter()
        .map(|Content { name, bytes }| {
            let text = decode_bytes(&name, bytes);
            (name, text)
        })
        .collect();
    let mut texts = Texts::default();
    for (name, text) in decoded {
        match text {
            Ok(text) => {
                texts.good.add(name, text);
            }
            Err(error) => {
                let source = texts.bad.add(name, error.text);
                let start = u32::try_from(error.offset).unwrap_or(u32::MAX);
                let span = Span { source, start, end: start.saturating_add(3) };
                texts.problems.push(Diagnostic::error(error.rule, Some(span), error.message).help(error.help));
            }
        }
    }
    texts
}
