//! Cluster-wide policies: one type for the three kinds, validated as their definitions demand (CNP-1 … CNP-13,
//! ANP-1, ANP-4).
//!
//! Peers and ports have modules of their own.

use crate::diagnostic::Diagnostic;
use crate::ids::{ClusterPolicyId, IdVec};
use crate::lower::context::Context;
use crate::lower::input::Input;
use crate::lower::selectors::selector;
use crate::lower::tier_peers::{peers, pods};
use crate::lower::tier_ports::{Named, ports, protocols};
use crate::model::{
    ClusterPolicy, ClusterPolicyKind, Direction, Name, PodSelection, Ports, Selector, Tier, TierAction, TierPeers,
    TierRule,
};
use crate::snapshot::{
    ClusterPolicyBody, ClusterPolicySpec, Object, TierEgressRule, TierIngressRule, TierPeer, TierPort, TierProtocol,
};
use crate::source::{Span, Spanned};

/// The policies that hold, and whether one was refused.
#[derive(Debug, Default)]
pub(super) struct ClusterPolicies {
    pub(super) policies: IdVec<ClusterPolicyId, ClusterPolicy>,
    pub(super) refused: bool,
}

/// What the kind of a policy decides about how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form(pub(super) ClusterPolicyKind);

impl Form {
    fn is_new(self) -> bool {
        self.0 == ClusterPolicyKind::ClusterNetworkPolicy
    }

    pub(super) fn is_baseline_only(self) -> bool {
        self.0 == ClusterPolicyKind::BaselineAdminNetworkPolicy
    }

    /// The rule about what there must be and how many of it there may be.
    pub(super) fn limits(self) -> &'static str {
        if self.is_new() { "CNP-12" } else { "ANP-1" }
    }

    /// The rule about ports.
    pub(super) fn ports(self) -> &'static str {
        if self.is_new() { "CNP-11" } else { "ANP-3" }
    }

    /// How many rules of a direction, peers and ports there may be.
    pub(super) fn most(self) -> usize {
        if self.is_new() { 25 } else { 100 }
    }

    /// The word for [`TierAction::Accept`].
    fn accept(self) -> &'static str {
        if self.is_new() { "Accept" } else { "Allow" }
    }

    /// Whether `namespaceSelector` must be written out.
    pub(super) fn wants_namespace_selector(self) -> bool {
        !self.is_new()
    }

    /// CNP-12, ANP-1
    pub(super) fn at_most<T>(self, most: usize, what: &str, list: &[Spanned<T>], context: &mut Context) {
        let Some(first_too_many) = list.get(most) else { return };
        let message = format!("`{what}` has {} entries", list.len());
        let help = format!("a {} takes at most {most} of them: split it", self.0);
        context.report(Diagnostic::error(self.limits(), first_too_many.span, message).label("one too many").help(help));
    }

    /// CNP-12, ANP-1: a list that is there has something in it.
    pub(super) fn not_empty<T>(self, what: &str, list: &Spanned<Vec<T>>, help: &str, context: &mut Context) {
        if list.value.is_empty() {
            context.report(Diagnostic::error(self.limits(), list.span, format!("`{what}` is empty")).help(help));
        }
    }
}

/// Lowers all cluster-wide policies. One with any error is refused as a whole, as the API server would.
pub(super) fn lower(input: &Input<'_>, context: &mut Context) -> ClusterPolicies {
    warn_of_both_apis(input, context);
    let mut lowered = ClusterPolicies::default();
    for ((kind, name), (object, body)) in &input.cluster_policies {
        match accepted(*kind, name, object, body, context) {
            Some(policy) => drop(lowered.policies.push(policy)),
            None => lowered.refused = true,
        }
    }
    lowered
}

/// A policy; `None` when it has an error, which is reported.
pub(super) fn accepted(
    kind: ClusterPolicyKind,
    name: &Name,
    object: &Object,
    body: &ClusterPolicyBody,
    context: &mut Context,
) -> Option<ClusterPolicy> {
    let errors = context.errors();
    policy(Form(kind), name, object, body, context).filter(|_| context.errors() == errors)
}

