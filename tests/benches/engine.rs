//! Benches of the engine by itself, without reading: `cargo bench -p tests`.
//!
//! Figures of whole commands come from `benches/whole-process.sh`; both are in `docs/performance.md`.

use std::fmt::Write;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fixtures::scale::{Format, Scale};
use policy_core::analysis::Analysis;
use policy_core::compile::compile;
use policy_core::compile::connections::{connections, count_admitted};
use policy_core::ids::PodId;
use policy_core::model::{Cluster, Family, Flow, Judge, Party, Profile, Protocol};
use policy_core::ways::Ways;
use policy_core::ways::exposure::exposures;

/// Questions of one round of point questions.
const QUESTIONS: usize = 1_000;

/// A tenth of the preset `huge`: the same density of pods, teams, ports and policies.
fn huge_tenth() -> Scale {
    let huge = preset("huge");
    Scale {
        namespaces: huge.namespaces / 10,
        nodes: huge.nodes / 10,
        teams: huge.teams / 10,
        ports: huge.ports / 10,
        policies: huge.policies / 10,
        ..huge
    }
}

#[expect(clippy::expect_used, reason = "a bench without its cluster has nothing to measure")]
fn preset(name: &str) -> Scale {
    Scale::preset(name).expect("the presets are listed in `Scale::PRESETS`")
}

/// Reads a made cluster the way the command line does.
#[expect(clippy::expect_used, reason = "a bench without its cluster has nothing to measure")]
fn cluster(scale: &Scale) -> Cluster {
    let mut json = Vec::new();
    scale.write(&mut json, Format::Json).expect("writing to memory does not fail");
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    let loaded = tests::pipeline::load([("cluster.json".to_owned(), json)]);
    let mut errors = String::new();
    for error in loaded.errors() {
        // Writing to a String cannot fail.
        let _ = writeln!(errors, "{}", loaded.describe(error));
    }
    assert!(errors.is_empty(), "the cluster is broken:\n{errors}");
    assert_eq!(loaded.cluster.pods.len() as u64, scale.pods() + scale.proxy_pods(), "every pod arrives");
    loaded.cluster
}

fn clusters() -> Vec<(&'static str, Cluster)> {
    let scales = [("peer-30", preset("peer-30")), ("peer-100", preset("peer-100")), ("huge-tenth", huge_tenth())];
    scales.into_iter().map(|(name, scale)| (name, cluster(&scale))).collect()
}

/// Questions spread over all pods, three of four between pods and the rest from outside, over a few ports.
fn questions(cluster: &Cluster) -> Vec<Flow> {
    let pods: Vec<PodId> = cluster.pods.ids().collect();
    let outside = Party::Address(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)));
    let pick = |at: usize| pods.get(at % pods.len()).map(|pod| Party::Pod(*pod));
    let ask = |at: usize| {
        let source = if at % 4 == 3 { Some(outside) } else { pick(at * 7919) };
        let port = [8080, 9090, 443, 53].get(at % 4).copied().unwrap_or(80);
        Some(Flow::direct(source?, pick(at * 104_729 + 13)?, Family::V4, Protocol::Tcp, port))
    };
    (0..QUESTIONS).filter_map(ask).collect()
}

fn engine(criterion: &mut Criterion) {
    let profile = Profile::default();
    for (name, cluster) in clusters() {
        let analysis = Analysis::new(cluster, profile.clone());
        let cluster = &analysis.cluster;
        let mut group = criterion.benchmark_group(name);
        group.bench_function("compile", |bencher| bencher.iter(|| compile(black_box(cluster), &profile)));
        group.bench_function("connections", |bencher| {
            bencher.iter(|| connections(black_box(&analysis.compiled), cluster, &profile));
        });
        group.bench_function("count_admitted", |bencher| {
            bencher.iter(|| count_admitted(black_box(&analysis.compiled), cluster, &profile));
        });
        let questions = questions(cluster);
        group.throughput(Throughput::Elements(questions.len() as u64));
        group.bench_function("questions", |bencher| {
            bencher.iter(|| {
                for flow in &questions {
                    black_box(analysis.judge(black_box(flow)));
                }
            });
        });
        group.finish();
    }
}

/// What one more replica, and one more policy, costs: compare the two lines of each group.
fn growth(criterion: &mut Criterion) {
    let profile = Profile::default();
    let tenth = huge_tenth();
    let mut group = criterion.benchmark_group("compile, replicas");
    for factor in [1, 10] {
        let cluster = cluster(&Scale { replicas: factor, ..tenth.clone() });
        group.bench_function(BenchmarkId::from_parameter(format!("x{factor}")), |bencher| {
            bencher.iter(|| compile(black_box(&cluster), &profile));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("compile, policies");
    for factor in [1, 2] {
        let cluster = cluster(&Scale { policies: tenth.policies * factor, ..tenth.clone() });
        group.bench_function(BenchmarkId::from_parameter(format!("x{factor}")), |bencher| {
            bencher.iter(|| compile(black_box(&cluster), &profile));
        });
    }
    group.finish();
}

/// Ways of a tenth of 10,000 Services, 10,000 Ingress paths and 2,000 HTTPRoutes, and of twice as many: building their
/// indices, and finding all that is open to the outside.
fn ways(criterion: &mut Criterion) {
    let tenth = Scale { services: 1_000, ingress_paths: 1_000, http_routes: 200, ..huge_tenth() };
    let double = Scale { services: 2_000, ingress_paths: 2_000, http_routes: 400, ..tenth.clone() };
    let mut group = criterion.benchmark_group("ways");
    for (name, scale) in [("x1", tenth), ("x2", double)] {
        let analysis = Analysis::new(cluster(&scale), Profile::default());
        group.bench_function(BenchmarkId::new("indices", name), |bencher| {
            bencher.iter(|| Ways::new(black_box(&analysis.cluster), &analysis.profile));
        });
        group.bench_function(BenchmarkId::new("exposures", name), |bencher| {
            bencher.iter(|| exposures(black_box(&analysis), &analysis.ways));
        });
    }
    group.finish();
}

fn short() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
}

criterion_group! {
    name = benches;
    config = short();
    targets = engine, growth, ways
}
criterion_main!(benches);
