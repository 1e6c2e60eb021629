//! Changes to a compiled cluster. Only what a change touches is looked at again.
//!
//! Everything is interned by content, and what is interned never changes its meaning: a policy, a namespace or a node that
//! changes is a new one, and the old one is gone. What nobody uses any more stays until all is compiled anew.

use std::collections::BTreeSet;
use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::compile::classes::{Classes, Selections};
use crate::compile::places::may_hold;
use crate::compile::rules::{Rules, Scope};
use crate::compile::selectors::{Matchers, demand};
use crate::compile::table::ProfileKey;
use crate::compile::{ChainId, ClassId, ClassSetId, Compiled};
use crate::ids::{ClusterPolicyId, Id, NamespaceId, NodeId, PodId, PolicyId};
use crate::model::{
    AddressSet, Cluster, ClusterPolicy, Direction, Edits, Family, Pod, PodSelection, Profile, Selector, Tier, TierPeer,
    TierPeers, premise,
};

/// What an update looked at again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Pods: new, changed or gone, or of other blocks than before.
    pub pods: BTreeSet<PodId>,
    /// The addresses that those pods had and have.
    pub(crate) ends: BTreeSet<IpAddr>,
    /// Nodes, likewise.
    pub nodes: BTreeSet<NodeId>,
    /// Classes on which other policies act than before.
    pub(crate) classes: BTreeSet<ClassId>,
    /// Addresses that policies tell apart anew.
    pub(crate) addresses: AddressSet,
}

/// What a change looks up.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// The policies of each namespace, by name.
    policies: FxHashMap<NamespaceId, Vec<PolicyId>>,
    /// The sets of pod peers, by what they select.
    own: FxHashMap<NamespaceId, Matchers<Member>>,
    by_pods: Matchers<(Selector, Member)>,
    by_namespaces: Matchers<(Selector, Member)>,
    sets: usize,
    addresses: BTreeSet<(IpAddr, PodId)>,
    /// Pods on the host's network that are pods to policies, and whose addresses are not known.
    floating: BTreeSet<PodId>,
}

/// A set of pod peers, and whether pods on the host's network count (CNP-7).
type Member = (ClassSetId, bool);

impl Index {
    fn new(cluster: &Cluster, profile: &Profile, rules: &Rules) -> Self {
        let mut index = Self {
            policies: FxHashMap::default(),
            own: FxHashMap::default(),
            by_pods: Matchers::default(),
            by_namespaces: Matchers::default(),
            sets: 0,
            addresses: BTreeSet::new(),
            floating: BTreeSet::new(),
        };
        let mut policies: Vec<PolicyId> = cluster.policies.ids().collect();
        policies.sort_by_key(|id| &cluster.policies.at(*id).name);
        for id in policies {
            index.policies.entry(cluster.policies.at(id).namespace).or_default().push(id);
        }
        index.learn_sets(rules);
        let ends = cluster.pods.iter();
        index.addresses =
            ends.flat_map(|(id, pod)| addresses(pod).into_iter().flatten().map(move |ip| (ip, id))).collect();
        for (id, pod) in cluster.pods.iter() {
            index.float(id, pod, profile);
        }
        index
    }

    fn add_policy(&mut self, cluster: &Cluster, id: PolicyId) {
        let policy = cluster.policies.at(id);
        let list = self.policies.entry(policy.namespace).or_default();
        if !list.contains(&id) {
            let at = list.partition_point(|known| cluster.policies.at(*known).name < policy.name);
            list.insert(at, id);
        }
    }

    fn learn_sets(&mut self, rules: &Rules) {
        for (set, peers) in rules.sets.keys().iter().skip(self.sets) {
            for peer in peers {
                let member = (set, peer.hosts);
                match &peer.scope {
                    Scope::Own(namespace) => self.own.entry(*namespace).or_default().push(&peer.pods, member),
                    Scope::Matching(spaces) if demand(&peer.pods).is_some() => {
                        self.by_pods.push(&peer.pods, (spaces.clone(), member));
                    }
                    Scope::Matching(spaces) => self.by_namespaces.push(spaces, (peer.pods.clone(), member)),
                }
            }
        }
        self.sets = rules.sets.keys().len();
    }

