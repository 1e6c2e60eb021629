//! Flows of the model, asked by real packets between real listeners.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use enforcer::datapath::Mode;
use policy_core::analysis::Analysis;
use policy_core::ids::{Id as _, NodeId, PodId};
use policy_core::model::{Cluster, Family, Flow, Judge as _, Node, Party, PodState, Verdict};
use policy_core::node_program::{NodePrograms, Unaskable};

use super::{Dial, Enforcers, Heard, Listen, Listeners, Network, Place, Plan, PlannedNode, PlannedPod, ask};

/// How long silence lasts before it counts. An answer comes after one millisecond or so.
const PATIENCE: Duration = Duration::from_millis(400);
/// The same where an answer is expected: a busy machine is slow, and silence alone does not prove a drop.
const MORE_PATIENCE: Duration = Duration::from_secs(3);

/// A network, kept for the next cluster of the same shape, and how many questions were put to it.
#[derive(Debug, Default)]
pub struct RealPackets {
    laid_out: Option<(Network, Enforcers)>,
    asked: usize,
}

impl RealPackets {
    /// How many questions were asked by packets so far. The others have an answer before any packet is sent.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// What becomes of flows, in their order. All pods and nodes have addresses, and pods have nodes.
    ///
    /// Every flow is asked twice. First in audit mode, where all must be answered: else silence would prove nothing.
    ///
    /// # Errors
    /// When the network cannot be built, the kernel does not take the program, or a flow gets no answer in audit mode.
    pub fn judge(
        &mut self,
        analysis: &Analysis,
        programs: &NodePrograms,
        flows: &[Flow],
    ) -> Result<Vec<Result<Verdict, String>>, String> {
        let layout = Layout::of(&analysis.cluster)?;
        let questions: Vec<Result<Question, Verdict>> =
            flows.iter().map(|flow| layout.question(analysis, programs, flow)).collect::<Result<_, _>>()?;
        let asked: Vec<Question> = questions.iter().filter_map(|question| question.clone().ok()).collect();
        self.asked += asked.len();
        let expected: Vec<bool> = flows
            .iter()
            .zip(&questions)
            .filter(|(_, question)| question.is_ok())
            .map(|(flow, _)| analysis.judge(flow).verdict == Verdict::Allowed)
            .collect();
        let told = |error: io::Error| error.to_string();
        let mut heard = self.ask(&layout, programs, &asked, &expected).map_err(told)?.into_iter();
        let answer = |question| match question {
            Err(verdict) => Ok(verdict),
            Ok(_) => match heard.next() {
                Some(Heard::Answer(_)) => Ok(Verdict::Allowed),
                Some(Heard::Silence) => Ok(Verdict::Denied),
                Some(other) => Err(format!("the packets came to {other}")),
                None => Err("it was not asked".to_owned()),
            },
        };
        Ok(questions.into_iter().map(answer).collect())
    }

    fn ask(
        &mut self,
        layout: &Layout<'_>,
        programs: &NodePrograms,
        questions: &[Question],
        expected: &[bool],
    ) -> io::Result<Vec<Heard>> {
        let (network, enforcers) = self.prepare(&layout.plan, questions)?;
        for at in 0..layout.plan.nodes.len() {
            if let Some(program) = programs.get(NodeId::from_index(at)) {
                enforcers.publish(at, program)?;
            }
        }
        let listens: BTreeSet<Listen> = questions.iter().map(|question| question.listen).collect();
        let _listeners = Listeners::open(network, &listens)?;
        let dials: Vec<Dial> = questions.iter().map(|question| question.dial).collect();

        enforcers.set_mode(Mode { audit: true, ..Mode::default() })?;
        for (dial, heard) in dials.iter().zip(ask(network, &dials, MORE_PATIENCE)?) {
            let wanted = |seen: SocketAddr| dial.source.is_none_or(|source| source == seen.ip());
            if !matches!(heard, Heard::Answer(seen) if wanted(seen)) {
                return Err(io::Error::other(format!("in audit mode {dial:?} came to {heard}")));
            }
        }
        enforcers.set_mode(Mode::default())?;
        let mut heard = ask(network, &dials, PATIENCE)?;
        let late =
            |(at, heard): (usize, &Heard)| (*heard == Heard::Silence && expected.get(at) == Some(&true)).then_some(at);
        let late: Vec<usize> = heard.iter().enumerate().filter_map(late).collect();
        let again: Vec<Dial> = late.iter().filter_map(|at| dials.get(*at).copied()).collect();
        for (at, second) in late.into_iter().zip(ask(network, &again, MORE_PATIENCE)?) {
            if let Some(first) = heard.get_mut(at) {
                *first = second;
            }
        }
        Ok(heard)
    }

