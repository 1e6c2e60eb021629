//! `portolan-enforcer apply`: enforces what manifests say, for the pods of one node.

use std::collections::BTreeSet;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use policy_core::analysis::Analysis;
use policy_core::ids::NodeId;
use policy_core::model::Name;
use policy_core::node_program::{NodeProgram, Options};

use crate::commands::PinArgs;
use crate::datapath::{Capacity, Datapath, Mode};
use crate::facts::Facts;
use crate::ground::{Followed, Lack, switched_past_netfilter};
use crate::preflight::{Preflight, Status};
use crate::reasons::Told;
use crate::words::Words;

/// How often records are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// The options of `apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The node whose pods are protected; its name in the manifests
    #[arg(long, value_name = "NAME")]
    pub node: String,
    /// Report what would be dropped and drop nothing
    #[arg(long)]
    pub audit: bool,
    /// Report what the policies of this namespace's pods would drop, and let it pass; can be repeated
    #[arg(long, value_name = "NAMESPACE")]
    pub audit_namespace: Vec<String>,
    /// What becomes of addresses of this node's pods that the manifests do not name
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = UnknownPods::Deny)]
    pub unknown_pods: UnknownPods,
    /// Report also what passes
    #[arg(long)]
    pub log_allowed: bool,
    /// End after so many seconds [default: with SIGINT or SIGTERM]
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// Pin everything and end at once: it is enforced until `cleanup`
    #[arg(long, conflicts_with = "seconds")]
    pub detach: bool,
    /// Switch on `net.bridge.bridge-nf-call-iptables` and its twin for IPv6 where pods on a bridge need them; they stay on
    #[arg(long)]
    pub set_sysctls: bool,
    /// Go on where the kernel does not follow connections, or bridged packets pass unseen
    #[arg(long)]
    pub force: bool,
    /// Where pins are.
    #[command(flatten)]
    pub pins: PinArgs,
}

/// What becomes of addresses that nobody knows yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum UnknownPods {
    /// They are cut off.
    Deny,
    /// They do what they like.
    Allow,
}

/// Why nothing could be enforced: a sentence with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// Enforces, and says what becomes of packets, until told to stop.
///
/// # Errors
/// [`Refused`], and what the kernel or the streams said.
pub fn run(args: &ApplyArgs, analysis: &Analysis, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let node = node(analysis, &args.node)?;
    let options = Options { audited: namespaces(analysis, &args.audit_namespace)? };
    let program = NodeProgram::build_with(analysis, node, &options)?;
    let pins = args.pins.pins();
    for check in Preflight::of(&Facts::read(Path::new("/"))?).checks {
        // The other two are dealt with here.
        if check.status != Status::Ok && !["conntrack", "bridge"].contains(&check.name) {
            writeln!(out, "warning: {}: {}; {}", check.name, check.found, check.help.unwrap_or_default())?;
        }
    }
    if args.detach && !pins.are_possible()? {
        let place = args.pins.pins.display();
        let help = "`mount -t bpf bpf /sys/fs/bpf`, or name a folder of another one with `--pins`";
        return Err(
            Refused(format!("nothing can be pinned below {place}, which is on no bpf file system: {help}")).into()
        );
    }
    let _followed = prepare(args, &program, out)?;
    let begun = Instant::now();
    let capacity = Capacity::of(&program);
    // What is pinned belongs to who pinned it: a trial beside it has tables of its own.
    let mut datapath = if args.detach { Datapath::adopt(&pins, capacity)? } else { Datapath::load(capacity)? };
    datapath.set_mode(Mode {
        audit: args.audit,
        unknown_pods_pass: args.unknown_pods == UnknownPods::Allow,
        log_allowed: args.log_allowed,
    })?;
    if args.detach {
        // Before the tables: others look counters up while they are switched.
        let kept = datapath.fingerprints().and_then(|in_use| args.pins.reasons().keep(Told::all(&program), &in_use));
        if let Err(error) = kept {
            writeln!(out, "warning: `status` and `top` will not know policies: {}: {error}", args.pins.run.display())?;
        }
    }
    let published = datapath.publish(&program)?;
    datapath.attach()?;
    let local = program.ends.values().filter(|end| end.local).count();
    writeln!(
        out,
        "{} addresses of pods of {} are protected: {} entries written in {:.1} ms",
        local,
        args.node,
        published.writes,
        begun.elapsed().as_secs_f64() * 1e3
    )?;
    if args.detach {
        datapath.pin(&pins)?;
        pins.sweep()?;
        writeln!(out, "pinned below {}; `portolan-enforcer cleanup` ends it", args.pins.pins.display())?;
        return Ok(());
    }
    if pins.exist() {
        writeln!(
            out,
            "what is pinned below {} is enforced as well: packets have to please both",
            args.pins.pins.display()
        )?;
    }
    out.flush()?;
    follow(args, analysis, &datapath, out)
}

