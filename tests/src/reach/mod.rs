//! `reach-case/v1`: a cluster, changes to it, and who must reach whom after each.

mod format;
mod questions;
mod state;

use policy_core::model::{Cluster, Family, Flow, Judgement, Party, Profile, Protocol, Verdict};
use policy_core::snapshot::Effect;

use crate::discover::CaseFile;
use crate::on_nodes::Evaluator;
use crate::pipeline::{Loaded, find_pod, load, party_at};
use crate::report::Outcome;

pub use format::{Case, Expect, PortAsked};
pub use questions::{End, Question, questions};
pub use state::State;

/// Runs one case.
#[must_use]
pub fn run(evaluator: &Evaluator, file: &CaseFile) -> Outcome {
    match serde_json::from_value::<Case>(file.content.clone()) {
        Ok(case) => run_case(evaluator, &case),
        Err(error) => Outcome::broken(file.path.display().to_string(), format!("not a reach-case file: {error}")),
    }
}

/// Runs one case that was read.
#[must_use]
pub fn run_case(evaluator: &Evaluator, case: &Case) -> Outcome {
    let mut outcome = Outcome { name: case.name.clone(), right: 0, asked: 0, remark: None, differences: Vec::new() };
    let before = evaluator.asked_by_packets();
    let profile = match profile(case) {
        Ok(profile) => profile,
        Err(problem) => return Outcome::broken(case.name.clone(), problem),
    };
    let mut state = State::new(&case.cluster);
    for (index, step) in case.steps.iter().enumerate() {
        let title = match &step.name {
            Some(name) => format!("step {} ({name})", index + 1),
            None => format!("step {}", index + 1),
        };
        for change in &step.changes {
            if let Err(problem) = state.change(change) {
                outcome.differences.push(format!("{title}: {problem}"));
                return outcome;
            }
        }
        let loaded = load(state.texts());
        let asked = questions(&state, case.ignore_self, &step.probes);
        outcome.asked += asked.len();
        let obstacles = obstacles(&loaded);
        if !obstacles.is_empty() {
            outcome.differences.extend(obstacles.into_iter().map(|problem| format!("{title}: not asked: {problem}")));
            continue;
        }
        match answers(evaluator, &loaded.cluster, &profile, &asked) {
            Err(problem) => outcome.differences.push(format!("{title}: not asked: {problem}")),
            Ok(answers) => {
                for (question, answer) in asked.iter().zip(answers) {
                    match answer {
                        Ok(()) => outcome.right += 1,
                        Err(problem) => outcome.differences.push(format!("{title}: {question}: {problem}")),
                    }
                }
            }
        }
    }
    let by_packets = evaluator.asked_by_packets().zip(before).map(|(now, before)| now - before);
    outcome.remark = by_packets.map(|count| format!("{count} flows by packets"));
    outcome
}

/// The profile that the case sets; an empty `profile` is the default one.
fn profile(case: &Case) -> Result<Profile, String> {
    let mut profile = Profile::default();
    for (knob, value) in &case.profile {
        profile.set(knob, value).map_err(|error| format!("profile: {error}"))?;
    }
    Ok(profile)
}

/// What makes the answers of this cluster worthless: bad objects, and policies of kinds that are not modelled.
fn obstacles(loaded: &Loaded) -> Vec<String> {
    let errors = loaded.errors().map(|error| loaded.describe(error));
    let not_modelled = loaded.cluster.not_modelled.iter().filter(|object| object.effect == Effect::Policy);
    let not_modelled = not_modelled.map(|object| format!("{} `{}` is not supported yet", object.kind, object.name));
    errors.chain(not_modelled).collect()
}

/// Asks all questions at once; an inner `Err` says how an answer differs.
///
/// # Errors
/// Why none could be asked.
fn answers(
    evaluator: &Evaluator,
    cluster: &Cluster,
    profile: &Profile,
    questions: &[Question],
) -> Result<Vec<Result<(), String>>, String> {
    let flows: Vec<Result<Vec<Flow>, String>> = questions.iter().map(|question| flows(cluster, question)).collect();
    let all: Vec<Flow> = flows.iter().flatten().flatten().copied().collect();
    let mut judgements = evaluator.judge_all(cluster, profile, &all)?.into_iter();
    let mut answer = |(question, flows): (&Question, Result<Vec<Flow>, String>)| {
        let flows = flows?;
        let own: Vec<_> = judgements.by_ref().take(flows.len()).collect();
        if flows.is_empty() {
            // A name that the destination does not declare is no port that could be dialled.
            return match question.expect {
                Expect::Deny => Ok(()),
                Expect::Allow => Err("wanted allow, and the destination declares no such port".to_owned()),
            };
        }
        if own.len() < flows.len() {
            return Err("it was not answered".to_owned());
        }
        flows.iter().zip(own).try_for_each(|(flow, judged)| compare(cluster, question.expect, flow.family, &judged?))
    };
    Ok(questions.iter().zip(flows).map(&mut answer).collect())
}