    /// The network of a plan: the one that stands, if it is of this shape.
    fn prepare(&mut self, plan: &Plan, questions: &[Question]) -> io::Result<(&Network, &mut Enforcers)> {
        let same = |network: &Network| network.plan().nodes == plan.nodes && network.plan().pods == plan.pods;
        let kept = self.laid_out.take().filter(|(network, _)| same(network));
        let (mut network, enforcers) = match kept {
            Some(kept) => kept,
            None => {
                let network = Network::build(plan)?;
                let enforcers = Enforcers::attach(&network)?;
                (network, enforcers)
            }
        };
        let ends = questions.iter().flat_map(|Question { dial, listen }| {
            let source = dial.source.filter(|_| dial.from == Place::Outside);
            source.into_iter().chain(Some(listen.at.ip()).filter(|_| listen.place == Place::Outside))
        });
        network.add_outside(&ends.collect())?;
        let (network, enforcers) = self.laid_out.insert((network, enforcers));
        Ok((network, enforcers))
    }
}

/// A flow as something to dial, and who must listen.
#[derive(Clone, Debug)]
struct Question {
    dial: Dial,
    listen: Listen,
}

/// Where the parties of a cluster are.
struct Layout<'a> {
    cluster: &'a Cluster,
    plan: Plan,
    pods: BTreeMap<PodId, usize>,
}

impl<'a> Layout<'a> {
    fn of(cluster: &'a Cluster) -> Result<Self, String> {
        let node = |node: &Node| {
            let of = |family| node.source_addresses(family);
            PlannedNode { name: node.name.to_string(), addresses: Family::ALL.into_iter().flat_map(of).collect() }
        };
        let nodes = cluster.nodes.values().map(node).collect();
        let mut layout = Self { cluster, plan: Plan { nodes, ..Plan::default() }, pods: BTreeMap::new() };
        for (id, pod) in cluster.pods.iter() {
            if pod.host_network || pod.state == PodState::Finished {
                continue;
            }
            let name = format!("{}/{}", cluster.namespaces.at(pod.namespace).name, pod.name);
            let node = pod.node.ok_or_else(|| format!("{name} has no node"))?.index();
            let addresses: Vec<IpAddr> = Family::ALL.into_iter().filter_map(|family| pod.address(family)).collect();
            layout.pods.insert(id, layout.plan.pods.len());
            layout.plan.pods.push(PlannedPod { name, node, addresses });
        }
        Ok(layout)
    }

    /// `Ok(Err(verdict))` when no packet is sent.
    fn question(
        &self,
        analysis: &Analysis,
        programs: &NodePrograms,
        flow: &Flow,
    ) -> Result<Result<Question, Verdict>, String> {
        // A pod can very well dial itself, whatever the model decides beforehand.
        let itself = flow.source == flow.destination && matches!(flow.source, Party::Pod(_));
        match programs.packets(analysis, flow) {
            Err(Unaskable::BeforePackets(verdict)) if !(itself && verdict == Verdict::Allowed) => {
                return Ok(Err(verdict));
            }
            Err(Unaskable::BeforePackets(_)) | Ok(_) => {}
            Err(why) => return Err(format!("a flow cannot be asked: {why:?}")),
        }
        let (from, source) = self.end(flow.source, flow.family)?;
        let (place, destination) = self.end(flow.destination, flow.family)?;
        let (to, protocol) = (SocketAddr::new(destination, flow.port), flow.protocol);
        let dial = Dial { from, source: Some(source), to, protocol };
        Ok(Ok(Question { dial, listen: Listen { place, at: to, protocol } }))
    }

    fn end(&self, party: Party, family: Family) -> Result<(Place, IpAddr), String> {
        let of_node = |node: NodeId| {
            let addresses = self.cluster.nodes.at(node).source_addresses(family);
            let address = addresses.first().ok_or_else(|| format!("{node:?} has no {family} address"))?;
            Ok((Place::Node(node.index()), *address))
        };
        match party {
            Party::Pod(id) => {
                let pod = self.cluster.pods.at(id);
                match (self.pods.get(&id), pod.address(family), pod.node) {
                    (Some(at), Some(address), _) => Ok((Place::Pod(*at), address)),
                    (None, _, Some(node)) if pod.host_network => of_node(node),
                    _ => Err(format!("{} has no {family} address", pod.name)),
                }
            }
            Party::Node(node) => of_node(node),
            Party::Address(address) => Ok((Place::Outside, address)),
            Party::Named(_) | Party::Somebody(_) => Err(format!("{party:?} is nowhere")),
        }
    }
}
