//! The names of things, as people write them and as `portolan` reads them back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::OnceLock;

use policy_core::analysis::Analysis;
use policy_core::ids::{Id, PodId, PolicyId, WorkloadId};
use policy_core::model::{AddressSet, Cluster, Party};
use policy_core::query::{Actor, Subject, outside};
use policy_core::source::{SourceMap, Span};

/// How many names of a list a table shows before it counts the rest.
const SHOWN: usize = 4;

/// Names out of one analysis.
pub(crate) struct Names<'a> {
    analysis: &'a Analysis,
    sources: &'a SourceMap,
    outside: OnceLock<AddressSet>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(analysis: &'a Analysis, sources: &'a SourceMap) -> Self {
        Self { analysis, sources, outside: OnceLock::new() }
    }

    pub(crate) fn cluster(&self) -> &'a Cluster {
        &self.analysis.cluster
    }

    /// `shop/web`; with the kind where two workloads of one namespace share the name.
    pub(crate) fn workload(&self, id: WorkloadId) -> String {
        let workloads = &self.cluster().workloads;
        let workload = workloads.at(id);
        let twin = |at: Option<usize>| {
            let other = at.and_then(|at| workloads.get(WorkloadId::from_index(at)));
            other.is_some_and(|other| other.namespace == workload.namespace && other.name == workload.name)
        };
        if twin(id.index().checked_sub(1)) || twin(Some(id.index() + 1)) {
            return Subject::Workload(id).written(self.cluster());
        }
        format!("{}/{}", self.cluster().namespaces.at(workload.namespace).name, workload.name)
    }

    /// `shop/pod/web-0`.
    pub(crate) fn pod(&self, id: PodId) -> String {
        Subject::Pod(id).written(self.cluster())
    }

    /// `shop/allow-web`.
    pub(crate) fn policy(&self, id: PolicyId) -> String {
        let policy = self.cluster().policies.at(id);
        format!("{}/{}", self.cluster().namespaces.at(policy.namespace).name, policy.name)
    }

    /// `file:line:column`.
    pub(crate) fn place(&self, span: Option<Span>) -> Option<String> {
        span.map(|span| self.sources.locate(span).to_string())
    }

    /// One end of a flow: a pod by its workload's name when it stands for it.
    pub(crate) fn party(&self, party: Party) -> String {
        match party {
            Party::Pod(id) => {
                let workload = self.cluster().pods.at(id).workload;
                match self.cluster().workloads.at(workload).pods.len() {
                    1 => self.workload(workload),
                    _ => self.pod(id),
                }
            }
            Party::Node(id) => Subject::Node(id).written(self.cluster()),
            Party::Address(address) => address.to_string(),
        }
    }

    /// The workloads of which all pods are here, and the pods of the others.
    pub(crate) fn whole_workloads(&self, pods: &[PodId]) -> (Vec<WorkloadId>, Vec<PodId>) {
        let mut by_workload: BTreeMap<WorkloadId, Vec<PodId>> = BTreeMap::new();
        for pod in pods {
            by_workload.entry(self.cluster().pods.at(*pod).workload).or_default().push(*pod);
        }
        let (mut whole, mut rest) = (Vec::new(), Vec::new());
        for (workload, pods) in by_workload {
            if pods.len() == self.cluster().workloads.at(workload).pods.len() {
                whole.push(workload);
            } else {
                rest.extend(pods);
            }
        }
        (whole, rest)
    }

    /// Some actors for people; `all` names every one of them.
    pub(crate) fn actors(&self, actors: &[Actor], all: bool) -> String {
        let mut names = Vec::new();
        for actor in actors {
            match actor {
                Actor::Pods(pods) => self.pods(pods, &mut names),
                Actor::Node(node) => names.push(Subject::Node(*node).written(self.cluster())),
                Actor::Addresses(addresses) => names.extend(self.addresses(addresses)),
            }
        }
        shorten(&names, all)
    }

    fn pods(&self, pods: &[PodId], names: &mut Vec<String>) {
        let cluster = self.cluster();
        if pods.len() == cluster.pods.len() && cluster.workloads.len() > 1 {
            names.push("all pods".to_owned());
            return;
        }
        let (whole, rest) = self.whole_workloads(pods);
        let spaces = whole.chunk_by(|a, b| cluster.workloads.at(*a).namespace == cluster.workloads.at(*b).namespace);
        for workloads in spaces {
            let Some(first) = workloads.first() else { continue };
            let namespace = cluster.workloads.at(*first).namespace;
            // Workloads are sorted by namespace: these are all of them when the neighbours are elsewhere.
            let start = cluster.workloads.values().as_slice().partition_point(|other| other.namespace < namespace);
            let end = cluster.workloads.values().as_slice().partition_point(|other| other.namespace <= namespace);
            if workloads.len() > 1 && workloads.len() == end - start {
                names.push(Subject::Namespace(namespace).written(cluster));
            } else {
                names.extend(workloads.iter().map(|workload| self.workload(*workload)));
            }
        }
        names.extend(rest.into_iter().map(|pod| self.pod(pod)));
    }

    /// The ranges of outside addresses. Addresses of pods and nodes do not interrupt a range: they are never outside.
    pub(crate) fn addresses(&self, addresses: &AddressSet) -> Vec<String> {
        let outside = self.outside.get_or_init(|| outside(self.analysis));
        if addresses == outside {
            return vec!["internet".to_owned()];
        }
        let mut joined: Vec<(IpAddr, IpAddr)> = Vec::new();
        for (first, last) in addresses.ranges() {
            match joined.last_mut() {
                Some((_, end)) if only_inside(*end, first, outside) => *end = last,
                _ => joined.push((first, last)),
            }
        }
        joined.into_iter().map(|(first, last)| AddressSet::range(first, last).to_string()).collect()
    }
}

/// Whether no outside address lies between two addresses of one family.
fn only_inside(end: IpAddr, first: IpAddr, outside: &AddressSet) -> bool {
    let gap = AddressSet::range(end, first).difference(&[end, first].into_iter().collect());
    end.is_ipv4() == first.is_ipv4() && gap.is_disjoint(outside)
}

fn shorten(names: &[String], all: bool) -> String {
    if all || names.len() <= SHOWN + 1 {
        return names.join(", ");
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    format!("{} +{}", shown.join(", "), names.len() - SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_counted_unless_all_is_asked_for() {
        let names: Vec<String> = (0..7).map(|n| format!("n{n}")).collect();
        assert_eq!(shorten(&names, false), "n0, n1, n2, n3 +3");
        assert_eq!(shorten(&names[..5], false), "n0, n1, n2, n3, n4");
        assert!(shorten(&names, true).ends_with("n6"));
    }

    #[test]
    fn a_gap_of_insiders_does_not_interrupt_a_range() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let outside = AddressSet::from(ip("10.0.0.5")).complement();
        assert!(only_inside(ip("10.0.0.4"), ip("10.0.0.6"), &outside));
        assert!(!only_inside(ip("10.0.0.4"), ip("10.0.0.7"), &outside));
        assert!(!only_inside(ip("10.0.0.4"), ip("::1"), &outside));
    }
}
