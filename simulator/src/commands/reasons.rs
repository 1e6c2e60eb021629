//! Why an end of a connection says what it says, in a line for people.

use policy_core::model::{
    Condition, End, Flag, Flow, Judgement, Knob, KnobSet, Outcome, TierAction, TierRuleRef, Verdict,
};

use crate::dto::answer::{rule_path, settling};
use crate::dto::{knobs, verdict_of};
use crate::exit::Failure;
use crate::names::Names;
use crate::render::{Output, Tone};

const DNS: Outcome = Outcome::Conditional(Condition::Dns);

/// Both ends of one judgement, and remarks.
pub(super) fn reasons(
    judgement: &Judgement,
    flow: &Flow,
    names: &Names<'_>,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let ends = [("egress", &judgement.egress), ("ingress", &judgement.ingress)];
    if matches!(judgement.verdict, Verdict::NoRoute | Verdict::NoListener) {
        writeln!(output.stdout, "  {}: {}", judgement.rule, because(judgement.rule))?;
    } else {
        let width = ends.iter().map(|(_, end)| verdict_of(end.outcome).len()).max().unwrap_or(0);
        let rules = ends.iter().map(|(_, end)| end.rule.len()).fold(5, usize::max);
        for (word, end) in ends {
            let verdict = verdict_of(end.outcome);
            let painted = output.palette.paint(outcome_tone(end.outcome), format!("{verdict:<width$}"));
            let (rule, why) = (end.rule, reason(end, flow, names));
            writeln!(output.stdout, "  {word:<7}  {painted}  {rule:<rules$}  {why}")?;
        }
    }
    for remark in &judgement.flags {
        writeln!(output.stdout, "  note: {}", remark_text(*remark))?;
    }
    Ok(())
}

/// The colour of one end's decision.
pub(crate) fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Allowed => Tone::Good,
        Outcome::Conditional(_) | Outcome::Undefined(_) => Tone::Unsure,
        Outcome::Denied => Tone::Bad,
    }
}

/// What to say of an isolated end without an admitting rule.
pub(super) fn no_rule(end: &End) -> &'static str {
    if end.outcome == Outcome::Denied { "no rule admits it" } else { "no rule admits it for sure" }
}

fn reason(end: &End, flow: &Flow, names: &Names<'_>) -> String {
    if let Some(tiers) = by_tiers(end, flow, names) {
        let after = end.isolating.iter().filter(|_| end.tier.is_none()).map(|policy| names.policy(*policy));
        let after: Vec<String> = after.collect();
        return if after.is_empty() { tiers } else { format!("{tiers}; after that {}", after.join(", ")) };
    }
    let passed = passed_on(end, names);
    if let Some(rule) = end.admitting.first() {
        let policy = names.policy(rule.policy);
        let place = names.admitting(*rule).source.map(|place| format!(", {place}")).unwrap_or_default();
        let more = more(end.admitting.len());
        return format!("{policy} {}{place}{more}{passed}", rule_path(rule.direction, rule.index));
    }
    let depends = depends(end.outcome);
    // NP-18, NP-19: let through whatever they say.
    if end.isolating.is_empty() || end.outcome == Outcome::Allowed {
        return format!("{depends}{}{passed}", because(end.rule));
    }
    let policies: Vec<_> = end.isolating.iter().map(|policy| names.policy(*policy)).collect();
    format!("{depends}isolated by {}, {}{passed}", policies.join(", "), no_rule(end))
}

fn depends(outcome: Outcome) -> String {
    match outcome {
        Outcome::Undefined(set) => format!("it depends on {}; ", knobs(set).join(", ")),
        Outcome::Conditional(condition) => format!("if {}; ", condition.as_str()),
        Outcome::Allowed | Outcome::Denied => String::new(),
    }
}

fn more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        many => format!(" and {} more", many - 1),
    }
}

