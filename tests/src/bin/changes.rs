//! What one change costs, beside compiling everything in the same run. For `docs/performance.md`; not a test.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use policy_core::compile::compile;
use policy_core::live::{Live, Touched};
use policy_core::lower::LowerOptions;
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::Profile;
use policy_core::snapshot::{Body, Object, ObjectKey, SnapshotDelta};
use policy_core::source::{SourceMap, Spanned};

/// Measures changes of a compiled cluster.
#[derive(Debug, Parser)]
struct Args {
    /// A manifest file, YAML or JSON.
    file: PathBuf,
    /// Changes of each kind.
    #[arg(long, default_value_t = 2000)]
    changes: usize,
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound.max(1)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    let mut sources = SourceMap::default();
    sources.add(args.file.display().to_string(), std::fs::read_to_string(&args.file)?);
    let (snapshot, _) = read(&sources, &ReadOptions::default());
    let of_kind = |wanted: fn(&Body) -> bool| -> Vec<Object> {
        snapshot.objects.iter().filter(|object| wanted(&object.body)).cloned().collect()
    };
    let pods = of_kind(|body| matches!(body, Body::Pod(_)));
    let policies = of_kind(|body| matches!(body, Body::NetworkPolicy(_)));
    let namespaces = of_kind(|body| matches!(body, Body::Namespace));
    let profile = Profile::preset("portolan").map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let (mut live, _) = Live::new(snapshot, LowerOptions::default(), profile);
    writeln!(out, "lower and compile {:.3} s", begun.elapsed().as_secs_f64())?;
    let mut full = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let compiled = compile(live.cluster(), live.profile());
        full.push(begun.elapsed());
        drop(compiled);
    }
    full.sort_unstable();
    let full = full.get(2).copied().unwrap_or_default();
    writeln!(
        out,
        "{} pods, {} policies, {} namespaces, {} classes: compile {:.1} ms (median of 5)",
        live.cluster().pods.len(),
        live.cluster().policies.len(),
        live.cluster().namespaces.len(),
        live.compiled().class_count(),
        full.as_secs_f64() * 1e3
    )?;

    let mut numbers = Numbers(7);
    // The first change makes what changes look up.
    let first = pods.first().and_then(Object::key).ok_or("there is no pod")?;
    let begun = Instant::now();
    live.apply(SnapshotDelta { put: Vec::new(), gone: vec![first] });
    writeln!(out, "the first change {:.1} ms", begun.elapsed().as_secs_f64() * 1e3)?;

    writeln!(
        out,
        "{:<34} {:>10} {:>10} {:>10} {:>12} {:>6}",
        "change", "p50 µs", "p99 µs", "worst µs", "p99/compile", "anew"
    )?;
    let kinds: [(&str, &dyn Fn(&mut Numbers) -> SnapshotDelta); 8] = [
        ("a pod goes", &|numbers| gone(one(numbers, &pods))),
        ("a pod comes", &|numbers| put(one(numbers, &pods).cloned())),
        ("a pod gets another's labels", &|numbers| put(relabelled(numbers, &pods))),
        ("a pod gets a label of its own", &|numbers| put(labelled(numbers, &pods))),
        ("a policy goes", &|numbers| gone(one(numbers, &policies))),
        ("a policy comes", &|numbers| put(one(numbers, &policies).cloned())),
        ("a policy gets another's rules", &|numbers| put(rewritten(numbers, &policies))),
        ("a namespace gets a label", &|numbers| put(labelled(numbers, &namespaces))),
    ];
    for (what, change) in kinds {
        let mut times: Vec<Duration> = Vec::new();
        let mut anew = 0;
        for _ in 0..args.changes {
            let delta = change(&mut numbers);
            let begun = Instant::now();
            let applied = live.apply(delta);
            times.push(begun.elapsed());
            anew += usize::from(applied.touched == Touched::Everything);
        }
        times.sort_unstable();
        let at = |share: usize| times.get(times.len().saturating_sub(1) * share / 100).copied().unwrap_or_default();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        writeln!(
            out,
            "{what:<34} {:>10.1} {:>10.1} {:>10.1} {:>12.5} {anew:>6}",
            micros(at(50)),
            micros(at(99)),
            micros(at(100)),
            at(99).as_secs_f64() / full.as_secs_f64()
        )?;
    }
    let mut numbers = Numbers(11);
    let delta = put(reading_anew(&mut numbers, &policies));
    let begun = Instant::now();
    let applied = live.apply(delta);
    let anew = if applied.touched == Touched::Everything { "all anew" } else { "worked in" };
    writeln!(out, "a policy that reads a new label key: {:.1} ms ({anew})", begun.elapsed().as_secs_f64() * 1e3)?;
    Ok(())
}

fn one<'a>(numbers: &mut Numbers, objects: &'a [Object]) -> Option<&'a Object> {
    objects.get(numbers.below(objects.len()))
}

fn gone(object: Option<&Object>) -> SnapshotDelta {
    let gone: Vec<ObjectKey> = object.and_then(Object::key).into_iter().collect();
    SnapshotDelta { put: Vec::new(), gone }
}

fn put(object: Option<Object>) -> SnapshotDelta {
    SnapshotDelta { put: object.into_iter().collect(), gone: Vec::new() }
}

fn relabelled(numbers: &mut Numbers, pods: &[Object]) -> Option<Object> {
    let mut pod = one(numbers, pods)?.clone();
    pod.metadata.labels = one(numbers, pods)?.metadata.labels.clone();
    Some(pod)
}

fn labelled(numbers: &mut Numbers, objects: &[Object]) -> Option<Object> {
    let mut object = one(numbers, objects)?.clone();
    let labels = object.metadata.labels.get_or_insert_default();
    let key = labels.keys().nth(numbers.below(labels.len())).cloned().unwrap_or_else(|| Arc::from("tier"));
    labels.insert(key, Arc::from(format!("v{}", numbers.below(1 << 30))));
    Some(object)
}

fn rewritten(numbers: &mut Numbers, policies: &[Object]) -> Option<Object> {
    let mut policy = one(numbers, policies)?.clone();
    policy.body = one(numbers, policies)?.body.clone();
    Some(policy)
}

fn reading_anew(numbers: &mut Numbers, policies: &[Object]) -> Option<Object> {
    let mut policy = one(numbers, policies)?.clone();
    if let Body::NetworkPolicy(body) = &mut policy.body
        && let Some(selector) = body.spec.as_mut().and_then(|spec| spec.pod_selector.as_mut())
    {
        let value = Spanned { value: Arc::from("a"), span: None };
        selector.match_labels.get_or_insert_default().insert(Arc::from("never-read-before"), value);
    }
    Some(policy)
}
