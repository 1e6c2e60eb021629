//! The peer's lists of connections, in its three formats.

use std::net::Ipv4Addr;

use policy_core::model::{PortSet, Protocol};
use serde::Deserialize;

/// How a list is written.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `SRC => DST : CONNS`.
    Txt,
    /// `src,dst,conn`.
    Csv,
    /// `[{"src", "dst", "conn"}]`.
    Json,
}

/// One side of a line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Side {
    /// A range of addresses outside.
    Range(u32, u32),
    /// `namespace/name[Kind]`.
    Workload(String),
    /// The ingress controller: not a workload of the input.
    Controller,
}

/// One connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// From.
    pub source: Side,
    /// To.
    pub destination: Side,
    /// On which ports.
    pub ports: PortSet,
}

/// A whole list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// The lines between workloads and address ranges.
    pub lines: Vec<Line>,
    /// How many lines come from the ingress controller; they are not compared.
    pub ways: usize,
}

/// Where the list ends and the exposure begins.
const EXPOSURE: &str = "Exposure Analysis Result:";

#[derive(Deserialize)]
#[serde(untagged)]
enum JsonList {
    Plain(Vec<JsonLine>),
    WithExposure { connlist_results: Option<Vec<JsonLine>> },
}

#[derive(Deserialize)]
struct JsonLine {
    src: String,
    dst: String,
    conn: String,
}

impl Expected {
    /// Reads the connections out of what the peer prints with `--explain`: the parts that it calls allowed.
    ///
    /// # Errors
    /// When a line is of no known form.
    pub fn parse_explanation(text: &str) -> Result<Self, String> {
        let mut expected = Self::default();
        let (mut ends, mut by_default) = (None, false);
        let lines = text.lines().take_while(|line| !line.starts_with(EXPOSURE));
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(pair) = line.strip_prefix("Connections between ") {
                ends = Some(pair.strip_suffix(':').unwrap_or(pair));
            } else if line.starts_with("# All Connections") {
                by_default = true;
            } else if let (Some(pair), Some(ports)) = (ends, allowed_part(line)) {
                expected.push(pair, explained_ports(ports)?)?;
            } else if by_default && line.contains(" => ") {
                expected.push(line, PortSet::all())?;
            }
        }
        Ok(expected)
    }

    fn push(&mut self, pair: &str, ports: PortSet) -> Result<(), String> {
        let (source, destination) = pair.split_once(" => ").ok_or_else(|| format!("no pair: `{pair}`"))?;
        let (source, destination) = (side(source)?, side(destination)?);
        if source == Side::Controller || destination == Side::Controller {
            self.ways += 1;
        } else {
            self.lines.push(Line { source, destination, ports });
        }
        Ok(())
    }

    /// Reads a list; what the peer prints about exposure is left aside.
    ///
    /// # Errors
    /// When a line is of no known form.
    pub fn parse(format: Format, text: &str) -> Result<Self, String> {
        let fields = match format {
            Format::Txt => txt(text)?,
            Format::Csv => csv(text)?,
            Format::Json => json(text)?,
        };
        let mut expected = Self::default();
        for (pair, ports) in fields {
            expected.push(&pair, connections(&ports)?)?;
        }
        Ok(expected)
    }
}

/// `SRC => DST` and the ports.
type Fields = Vec<(String, String)>;

fn list_part(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).take_while(|line| !line.starts_with(EXPOSURE)).filter(|line| !line.is_empty())
}

fn txt(text: &str) -> Result<Fields, String> {
    let parse = |line: &str| {
        let (pair, ports) = line.rsplit_once(" : ")?;
        pair.contains(" => ").then(|| (pair.to_owned(), ports.to_owned()))
    };
    list_part(text).map(|line| parse(line).ok_or_else(|| format!("no connection: `{line}`"))).collect()
}

fn csv(text: &str) -> Result<Fields, String> {
    let parse = |line: &str| {
        let (source, rest) = line.split_once(',')?;
        let (destination, ports) = rest.split_once(',')?;
        Some((format!("{source} => {destination}"), ports.trim_matches('"').to_owned()))
    };
    let lines = list_part(text).filter(|line| *line != "src,dst,conn");
    lines.map(|line| parse(line).ok_or_else(|| format!("no connection: `{line}`"))).collect()
}

fn json(text: &str) -> Result<Fields, String> {
    let list: JsonList = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let lines = match list {
        JsonList::Plain(lines) => lines,
        JsonList::WithExposure { connlist_results } => connlist_results.unwrap_or_default(),
    };
    Ok(lines.into_iter().map(|line| (format!("{} => {}", line.src, line.dst), line.conn)).collect())
}