/// CNP-2, CNP-4, CNP-5, CNP-10: the rules of cluster-wide policies that settle an end, or leave it open; `None` when
/// they have no say.
pub(super) fn by_tiers(end: &End, flow: &Flow, names: &Names<'_>) -> Option<String> {
    let settling = settling(names.cluster(), end);
    // Of rules for names the last word is often another's.
    let names_domains = |rule: &&TierRuleRef| end.outcome == DNS && !names.domains_of(**rule, flow).is_empty();
    let last = settling.iter().find(names_domains).or(settling.last())?;
    let open = match end.outcome {
        Outcome::Undefined(set) => set,
        _ => KnobSet::EMPTY,
    };
    if open.iter().any(|knob| knob == Knob::EqualPriority) {
        let tied: Vec<String> = tied(&settling, names).into_iter().map(|rule| names.tier_rule_text(rule)).collect();
        let tied = tied.join(" and ");
        return Some(format!("it depends on {}; nobody says which comes first: {tied}", knobs(open).join(", ")));
    }
    let text = names.tier_rule_text(*last);
    Some(match end.outcome {
        DNS => {
            let domains = names.domains(end, flow);
            let given =
                if domains.is_empty() { String::new() } else { format!(" gives it for {}", domains.join(" or ")) };
            let otherwise = settling.iter().rfind(|rule| *rule != last);
            let otherwise = otherwise.map(|rule| format!("; else {}", names.tier_rule_text(*rule)));
            format!("if dns{given}: {text}{}", otherwise.unwrap_or_default())
        }
        outcome => format!("{}{text}{}", depends(outcome), more(settling.len())),
    })
}

/// Of rules that leave an end open by their order, those of policies that share a priority, or have none.
fn tied(rules: &[TierRuleRef], names: &Names<'_>) -> Vec<TierRuleRef> {
    let policies = &names.cluster().cluster_policies;
    let key = |rule: &TierRuleRef| (policies.at(rule.policy).tier, policies.at(rule.policy).priority);
    let shares = |rule: &TierRuleRef, other: &TierRuleRef| {
        let ((tier, priority), (other_tier, other_priority)) = (key(rule), key(other));
        let alike = priority == other_priority || priority.is_none() || other_priority.is_none();
        rule.policy != other.policy && tier == other_tier && alike
    };
    let tied = rules.iter().filter(|rule| rules.iter().any(|other| shares(rule, other)));
    tied.copied().collect()
}

/// CNP-4: the rule by which a tier was left, when what came after it decided.
fn passed_on(end: &End, names: &Names<'_>) -> String {
    let rules = end.tier_rules.iter().rev();
    let mut passing = rules.filter(|rule| names.tier_rule(**rule).is_some_and(|of| of.action == TierAction::Pass));
    passing.next().map_or_else(String::new, |rule| format!("; after Pass by {}", names.tier_rule_text(*rule)))
}

/// A few words for rules that decide without a policy.
pub(crate) fn because(rule: &str) -> &'static str {
    match rule {
        "NP-4" => "no policy isolates it",
        "NP-16" => "no pod there declares a port of this name",
        "NP-17" => "nobody says what policies do with SCTP",
        "NP-18" => "a pod always reaches itself",
        "NP-19" => "a pod and its own node always reach each other",
        "NP-22" => "a pod on the host's network is beyond policies",
        "NP-27" => "a finished pod has no network",
        "NP-30" => "the two ends share no IP family",
        "NP-32" => "nothing enforces policies",
        _ => "policies are not asked at this end",
    }
}

pub(crate) fn remark_text(remark: Flag) -> &'static str {
    match remark {
        Flag::UndeclaredPort => "the destination does not declare the port; declaring is documentation only (M-5)",
        Flag::UnenforcedPolicies => "there are policies, and nothing enforces them (NP-32)",
        Flag::Hypothetical => "no running pod is known at one end: a template or a pending pod stands for it (NP-11b)",
        Flag::HostNetwork => "one end is on the host's network, where policies do not act (NP-22)",
        Flag::SelfTraffic => "a pod always reaches itself (NP-18)",
        Flag::OwnNode => "a pod and its own node always reach each other (NP-19)",
        Flag::RouteAssumed => {
            "this is what policies say of a packet that arrives at the pod; whether one does, ways tell (M-8)"
        }
    }
}
