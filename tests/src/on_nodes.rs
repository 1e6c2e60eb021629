//! What nodes make of flows: by the model of their programs, by the kernel, or by real packets.

use std::cell::RefCell;

use enforcer::datapath::{Capacity, Datapath, LoadError};
use policy_core::analysis::Analysis;
use policy_core::model::{Cluster, Flow, Judge as _, Judgement, Profile, Verdict};
use policy_core::node_program::{NodePrograms, Unaskable};

use crate::frame::passes;
use crate::netns::RealPackets;
use crate::pipeline::{Backend, with_judge};
use crate::settled::settled_on;

/// Who answers questions about connections.
#[derive(Debug)]
pub enum Evaluator {
    /// One of those that know clusters only.
    Cluster(Backend),
    /// The programs of all nodes, in Rust.
    NodeProgram,
    /// The same in the kernel, by `BPF_PROG_TEST_RUN`.
    Bpf(Box<RefCell<Datapath>>),
    /// The same at the hooks of nodes, by connections between network namespaces.
    Netns(Box<RefCell<RealPackets>>),
}

impl Evaluator {
    /// The kernel.
    ///
    /// # Errors
    /// [`LoadError`] when it does not take the program.
    pub fn bpf() -> Result<Self, LoadError> {
        Ok(Self::Bpf(Box::new(RefCell::new(Datapath::load(Capacity::default())?))))
    }

    /// Real packets.
    #[must_use]
    pub fn netns() -> Self {
        Self::Netns(Box::default())
    }

    /// How many questions went out as packets so far; `None` for those who send none.
    #[must_use]
    pub fn asked_by_packets(&self) -> Option<usize> {
        match self {
            Self::Netns(packets) => Some(packets.borrow().asked()),
            Self::Cluster(_) | Self::NodeProgram | Self::Bpf(_) => None,
        }
    }

    /// Judges flows in `cluster` under `profile`, in their order. The inner error says why a flow has no answer.
    ///
    /// # Errors
    /// Why nodes cannot enforce the profile, or cannot be built.
    pub fn judge_all(
        &self,
        cluster: &Cluster,
        profile: &Profile,
        flows: &[Flow],
    ) -> Result<Vec<Result<Judgement, String>>, String> {
        // Packets are to cross from one node to another, also where the cluster does not care.
        let nodes = match self {
            Self::Cluster(backend) => {
                let all =
                    |judge: &dyn policy_core::model::Judge| flows.iter().map(|flow| Ok(judge.judge(flow))).collect();
                return Ok(with_judge(*backend, cluster, profile, all));
            }
            Self::NodeProgram | Self::Bpf(_) => 1,
            Self::Netns(_) => 2,
        };
        let analysis = Analysis::new(settled_on(cluster.clone(), nodes), profile.clone());
        let programs = NodePrograms::build(&analysis).map_err(|unfit| unfit.to_string())?;
        let verdicts = match self {
            Self::Netns(packets) => packets.borrow_mut().judge(&analysis, &programs, flows)?,
            Self::Bpf(kernel) => {
                flows.iter().map(|flow| in_kernel(&mut kernel.borrow_mut(), &analysis, &programs, flow)).collect()
            }
            Self::NodeProgram | Self::Cluster(_) => {
                flows.iter().map(|flow| answered(programs.judge(&analysis, flow))).collect()
            }
        };
        let judgement = |(flow, verdict): (&Flow, Result<Verdict, String>)| {
            verdict.map(|verdict| Judgement { verdict, ..analysis.judge(flow) })
        };
        Ok(flows.iter().zip(verdicts).map(judgement).collect())
    }
}

fn answered(verdict: Result<Verdict, Unaskable>) -> Result<Verdict, String> {
    match verdict {
        // No packet is sent.
        Ok(verdict) | Err(Unaskable::BeforePackets(verdict)) => Ok(verdict),
        Err(why) => Err(format!("a node is not asked this: {why:?}")),
    }
}

fn in_kernel(
    datapath: &mut Datapath,
    analysis: &Analysis,
    programs: &NodePrograms,
    flow: &Flow,
) -> Result<Verdict, String> {
    let packets = match programs.packets(analysis, flow) {
        Ok(packets) => packets,
        Err(why) => return answered(Err(why)),
    };
    for (node, packet) in packets {
        let Some(program) = programs.get(node) else { continue };
        datapath.publish(program).map_err(|error| error.to_string())?;
        if !passes(datapath, &packet).map_err(|error| error.to_string())? {
            return Ok(Verdict::Denied);
        }
    }
    Ok(Verdict::Allowed)
}
