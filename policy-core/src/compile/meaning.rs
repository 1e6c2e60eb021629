//! What a compiled cluster says, without ids: two compilations mean the same if and only if this is equal.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::compile::atoms::AddressClass;
use crate::compile::ports::PortTable;
use crate::compile::rules::Term;
use crate::compile::{AddressClassId, BlockId, ClassId, Compiled, ProfileId};
use crate::ids::{IdVec, PodId};
use crate::model::{AddressSet, Cluster, Direction, Family, Name, Protocol, Tier};

/// What a compiled cluster says, in words that do not depend on how it came about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    pods: BTreeMap<(Name, Name), PodMeaning>,
    /// Nodes by name, the unknown one without, and each of their addresses.
    nodes: BTreeMap<(Option<Name>, Option<IpAddr>), BTreeSet<String>>,
    /// Addresses outside, by the blocks that hold them.
    outside: BTreeMap<BTreeSet<String>, AddressSet>,
    /// What names outside stand for.
    names: BTreeMap<String, BTreeSet<String>>,
    sctp_policy: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct PodMeaning {
    /// Blocks that hold it, by family.
    places: [BTreeSet<String>; 2],
    port_names: Vec<String>,
    /// `None` for a process of its node.
    sides: Option<[SideMeaning; 2]>,
}

/// The policies that act on a pod in one direction.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SideMeaning {
    policies: Vec<Name>,
    rules: Vec<(Name, u32, RuleMeaning)>,
    /// Admin and Baseline: policies that may come in any order among each other, group by group, and those whose place is
    /// not known.
    tiers: Vec<(Tier, Vec<BTreeSet<String>>, BTreeSet<String>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct RuleMeaning {
    anybody: bool,
    nobody: bool,
    pods: BTreeSet<(Name, Name)>,
    blocks: BTreeSet<String>,
    ports: String,
}

/// What is needed to say it.
struct Teller<'a> {
    compiled: &'a Compiled,
    cluster: &'a Cluster,
    members: IdVec<ClassId, Vec<(Name, Name)>>,
    /// The blocks of policies that are there, and their port names.
    used: BTreeSet<BlockId>,
    names: BTreeSet<(Protocol, Name)>,
}

impl Compiled {
    /// What it says about `cluster`, of which it was made. For comparing: quadratic in the pods.
    #[must_use]
    pub fn meaning(&self, cluster: &Cluster) -> Meaning {
        let mut members: IdVec<ClassId, Vec<(Name, Name)>> = self.classes.ids().map(|_| Vec::new()).collect();
        for (id, pod) in cluster.pods.iter() {
            if let Some(class) = self.classes.of_pod(id) {
                members.at_mut(class).push((cluster.namespaces.at(pod.namespace).name.clone(), pod.name.clone()));
            }
        }
        let (used, names) = self.used(cluster);
        Teller { compiled: self, cluster, members, used, names }.tell()
    }
}

impl Compiled {
    /// The blocks and the port names of policies that are there.
    fn used(&self, cluster: &Cluster) -> (BTreeSet<BlockId>, BTreeSet<(Protocol, Name)>) {
        let rules = &self.table.rules;
        let mut terms: Vec<Term> = Vec::new();
        for direction in Direction::ALL {
            let policies = cluster.policies.iter().filter(|(_, policy)| policy.rules(direction).is_some());
            terms.extend(policies.flat_map(|(id, _)| rules.of(id, direction)).map(|(_, term)| *term));
            let tiers = cluster.cluster_policies.iter().filter(|(_, policy)| !policy.rules(direction).is_empty());
            terms.extend(tiers.flat_map(|(id, _)| rules.of_tier(id, direction)).map(|step| step.term));
        }
        let peers = terms.iter().map(|term| self.table.peers.at(term.peers));
        let names = terms.iter().flat_map(|term| self.table.port_list(term.ports).names()).cloned();
        (peers.flat_map(|peers| peers.blocks.iter().copied()).collect(), names.collect())
    }
}

