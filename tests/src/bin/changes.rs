//! What one change costs, from the object to the compiled cluster and to the last write to the kernel's tables, beside
//! compiling everything in the same run. For `docs/performance.md`; not a test. Needs root.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use enforcer::datapath::{Capacity, Datapath};
use policy_core::compile::compile;
use policy_core::live::{Live, Touched};
use policy_core::lower::LowerOptions;
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::Profile;
use policy_core::node_program::{Change, LiveProgram, Options};
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
    /// The node, by position.
    #[arg(long, default_value_t = 0)]
    node: usize,
    /// Let one of so many changes be about that node's own pods and their namespaces.
    #[arg(long, default_value_t = 2)]
    near: usize,
    /// How many times more room the kernel's tables have than usual.
    #[arg(long, default_value_t = 4)]
    spare: usize,
    /// Milliseconds between changes: a switch waits until no packet uses what there was before the last one.
    #[arg(long, default_value_t = 20)]
    pause: u64,
}

/// The objects to change.
struct Pool {
    pods: Vec<Object>,
    policies: Vec<Object>,
    namespaces: Vec<Object>,
    /// Pods of the node, and policies of their namespaces.
    own_pods: Vec<Object>,
    own_policies: Vec<Object>,
    near: usize,
}

impl Pool {
    fn pod(&self, numbers: &mut Numbers) -> Option<&Object> {
        if numbers.below(self.near) == 0 { one(numbers, &self.own_pods) } else { one(numbers, &self.pods) }
    }

    fn policy(&self, numbers: &mut Numbers) -> Option<&Object> {
        if numbers.below(self.near) == 0 { one(numbers, &self.own_policies) } else { one(numbers, &self.policies) }
    }
}

/// Sorted times, in microseconds.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn at(&mut self, share: usize) -> f64 {
        self.0.sort_unstable();
        let place = self.0.len().saturating_sub(1) * share / 100;
        self.0.get(place).copied().unwrap_or_default().as_secs_f64() * 1e6
    }
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

    let node_name = live.cluster().nodes.values().nth(args.node).map(|node| node.name.clone()).ok_or("no such node")?;
    let on_node = |pod: &&Object| match &pod.body {
        Body::Pod(body) => body.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&node_name),
        _ => false,
    };
    let own_pods: Vec<Object> = pods.iter().filter(on_node).cloned().collect();
    let own_spaces: Vec<_> = own_pods.iter().map(|pod| pod.metadata.namespace.clone()).collect();
    let of_own = |policy: &&Object| own_spaces.contains(&policy.metadata.namespace);
    let own_policies = policies.iter().filter(of_own).cloned().collect();
    let pool = Pool { pods, policies, namespaces, own_pods, own_policies, near: args.near };

    let node = live.node(&node_name).ok_or("no such node")?;
    let begun = Instant::now();
    let mut program = LiveProgram::new(&live, node, Options::default())?;
    writeln!(out, "the program of {node_name} {:.1} ms", begun.elapsed().as_secs_f64() * 1e3)?;
    let capacity = Capacity::of(program.program());
    // Changes make the node's pods more different from each other than those of a cluster are.
    let mut datapath =
        Datapath::load(Capacity { rows: args.spare * capacity.rows, cells: args.spare * capacity.cells, ..capacity })?;
    let begun = Instant::now();
    let published = datapath.publish(program.program())?;
    writeln!(out, "{} writes {:.1} ms", published.writes, begun.elapsed().as_secs_f64() * 1e3)?;
    let begun = Instant::now();
    let prepared = datapath.prepare(program.program())?;
    writeln!(out, "{} to the other slot {:.1} ms", prepared.writes, begun.elapsed().as_secs_f64() * 1e3)?;

    let mut numbers = Numbers(7);
    // The first change makes what changes look up.
    let first = pool.pods.first().and_then(Object::key).ok_or("there is no pod")?;
    let begun = Instant::now();
    let applied = live.apply(SnapshotDelta { put: Vec::new(), gone: vec![first] });
    writeln!(out, "the first change {:.1} ms", begun.elapsed().as_secs_f64() * 1e3)?;
    let change = program.update(&live, node, &applied.touched);
    datapath.publish_change(program.program(), &change)?;

    let words =
        ["p50 µs", "p99 µs", "worst µs", "p99/compile", "node p99", "map p50", "map p99", "worst", "writes", "anew"];
    writeln!(out, "{:<30} {}", "change", words.map(|word| format!("{word:>11}")).join(" "))?;
    let kinds: [(&str, &dyn Fn(&mut Numbers) -> SnapshotDelta); 8] = [
        ("a pod goes", &|numbers| gone(pool.pod(numbers))),
        ("a pod comes", &|numbers| put(pool.pod(numbers).cloned())),
        ("a pod gets another's labels", &|numbers| put(relabelled(numbers, &pool))),
        ("a pod gets a label of its own", &|numbers| put(labelled(numbers, &pool.pods))),
        ("a policy goes", &|numbers| gone(pool.policy(numbers))),
        ("a policy comes", &|numbers| put(pool.policy(numbers).cloned())),
        ("a policy gets another's rules", &|numbers| put(rewritten(numbers, &pool))),
        ("a namespace gets a label", &|numbers| put(labelled(numbers, &pool.namespaces))),
    ];
    for (what, change) in kinds {
        let (mut compiling, mut on_node, mut to_kernel) = (Times::default(), Times::default(), Times::default());
        let (mut anew, mut writes) = (0, 0);
        for _ in 0..args.changes {
            let delta = change(&mut numbers);
            std::thread::sleep(Duration::from_millis(args.pause));
            let begun = Instant::now();
            let applied = live.apply(delta);
            compiling.0.push(begun.elapsed());
            let Some(node) = live.node(&node_name) else { continue };
            let change = program.update(&live, node, &applied.touched);
            on_node.0.push(begun.elapsed());
            writes += datapath.publish_change(program.program(), &change)?.writes;
            to_kernel.0.push(begun.elapsed());
            anew += usize::from(change == Change::Everything);
        }
        let share = compiling.at(99) / (full.as_secs_f64() * 1e6);
        let figures = [compiling.at(50), compiling.at(99), compiling.at(100)].map(|time| format!("{time:>11.1}"));
        let after = [on_node.at(99), to_kernel.at(50), to_kernel.at(99), to_kernel.at(100)];
        let after = after.map(|time| format!("{time:>11.1}")).join(" ");
        let each = writes / args.changes.max(1);
        writeln!(out, "{what:<30} {} {share:>11.5} {after} {each:>11} {anew:>11}", figures.join(" "))?;
    }
    let mut numbers = Numbers(11);
    let delta = put(reading_anew(&mut numbers, &pool.policies));
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

fn relabelled(numbers: &mut Numbers, pool: &Pool) -> Option<Object> {
    let mut pod = pool.pod(numbers)?.clone();
    pod.metadata.labels = one(numbers, &pool.pods)?.metadata.labels.clone();
    Some(pod)
}

fn labelled(numbers: &mut Numbers, objects: &[Object]) -> Option<Object> {
    let mut object = one(numbers, objects)?.clone();
    let labels = object.metadata.labels.get_or_insert_default();
    let key = labels.keys().nth(numbers.below(labels.len())).cloned().unwrap_or_else(|| Arc::from("tier"));
    labels.insert(key, Arc::from(format!("v{}", numbers.below(1 << 30))));
    Some(object)
}

fn rewritten(numbers: &mut Numbers, pool: &Pool) -> Option<Object> {
    let mut policy = pool.policy(numbers)?.clone();
    policy.body = one(numbers, &pool.policies)?.body.clone();
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