/// ANP-4
fn warn_of_both_apis(input: &Input<'_>, context: &mut Context) {
    let first = |new: bool| {
        let mut all = input.cluster_policies.iter().filter(|((kind, _), _)| Form(*kind).is_new() == new);
        all.next().map(|((kind, _), (object, _))| (kind, object.span))
    };
    let (Some((_, new)), Some((kind, old))) = (first(true), first(false)) else { return };
    let message = format!("{kind} beside ClusterNetworkPolicy: which of them comes first is not defined");
    let help = "they are read as members of the same tiers, by priority; write all of them as ClusterNetworkPolicies";
    context.report(Diagnostic::warning("ANP-4", old, message).also(new, "a ClusterNetworkPolicy").help(help));
}

fn policy(
    form: Form,
    name: &Name,
    object: &Object,
    body: &ClusterPolicyBody,
    context: &mut Context,
) -> Option<ClusterPolicy> {
    let place = object.span;
    check_name(form, name, body, place, context);
    let Some(spec) = &body.spec else {
        let message = format!("this {} has no `spec`", form.0);
        context.report(Diagnostic::error(form.limits(), place, message).help("write its `spec`, or remove the policy"));
        return None;
    };
    let tier = tier(form, spec, place, context);
    let priority = priority(form, spec, place, context);
    let subject = subject(form, spec, place, context);
    let ingress = spec.ingress.as_deref().unwrap_or_default();
    form.at_most(form.most(), "ingress", ingress, context);
    let ingress = ingress.iter().map(Written::ingress).map(|rule| rule.lower(form, context)).collect();
    let egress = spec.egress.as_deref().unwrap_or_default();
    form.at_most(form.most(), "egress", egress, context);
    let egress = egress.iter().map(Written::egress).map(|rule| rule.lower(form, context)).collect();
    Some(ClusterPolicy {
        kind: form.0,
        name: name.clone(),
        tier: tier?,
        priority,
        subject: subject?,
        ingress,
        egress,
        span: place,
    })
}

/// ANP-1
fn check_name(form: Form, name: &Name, body: &ClusterPolicyBody, place: Option<Span>, context: &mut Context) {
    if form.is_baseline_only() && &**name != "default" {
        let span = body.metadata.as_ref().and_then(|metadata| metadata.name.as_ref()).and_then(|name| name.span);
        let message = format!("a {} cannot be called `{name}`", form.0);
        context.report(
            Diagnostic::error("ANP-1", span.or(place), message)
                .help("there is one in a cluster, and its name is `default`"),
        );
    }
}

/// CNP-1
fn tier(form: Form, spec: &ClusterPolicySpec, place: Option<Span>, context: &mut Context) -> Option<Tier> {
    match form.0 {
        ClusterPolicyKind::AdminNetworkPolicy => return Some(Tier::Admin),
        ClusterPolicyKind::BaselineAdminNetworkPolicy => return Some(Tier::Baseline),
        ClusterPolicyKind::ClusterNetworkPolicy => {}
    }
    const HELP: &str = "the tiers are `Admin`, before NetworkPolicies, and `Baseline`, after them";
    let Some(written) = &spec.tier else {
        context.report(Diagnostic::error("CNP-1", place, "this ClusterNetworkPolicy has no `tier`").help(HELP));
        return None;
    };
    let known = [Tier::Admin, Tier::Baseline];
    let tier = known.into_iter().find(|tier| tier.to_string() == *written.value);
    if tier.is_none() {
        let near = known.into_iter().find(|tier| tier.to_string().eq_ignore_ascii_case(&written.value));
        let help = near.map_or_else(|| HELP.to_owned(), |near| format!("write `{near}`"));
        let message = format!("`{}` is not a tier", written.value);
        context.report(Diagnostic::error("CNP-1", written.span.or(place), message).help(help));
    }
    tier
}

