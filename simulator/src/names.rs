//! The names of things, as people write them and as `portolan` reads them back.

use std::net::IpAddr;
use std::sync::OnceLock;

use policy_core::analysis::Analysis;
use policy_core::ids::{ClusterPolicyId, Id, PodId, PolicyId, WorkloadId};
use policy_core::model::{
    AddressSet, Cluster, DomainPattern, Domains, End, Flow, Party, TierPeer, TierPeers, TierRule, TierRuleRef,
    Workload, premise,
};
use policy_core::query::{Actor, Subject};
use policy_core::source::{SourceMap, Span};

use crate::dto::answer::rule_path;
use crate::render::escape;

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

    /// Ingress controllers and Gateways.
    pub(crate) fn proxies(&self) -> &'a [policy_core::model::http::Proxy] {
        &self.analysis.ways.proxies
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

    /// `ClusterNetworkPolicy/tenants`: names of namespaces have no capitals.
    pub(crate) fn cluster_policy(&self, id: ClusterPolicyId) -> String {
        let policy = self.cluster().cluster_policies.at(id);
        format!("{}/{}", policy.kind, policy.name)
    }

    /// A rule of a cluster-wide policy.
    pub(crate) fn tier_rule(&self, rule: TierRuleRef) -> Option<&'a TierRule> {
        let rules = self.cluster().cluster_policies.at(rule.policy).rules(rule.direction);
        rules.get(usize::try_from(rule.index).ok()?)
    }

    /// Where a rule of a cluster-wide policy is written.
    pub(crate) fn tier_rule_place(&self, rule: TierRuleRef) -> Option<String> {
        let policy = self.cluster().cluster_policies.at(rule.policy);
        self.place(self.tier_rule(rule).and_then(|rule| rule.span).or(policy.span))
    }

    /// `Admin ClusterNetworkPolicy tenants ingress[0] (others), file:line:column`.
    pub(crate) fn tier_rule_text(&self, rule: TierRuleRef) -> String {
        let policy = self.cluster().cluster_policies.at(rule.policy);
        let own = self.tier_rule(rule).and_then(|rule| rule.name.as_ref());
        let own = own.map(|name| format!(" ({})", escape(name))).unwrap_or_default();
        let place = self.tier_rule_place(rule).map(|place| format!(", {place}")).unwrap_or_default();
        let path = rule_path(rule.direction, rule.index);
        format!("{} {} {} {path}{own}{place}", policy.tier, policy.kind, policy.name)
    }

    /// The names in a rule that may stand for the destination of a flow (CNP-10).
    pub(crate) fn domains_of(&self, rule: TierRuleRef, flow: &Flow) -> Vec<String> {
        let Some(TierPeers::OneOf(peers)) = self.tier_rule(rule).map(|rule| &rule.peers) else { return Vec::new() };
        let may_be_meant = |pattern: &DomainPattern| match flow.destination {
            Party::Named(class) => Domains::new(self.cluster().cluster_policies.values()).matches(pattern, class),
            Party::Address(_) => true,
            Party::Pod(_) => pattern.may_name_pods(&self.analysis.profile.ways.cluster_domain),
            Party::Node(_) | Party::Somebody(_) => false,
        };
        let patterns = peers.iter().filter_map(|peer| match peer {
            TierPeer::Domain { pattern, .. } if may_be_meant(pattern) => Some(pattern.to_string()),
            _ => None,
        });
        patterns.collect()
    }

    /// The names that an end of a flow depends on.
    pub(crate) fn domains(&self, end: &End, flow: &Flow) -> Vec<String> {
        let mut names: Vec<String> = end.tier_rules.iter().flat_map(|rule| self.domains_of(*rule, flow)).collect();
        names.sort_unstable();
        names.dedup();
        names
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
            Party::Named(_) => "a name outside".to_owned(),
            Party::Somebody(_) => "somebody unknown".to_owned(),
        }
    }

    /// The workloads of which all pods are here, and the pods of the others; both sorted.
    pub(crate) fn whole_workloads(&self, pods: &[PodId]) -> (Vec<WorkloadId>, Vec<PodId>) {
        let mut owned: Vec<(WorkloadId, PodId)> =
            pods.iter().map(|pod| (self.cluster().pods.at(*pod).workload, *pod)).collect();
        owned.sort_unstable();
        let (mut whole, mut rest) = (Vec::new(), Vec::new());
        for pods in owned.chunk_by(|(a, _), (b, _)| a == b) {
            match pods.first() {
                Some((workload, _)) if pods.len() == self.cluster().workloads.at(*workload).pods.len() => {
                    whole.push(*workload);
                }
                _ => rest.extend(pods.iter().map(|(_, pod)| *pod)),
            }
        }
        (whole, rest)
    }

    /// Some actors for people; `all` names every one of them.
    pub(crate) fn actors(&self, actors: &[Actor], all: bool) -> String {
        let mut labels = Vec::new();
        for actor in actors {
            match actor {
                Actor::Pods(pods) => self.pod_labels(pods, &mut labels),
                Actor::Node(node) => labels.push(Label::Subject(Subject::Node(*node))),
                Actor::Addresses(addresses) => labels.extend(self.addresses(addresses).into_iter().map(Label::Text)),
                Actor::Name(name) => labels.push(Label::Text(escape(name))),
            }
        }
        let shown = if all || labels.len() <= SHOWN + 1 { labels.len() } else { SHOWN };
        let mut text = labels.iter().take(shown).map(|label| self.label(label)).collect::<Vec<_>>().join(", ");
        if shown < labels.len() {
            text.push_str(&format!(" +{}", labels.len() - shown));
        }
        text
    }

    fn label(&self, label: &Label) -> String {
        match label {
            Label::Subject(Subject::Workload(id)) => self.workload(*id),
            Label::Subject(subject) => subject.written(self.cluster()),
            Label::Text(text) => text.clone(),
        }
    }

    fn pod_labels(&self, pods: &[PodId], labels: &mut Vec<Label>) {
        let cluster = self.cluster();
        if pods.len() == cluster.pods.len() && cluster.workloads.len() > 1 {
            labels.push(Label::Text("all pods".to_owned()));
            return;
        }
        let (whole, rest) = self.whole_workloads(pods);
        let namespace = |id: WorkloadId| cluster.workloads.at(id).namespace;
        for workloads in whole.chunk_by(|a, b| namespace(*a) == namespace(*b)) {
            let Some(of) = workloads.first().map(|workload| namespace(*workload)) else { continue };
            // Workloads are sorted by namespace.
            let place = |before: bool| {
                let earlier = |other: &Workload| other.namespace < of || !before && other.namespace == of;
                cluster.workloads.values().as_slice().partition_point(earlier)
            };
            if workloads.len() > 1 && workloads.len() == place(false).saturating_sub(place(true)) {
                labels.push(Label::Subject(Subject::Namespace(of)));
            } else {
                labels.extend(workloads.iter().map(|workload| Label::Subject(Subject::Workload(*workload))));
            }
        }
        labels.extend(rest.into_iter().map(|pod| Label::Subject(Subject::Pod(pod))));
    }

    /// The ranges of outside addresses. What is inside the cluster does not interrupt a range: it is never
    /// meant (M-1).
    pub(crate) fn addresses(&self, addresses: &AddressSet) -> Vec<String> {
        let outside = self.outside.get_or_init(|| premise::outside(&self.analysis.cluster, &self.analysis.profile));
        if addresses == outside {
            return vec!["internet".to_owned()];
        }
        // Who is asked about within the ranges of pods or Services is told apart from what is not asked about.
        let unnamed = premise::nobodys(&self.analysis.cluster);
        let outside = if addresses.is_subset(outside) { outside } else { &unnamed };
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

/// One name in a list.
enum Label {
    Subject(Subject),
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_insiders_does_not_interrupt_a_range() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let outside = AddressSet::from(ip("10.0.0.5")).complement();
        assert!(only_inside(ip("10.0.0.4"), ip("10.0.0.6"), &outside));
        assert!(!only_inside(ip("10.0.0.4"), ip("10.0.0.7"), &outside));
        assert!(!only_inside(ip("10.0.0.4"), ip("::1"), &outside));
    }
}
