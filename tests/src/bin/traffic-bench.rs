//! What enforcement costs real connections: two pods of one node in network namespaces, without policies, with the kernel's
//! program and 10,000 policies, with an `nft` set of the same addresses, and with 1,000 rules of `nft`. For
//! `docs/performance.md`; not a test. Needs root; nothing leaves the namespaces.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Parser;
use enforcer::datapath::{Capacity, Datapath};
use policy_core::analysis::Analysis;
use policy_core::ids::{Id as _, NodeId};
use policy_core::model::Profile;
use policy_core::node_program::NodeProgram;
use serde_json::json;
use tests::netns::{Network, Place, Plan, PlannedNode, PlannedPod, Servers, run, stay_on, two_processors};
use tests::pipeline::load;

/// Measures connections between two pods of one node.
#[derive(Debug, Parser)]
struct Args {
    /// Rounds; in each, every setup does every kind of work once.
    #[arg(long, default_value_t = 13)]
    rounds: usize,
    /// Milliseconds of each piece of work.
    #[arg(long, default_value_t = 400)]
    millis: u64,
    /// Policies of the cluster.
    #[arg(long, default_value_t = 10_000)]
    policies: u32,
    /// Rules of the linear chains.
    #[arg(long, default_value_t = 1_000)]
    rules: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

const NODE: Place = Place::Node(0);
const SERVER: Place = Place::Pod(0);
const CLIENT: Place = Place::Pod(1);
/// A pod that no policy and no rule admits.
const STRANGER: Place = Place::Pod(2);
const SERVER_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const CLIENT_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);
const STRANGER_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 4);
const NODE_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
const PORT: u16 = 5201;

/// What stands between the pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Setup {
    Nothing,
    /// The same once more: how far figures of one thing differ.
    NothingAgain,
    Portolan,
    Set,
    Rules,
}

impl Setup {
    const ALL: [Self; 5] = [Self::Nothing, Self::Portolan, Self::Set, Self::Rules, Self::NothingAgain];

    fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::NothingAgain => "nothing, again",
            Self::Portolan => "portolan",
            Self::Set => "nft set",
            Self::Rules => "nft rules",
        }
    }

    fn enforces(self) -> bool {
        !matches!(self, Self::Nothing | Self::NothingAgain)
    }
}

/// What clients do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    Bytes,
    Connections,
    Bulk,
}

impl Work {
    const ALL: [Self; 3] = [Self::Bytes, Self::Connections, Self::Bulk];

    fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "RR",
            Self::Connections => "connect+RR",
            Self::Bulk => "throughput",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Bytes | Self::Connections => "us",
            Self::Bulk => "Gbit/s",
        }
    }

    /// The ratio to nothing that is to be kept.
    fn goal(self) -> f64 {
        match self {
            Self::Bytes => 1.05,
            Self::Connections => 1.10,
            Self::Bulk => 0.97,
        }
    }

    fn meets(self, ratio: f64) -> bool {
        if self == Self::Bulk { ratio >= self.goal() } else { ratio <= self.goal() }
    }
}

/// Addresses that are admitted beside the one that counts, which comes last.
fn admitted(count: u32, first: Ipv4Addr, last: Ipv4Addr) -> Vec<Ipv4Addr> {
    (1..count).map(|number| Ipv4Addr::from(u32::from(first) + number)).chain([last]).collect()
}

/// Whom the server admits, and whom the client may dial: half of `count` each.
fn ends(count: u32) -> [Vec<Ipv4Addr>; 2] {
    let half = (count / 2).max(1);
    [admitted(half, Ipv4Addr::new(10, 200, 0, 0), CLIENT_IP), admitted(half, Ipv4Addr::new(10, 201, 0, 0), SERVER_IP)]
}

