//! Nanoseconds per packet by `BPF_PROG_TEST_RUN`, beside an empty program of the same kind in the same run. For
//! `docs/performance.md`; not a test. Needs root.

use std::error::Error;
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use enforcer::datapath::{Capacity, Datapath, Hook, test_empty};
use policy_core::analysis::Analysis;
use policy_core::lower::{LowerOptions, lower};
use policy_core::manifest::{ReadOptions, read};
use policy_core::model::{Profile, Protocol};
use policy_core::node_program::{HostSide, NodeProgram, Packet, Transport};
use policy_core::source::SourceMap;
use tests::frame::frame;

/// Measures the program in the kernel.
#[derive(Debug, Parser)]
struct Args {
    /// A manifest file, YAML or JSON.
    file: PathBuf,
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
    let mut sources = SourceMap::default();
    sources.add(args.file.display().to_string(), std::fs::read_to_string(&args.file)?);
    let (snapshot, _) = read(&sources, &ReadOptions::default());
    let (cluster, _) = lower(&snapshot, &LowerOptions::default());
    drop(snapshot);
    let begun = Instant::now();
    let analysis = Analysis::new(cluster, Profile::preset("portolan").map_err(|error| error.to_string())?);
    writeln!(out, "compile {:.3} s", begun.elapsed().as_secs_f64())?;
    let node = analysis.cluster.nodes.ids().nth(args.node).ok_or("there is no such node")?;
    let begun = Instant::now();
    let program = NodeProgram::build(&analysis, node)?;
    writeln!(out, "build {:.3} s", begun.elapsed().as_secs_f64())?;
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
    let (instructions, verified) = datapath.size();
    writeln!(out, "{instructions} instructions, {} verified", verified.unwrap_or_default())?;
    let begun = Instant::now();
    let published = datapath.publish(&program)?;
    writeln!(out, "load {:.3} s, {} writes", begun.elapsed().as_secs_f64(), published.writes)?;
    for v6 in [false, true] {
        let of_family = |ip: &&IpAddr| ip.is_ipv6() == v6;
        let local = program.ends.iter().filter(|(_, end)| end.local).map(|(ip, _)| ip).filter(of_family);
        let remote = program.ends.iter().filter(|(_, end)| !end.local).map(|(ip, _)| ip).filter(of_family);
        let (local, remote): (Vec<_>, Vec<_>) = (local.copied().collect(), remote.copied().collect());
        let (Some(here), Some(there)) = (local.first().copied(), remote.first().copied()) else { continue };
        let family = if v6 { "IPv6" } else { "IPv4" };
        let outside: IpAddr = if v6 { "2001:db8::7".parse()? } else { "203.0.113.7".parse()? };
        let second = local.get(1).copied().unwrap_or(here);
        for (name, source, destination) in [
            ("pod to remote pod", here, there),
            ("remote pod to pod", there, here),
            ("pod to pod", here, second),
            ("outside to pod", outside, here),
            ("not ours", there, remote.get(1).copied().unwrap_or(there)),
        ] {
            let transport = Transport::Port(Protocol::Tcp, 8080);
            let packet = Packet { source, destination, transport, host: HostSide::Neither };
            let frame = frame(&packet);
            let empty = test_empty(&frame, Hook::PostRouting, args.repeat)?;
            let (passed, full) = datapath.test(&frame, Hook::PostRouting, args.repeat)?;
            let word = if passed { "passes" } else { "dropped" };
            let ratio = f64::from(full) / f64::from(empty.max(1));
            writeln!(out, "{family} {name:<18} {word:<8} {full:>5} ns, empty {empty} ns, {ratio:.1} x")?;
        }
    }
    Ok(())
}
