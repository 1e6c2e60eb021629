//! Set-valued questions, answered by an exact partition with a witness each (M-3).

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::analysis::Analysis;
use crate::model::{AddressSet, Family, Flow, Judge, Judgement, Party, PodState, Protocol, Verdict, premise};
use crate::query::bundle::{Actor, Bundle, bundles, may_hold_hosts};
use crate::query::pair::{PortVerdicts, between};
use crate::query::subject::{PortAsk, Subject, Target};

/// One cell of the partition: every source to every destination has this answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cell<T> {
    /// Who opens the connection.
    pub sources: Vec<Actor>,
    /// Who gets it. A pod among both is not asked about itself, unless it is alone (NP-18).
    pub destinations: Vec<Actor>,
    /// The families for which the answer holds.
    pub families: Vec<Family>,
    /// The answer.
    pub answer: T,
    /// One flow of the cell.
    pub witness: Flow,
}

/// What becomes of every port between two subjects: `who`, `where`.
#[must_use]
pub fn reach(analysis: &Analysis, sources: &Subject, destinations: &Subject) -> Vec<Cell<PortVerdicts>> {
    let ask = |source: &Bundle, destination: &Bundle, family| {
        let (from, to) = ends(analysis, source, destination, family)?;
        Some(between(analysis, from, to, family))
    };
    let witness = |answer: &PortVerdicts, _: &Bundle| answer.witness_port();
    let placement = placement(analysis, sources, destinations);
    let sources = bundles(analysis, sources, &PortAsk::Any, placement);
    let destinations = bundles(analysis, destinations, &PortAsk::Any, placement);
    partition(analysis, &sources, &destinations, ask, witness)
}

/// What becomes of one port between two subjects: `can`. `None` for [`PortAsk::Any`], which is a matter of [`reach`].
#[must_use]
pub fn can(analysis: &Analysis, source: &Subject, target: &Target) -> Option<Vec<Cell<Judgement>>> {
    let placement = placement(analysis, source, &target.subject);
    let sources = Prepared::new(analysis, source, &PortAsk::Any, placement);
    let destinations = Prepared::new(analysis, &target.subject, &target.port, placement);
    can_prepared(analysis, &sources, &destinations)
}

/// Whether it matters between two subjects on which nodes their pods run: only when one may hold hosts (NP-19).
#[must_use]
pub fn placement(analysis: &Analysis, source: &Subject, destination: &Subject) -> bool {
    may_hold_hosts(analysis, source) || may_hold_hosts(analysis, destination)
}

/// The parties of a subject, sorted out once for many questions.
#[derive(Clone, Debug)]
pub struct Prepared {
    bundles: Vec<Bundle>,
    port: PortAsk,
}

impl Prepared {
    /// `port` is what is asked of them as destinations, [`PortAsk::Any`] of sources; `placement` as [`placement`] says.
    #[must_use]
    pub fn new(analysis: &Analysis, subject: &Subject, port: &PortAsk, placement: bool) -> Self {
        Self { bundles: bundles(analysis, subject, port, placement), port: port.clone() }
    }

    /// A single address that is no pod's and no node's, without looking it up.
    #[must_use]
    pub fn outsider(address: IpAddr, port: &PortAsk) -> Self {
        let bundle = Bundle::of(Actor::Addresses(AddressSet::from(address)));
        Self { bundles: bundle.into_iter().collect(), port: port.clone() }.of_family(Family::of(address))
    }

    /// The same parties, written as addresses of one family: only that one is meant (NP-30).
    #[must_use]
    pub fn of_family(mut self, family: Family) -> Self {
        for bundle in &mut self.bundles {
            bundle.only = Some(family);
        }
        self
    }
}

/// [`can`] between parties that are sorted out already.
#[must_use]
pub fn can_prepared(analysis: &Analysis, sources: &Prepared, destinations: &Prepared) -> Option<Vec<Cell<Judgement>>> {
    let port = |destination: &Bundle| match &destinations.port {
        PortAsk::Any => None,
        PortAsk::Number(protocol, number) => Some((*protocol, *number)),
        PortAsk::Name(protocol, _) => destination.named.map(|number| (*protocol, number)),
    };
    if destinations.port == PortAsk::Any {
        return None;
    }
    let ask = |source: &Bundle, destination: &Bundle, family| {
        let (from, to) = ends(analysis, source, destination, family)?;
        let Some((protocol, port)) = port(destination) else {
            // NP-16: nothing there is called so.
            return Some(Judgement::before_policies(Verdict::NoListener, "NP-16"));
        };
        Some(analysis.judge(&Flow::direct(from, to, family, protocol, port)))
    };
    let witness = |_: &Judgement, destination: &Bundle| port(destination).unwrap_or((Protocol::Tcp, 1));
    Some(partition(analysis, &sources.bundles, &destinations.bundles, ask, witness))
}