/// The cluster, with one policy for each admitted address.
fn manifests(policies: u32) -> String {
    let pod = |name: &str, ip: Ipv4Addr| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: bench, labels: {{app: {name}}}}}, spec: {{nodeName: one, \
             containers: [{{name: c}}]}}, status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}]}}}}\n---\n"
        )
    };
    let mut text = format!(
        "{{apiVersion: v1, kind: Node, metadata: {{name: one}}, spec: {{podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24]}}, \
         status: {{addresses: [{{type: InternalIP, address: {NODE_IP}}}]}}}}\n---\n"
    );
    for (name, ip) in [("server", SERVER_IP), ("client", CLIENT_IP), ("stranger", STRANGER_IP)] {
        text += &pod(name, ip);
    }
    let [sources, destinations] = ends(policies);
    for (app, types, rule, addresses) in
        [("server", "Ingress", "ingress: [{from", sources), ("client", "Egress", "egress: [{to", destinations)]
    {
        for (number, address) in addresses.iter().enumerate() {
            // Writing into a String cannot fail.
            let _ = writeln!(
                text,
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: {app}-{number}, namespace: bench}}, \
                 spec: {{podSelector: {{matchLabels: {{app: {app}}}}}, policyTypes: [{types}], \
                 {rule}: [{{ipBlock: {{cidr: {address}/32}}}}]}}]}}}}\n---"
            );
        }
    }
    text
}

/// The same judgement by two sets. Every packet is judged, as by the kernel's program; what goes back passes.
fn set(policies: u32) -> String {
    let [sources, destinations] = ends(policies).map(|list| {
        let list: Vec<String> = list.iter().map(Ipv4Addr::to_string).collect();
        list.join(", ")
    });
    format!(
        "table inet bench {{
            set sources {{ type ipv4_addr; elements = {{ {sources} }}; }}
            set destinations {{ type ipv4_addr; elements = {{ {destinations} }}; }}
            chain judge {{
                type filter hook forward priority 0; policy accept;
                ct direction reply accept
                ip saddr {CLIENT_IP} ip daddr != @destinations drop
                ip daddr {SERVER_IP} ip saddr != @sources drop
            }}
        }}"
    )
}

/// The same by rules, one for each address.
fn rules(count: u32) -> String {
    let [sources, destinations] = ends(count);
    let (mut ingress, mut egress) = (String::new(), String::new());
    for (source, destination) in sources.iter().zip(&destinations) {
        let _ = writeln!(ingress, "ip saddr {source} return");
        let _ = writeln!(egress, "ip daddr {destination} return");
    }
    format!(
        "table inet bench {{
            chain ingress {{ {ingress} drop; }}
            chain egress {{ {egress} drop; }}
            chain judge {{
                type filter hook forward priority 0; policy accept;
                ct direction reply accept
                ip saddr {CLIENT_IP} jump egress
                ip daddr {SERVER_IP} jump ingress
            }}
        }}"
    )
}

/// The node with its pods, and what can stand between them.
struct Bench {
    network: Network,
    datapath: Datapath,
    set: String,
    rules: String,
}

impl Bench {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let pod = |name: &str, ip: Ipv4Addr| PlannedPod { name: name.to_owned(), node: 0, addresses: vec![ip.into()] };
        let network = Network::build(&Plan {
            nodes: vec![PlannedNode { name: "one".to_owned(), addresses: vec![NODE_IP.into()] }],
            pods: vec![pod("server", SERVER_IP), pod("client", CLIENT_IP), pod("stranger", STRANGER_IP)],
            ..Plan::default()
        })?;
        let loaded = load([("bench.yaml".to_owned(), manifests(args.policies))]);
        if let Some(error) = loaded.errors().next() {
            return Err(loaded.describe(error).into());
        }
        let profile = Profile::preset("portolan").map_err(|error| error.to_string())?;
        let program = NodeProgram::build(&Analysis::new(loaded.cluster, profile), NodeId::from_index(0))?;
        let mut datapath = Datapath::load(Capacity::of(&program))?;
        datapath.publish(&program)?;
        Ok(Self { network, datapath, set: set(args.policies), rules: rules(args.rules) })
    }

    fn put_up(&mut self, setup: Setup) -> io::Result<()> {
        match setup {
            Setup::Nothing | Setup::NothingAgain => Ok(()),
            Setup::Portolan => self.network.at(NODE)?.inside(|| self.datapath.attach())?,
            Setup::Set => self.network.nft(NODE, &self.set),
            Setup::Rules => self.network.nft(NODE, &self.rules),
        }
    }

    fn take_down(&mut self, setup: Setup) -> io::Result<()> {
        match setup {
            Setup::Nothing | Setup::NothingAgain => {}
            Setup::Portolan => self.datapath.detach(),
            Setup::Set | Setup::Rules => {
                run(self.network.at(NODE)?, "nft", &["delete", "table", "inet", "bench"], "")?;
            }
        }
        Ok(())
    }

    /// Whether a setup does what it is measured for: the stranger gets in only where nothing stands in between.
    fn check(&mut self, setup: Setup) -> Result<(), Box<dyn Error>> {
        self.put_up(setup)?;
        let dial = || TcpStream::connect_timeout(&server(), Duration::from_millis(300)).is_ok();
        let got_in = self.network.at(STRANGER)?.inside(dial)?;
        self.take_down(setup)?;
        if got_in == setup.enforces() {
            return Err(format!(
                "with `{}`, a stranger's connection {}",
                setup.as_str(),
                if got_in { "passes" } else { "fails" }
            )
            .into());
        }
        Ok(())
    }
}