/// The ports of a line such as `Allowed TCP:[80], UDP due to the following policies and rules:`.
fn allowed_part(line: &str) -> Option<&str> {
    line.strip_prefix("Allowed ")?.split_once(" due to").map(|(ports, _)| ports)
}

/// `TCP:[1-79,81], UDP`: a protocol alone is all of it.
fn explained_ports(text: &str) -> Result<PortSet, String> {
    let mut set = PortSet::empty();
    for part in text.split(", ") {
        let bad = || format!("no ports: `{part}` in `{text}`");
        let (protocol, ports) = part.split_once(":[").unwrap_or((part, "1-65535]"));
        let ports = ports.strip_suffix(']').ok_or_else(bad)?;
        set = set.union(&connections(&format!("{protocol} {ports}"))?);
    }
    Ok(set)
}

fn side(text: &str) -> Result<Side, String> {
    if text == "{ingress-controller}" {
        return Ok(Side::Controller);
    }
    let Some(range) = text.strip_suffix("[External]") else { return Ok(Side::Workload(text.to_owned())) };
    let bad = || format!("no range of addresses: `{text}`");
    let (first, last) = range.split_once('-').ok_or_else(bad)?;
    let address = |text: &str| text.parse::<Ipv4Addr>().map(u32::from).map_err(|_| bad());
    Ok(Side::Range(address(first)?, address(last)?))
}

/// `All Connections`, `No Connections`, or `SCTP 1-65535,TCP 80,8080-8090`: a part without a protocol belongs to the
/// protocol before it.
fn connections(text: &str) -> Result<PortSet, String> {
    match text {
        "All Connections" => return Ok(PortSet::all()),
        "No Connections" => return Ok(PortSet::empty()),
        _ => {}
    }
    let mut set = PortSet::empty();
    let mut current = None;
    for part in text.split(',') {
        let bad = || format!("no ports: `{part}` in `{text}`");
        let part = part.trim();
        let ports = match part.split_once(' ') {
            Some((protocol, ports)) => {
                current = Some(Protocol::parse(protocol).ok_or_else(bad)?);
                ports
            }
            None => part,
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse::<u16>().map_err(|_| bad());
        set = set.union(&PortSet::range(current.ok_or_else(bad)?, port(first)?, port(last)?));
    }
    Ok(set)
}

/// The IPv4 addresses at which ranges begin, for cutting.
pub(super) fn cuts(range: (u32, u32)) -> impl Iterator<Item = u32> {
    [Some(range.0), range.1.checked_add(1)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_formats_say_the_same() {
        let txt = "1.2.3.4-1.2.3.9[External] => a/b[Pod] : TCP 80,90-91,UDP 53\n\nExposure Analysis Result:\nx";
        let csv = "src,dst,conn\n1.2.3.4-1.2.3.9[External],a/b[Pod],\"TCP 80,90-91,UDP 53\"\n";
        let json = r#"{"connlist_results":[{"src":"1.2.3.4-1.2.3.9[External]","dst":"a/b[Pod]","conn":"TCP 80,90-91,UDP 53"}]}"#;
        let read = Expected::parse(Format::Txt, txt).unwrap();
        assert_eq!(read.lines[0].source, Side::Range(0x0102_0304, 0x0102_0309));
        assert_eq!(read.lines[0].ports.to_string(), "TCP 80,90-91, UDP 53");
        assert_eq!(Expected::parse(Format::Csv, csv).unwrap(), read);
        assert_eq!(Expected::parse(Format::Json, json).unwrap(), read);
    }

    #[test]
    fn lines_of_the_ingress_controller_are_counted_and_set_aside() {
        let read = Expected::parse(Format::Txt, "{ingress-controller} => a/b[Pod] : TCP 80").unwrap();
        assert_eq!(read, Expected { lines: Vec::new(), ways: 1 });
    }

    #[test]
    fn an_explanation_holds_the_list() {
        let text = "Connections between a/b[Pod] => c/d[Pod]:\n\nAllowed connections:\n\tAllowed TCP:[80,90-91], UDP due to the \
            following policies and rules:\n\t\tEgress (Allowed) due to x\nDenied connections:\n\tDenied SCTP due to y\n\
            # All Connections due to the system default (Allow all) #\na/b[Pod] => e/f[Pod]\n";
        let read = Expected::parse_explanation(text).unwrap();
        let ports: Vec<_> = read.lines.iter().map(|line| line.ports.to_string()).collect();
        assert_eq!(ports, ["TCP 80,90-91, UDP all", "all"]);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Expected::parse(Format::Txt, "a/b[Pod] -> c/d[Pod]").is_err());
        assert!(Expected::parse(Format::Txt, "a/b[Pod] => c/d[Pod] : ICMP 8").is_err());
        assert!(Expected::parse(Format::Txt, "1.2.3.4-x[External] => c/d[Pod] : TCP 8").is_err());
    }
}