    /// The sets that a class is in.
    fn sets_of(&self, classes: &Classes, class: ClassId) -> BTreeSet<ClassSetId> {
        let namespace = classes.at(class).namespace;
        let (labels, space) = (classes.labels(class), classes.space(namespace));
        let own = self.own.get(&namespace).into_iter().flat_map(|own| own.matching(labels));
        let by_pods = self.by_pods.matching(labels).filter(|(spaces, _)| spaces.matches(space));
        let by_namespaces = self.by_namespaces.matching(space).filter(|(pods, _)| pods.matches(labels));
        let members = own.chain(by_pods.chain(by_namespaces).map(|(_, member)| member));
        let host = classes.at(class).host;
        members.filter(|(_, hosts)| *hosts || !host).map(|(set, _)| *set).collect()
    }

    fn move_pod(&mut self, id: PodId, was: [Option<IpAddr>; 2], pod: &Pod, profile: &Profile) {
        for ip in was.into_iter().flatten() {
            self.addresses.remove(&(ip, id));
        }
        self.addresses.extend(addresses(pod).into_iter().flatten().map(|ip| (ip, id)));
        self.float(id, pod, profile);
    }

    fn float(&mut self, id: PodId, pod: &Pod, profile: &Profile) {
        let floats = pod.host_network && !premise::is_host(pod, profile) && addresses(pod).contains(&None);
        if floats {
            self.floating.insert(id);
        } else {
            self.floating.remove(&id);
        }
    }

    /// The pods with an address among these.
    fn pods_in(&self, addresses: &AddressSet) -> impl Iterator<Item = PodId> {
        let v4 = addresses.v4().intervals().iter().map(|(a, b)| (IpAddr::V4((*a).into()), IpAddr::V4((*b).into())));
        let v6 = addresses.v6().intervals().iter().map(|(a, b)| (IpAddr::V6((*a).into()), IpAddr::V6((*b).into())));
        let bounds = v4.chain(v6).map(|(first, last)| (first, PodId::FIRST)..=(last, PodId::from_index(usize::MAX)));
        bounds.flat_map(|bounds| self.addresses.range(bounds)).map(|(_, id)| *id)
    }
}

fn addresses(pod: &Pod) -> [Option<IpAddr>; 2] {
    Family::ALL.map(|family| pod.address(family))
}

impl Compiled {
    /// Works changes in. `cluster` is as it is after them, and `profile` the one that it was compiled under. The result
    /// means what [`compile`](super::compile) would make of the cluster.
    ///
    /// `None`, and nothing is done, for what makes it necessary to look at every pod: a policy that reads a label key or a
    /// port name that none has read before, or speaks of nodes or domain names, and the first cluster-wide policy.
    pub fn update(&mut self, cluster: &Cluster, profile: &Profile, edits: &Edits) -> Option<Parts> {
        if !self.covers(cluster, edits) {
            return None;
        }
        let known = self.index.take();
        let mut index = known.unwrap_or_else(|| Box::new(Index::new(cluster, profile, &self.table.rules)));
        let mut parts = Parts::default();

        for namespace in cluster.namespaces.values().skip(self.classes.namespaces()) {
            self.classes.add_namespace(namespace);
        }
        let mut affected = self.without_policies(cluster, edits, &mut index);
        affected.extend(self.with_policies(cluster, profile, &mut index));
        parts.addresses = self.learn_blocks();
        let has_blocks = !parts.addresses.is_empty();
        if has_blocks {
            self.places.learn_unknown(&mut self.atoms, cluster, profile);
        }
        for id in &edits.nodes_gone {
            self.places.forget_hosts(*id);
            parts.nodes.insert(*id);
        }
        let nodes = self.places.nodes();
        let unchanged = if has_blocks { 0 } else { nodes };
        for (id, node) in cluster.nodes.iter().skip(unchanged) {
            if id.index() >= nodes || may_hold(&parts.addresses, node) {
                self.places.put_node(&mut self.atoms, cluster, profile, id, node);
                parts.nodes.insert(id);
            }
        }

        for (id, was) in &edits.pods_gone {
            self.classes.forget_pod(*id);
            index.move_pod(*id, *was, cluster.pods.at(*id), profile);
            self.places.put_pod(&mut self.atoms, cluster, profile, *id, cluster.pods.at(*id));
            parts.pods.insert(*id);
            parts.ends.extend(was.iter().flatten());
        }
        for (id, was) in &edits.pods {
            let pod = cluster.pods.at(*id);
            parts.ends.extend(was.iter().chain(&addresses(pod)).flatten());
            if let Some(class) = self.classes.put_pod(*id, pod, profile) {
                self.admit(cluster, profile, &index, class);
            }
            index.move_pod(*id, *was, pod, profile);
            self.places.put_pod(&mut self.atoms, cluster, profile, *id, pod);
            parts.pods.insert(*id);
        }
        if has_blocks {
            let moved: BTreeSet<PodId> =
                index.pods_in(&parts.addresses).chain(index.floating.iter().copied()).collect();
            for id in moved {
                let pod = cluster.pods.at(id);
                self.places.put_pod(&mut self.atoms, cluster, profile, id, pod);
                parts.pods.insert(id);
                parts.ends.extend(addresses(pod).into_iter().flatten());
            }
        }
        for class in affected {
            if self.reprofile(cluster, profile, &index, class) {
                parts.classes.insert(class);
            }
        }
        self.index = Some(index);
        Some(parts)
    }

