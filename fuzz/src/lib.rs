//! Manifests made of a template and the fuzzer's bytes.
//!
//! Raw bytes almost never form a policy. Here the structure is right most of the time, and the bytes choose what
//! stands in its places: a usual value, an unusual one, or text of their own, quoted or not.

/// The fuzzer's bytes, used up from the front; zeros when they have run out.
#[derive(Debug)]
pub struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    /// All of `data`.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                *byte
            }
            None => 0,
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte() % 24).min(self.rest.len());
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn pick<'b>(&mut self, choices: &[&'b str]) -> &'b str {
        choices.get(usize::from(self.byte()) % choices.len().max(1)).copied().unwrap_or_default()
    }

    /// A usual value in most cases, an odd one in some, and seldom text of the fuzzer's own.
    fn value(&mut self, place: &Place) -> String {
        match self.byte() % 64 {
            0 => format!("{:?}", self.text()),
            1 => self.text(),
            2..=5 => self.pick(place.odd).to_owned(),
            _ => self.pick(place.usual).to_owned(),
        }
    }
}

/// What may stand in one place of a manifest.
struct Place {
    usual: &'static [&'static str],
    odd: &'static [&'static str],
}

const NAMES: Place = Place { usual: &["web", "db", "cli"], odd: &["a.b", "-bad-", "null"] };
const NAMESPACES: Place = Place { usual: &["x", "y", "default"], odd: &["\"\"", "null", "X"] };
const KEYS: Place = Place { usual: &["app", "team", "kubernetes.io/metadata.name"], odd: &["a/b/c", "1"] };
const WORDS: Place = Place { usual: &["web", "db", "x", "y", "\"\""], odd: &["null", "1", "yes"] };
const PROTOCOLS: Place = Place { usual: &["TCP", "UDP", "SCTP"], odd: &["tcp", "null", "6"] };
const PORTS: Place =
    Place { usual: &["80", "8080", "http", "65535"], odd: &["\"80\"", "0", "65536", "-1", "null", "1e3"] };
const END_PORTS: Place = Place { usual: &["8080", "8090", "65535"], odd: &["1", "null", "http"] };
const PORT_NAMES: Place = Place { usual: &["http", "web"], odd: &["HTTP", "null", "80"] };
const CIDRS: Place = Place {
    usual: &["10.0.0.0/8", "10.244.0.0/16", "10.244.1.0/24", "0.0.0.0/0", "::/0", "fd00::/8", "10.0.0.5/32"],
    odd: &["10.0.0.5/24", "10.0.0.1", "::ffff:10.0.0.0/104", "010.0.0.0/8", "1.2.3.4/33"],
};
const ADDRESSES: Place =
    Place { usual: &["10.244.1.10", "10.244.2.20", "fd00::1"], odd: &["10.0.0.300", "\"\"", "null"] };
const SELECTORS: Place =
    Place { usual: &["{}", "{matchLabels: {app: web}}", "null"], odd: &["[]", "{matchLabels: null}"] };
const OPERATORS: Place = Place { usual: &["In", "NotIn"], odd: &["Exists", "DoesNotExist", "in", "null"] };
const VALUES: Place = Place { usual: &["[web]", "[web, db]"], odd: &["[]", "null", "[\"\"]"] };
const FLAGS: Place = Place { usual: &["false", "null", "true"], odd: &["yes", "0"] };
const TYPES: Place =
    Place { usual: &["[Ingress]", "[Egress]", "[Ingress, Egress]", "[]", "null"], odd: &["[ingress]", "Ingress"] };
const PHASES: Place = Place { usual: &["Running", "Pending", "Succeeded"], odd: &["Failed", "null", "Lost"] };
const ADDRESS_KINDS: Place = Place { usual: &["InternalIP", "ExternalIP"], odd: &["Hostname", "null"] };
const PEERS: Place = Place {
    usual: &["{namespaceSelector: {}}", "{podSelector: {}}"],
    odd: &["{}", "null", "{podSelectr: {}}", "{ipBlock: {cidr: \"::/0\"}, podSelector: {}}"],
};
const PORT_ENTRIES: Place = Place { usual: &["{}", "null"], odd: &["{endPort: 1}", "[]"] };
const RULES: Place = Place { usual: &["{}", "null", "{ports: [{}]}", "{ports: null}"], odd: &["[]", "{form: []}"] };

/// A YAML stream of up to eight documents.
#[must_use]
pub fn manifests(bytes: &mut Bytes<'_>) -> String {
    let mut out = String::new();
    for _ in 0..8 {
        if bytes.is_empty() {
            break;
        }
        out.push_str("---\n");
        out.push_str(&match bytes.byte() % 8 {
            0 => namespace(bytes),
            1 => node(bytes),
            2 | 3 => pod(bytes),
            4 => workload(bytes),
            _ => policy(bytes),
        });
    }
    out
}

fn meta(bytes: &mut Bytes<'_>) -> String {
    let (name, namespace) = (bytes.value(&NAMES), bytes.value(&NAMESPACES));
    format!("metadata: {{name: {name}, namespace: {namespace}, labels: {}}}\n", labels(bytes))
}

fn labels(bytes: &mut Bytes<'_>) -> String {
    let (key, value) = (bytes.value(&KEYS), bytes.value(&WORDS));
    format!("{{{key}: {value}}}")
}

fn namespace(bytes: &mut Bytes<'_>) -> String {
    let (name, labels) = (bytes.value(&NAMESPACES), labels(bytes));
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {labels}}}\n")
}