/// CNP-2, CNP-12, ANP-1
fn priority(form: Form, spec: &ClusterPolicySpec, place: Option<Span>, context: &mut Context) -> Option<u16> {
    const HELP: &str = "priorities are 0 to 1000; lower numbers come first";
    match &spec.priority {
        None if form.is_baseline_only() => None,
        None => {
            let message = format!("this {} has no `priority`", form.0);
            context.report(Diagnostic::error(form.limits(), place, message).help(HELP));
            None
        }
        Some(written) if form.is_baseline_only() => {
            let message = format!("a {} has no `priority`", form.0);
            context.report(
                Diagnostic::error("ANP-1", written.span.or(place), message)
                    .help("remove it: there is only one such policy"),
            );
            None
        }
        Some(written) => {
            let priority = u16::try_from(written.value).ok().filter(|priority| *priority <= 1000);
            if priority.is_none() {
                let message = format!("`{}` is not a priority", written.value);
                context.report(Diagnostic::error(form.limits(), written.span.or(place), message).help(HELP));
            }
            priority
        }
    }
}

/// CNP-6
fn subject(form: Form, spec: &ClusterPolicySpec, place: Option<Span>, context: &mut Context) -> Option<PodSelection> {
    const HELP: &str = "for every pod of the cluster write `subject: {namespaces: {}}`";
    let Some(written) = &spec.subject else {
        let message = format!("this {} has no `subject`", form.0);
        context.report(Diagnostic::error("CNP-6", place, message).help(HELP));
        return None;
    };
    let place = written.span.or(place);
    let namespaces = written.value.namespaces.as_ref().map(|namespaces| PodSelection {
        namespaces: selector(namespaces, place, context),
        pods: Selector::everything(),
    });
    let pods = written.value.pods.as_ref().map(|written| pods(form, written, place, context));
    match (namespaces, pods) {
        (None, None) => {
            let problem = Diagnostic::error("CNP-6", place, "a subject must say whom")
                .label("it has no `namespaces` and no `pods`")
                .help(HELP);
            context.report(problem);
            None
        }
        (Some(_), Some(_)) => {
            let problem = Diagnostic::error("CNP-6", place, "`namespaces` and `pods` in one subject")
                .help("keep one of them; `pods` has a `namespaceSelector` of its own");
            context.report(problem);
            None
        }
        (namespaces, pods) => namespaces.or(pods.flatten()),
    }
}

/// A rule of either direction.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) direction: Direction,
    name: Option<&'a Spanned<Name>>,
    action: Option<&'a Spanned<Name>>,
    pub(super) peers: Option<&'a Spanned<Vec<Spanned<TierPeer>>>>,
    protocols: Option<&'a Spanned<Vec<Spanned<TierProtocol>>>>,
    ports: Option<&'a Spanned<Vec<Spanned<TierPort>>>>,
    pub(super) span: Option<Span>,
}

impl<'a> Written<'a> {
    fn ingress(rule: &'a Spanned<TierIngressRule>) -> Self {
        let TierIngressRule { name, action, from, protocols, ports } = &rule.value;
        Self {
            direction: Direction::Ingress,
            name: name.as_ref(),
            action: action.as_ref(),
            peers: from.as_ref(),
            protocols: protocols.as_ref(),
            ports: ports.as_ref(),
            span: rule.span,
        }
    }

    fn egress(rule: &'a Spanned<TierEgressRule>) -> Self {
        let TierEgressRule { name, action, to, protocols, ports } = &rule.value;
        Self {
            direction: Direction::Egress,
            name: name.as_ref(),
            action: action.as_ref(),
            peers: to.as_ref(),
            protocols: protocols.as_ref(),
            ports: ports.as_ref(),
            span: rule.span,
        }
    }