fn server() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(SERVER_IP), PORT)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One piece of work: microseconds or gigabits a second, the median of all repetitions.
fn measure(servers: &Servers, work: Work, duration: Duration) -> io::Result<f64> {
    let middle = |taken: Vec<u64>| median(taken.into_iter().map(|nanoseconds| nanoseconds as f64 / 1e3).collect());
    match work {
        Work::Bytes => servers.bytes(duration).map(middle),
        Work::Connections => servers.connections(duration).map(middle),
        Work::Bulk => Ok(median(servers.bulk(duration)?) / 1e9),
    }
}

/// The figures of one setup and one kind of work, round by round.
struct Series {
    setup: Setup,
    work: Work,
    values: Vec<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let begun = Instant::now();
    let duration = Duration::from_millis(args.millis);
    let [of_client, of_server] = two_processors()?;
    let mut bench = Bench::new(&args)?;
    let servers = Servers::start(bench.network.at(SERVER)?, server(), of_server)?;
    for setup in Setup::ALL {
        bench.check(setup)?;
    }
    let all = Setup::ALL.into_iter().flat_map(|setup| Work::ALL.map(|work| Series { setup, work, values: Vec::new() }));
    let mut figures: Vec<Series> = all.collect();
    for round in 0..args.rounds {
        // Nobody is always the first.
        for turn in 0..Setup::ALL.len() {
            let Some(setup) = Setup::ALL.get((turn + round) % Setup::ALL.len()).copied() else { continue };
            bench.put_up(setup)?;
            for series in figures.iter_mut().filter(|series| series.setup == setup) {
                let work = || stay_on(of_client).and_then(|()| measure(&servers, series.work, duration));
                series.values.push(bench.network.at(CLIENT)?.inside(work)??);
            }
            bench.take_down(setup)?;
        }
    }
    report(&args, &figures, begun.elapsed())
}

/// The median over rounds, and the median of the ratios to nothing in the same round.
fn summary(figures: &[Series], series: &Series) -> (f64, f64) {
    let nothing = figures.iter().find(|other| other.setup == Setup::Nothing && other.work == series.work);
    let nothing = nothing.map(|nothing| nothing.values.as_slice()).unwrap_or_default();
    let ratios = series.values.iter().zip(nothing).map(|(value, nothing)| value / nothing).collect();
    (median(series.values.clone()), median(ratios))
}

fn report(args: &Args, figures: &[Series], taken: Duration) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    if args.json {
        let results: Vec<_> = figures
            .iter()
            .map(|series| {
                let (middle, ratio) = summary(figures, series);
                json!({
                    "setup": series.setup.as_str(),
                    "work": series.work.as_str(),
                    "unit": series.work.unit(),
                    "median": middle,
                    "ratio": ratio,
                    "rounds": series.values,
                })
            })
            .collect();
        let document = json!({
            "policies": args.policies,
            "rules": args.rules,
            "millis": args.millis,
            "seconds": taken.as_secs_f64(),
            "results": results,
        });
        serde_json::to_writer_pretty(&mut out, &document)?;
        writeln!(out)?;
        return Ok(());
    }
    writeln!(
        out,
        "{} policies, {} rules, {} rounds of {} ms, {:.0} s; medians, and medians of ratios to nothing in the same round",
        args.policies,
        args.rules,
        args.rounds,
        args.millis,
        taken.as_secs_f64()
    )?;
    for series in figures {
        let (middle, ratio) = summary(figures, series);
        let Series { setup, work, .. } = series;
        let goal = if *setup == Setup::Portolan {
            format!("  goal {:.2}: {}", work.goal(), if work.meets(ratio) { "met" } else { "missed" })
        } else {
            String::new()
        };
        writeln!(
            out,
            "{:<14} {:<10} {middle:>8.2} {:<6} {ratio:>6.3} x{goal}",
            setup.as_str(),
            work.as_str(),
            work.unit()
        )?;
    }
    Ok(())
}