    /// The pods that have an address, of those that are there since the last update.
    pub(crate) fn pods_at(&self, ip: IpAddr) -> impl Iterator<Item = PodId> {
        let bounds = (ip, PodId::FIRST)..=(ip, PodId::from_index(usize::MAX));
        self.index.iter().flat_map(move |index| index.addresses.range(bounds.clone())).map(|(_, id)| *id)
    }

    /// A measure of how much is remembered, used or not.
    #[must_use]
    pub fn size(&self) -> usize {
        let table = &self.table;
        let profiles: usize = Direction::ALL.into_iter().map(|direction| table.profiles(direction).len()).sum();
        self.classes.len() + self.atoms.blocks() + table.peers.len() + table.sets.len() + profiles + table.chains.len()
    }

    /// Whether what changes reads nothing that was projected away.
    fn covers(&self, cluster: &Cluster, edits: &Edits) -> bool {
        let rules = &self.table.rules;
        let reading = &self.classes.reading;
        let policies = cluster.policies.values().skip(rules.policies());
        let tiers = || cluster.cluster_policies.values().skip(rules.cluster_policies());
        let gone = edits.cluster_policies_gone.iter().map(|(_, policy)| policy);
        policies.into_iter().all(|policy| reading.covers(policy))
            && tiers().all(|policy| reading.covers_tier(policy))
            && tiers().chain(gone).all(|policy| !speaks_of_ends_by_nature(policy))
    }

    /// Takes policies away, and tells the classes on which they acted.
    fn without_policies(&self, cluster: &Cluster, edits: &Edits, index: &mut Index) -> BTreeSet<ClassId> {
        let mut affected = BTreeSet::new();
        for id in &edits.policies_gone {
            let namespace = cluster.policies.at(*id).namespace;
            index.policies.entry(namespace).or_default().retain(|known| known != id);
            let there = self.classes.in_namespace(namespace).iter().copied();
            affected.extend(there.filter(|class| {
                let profiles = Direction::ALL.map(|direction| self.table.profile(*class, direction));
                profiles.iter().any(|profile| profile.policies.contains(id))
            }));
        }
        let gone: BTreeSet<ClusterPolicyId> = edits.cluster_policies_gone.iter().map(|(id, _)| *id).collect();
        if !gone.is_empty() {
            let keys = self.table.chain_keys.keys().iter();
            let chains: FxHashSet<ChainId> = keys
                .filter(|(_, (_, policies))| policies.iter().any(|id| gone.contains(id)))
                .map(|(id, _)| id)
                .collect();
            affected.extend(self.classes.ids().filter(|class| {
                let profiles = Direction::ALL.map(|direction| self.table.profile(*class, direction));
                profiles.iter().any(|one| chains.contains(&one.admin) || chains.contains(&one.baseline))
            }));
        }
        affected
    }