/// What one question asks: every family that both ends have, every number that its port has on the destination.
fn flows(cluster: &Cluster, question: &Question) -> Result<Vec<Flow>, String> {
    let (source, destination) = (party(cluster, &question.from)?, party(cluster, &question.to)?);
    let families: Vec<_> = families(cluster, source, destination)
        .into_iter()
        .filter(|family| question.family.is_none_or(|wanted| wanted == *family))
        .collect();
    if families.is_empty() {
        return Err("the two ends have no address family in common".to_owned());
    }
    let ports = ports(cluster, destination, question);
    let of_family = |family: Family| {
        ports.iter().map(move |port| Flow::direct(source, destination, family, question.protocol, *port))
    };
    Ok(families.into_iter().flat_map(of_family).collect())
}

fn compare(cluster: &Cluster, expect: Expect, family: Family, judgement: &Judgement) -> Result<(), String> {
    let right = match judgement.verdict {
        Verdict::Allowed => expect == Expect::Allow,
        Verdict::Denied => expect == Expect::Deny,
        // Neither allowed nor denied: an answer that no case wants.
        Verdict::NoRoute | Verdict::NoListener | Verdict::Conditional | Verdict::Undefined => false,
    };
    if right {
        return Ok(());
    }
    let end = |label: &str, end: &policy_core::model::End| {
        let names = end.isolating.iter().filter_map(|id| cluster.policies.get(*id));
        let names: Vec<_> = names.map(|policy| policy.name.to_string()).collect();
        format!("{label} {:?} [{}] isolated by [{}]", end.outcome, end.rule, names.join(", "))
    };
    Err(format!(
        "wanted {expect}, got {} [{}] over {family}; {}; {}",
        judgement.verdict,
        judgement.rule,
        end("egress", &judgement.egress),
        end("ingress", &judgement.ingress),
    ))
}

fn party(cluster: &Cluster, end: &End) -> Result<Party, String> {
    match end {
        End::Pod { namespace, name } => find_pod(cluster, namespace, name)
            .map(Party::Pod)
            .ok_or_else(|| format!("there is no pod `{namespace}/{name}`")),
        End::Address(address) => Ok(party_at(cluster, *address)),
    }
}

fn families(cluster: &Cluster, source: Party, destination: Party) -> Vec<Family> {
    let has = |party: Party, family: Family| match party {
        Party::Pod(id) => cluster.pods.get(id).is_some_and(|pod| pod.address(family).is_some()),
        Party::Node(id) => {
            cluster.nodes.get(id).is_some_and(|node| node.addresses.iter().any(|at| Family::of(at.ip) == family))
        }
        Party::Address(address) => Family::of(address) == family,
        Party::Named(_) | Party::Somebody(_) => true,
    };
    Family::ALL.into_iter().filter(|family| has(source, *family) && has(destination, *family)).collect()
}

/// The numbers that are asked: a name is looked up on the destination.
fn ports(cluster: &Cluster, destination: Party, question: &Question) -> Vec<u16> {
    match (&question.port, destination) {
        (PortAsked::Number(port), _) => vec![*port],
        (PortAsked::Name(name), Party::Pod(id)) => {
            let Some(pod) = cluster.pods.get(id) else { return Vec::new() };
            declared(pod, question.protocol, name)
        }
        (PortAsked::Name(_), _) => Vec::new(),
    }
}

fn declared(pod: &policy_core::model::Pod, protocol: Protocol, name: &str) -> Vec<u16> {
    let matching = pod.ports.iter().filter(|port| port.protocol == protocol);
    matching.filter(|port| port.name.as_deref() == Some(name)).map(|port| port.port).collect()
}
