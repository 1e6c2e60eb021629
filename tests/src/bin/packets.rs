//! Nanoseconds per packet by `BPF_PROG_TEST_RUN`, beside an empty program of the same kind in the same run. For
//! `docs/performance.md`; not a test. Needs root.

use std::error::Error;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use enforcer::datapath::{Capacity, Datapath, Hook, test_empty};
use fixtures::scale::{Detail, Format, Mix, Scale};
use policy_core::analysis::Analysis;
use policy_core::ids::{Id as _, NodeId};
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::{Family, Profile, Protocol};
use policy_core::node_program::{Decision, HostSide, NodeProgram, Packet, Transport};
use policy_core::source::SourceMap;
use tests::frame::frame;

/// The sizes that are compared: `(pods, policies)`.
const SIZES: [(u32, u32); 4] = [(1_000, 10), (1_000, 10_000), (150_000, 10), (150_000, 10_000)];
/// Pods of a namespace, and of a node.
const PODS: [u32; 2] = [15, 100];
/// Rounds over all sizes; of each measurement the fastest counts.
const ROUNDS: usize = 5;
/// At most so many sources are tried with each pod of a node, to find packets that pass and that are dropped, and so many
/// nodes.
const TRIED: [usize; 2] = [40, 150];

/// Measures the program in the kernel. There is no connection tracking in such a run: every packet is the first of its
/// connection. A packet of a known connection is judged by the same lookups.
#[derive(Debug, Parser)]
struct Args {
    /// A manifest file, YAML or JSON; without it, clusters of several sizes are made and measured side by side.
    file: Option<PathBuf>,
    /// The node, by position.
    #[arg(long, default_value_t = 0)]
    node: usize,
    /// Runs of each measurement.
    #[arg(long, default_value_t = 1_000_000)]
    repeat: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut out = std::io::stdout().lock();
    match &args.file {
        Some(file) => one(&args, std::fs::read_to_string(file)?, &mut out),
        None => several(&args, &mut out),
    }
}

/// The program of a node, and it in the kernel.
fn prepare(
    text: String,
    choose: impl Fn(&Analysis) -> Option<NodeId>,
    out: &mut impl Write,
) -> Result<(NodeProgram, Datapath), Box<dyn Error>> {
    let mut sources = SourceMap::default();
    sources.add("cluster".to_owned(), text);
    let (snapshot, _) = read(&sources, &ReadOptions::default());
    let (cluster, _) = lower(&snapshot, &LowerOptions::default());
    drop(snapshot);
    let begun = Instant::now();
    let analysis = Analysis::new(cluster, Profile::preset("portolan").map_err(|error| error.to_string())?);
    let compiled = begun.elapsed().as_secs_f64();
    let node = choose(&analysis).ok_or("there is no such node")?;
    let begun = Instant::now();
    let program = NodeProgram::build(&analysis, node)?;
    let built = begun.elapsed().as_secs_f64();
    let generation = &program.generation;
    writeln!(
        out,
        "{} policies, {} addresses, {} local, {} identities, {} columns, {} rows, {} cells, {} port classes, {} ranges",
        analysis.cluster.policies.len(),
        program.ends.len(),
        program.ends.values().filter(|end| end.local).count(),
        generation.identities.len(),
        generation.columns,
        generation.rows.len(),
        generation.cells.len(),
        generation.ports.len(),
        generation.blocks.len()
    )?;
    let mut datapath = Datapath::load(Capacity::of(&program))?;
    let begun = Instant::now();
    let published = datapath.publish(&program)?;
    let loaded = begun.elapsed().as_secs_f64();
    let writes = published.writes;
    writeln!(out, "compile {compiled:.3} s, build {built:.3} s, load {loaded:.3} s with {writes} writes")?;
    Ok((program, datapath))
}

/// Where packets of one file's cluster may go.
fn one(args: &Args, text: String, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let choose = |analysis: &Analysis| analysis.cluster.nodes.ids().nth(args.node);
    let (program, datapath) = prepare(text, choose, out)?;
    let (instructions, verified) = datapath.size();
    writeln!(out, "{instructions} instructions, {} verified", verified.unwrap_or_default())?;
    for family in Family::ALL {
        let [local, remote] = [true, false].map(|local| ends(&program, family, local));
        let (Some(here), Some(there)) = (local.first().copied(), remote.first().copied()) else { continue };
        let outside: IpAddr = if family == Family::V6 { "2001:db8::7".parse()? } else { "203.0.113.7".parse()? };
        let second = local.get(1).copied().unwrap_or(here);
        for (name, source, destination) in [
            ("pod to remote pod", here, there),
            ("remote pod to pod", there, here),
            ("pod to pod", here, second),
            ("outside to pod", outside, here),
            ("not ours", there, remote.get(1).copied().unwrap_or(there)),
        ] {
            let transport = Transport::Port(Protocol::Tcp, 8080);
            let frame = frame(&Packet { source, destination, transport, host: HostSide::Neither });
            let empty = test_empty(&frame, Hook::PostRouting, args.repeat)?;
            let (passed, full) = datapath.test(&frame, Hook::PostRouting, args.repeat)?;
            let word = if passed { "passes" } else { "dropped" };
            let ratio = f64::from(full) / f64::from(empty.max(1));
            writeln!(out, "{family} {name:<18} {word:<8} {full:>5} ns, empty {empty} ns, {ratio:.1} x")?;
        }
    }
    Ok(())
}