impl Teller<'_> {
    fn tell(&self) -> Meaning {
        let Self { compiled, cluster, .. } = self;
        // What is gone has no name.
        let pods = cluster.pods.iter().filter(|(_, pod)| !pod.name.is_empty());
        let pods = pods.map(|(id, pod)| {
            let namespace = cluster.namespaces.at(pod.namespace).name.clone();
            ((namespace, pod.name.clone()), self.pod(id))
        });
        let mut nodes = BTreeMap::new();
        let known = cluster.nodes.iter().filter(|(_, node)| !node.name.is_empty());
        let each = known.map(|(id, node)| (Some(id), Some(node.name.clone()))).chain([(None, None)]);
        for (id, name) in each {
            for family in Family::ALL {
                let unspecified = AddressSet::all_of(family).first();
                nodes.insert((name.clone(), unspecified), self.blocks(compiled.places.of_host(id, family)));
            }
        }
        for (id, ip, address) in compiled.places.hosts() {
            nodes.insert((Some(cluster.nodes.at(id).name.clone()), Some(ip)), self.blocks(address));
        }
        let mut outside: BTreeMap<BTreeSet<String>, AddressSet> = BTreeMap::new();
        for family in Family::ALL {
            for (address, set) in compiled.atoms.cut(&AddressSet::all_of(family)) {
                let whole = outside.entry(self.blocks(address)).or_default();
                *whole = whole.union(&set);
            }
        }
        let names = compiled.atoms.names().map(|(name, address)| (name, self.blocks(address)));
        Meaning { pods: pods.collect(), nodes, outside, names: names.collect(), sctp_policy: compiled.sctp_policy }
    }

    fn pod(&self, id: PodId) -> PodMeaning {
        let compiled = self.compiled;
        let class = compiled.classes.of_pod(id);
        PodMeaning {
            places: Family::ALL.map(|family| self.blocks(compiled.places.of_pod(id, family))),
            port_names: compiled.classes.table_of(class).map(|table| self.port_names(table)).unwrap_or_default(),
            sides: class.map(|class| {
                Direction::ALL.map(|direction| self.side(compiled.table.profile_of(class, direction), direction))
            }),
        }
    }

    fn port_names(&self, table: &PortTable) -> Vec<String> {
        let used = table.entries().iter().filter(|(name, _)| self.names.contains(name));
        used.map(|entry| format!("{entry:?}")).collect()
    }

    fn side(&self, id: ProfileId, direction: Direction) -> SideMeaning {
        let profile = self.compiled.table.profiles(direction).at(id);
        let name = |policy| self.cluster.policies.at(policy).name.clone();
        let rules = profile.rules.iter().map(|(rule, term)| (name(rule.policy), rule.index, self.rule(*term)));
        let tiers = [(Tier::Admin, profile.admin), (Tier::Baseline, profile.baseline)].map(|(tier, chain)| {
            let (groups, free) = self.compiled.table.chains.at(chain).parts(|steps| {
                let steps = steps.iter().map(|step| {
                    let policy = self.cluster.cluster_policies.at(step.rule.policy);
                    let rule = self.rule(step.term);
                    format!("{} {} {}: {:?} {rule:?}", policy.kind, policy.name, step.rule.index, step.action)
                });
                steps.collect::<Vec<_>>().join("; ")
            });
            (tier, groups, free)
        });
        SideMeaning {
            policies: profile.policies.iter().map(|policy| name(*policy)).collect(),
            rules: rules.collect(),
            tiers: tiers.into(),
        }
    }

    fn rule(&self, term: Term) -> RuleMeaning {
        let table = &self.compiled.table;
        let peers = table.peers.at(term.peers);
        let pods = table.sets.at(peers.classes).iter().flat_map(|class| self.members.at(class)).cloned();
        let block = |block: &BlockId| format!("{:?}", table.rules.blocks.keys().at(*block));
        RuleMeaning {
            anybody: peers.any,
            nobody: peers.nobody,
            pods: pods.collect(),
            blocks: peers.blocks.iter().map(block).collect(),
            ports: format!("{:?}", table.port_list(term.ports)),
        }
    }

    /// The blocks that hold an address, and how surely.
    fn blocks(&self, address: AddressClassId) -> BTreeSet<String> {
        let known: AddressClass = self.compiled.atoms.class(address).filtered(|block| self.used.contains(&block));
        let blocks = &self.compiled.table.rules.blocks;
        known.blocks().map(|(block, hit)| format!("{hit:?} {:?}", blocks.keys().at(block))).collect()
    }
}