/// Sees to it that the program gets to see packets and connections, or refuses.
fn prepare(args: &ApplyArgs, program: &NodeProgram, out: &mut impl Write) -> Result<Option<Followed>, Box<dyn Error>> {
    let mut lacks = Vec::new();
    let held = if args.detach { Followed::keep().map(|()| None) } else { Followed::hold().map(Some) };
    let followed = held.unwrap_or_else(|error| {
        lacks.push(Lack {
            found: format!("the kernel does not follow connections here, so that replies look new: {error}"),
            help: "run as root with a kernel that has nf_tables and conntrack".to_owned(),
        });
        None
    });
    let pods = program.ends.iter().filter(|(_, end)| end.local).map(|(address, _)| *address);
    for switch in switched_past_netfilter(pods)? {
        if !args.set_sysctls {
            lacks.push(switch.lack());
            continue;
        }
        match switch.set() {
            Ok(()) => writeln!(out, "set {}=1 for the pods on the bridge {}; it stays", switch.name, switch.bridge)?,
            Err(error) => {
                let lack = switch.lack();
                lacks.push(Lack { found: format!("{}; it cannot be set: {error}", lack.found), ..lack });
            }
        }
    }
    if !lacks.is_empty() && !args.force {
        let said: Vec<String> = lacks.iter().map(|lack| format!("{}; {}", lack.found, lack.help)).collect();
        return Err(Refused(format!("{}; `--force` enforces what can be enforced", said.join("; "))).into());
    }
    for lack in lacks {
        writeln!(out, "warning: {}; {}", lack.found, lack.help)?;
    }
    Ok(followed)
}

/// Prints records until told to stop.
fn follow(
    args: &ApplyArgs,
    analysis: &Analysis,
    datapath: &Datapath,
    out: &mut impl Write,
) -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let until = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let words = Words::of(&analysis.cluster);
    let mut events = datapath.events()?;
    while !stop.load(Ordering::Relaxed) && until.is_none_or(|until| Instant::now() < until) {
        for record in events.by_ref() {
            writeln!(out, "{}", words.line(&record, datapath.reason(&record)))?;
        }
        out.flush()?;
        thread::sleep(LOOK);
    }
    Ok(())
}

fn namespaces(analysis: &Analysis, names: &[String]) -> Result<BTreeSet<Name>, Refused> {
    let namespaces = &analysis.cluster.namespaces;
    let find = |name: &String| {
        let mut all = namespaces.values().map(|namespace| &namespace.name);
        all.find(|known| ***known == **name).cloned().ok_or_else(|| {
            let known: Vec<&str> = namespaces.values().map(|namespace| &*namespace.name).collect();
            Refused(format!("there is no namespace `{name}` to audit; the manifests have {}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}

fn node(analysis: &Analysis, name: &str) -> Result<NodeId, Refused> {
    let nodes = &analysis.cluster.nodes;
    let found = nodes.iter().find(|(_, node)| &*node.name == name).map(|(id, _)| id);
    found.ok_or_else(|| {
        let names: Vec<&str> = nodes.values().map(|node| &*node.name).collect();
        let known = match names.as_slice() {
            [] => "the manifests name no node: pods need `spec.nodeName` and an address in their status".to_owned(),
            names => format!("the manifests name {}", names.join(", ")),
        };
        Refused(format!("there is no node `{name}`; {known}"))
    })
}