/// A packet of one of the clusters, and the nanoseconds that it takes.
struct Measured {
    cluster: usize,
    frame: Vec<u8>,
    passes: bool,
    full: u32,
    empty: u32,
}

/// Packets about which policies are asked, in clusters of several sizes, in turn.
fn several(args: &Args, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut clusters = Vec::new();
    let mut rows: Vec<(Family, bool, Vec<Measured>)> = Vec::new();
    for family in Family::ALL {
        rows.extend([true, false].map(|passes| (family, passes, Vec::new())));
    }
    for (pods, policies) in SIZES {
        let [of_namespace, of_node] = PODS;
        let scale = Scale {
            namespaces: pods.div_ceil(of_namespace),
            nodes: pods / of_node,
            policies,
            mix: Mix::Wide,
            detail: Detail::Slim,
            ..Scale::default()
        };
        let mut text = Vec::new();
        scale.write(&mut text, Format::Json)?;
        let [_, nodes] = TRIED;
        let fit = |analysis: &Analysis, node: &NodeId| {
            let program = NodeProgram::build(analysis, *node).ok();
            program.is_some_and(|program| {
                rows.iter().all(|(family, passes, _)| find(&program, *family, *passes).is_some())
            })
        };
        let choose = |analysis: &Analysis| analysis.cluster.nodes.ids().take(nodes).find(|node| fit(analysis, node));
        let (program, datapath) = prepare(String::from_utf8(text)?, choose, out)?;
        for (family, passes, measured) in &mut rows {
            let packet = find(&program, *family, *passes).ok_or("policies say nothing about any packet")?;
            let frame = frame(&packet);
            measured.push(Measured {
                cluster: clusters.len(),
                frame,
                passes: *passes,
                full: u32::MAX,
                empty: u32::MAX,
            });
        }
        clusters.push(datapath);
    }
    // Whatever else runs on the machine gets in the way of all of them alike.
    for _ in 0..ROUNDS {
        for measured in rows.iter_mut().flat_map(|(.., measured)| measured) {
            let datapath = clusters.get(measured.cluster).ok_or("no such cluster")?;
            let (passed, full) = datapath.test(&measured.frame, Hook::PostRouting, args.repeat)?;
            if passed != measured.passes {
                return Err("the kernel and the model disagree".into());
            }
            measured.full = measured.full.min(full);
            measured.empty = measured.empty.min(test_empty(&measured.frame, Hook::PostRouting, args.repeat)?);
        }
    }
    write!(out, "{:<14}", "")?;
    for (pods, policies) in SIZES {
        write!(out, "  {:>30}", format!("{pods} pods, {policies} policies"))?;
    }
    writeln!(out)?;
    for (family, passes, measured) in &rows {
        write!(out, "{family} {:<9}", if *passes { "passes" } else { "dropped" })?;
        for Measured { full, empty, .. } in measured {
            let ratio = f64::from(*full) / f64::from((*empty).max(1));
            write!(out, "  {:>30}", format!("{full} ns, empty {empty}, {ratio:.1} x"))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The addresses of a family that are pods of this node, or that are not.
fn ends(program: &NodeProgram, family: Family, local: bool) -> Vec<IpAddr> {
    let of_family = program.ends.iter().filter(|(ip, end)| Family::of(**ip) == family && end.local == local);
    of_family.map(|(ip, _)| *ip).collect()
}

/// A packet to a pod of the node that passes, or one that policies of the pod refuse.
fn find(program: &NodeProgram, family: Family, passes: bool) -> Option<Packet> {
    let (local, remote) = (ends(program, family, true), ends(program, family, false));
    let acts_on = |ip: &IpAddr| {
        let identity = program.generation.identities.get(program.ends.get(ip)?.identity)?;
        Some(identity.ingress.plain.index() > 0)
    };
    let ports =
        program.generation.ports.samples().into_iter().flatten().filter(|(protocol, _)| *protocol == Protocol::Tcp);
    let transports: Vec<Transport> = ports.map(|(protocol, port)| Transport::Port(protocol, port)).collect();
    // Where few pods have policies, a packet that passes need not meet one: it takes the same look-ups.
    let asked = local.iter().filter(|ip| passes || acts_on(ip) == Some(true));
    let [sources, _] = TRIED;
    let stride = remote.len().div_ceil(sources).max(1);
    let packets = asked.flat_map(|destination| {
        remote.iter().step_by(stride).flat_map(|source| {
            let packet = |transport: &Transport| Packet {
                source: *source,
                destination: *destination,
                transport: *transport,
                host: HostSide::Neither,
            };
            transports.iter().map(packet)
        })
    });
    packets.into_iter().find(|packet| (program.judge(packet, false) == Decision::Pass) == passes)
}
