//! Times the phases of one analysis in one process, beside the reference: `serde_json` parsing the same bytes into
//! slim structs. Prints seconds, ratios and peak memory. For `docs/performance.md`; not a test.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use policy_core::analysis::Analysis;
use policy_core::compile::compile;
use policy_core::compile::connections::count_admitted;
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::Profile;
use policy_core::source::SourceMap;
use policy_core::ways::Ways;
use policy_core::ways::exposure::exposures;
use serde::Deserialize;

/// Phases of one analysis, timed.
#[derive(Debug, Parser)]
struct Args {
    /// A manifest file, YAML or JSON.
    file: PathBuf,
    /// Repeat compile, all pairs and ways this often and show the fastest.
    #[arg(long, default_value_t = 3)]
    repeat: u32,
}

/// What a reader needs of an object at least: the reference for "parsing into slim structs".
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Slim<'a> {
    #[serde(borrow)]
    kind: Option<&'a str>,
    #[serde(borrow)]
    metadata: Option<Meta<'a>>,
    #[serde(borrow)]
    spec: Option<Spec<'a>>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
    #[serde(borrow)]
    items: Option<Vec<Slim<'a>>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    #[serde(borrow)]
    namespace: Option<&'a str>,
    #[serde(borrow)]
    labels: Option<std::collections::BTreeMap<&'a str, &'a str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Spec<'a> {
    #[serde(borrow)]
    node_name: Option<&'a str>,
    host_network: Option<bool>,
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Container<'a> {
    #[serde(borrow)]
    ports: Option<Vec<Port<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Port<'a> {
    #[serde(borrow)]
    name: Option<&'a str>,
    container_port: Option<u16>,
    #[serde(borrow)]
    protocol: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed to be timed, not to be read")]
struct Status<'a> {
    #[serde(borrow)]
    phase: Option<&'a str>,
    #[serde(rename = "podIP", borrow)]
    pod_ip: Option<&'a str>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    let text = std::fs::read_to_string(&args.file)?;
    let bytes = text.len();
    writeln!(out, "{:<28} {:>10.1} MB", "input", bytes as f64 / 1e6)?;

    let begun = Watch::start();
    let slim = serde_json::Deserializer::from_str(&text).into_iter::<Slim<'_>>();
    let parsed = slim.filter(Result::is_ok).count();
    let reference = begun.seconds();
    let reference = (parsed > 0).then_some(reference);
    if let Some(seconds) = reference {
        writeln!(out, "{:<28} {seconds:>10.3} s  the reference", "serde_json, slim structs")?;
    }
    let before = resident("VmHWM");
    writeln!(out, "{:<28} {:>10.0} MiB", "peak memory so far", before)?;

    let mut sources = SourceMap::default();
    sources.add(args.file.display().to_string(), text);
    let begun = Watch::start();
    let (snapshot, found) = read(&sources, &ReadOptions::default());
    line(&mut out, "read", begun, reference)?;
    let begun = Watch::start();
    let (cluster, more) = lower(&snapshot, &LowerOptions::default());
    line(&mut out, "lower", begun, reference)?;
    drop(snapshot);
    let errors = found.iter().chain(&more).filter(|diagnostic| diagnostic.is_error()).count();
    writeln!(
        out,
        "{:<28} {:>10} pods, {} namespaces, {} policies, {errors} errors",
        "cluster",
        cluster.pods.len(),
        cluster.namespaces.len(),
        cluster.policies.len()
    )?;

    let profile = Profile::default();
    let mut fastest = (f64::MAX, f64::MAX);
    for _ in 0..args.repeat.max(1) {
        let begun = Watch::start();
        let compiled = compile(&cluster, &profile);
        let compiling = begun.seconds();
        let begun = Watch::start();
        let admitted = count_admitted(&compiled, &cluster, &profile);
        let pairing = begun.seconds();
        if compiling + pairing < fastest.0 + fastest.1 {
            fastest = (compiling, pairing);
        }
        writeln!(
            out,
            "{:<28} {compiling:>10.3} s + {pairing:.3} s  {} classes, {admitted} admitted",
            "compile + all pairs",
            compiled.class_count(),
        )?;
    }
    if let Some(reference) = reference {
        writeln!(out, "{:<28} {:>10.2} × the reference", "compile + all pairs", (fastest.0 + fastest.1) / reference)?;
    }
    memory(&mut out, bytes)?;
    ways(&mut out, Analysis::new(cluster, profile), (args.repeat, fastest.0))?;
    memory(&mut out, bytes)
}

/// Times the indices of ways and everything that is open to the outside, beside compiling.
fn ways(out: &mut impl Write, analysis: Analysis, (repeat, compiling): (u32, f64)) -> Result<(), Box<dyn Error>> {
    let cluster = &analysis.cluster;
    let paths = cluster.ingresses.values().flat_map(|ingress| &ingress.rules).flat_map(|rule| &rule.paths);
    writeln!(
        out,
        "{:<28} {:>10} Services, {} Ingress paths, {} routes of Gateways",
        "ways of",
        cluster.services.len(),
        paths.flatten().count(),
        cluster.gateway_api.routes.len()
    )?;
    let mut fastest = (f64::MAX, f64::MAX);
    for _ in 0..repeat.max(1) {
        let begun = Watch::start();
        let ways = Ways::new(cluster, &analysis.profile);
        let indexing = begun.seconds();
        let begun = Watch::start();
        let found = exposures(&analysis, &ways);
        let walking = begun.seconds();
        fastest = (fastest.0.min(indexing), fastest.1.min(walking));
        writeln!(
            out,
            "{:<28} {indexing:>10.3} s + {walking:.3} s  {} ways from outside",
            "ways + exposures",
            found.len()
        )?;
    }
    writeln!(out, "{:<28} {:>10.2} × compile", "ways", fastest.0 / compiling)?;
    writeln!(out, "{:<28} {:>10.2} × compile", "exposures", fastest.1 / compiling)?;
    Ok(())
}

fn memory(out: &mut impl Write, bytes: usize) -> Result<(), Box<dyn Error>> {
    let beyond = resident("VmHWM") - bytes as f64 / (1024.0 * 1024.0);
    writeln!(out, "{:<28} {beyond:>10.0} MiB beyond the input", "peak memory")?;
    Ok(())
}

fn line(out: &mut impl Write, phase: &str, begun: Watch, reference: Option<f64>) -> std::io::Result<()> {
    let seconds = begun.seconds();
    match reference {
        Some(reference) => writeln!(out, "{phase:<28} {seconds:>10.3} s  {:.2} × the reference", seconds / reference),
        None => writeln!(out, "{phase:<28} {seconds:>10.3} s"),
    }
}

/// Time that this process spent on a processor, where the system tells it: other processes do not count. Else the time of
/// the clock. There is one thread.
enum Watch {
    Processor(f64),
    Clock(Instant),
}

impl Watch {
    fn start() -> Self {
        on_processor().map_or_else(|| Self::Clock(Instant::now()), Self::Processor)
    }

    fn seconds(&self) -> f64 {
        match self {
            Self::Processor(begun) => on_processor().unwrap_or_default() - begun,
            Self::Clock(begun) => begun.elapsed().as_secs_f64(),
        }
    }
}

fn on_processor() -> Option<f64> {
    // Off and on again: the figure is brought up to date when the process leaves the processor.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: f64 = told.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// A line of the process's status, in MiB; 0 where the system has none.
fn resident(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(key));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
