//! Who asks, and what comes of it for all of them together (M-3, M-6).

use std::collections::BTreeMap;

use crate::analysis::Analysis;
use crate::ids::{NodeId, PodId};
use crate::model::{AddressSet, Family, Finding, Party, Verdict, premise};
use crate::query::Subject;
use crate::ways::clients::{Clients, Part};
use crate::ways::route::{Answer, Question, Then, Unserved, best, route};

/// Clients of a request that are alike to everybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asker {
    /// One of them, or addresses outside.
    pub clients: Clients,
    /// The pods, when they are pods; the first one stands for all.
    pub pods: Vec<PodId>,
}

impl Asker {
    fn one(party: Party) -> Self {
        Self { clients: Clients::Party(party), pods: Vec::new() }
    }
}

/// The clients that a name stands for, as few as possible; none for a name that is only a destination.
#[must_use]
pub fn askers(analysis: &Analysis, subject: &Subject) -> Vec<Asker> {
    let cluster = &analysis.cluster;
    let pods_in = |set: &AddressSet| -> Vec<PodId> {
        let inside = |pod: &crate::model::Pod| {
            let mut held = Family::ALL.into_iter().filter_map(|family| pod.address(family));
            !pod.host_network && held.any(|ip| set.contains(ip))
        };
        cluster.pods.iter().filter(|(_, pod)| inside(pod)).map(|(id, _)| id).collect()
    };
    let nodes_in = |set: &AddressSet| -> Vec<NodeId> {
        let inside = |id: &NodeId| cluster.nodes.at(*id).addresses.iter().any(|address| set.contains(address.ip));
        cluster.nodes.ids().filter(inside).collect()
    };
    let within = |set: AddressSet| {
        let outside = set.intersection(&premise::nobodys(cluster));
        let mut found = alike(analysis, &pods_in(&set));
        found.extend(nodes_in(&set).into_iter().map(|node| Asker::one(Party::Node(node))));
        if !outside.is_empty() {
            found.push(Asker { clients: Clients::Outside(outside), pods: Vec::new() });
        }
        found
    };
    match subject {
        Subject::Workload(id) => alike(analysis, &cluster.workloads.at(*id).pods),
        Subject::Pod(id) => alike(analysis, &[*id]),
        Subject::Namespace(id) => {
            let pods = cluster.pods.iter().filter(|(_, pod)| pod.namespace == *id).map(|(id, _)| id);
            alike(analysis, &pods.collect::<Vec<_>>())
        }
        Subject::Node(id) => vec![Asker::one(Party::Node(*id))],
        Subject::Address(address) => within(AddressSet::from(*address)),
        Subject::Cidr(net) => within(AddressSet::net(*net)),
        Subject::Internet => {
            vec![Asker { clients: Clients::Outside(premise::outside(cluster, &analysis.profile)), pods: Vec::new() }]
        }
        Subject::Name(_) => Vec::new(),
        Subject::Everything => {
            let mut found = alike(analysis, &cluster.pods.ids().collect::<Vec<_>>());
            found.extend(cluster.nodes.ids().map(|node| Asker::one(Party::Node(node))));
            found.extend(askers(analysis, &Subject::Internet));
            found
        }
    }
}

/// Pods of one workload on one node that policies treat alike are one client.
fn alike(analysis: &Analysis, pods: &[PodId]) -> Vec<Asker> {
    let mut found: BTreeMap<_, Asker> = BTreeMap::new();
    for pod in pods {
        let it = analysis.cluster.pods.at(*pod);
        let key = (it.workload, it.node, it.host_network, analysis.compiled.pod_columns(*pod));
        let fresh = || Asker::one(Party::Pod(*pod));
        found.entry(key).or_insert_with(fresh).pods.push(*pod);
    }
    found.into_values().collect()
}

/// What becomes of a request for each of the clients that a name stands for.
///
/// # Errors
/// [`Unserved`] when nothing in the input takes requests for its host.
pub fn route_all(
    analysis: &Analysis,
    subject: &Subject,
    question: &Question,
) -> Result<Vec<(Asker, Vec<Answer>)>, Unserved> {
    let ask = |asker: Asker| route(analysis, &asker.clients, question).map(|answers| (asker, answers));
    askers(analysis, subject).into_iter().map(ask).collect()
}

/// What becomes of all clients together: what they share, or it depends on which of them is meant (M-3).
#[must_use]
pub fn together(asked: &[(Asker, Vec<Answer>)]) -> Finding {
    let mut all: Option<Finding> = None;
    let depends = || Finding::of(Verdict::Conditional, "M-3");
    for (_, answers) in asked {
        let own =
            best(answers).map_or_else(|| Finding::of(Verdict::NoListener, "M-4"), |answer| answer.finding.clone());
        let own = if own.verdict == Verdict::Allowed && !for_all(answers) { depends() } else { own };
        all = Some(match all {
            None => own,
            Some(known) if known.verdict == own.verdict => known,
            Some(_) => return depends(),
        });
    }
    all.unwrap_or_else(|| Finding::of(Verdict::NoRoute, "M-2"))
}

/// Whether every address gets to a backend on some way. A family for which there is no route at all does not count
/// (NP-30).
fn for_all(answers: &[Answer]) -> bool {
    let backends = answers.iter().flat_map(|answer| &answer.choices).filter_map(|choice| match &choice.then {
        Then::Forward(backends) => Some(backends),
        _ => None,
    });
    let counting = backends.flatten().filter(|backend| !backend.mirror && backend.weight != Some(0));
    let (mut through, mut routed, mut all) = (AddressSet::empty(), AddressSet::empty(), AddressSet::empty());
    for part in counting.flat_map(|backend| &backend.ways).flat_map(|way| &way.parts) {
        let Part { clients: Clients::Outside(addresses), finding, .. } = part else { continue };
        all = all.union(addresses);
        if finding.verdict != Verdict::NoRoute {
            routed = routed.union(addresses);
        }
        if finding.verdict == Verdict::Allowed {
            through = through.union(addresses);
        }
    }
    let meant = |family: &Family| !routed.of(*family).is_empty();
    Family::ALL.iter().filter(|family| meant(family)).all(|family| all.of(*family).difference(&through).is_empty())
}
