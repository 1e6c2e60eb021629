//! `portolan profile`: the knobs in effect, in the form that `--profile` reads.

use std::collections::BTreeMap;

use policy_core::model::profile::{
    DuplicatePortNames, EgressServiceView, EqualPriority, Exemption, HostNetworkPods, LocalSnatView,
};
use policy_core::model::{AddressSet, Family, Knob, Profile};
use policy_core::source::SourceMap;

use crate::args::{Format, Options};
use crate::exit::{Exit, Failure};
use crate::render::Output;

pub(crate) fn run(options: &Options, format: Format, output: &mut Output<'_>) -> Result<Exit, Failure> {
    let mut sources = SourceMap::default();
    let (profile, diagnostics) = crate::profile::resolve(options, &mut sources);
    let bad = diagnostics.iter().any(policy_core::diagnostic::Diagnostic::is_error);
    output.diagnostics(vec![(diagnostics, &sources)])?;
    if bad {
        return Err(Failure::Input);
    }
    let values = values(&profile);
    if format == Format::Json {
        let knobs: BTreeMap<_, _> =
            values.iter().filter_map(|(knob, value)| Some((knob.name(), value.as_ref()?))).collect();
        let document = serde_json::json!({ "preset": profile.preset, "knobs": knobs });
        serde_json::to_writer_pretty(&mut *output.stdout, &document).map_err(std::io::Error::from)?;
        writeln!(output.stdout)?;
        return Ok(Exit::Clean);
    }
    writeln!(output.stdout, "preset: {}", profile.preset)?;
    for (knob, value) in values {
        match value {
            Some(value) => writeln!(output.stdout, "{knob}: {value} # {}", knob.values())?,
            None => writeln!(output.stdout, "# {knob}: not set # {}", knob.values())?,
        }
    }
    Ok(Exit::Clean)
}

/// Every knob with its value as `--set` takes it; `None` for one that is left open.
fn values(profile: &Profile) -> Vec<(Knob, Option<String>)> {
    Knob::ALL.into_iter().map(|knob| (knob, value(profile, knob))).collect()
}

fn value(profile: &Profile, knob: Knob) -> Option<String> {
    let exemption = |value| if value == Exemption::Allow { "allow" } else { "policy" };
    let text = match knob {
        Knob::Enforcement => {
            if profile.enforcement {
                "on"
            } else {
                "off"
            }
        }
        Knob::HostNetworkPods => match profile.hostnetwork_pods {
            HostNetworkPods::AsNode => "as_node",
            HostNetworkPods::AsPod => "as_pod",
        },
        Knob::IpBlockMatchesPods => flag(profile.ipblock_matches_pods),
        Knob::IpBlockMatchesNodes => flag(profile.ipblock_matches_nodes),
        Knob::EgressServiceView => match profile.egress_service_view? {
            EgressServiceView::PostDnat => "post_dnat",
            EgressServiceView::PreDnat => "pre_dnat",
            EgressServiceView::Both => "both",
        },
        Knob::EqualPriority => match profile.equal_priority {
            EqualPriority::Both => "both",
            EqualPriority::Name => "name",
        },
        Knob::LocalSnatView => match profile.local_snat_view {
            LocalSnatView::Both => "both",
            LocalSnatView::Client => "client",
            LocalSnatView::Node => "node",
        },
        Knob::EgressToOwnNode => exemption(profile.egress_to_own_node),
        Knob::SelfViaService => exemption(profile.self_via_service),
        Knob::SctpPolicy => flag(profile.sctp_policy),
        Knob::EndPortSupport => flag(profile.endport_support),
        Knob::DuplicatePortNames => match profile.duplicate_port_names {
            DuplicatePortNames::Both => "both",
            DuplicatePortNames::First => "first",
            DuplicatePortNames::All => "all",
        },
        Knob::DnsRequired => flag(profile.dns_required),
        Knob::PodFamilies => match profile.pod_families.as_slice() {
            [Family::V4] => "ipv4",
            [Family::V6] => "ipv6",
            _ => "dual",
        },
        Knob::PodCidrs => return Some(cidrs(&profile.pod_cidrs)),
        Knob::NodeCidrs => return Some(cidrs(&profile.node_cidrs)),
        _ => return profile.ways.value(knob),
    };
    Some(text.to_owned())
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn cidrs(set: &AddressSet) -> String {
    if *set == AddressSet::all() {
        return "any".to_owned();
    }
    let nets: Vec<String> = set.nets().iter().map(ToString::to_string).collect();
    nets.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_sets_the_same_profile() {
        for preset in Profile::PRESETS {
            let mut wanted = Profile::preset(preset).unwrap();
            wanted.set("pod_cidrs", "10.0.0.0/8,fd00::/8").unwrap();
            let mut read = Profile::preset(preset).unwrap();
            for (knob, value) in values(&wanted) {
                if let Some(value) = value {
                    read.set(knob.name(), &value).unwrap();
                }
            }
            assert_eq!(read, wanted);
        }
    }
}