    fn lower(self, form: Form, context: &mut Context) -> TierRule {
        if let Some(name) = self.name.filter(|name| name.value.chars().count() > 100) {
            let problem = Diagnostic::error(form.limits(), name.span.or(self.span), "the name of a rule is too long");
            context.report(problem.help("a name has at most 100 characters"));
        }
        let action = self.action(form, context);
        let peers = peers(form, self, action, context);
        let (ports, named) = match form.0 {
            ClusterPolicyKind::ClusterNetworkPolicy => protocols(form, self.protocols, context),
            _ => ports(form, self.ports, context),
        };
        if let Some(named) = named {
            self.check_named_port(form, &named, context);
        }
        let name = self.name.map(|name| context.name(&name.value));
        // A rule without a valid action makes the policy be refused, whatever stands here.
        let action = action.unwrap_or(TierAction::Deny);
        let (action, peers, ports) = match (peers, action) {
            (Some(peers), action) => (action, TierPeers::OneOf(peers), ports),
            // CNP-13
            (None, TierAction::Accept) => (TierAction::Accept, TierPeers::OneOf(Vec::new()), ports),
            (None, TierAction::Deny | TierAction::Pass) => (TierAction::Deny, TierPeers::Any, Ports::Any),
        };
        TierRule { name, action, peers, ports, span: self.span }
    }

    /// CNP-4, ANP-1
    fn action(self, form: Form, context: &mut Context) -> Option<TierAction> {
        let (rule, accept) =
            (if form.0 == ClusterPolicyKind::ClusterNetworkPolicy { "CNP-4" } else { "ANP-1" }, form.accept());
        let pass = if form.is_baseline_only() { None } else { Some(("Pass", TierAction::Pass)) };
        let known = [Some((accept, TierAction::Accept)), Some(("Deny", TierAction::Deny)), pass];
        let known = || known.into_iter().flatten();
        let listed = || {
            let words: Vec<_> = known().map(|(word, _)| format!("`{word}`")).collect();
            format!("the actions of a {} are {}", form.0, words.join(", "))
        };
        let Some(written) = self.action else {
            context.report(Diagnostic::error(rule, self.span, "this rule has no `action`").help(listed()));
            return None;
        };
        let action = known().find(|(word, _)| *word == &*written.value).map(|(_, action)| action);
        if action.is_none() {
            let is = |word: &str| word.eq_ignore_ascii_case(&written.value);
            let near = known().find(|(word, _)| is(word)).map(|(word, _)| word);
            let help = match near {
                Some(near) => format!("write `{near}`"),
                None if is("Allow") || is("Accept") => {
                    format!("write `{accept}`: AdminNetworkPolicies say Allow, ClusterNetworkPolicies say Accept")
                }
                None if is("Pass") => format!("{}: no policy comes after it to pass to", listed()),
                None => listed(),
            };
            let message = format!("`{}` is not an action", written.value);
            context.report(Diagnostic::error(rule, written.span.or(self.span), message).help(help));
        }
        action
    }

    /// CNP-11, ANP-3: a port has a name at a pod only.
    fn check_named_port(self, form: Form, named: &Named, context: &mut Context) {
        if self.direction == Direction::Ingress {
            return;
        }
        let without_pods = |peer: &Spanned<TierPeer>| {
            let TierPeer { nodes, networks, domain_names, .. } = &peer.value;
            let fields =
                [("nodes", nodes.is_some()), ("networks", networks.is_some()), ("domainNames", domain_names.is_some())];
            fields.into_iter().find(|(_, is_there)| *is_there).map(|(field, _)| (field, peer.span))
        };
        let peers = self.peers.map(|peers| peers.value.as_slice()).unwrap_or_default();
        let Some((field, peer)) = peers.iter().find_map(without_pods) else { return };
        let message = format!("the named port `{}` in a rule with `{field}`", named.name);
        context.report(
            Diagnostic::error(form.ports(), named.span.or(self.span), message)
                .also(peer, "what is no pod names no ports")
                .help("write the number of the port, or give these peers a rule of their own"),
        );
    }
}

#[cfg(test)]
mod tests;