fn node(bytes: &mut Bytes<'_>) -> String {
    let kind = bytes.value(&ADDRESS_KINDS);
    let (name, address) = (bytes.value(&NAMES), bytes.value(&ADDRESSES));
    format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nstatus: {{addresses: [{{type: {kind}, address: {address}}}]}}\n"
    )
}

fn pod_spec(bytes: &mut Bytes<'_>) -> String {
    let (port, name, protocol) = (bytes.pick(&["80", "8080", "0"]), bytes.value(&PORT_NAMES), bytes.value(&PROTOCOLS));
    let (host, node) = (bytes.value(&FLAGS), bytes.value(&NAMES));
    format!(
        "{{hostNetwork: {host}, nodeName: {node}, containers: [{{name: c, ports: [{{containerPort: {port}, name: {name}, protocol: {protocol}}}]}}]}}"
    )
}

fn pod(bytes: &mut Bytes<'_>) -> String {
    let (meta, spec) = (meta(bytes), pod_spec(bytes));
    let (phase, ip, other, host) =
        (bytes.value(&PHASES), bytes.value(&ADDRESSES), bytes.value(&ADDRESSES), bytes.value(&ADDRESSES));
    format!(
        "apiVersion: v1\nkind: Pod\n{meta}spec: {spec}\nstatus: {{phase: {phase}, podIP: {ip}, podIPs: [{{ip: {ip}}}, {{ip: {other}}}], hostIP: {host}}}\n"
    )
}

fn workload(bytes: &mut Bytes<'_>) -> String {
    let head = bytes.pick(&[
        "apiVersion: apps/v1\nkind: Deployment\n",
        "apiVersion: apps/v1\nkind: StatefulSet\n",
        "apiVersion: apps/v1\nkind: DaemonSet\n",
        "apiVersion: v1\nkind: ReplicationController\n",
        "apiVersion: batch/v1\nkind: Job\n",
        "apiVersion: extensions/v1beta1\nkind: Deployment\n",
    ]);
    let (meta, labels, spec) = (meta(bytes), labels(bytes), pod_spec(bytes));
    format!("{head}{meta}spec: {{template: {{metadata: {{labels: {labels}}}, spec: {spec}}}}}\n")
}

fn selector(bytes: &mut Bytes<'_>) -> String {
    if bytes.byte() % 2 == 0 {
        return bytes.value(&SELECTORS);
    }
    let (labels, key, operator) = (labels(bytes), bytes.value(&KEYS), bytes.value(&OPERATORS));
    let values = bytes.value(&VALUES);
    format!("{{matchLabels: {labels}, matchExpressions: [{{key: {key}, operator: {operator}, values: {values}}}]}}")
}

fn peer(bytes: &mut Bytes<'_>) -> String {
    match bytes.byte() % 6 {
        0 => format!("{{podSelector: {}}}", selector(bytes)),
        1 => format!("{{namespaceSelector: {}}}", selector(bytes)),
        2 => format!("{{namespaceSelector: {}, podSelector: {}}}", selector(bytes), selector(bytes)),
        3 => format!("{{ipBlock: {{cidr: {}, except: [{}, {}]}}}}", cidr(bytes), cidr(bytes), cidr(bytes)),
        4 => format!("{{ipBlock: {{cidr: {}}}}}", cidr(bytes)),
        _ => bytes.value(&PEERS),
    }
}

/// Quoted, since an IPv6 address is no plain YAML scalar in a flow mapping.
fn cidr(bytes: &mut Bytes<'_>) -> String {
    format!("{:?}", bytes.value(&CIDRS))
}

fn port(bytes: &mut Bytes<'_>) -> String {
    let (protocol, port, end) = (bytes.value(&PROTOCOLS), bytes.value(&PORTS), bytes.value(&END_PORTS));
    match bytes.byte() % 4 {
        0 => bytes.value(&PORT_ENTRIES),
        1 => format!("{{port: {port}}}"),
        2 => format!("{{protocol: {protocol}, port: {port}}}"),
        _ => format!("{{protocol: {protocol}, port: {port}, endPort: {end}}}"),
    }
}

fn rules(bytes: &mut Bytes<'_>, peers: &str) -> String {
    let mut rules = Vec::new();
    for _ in 0..bytes.byte() % 4 {
        rules.push(match bytes.byte() % 5 {
            0 => bytes.value(&RULES),
            1 => format!("{{{peers}: [{}]}}", peer(bytes)),
            2 => format!("{{{peers}: [{}, {}], ports: [{}]}}", peer(bytes), peer(bytes), port(bytes)),
            3 => format!("{{ports: [{}, {}]}}", port(bytes), port(bytes)),
            _ => format!("{{{peers}: [{}], ports: [{}]}}", peer(bytes), port(bytes)),
        });
    }
    format!("[{}]", rules.join(", "))
}

fn policy(bytes: &mut Bytes<'_>) -> String {
    let version = bytes.pick(&["networking.k8s.io/v1", "networking.k8s.io/v1", "extensions/v1beta1"]);
    let (meta, selector) = (meta(bytes), selector(bytes));
    let mut out = format!("apiVersion: {version}\nkind: NetworkPolicy\n{meta}spec:\n  podSelector: {selector}\n");
    let parts = bytes.byte();
    if parts & 1 != 0 {
        out += &format!("  policyTypes: {}\n", bytes.value(&TYPES));
    }
    if parts & 2 != 0 {
        out += &format!("  ingress: {}\n", rules(bytes, "from"));
    }
    if parts & 4 != 0 {
        out += &format!("  egress: {}\n", rules(bytes, "to"));
    }
    out
}
