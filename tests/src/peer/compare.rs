//! The peer's list and ours, pair by pair.

use std::collections::{BTreeMap, BTreeSet};

use policy_core::model::profile::HostNetworkPods;
use policy_core::model::{Cluster, PortSet, Profile, TierPeer, TierPeers, TierRule};

use super::answer::{Answer, Table, pieces, table};
use super::expected::{Expected, Line, Side};
use super::focus::Options;
use crate::pipeline::{Backend, with_judge};

/// How a comparison went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Pairs compared: those between which either of us lists a connection.
    pub asked: usize,
    /// Pairs that agree only when no ipBlock matches a pod, as the peer has it (NP-13).
    pub by_block: usize,
    /// Pairs that agree only when no network of a cluster-wide policy matches a pod, as the peer has it, too (CNP-9).
    pub by_network: usize,
    /// Pairs that agree only when pods on the host's network are pods like others, as the peer has it, too (NP-22).
    pub by_host: usize,
    /// Pairs that do not agree.
    pub differences: Vec<String>,
}

type Wanted = BTreeMap<(Side, Side), PortSet>;

/// Compares a list with what an evaluator says of the cluster.
#[must_use]
pub fn compare(
    backend: Backend,
    cluster: &Cluster,
    profile: &Profile,
    expected: &Expected,
    options: &Options,
) -> Comparison {
    let ranges = expected.lines.iter().flat_map(|line| [&line.source, &line.destination]);
    let ranges = ranges.filter_map(|side| match side {
        Side::Range(first, last) => Some((*first, *last)),
        Side::Workload(_) | Side::Controller => None,
    });
    let pieces = pieces(cluster, ranges);
    let wanted = wanted(expected, &pieces);
    let answers = |cluster: &Cluster, profile: &Profile| {
        with_judge(backend, cluster, profile, |judge| table(cluster, judge, &pieces))
    };
    let pods_apart = without_networks(cluster);
    let between_pods = |(source, destination): &(Side, Side)| {
        [source, destination].into_iter().all(|side| matches!(side, Side::Workload(_)))
    };
    // Networks stay what they are to who is outside.
    let apart = |profile: &Profile| {
        let mut table = answers(cluster, profile);
        table.extend(answers(&pods_apart, profile).into_iter().filter(|(pair, _)| between_pods(pair)));
        table
    };
    let blocks = Profile { ipblock_matches_pods: false, ..profile.clone() };
    let hosts = Profile { hostnetwork_pods: HostNetworkPods::AsPod, ..blocks.clone() };
    let (ours, blocks, networks, hosts) =
        (answers(cluster, profile), answers(cluster, &blocks), apart(&blocks), apart(&hosts));

    let mut comparison = Comparison::default();
    let pairs: BTreeSet<_> = wanted.keys().chain(ours.keys()).collect();
    for pair in pairs {
        let want = wanted.get(pair).cloned().unwrap_or_default();
        let listed = |table: &Table| table.get(pair).map(|answer| focused(pair, answer, options));
        let got = listed(&ours);
        let agrees = |got: &Option<Answer>| match got {
            Some(answer) => answer.allowed == want && answer.open.is_empty(),
            None => want.is_empty(),
        };
        let silent =
            |got: &Option<Answer>| got.as_ref().is_none_or(|got| got.allowed.is_empty() && got.open.is_empty());
        if want.is_empty() && silent(&got) {
            continue;
        }
        comparison.asked += 1;
        if agrees(&got) {
            continue;
        }
        if agrees(&listed(&blocks)) {
            comparison.by_block += 1;
        } else if agrees(&listed(&networks)) {
            comparison.by_network += 1;
        } else if agrees(&listed(&hosts)) {
            comparison.by_host += 1;
        } else {
            comparison.differences.push(describe(pair, &want, got.as_ref()));
        }
    }
    // An empty list is an answer, too.
    comparison.asked = comparison.asked.max(1);
    comparison
}

/// The same cluster, with no `networks` in its cluster-wide policies.
fn without_networks(cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    let strip = |rule: &mut TierRule| {
        if let TierPeers::OneOf(peers) = &mut rule.peers {
            peers.retain(|peer| !matches!(peer, TierPeer::Network { .. }));
        }
    };
    let policies = cluster.cluster_policies.values().cloned().map(|mut policy| {
        policy.egress.iter_mut().for_each(strip);
        policy
    });
    cluster.cluster_policies = policies.collect();
    cluster
}

/// The wanted ports of each pair; ranges are cut into pieces.
fn wanted(expected: &Expected, pieces: &[(u32, u32)]) -> Wanted {
    let cut = |side: &Side| match side {
        Side::Range(first, last) => {
            let within = pieces.iter().filter(|(from, to)| first <= from && to <= last);
            within.map(|(from, to)| Side::Range(*from, *to)).collect()
        }
        side => vec![side.clone()],
    };
    let mut wanted = Wanted::new();
    for line in &expected.lines {
        for source in cut(&line.source) {
            for destination in cut(&line.destination) {
                let ports = wanted.entry((source.clone(), destination)).or_default();
                *ports = ports.union(&line.ports);
            }
        }
    }
    wanted
}

/// What of an answer a run with these options lists.
fn focused((source, destination): &(Side, Side), answer: &Answer, options: &Options) -> Answer {
    let line =
        Line { source: source.clone(), destination: destination.clone(), ports: answer.allowed.union(&answer.open) };
    if options.keeps(&line) { answer.clone() } else { Answer { allowed: PortSet::empty(), open: PortSet::empty() } }
}

fn describe((source, destination): &(Side, Side), want: &PortSet, got: Option<&Answer>) -> String {
    let side = |side: &Side| match side {
        Side::Range(first, last) => {
            format!("{}-{}", std::net::Ipv4Addr::from(*first), std::net::Ipv4Addr::from(*last))
        }
        Side::Workload(name) => name.clone(),
        Side::Controller => "{ingress-controller}".to_owned(),
    };
    let got = match got {
        None => "nothing: no such workload".to_owned(),
        Some(answer) if answer.open.is_empty() => format!("`{}`", answer.allowed),
        Some(answer) => format!("`{}` and, not settled, `{}`", answer.allowed, answer.open),
    };
    format!("{} -> {}: wanted `{want}`, got {got}", side(source), side(destination))
}