/// Two parties that stand for two bundles. A bundle is asked about itself by two different members; a single pod
/// about itself is self traffic (NP-18); outside to outside is nobody's business here.
fn ends(analysis: &Analysis, source: &Bundle, destination: &Bundle, family: Family) -> Option<(Party, Party)> {
    let outside = |bundle: &Bundle| matches!(bundle.actor, Actor::Addresses(_) | Actor::Name(_));
    if outside(source) && outside(destination) {
        return None;
    }
    // NP-30: an address of the other family is meant, not the pod or node that has it and perhaps speaks this one too.
    if let Some(address) =
        destination.only.filter(|only| *only != family).and_then(|only| address(analysis, destination, only))
    {
        return Some((source.first, Party::Address(address)));
    }
    if source.first != destination.first {
        return Some((source.first, destination.first));
    }
    let template = |party| match party {
        Party::Pod(pod) => analysis.cluster.pods.at(pod).state == PodState::Template,
        _ => false,
    };
    match destination.second {
        Some(second) if !template(source.first) => Some((source.first, second)),
        _ => Some((source.first, destination.first)),
    }
}

/// The address of a bundle's first party in a family.
fn address(analysis: &Analysis, bundle: &Bundle, family: Family) -> Option<IpAddr> {
    match bundle.first {
        Party::Pod(pod) => analysis.cluster.pods.at(pod).address(family),
        Party::Node(node) => {
            let mut addresses = analysis.cluster.nodes.at(node).addresses.iter().map(|address| address.ip);
            addresses.find(|address| Family::of(*address) == family)
        }
        Party::Address(address) => Some(address),
        Party::Named(_) | Party::Somebody(_) => None,
    }
}

/// What one source says of each destination: for each, an answer a set of families.
type Answers<T> = Vec<Vec<(Vec<Family>, T)>>;

/// Asks every pair of bundles and joins what is alike: first sources with equal rows, then destinations with equal
/// columns.
fn partition<T: Clone + Ord>(
    analysis: &Analysis,
    sources: &[Bundle],
    destinations: &[Bundle],
    ask: impl Fn(&Bundle, &Bundle, Family) -> Option<T>,
    witness: impl Fn(&T, &Bundle) -> (Protocol, u16),
) -> Vec<Cell<T>> {
    let mut rows: BTreeMap<Answers<T>, Vec<&Bundle>> = BTreeMap::new();
    for source in sources {
        let row = destinations.iter().map(|destination| by_family(analysis, source, destination, &ask)).collect();
        rows.entry(row).or_default().push(source);
    }
    let mut cells = Vec::new();
    for (row, sources) in &rows {
        let mut columns: BTreeMap<&(Vec<Family>, T), Vec<&Bundle>> = BTreeMap::new();
        for (answers, destination) in row.iter().zip(destinations) {
            for answer in answers {
                columns.entry(answer).or_default().push(destination);
            }
        }
        for ((families, answer), destinations) in columns {
            let (Some(source), Some(destination), Some(family)) =
                (sources.first(), destinations.first(), families.first())
            else {
                continue;
            };
            let Some((from, to)) = ends(analysis, source, destination, *family) else { continue };
            let (protocol, port) = witness(answer, destination);
            cells.push(Cell {
                sources: join(sources),
                destinations: join(&destinations),
                families: families.clone(),
                answer: answer.clone(),
                witness: Flow::direct(from, to, *family, protocol, port),
            });
        }
    }
    cells.sort_by(|a, b| (&a.sources, &a.destinations, &a.families).cmp(&(&b.sources, &b.destinations, &b.families)));
    cells
}

/// The answers of one pair: one when both families agree, or when the ends share one family or none.
fn by_family<T: Ord>(
    analysis: &Analysis,
    source: &Bundle,
    destination: &Bundle,
    ask: &impl Fn(&Bundle, &Bundle, Family) -> Option<T>,
) -> Vec<(Vec<Family>, T)> {
    // NP-30: an address means its own family, also where a pod of both has it.
    let speaks = |bundle: &Bundle| match bundle.only {
        Some(only) => vec![only],
        None => premise::families(&analysis.cluster, &analysis.profile, bundle.first),
    };
    let (from, to) = (speaks(source), speaks(destination));
    let shared: Vec<Family> = from.iter().copied().filter(|family| to.contains(family)).collect();
    // NP-30: without a common family the source's are asked about, to say that there is no route.
    let families = if shared.is_empty() { from } else { shared };
    let mut answers: Vec<(Vec<Family>, T)> = Vec::new();
    for family in families {
        let Some(answer) = ask(source, destination, family) else { continue };
        match answers.iter_mut().find(|(_, known)| *known == answer) {
            Some((families, _)) => families.push(family),
            None => answers.push((vec![family], answer)),
        }
    }
    answers
}

/// The actors of several bundles, pods and addresses merged.
fn join(bundles: &[&Bundle]) -> Vec<Actor> {
    let (mut pods, mut nodes, mut addresses, mut names) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for bundle in bundles {
        match &bundle.actor {
            Actor::Pods(some) => pods.extend_from_slice(some),
            Actor::Node(node) => nodes.push(Actor::Node(*node)),
            Actor::Addresses(some) => addresses.push(some.clone()),
            Actor::Name(name) => names.push(Actor::Name(name.clone())),
        }
    }
    pods.sort_unstable();
    let mut actors = Vec::new();
    if !pods.is_empty() {
        actors.push(Actor::Pods(pods));
    }
    nodes.sort_unstable();
    actors.extend(nodes);
    if !addresses.is_empty() {
        actors.push(Actor::Addresses(addresses.into_iter().collect()));
    }
    actors.extend(names);
    actors
}