    /// Takes new policies in, and tells the classes on which they act.
    fn with_policies(&mut self, cluster: &Cluster, profile: &Profile, index: &mut Index) -> BTreeSet<ClassId> {
        let mut affected = BTreeSet::new();
        let rules = &mut self.table.rules;
        let (policies, tiers) = (rules.policies(), rules.cluster_policies());
        for (id, policy) in cluster.policies.iter().skip(policies) {
            rules.add(id, policy, profile);
            index.add_policy(cluster, id);
            let there = self.classes.in_namespace(policy.namespace).iter().copied();
            affected.extend(there.filter(|class| policy.selector.matches(self.classes.labels(*class))));
        }
        let mut selections = Selections::new(&self.classes);
        for (id, policy) in cluster.cluster_policies.iter().skip(tiers) {
            rules.add_tier(id, policy);
            affected.extend(selections.across(&policy.subject.namespaces, &policy.subject.pods));
        }
        self.table.learn_peers(&mut selections);
        index.learn_sets(&self.table.rules);
        affected
    }

    /// Takes in the blocks that rules have and nobody knew, and tells the addresses in them.
    fn learn_blocks(&mut self) -> AddressSet {
        let mut new = Vec::new();
        for block in self.table.rules.blocks.keys().values().skip(self.atoms.blocks()) {
            new.extend(block.addresses().cloned());
            self.atoms.add(block);
        }
        new.iter().fold(AddressSet::default(), |all, block| all.union(block))
    }

    /// Finds the place of a new class.
    fn admit(&mut self, cluster: &Cluster, profile: &Profile, index: &Index, class: ClassId) {
        for set in index.sets_of(&self.classes, class) {
            self.table.sets.at_mut(set).push(class);
        }
        self.reprofile(cluster, profile, index, class);
    }

    /// Looks up again which policies act on a class; `false` when it is those that did.
    fn reprofile(&mut self, cluster: &Cluster, profile: &Profile, index: &Index, class: ClassId) -> bool {
        let mut is_new = false;
        for direction in Direction::ALL {
            let key = self.profile_key(cluster, profile, index, class, direction);
            is_new |= self.table.set_profile(class, direction, key);
        }
        is_new
    }

    fn profile_key(
        &mut self,
        cluster: &Cluster,
        profile: &Profile,
        index: &Index,
        class: ClassId,
        direction: Direction,
    ) -> ProfileKey {
        let (mut policies, mut tiers) = (Vec::new(), [Vec::new(), Vec::new()]);
        let namespace = self.classes.at(class).namespace;
        let (labels, space) = (self.classes.labels(class), self.classes.space(namespace));
        if profile.enforcement {
            let there = index.policies.get(&namespace).into_iter().flatten();
            let acts = |id: &&PolicyId| {
                let policy = cluster.policies.at(**id);
                policy.rules(direction).is_some() && policy.selector.matches(labels)
            };
            policies.extend(there.filter(acts));
        }
        if profile.enforcement && !self.classes.at(class).host {
            let [admin, baseline] = &mut tiers;
            for (id, policy) in cluster.cluster_policies.iter() {
                let PodSelection { namespaces, pods } = &policy.subject;
                if policy.rules(direction).is_empty() || !pods.matches(labels) || !namespaces.matches(space) {
                    continue;
                }
                match policy.tier {
                    Tier::Admin => admin.push(id),
                    Tier::Baseline => baseline.push(id),
                }
            }
        }
        let [admin, baseline] = tiers.map(|mut policies| {
            policies.sort_by_key(|id| {
                let policy = cluster.cluster_policies.at(*id);
                (policy.kind, &policy.name)
            });
            self.table.chain(cluster, profile, (direction, policies))
        });
        (policies, admin, baseline)
    }
}

/// Whether a policy speaks of ends otherwise than by labels and addresses: of nodes or of names (CNP-8, CNP-10).
fn speaks_of_ends_by_nature(policy: &ClusterPolicy) -> bool {
    policy.ingress.iter().chain(&policy.egress).any(|rule| match &rule.peers {
        TierPeers::Any => false,
        TierPeers::OneOf(peers) => {
            peers.iter().any(|peer| matches!(peer, TierPeer::Nodes { .. } | TierPeer::Domain { .. }))
        }
    })
}
