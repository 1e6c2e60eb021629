//! Ways through the API server: what is asked of it, and what comes of it (API-1 … API-12).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::ids::{PodId, ServiceId};
use crate::model::{Access, AccessRequest, Family, Flag, Judgement, KnobSet, Name, Party, User, Verdict};

/// What a URL of the API server leads to (API-1, API-8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Proxied {
    /// A Service.
    Service,
    /// A pod.
    Pod,
    /// A node.
    Node,
}

impl Proxied {
    /// The resource, as URLs and roles have it.
    #[must_use]
    pub fn resource(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Pod => "pods",
            Self::Node => "nodes",
        }
    }
}

/// A URL of the API server that leads into the cluster (API-1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProxyUrl {
    /// What is behind it.
    pub kind: Proxied,
    /// The namespace; `None` for a node.
    pub namespace: Option<Name>,
    /// The segment that says who, as it stands there: what RBAC compares names with (API-2).
    pub segment: Name,
    /// Whether `https:` stands before the name.
    pub tls: bool,
    /// The name.
    pub name: Name,
    /// The port as written; empty when none is.
    pub port: Name,
    /// What follows, from `/` on.
    pub path: Name,
    /// Whether it is of the form that 1.10 took away.
    pub legacy: bool,
}

/// Why a URL leads nowhere in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UrlError {
    /// It is of another form than API-1 has.
    Form,
    /// What stands in the place of the name is not `[SCHEME:]NAME[:PORT]` with scheme http or https.
    Segment,
    /// `%` without two hexadecimal digits behind it, or what they say is no text.
    Escape,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "the URL is not `/api/v1/namespaces/NAMESPACE/services/NAME/proxy/…` or the same with pods, or \
                           `/api/v1/nodes/NAME/proxy/…`"
            }
            Self::Segment => "the name is not written as `NAME`, `NAME:PORT` or `http:NAME:PORT`",
            Self::Escape => "`%` must be followed by two hexadecimal digits",
        })
    }
}

impl std::error::Error for UrlError {}

impl ProxyUrl {
    /// Reads a URL, with or without scheme and host (API-1).
    ///
    /// # Errors
    /// [`UrlError`] when it leads nowhere in the cluster.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let after_host = match url.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => url.strip_prefix('/').ok_or(UrlError::Form)?,
        };
        let end = after_host.find(['?', '#']).unwrap_or(after_host.len());
        let path = decoded(after_host.get(..end).unwrap_or_default())?;
        let rest = path.strip_prefix("api/v1/").ok_or(UrlError::Form)?;
        let (rest, legacy) = rest.strip_prefix("proxy/").map_or((rest, false), |rest| (rest, true));
        let (namespace, rest) = match rest.strip_prefix("namespaces/") {
            Some(rest) => rest.split_once('/').map(|(namespace, rest)| (Some(namespace), rest)),
            None => Some((None, rest)),
        }
        .ok_or(UrlError::Form)?;
        let (kind, rest) = rest.split_once('/').ok_or(UrlError::Form)?;
        let kind = match (kind, namespace) {
            ("services", Some(_)) => Proxied::Service,
            ("pods", Some(_)) => Proxied::Pod,
            ("nodes", None) => Proxied::Node,
            _ => return Err(UrlError::Form),
        };
        let (segment, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let path = if legacy {
            rest
        } else {
            let (word, path) = rest.split_once('/').unwrap_or((rest, ""));
            if word != "proxy" {
                return Err(UrlError::Form);
            }
            path
        };
        if namespace.is_some_and(str::is_empty) {
            return Err(UrlError::Form);
        }
        let (tls, name, port) = parts(segment).ok_or(UrlError::Segment)?;
        Ok(Self {
            kind,
            namespace: namespace.map(Name::from),
            segment: Name::from(segment),
            tls,
            name: Name::from(name),
            port: Name::from(port),
            path: Name::from(format!("/{path}")),
            legacy,
        })
    }
}

/// `NAME`, `NAME:PORT`, `SCHEME:NAME:PORT`, in which scheme and port may be empty.
fn parts(segment: &str) -> Option<(bool, &str, &str)> {
    let parts: Vec<&str> = segment.split(':').collect();
    let (scheme, name, port) = match *parts {
        [name] => ("", name, ""),
        [name, port] => ("", name, port),
        [scheme, name, port] => (scheme, name, port),
        _ => return None,
    };
    let known = matches!(scheme, "" | "http" | "https");
    (known && !name.is_empty()).then_some((scheme == "https", name, port))
}

/// A path without its escapes.
fn decoded(path: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or(UrlError::Escape)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| UrlError::Escape)?);
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Escape)
}

/// Who opens the connection on the API server's behalf (API-4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ApiSource {
    /// The API server at an address that the profile gives, an agent's pod, or somebody of whom nobody says where.
    Party(Party),
    /// The node's own runtime, inside the pod's network namespace: policies do not see it (API-6).
    Inside,
}

/// One connection that the API server has opened.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApiLeg {
    /// Who opens it.
    pub source: ApiSource,
    /// The pod, or the node behind `nodes/proxy`.
    pub destination: Party,
    /// The family.
    pub family: Family,
    /// The port there.
    pub port: u16,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The rule that decides.
    pub rule: &'static str,
    /// The knobs on which the verdict depends.
    pub knobs: KnobSet,
    /// Remarks, sorted.
    pub flags: Vec<Flag>,
    /// What policies say, where they are asked.
    pub judgement: Option<Judgement>,
}

/// A condition of a way through the API server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ApiCondition {
    /// The user may do this; the input does not say so (API-2).
    Access(AccessRequest),
    /// One of the pods is called so: the right is limited to names (API-2).
    Called(Name),
    /// The request bears the name of the proxy's own machine, `localhost`, in its `Host` header (API-9).
    HostHeader,
}

/// A way through the API server, and what comes of it (W-APROXY, W-PFWD).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApiWay {
    /// What becomes of the request.
    pub verdict: Verdict,
    /// The rule that decides.
    pub rule: &'static str,
    /// In whose name it is made.
    pub user: User,
    /// What must be granted, all of it, and what grants it.
    pub access: Vec<(AccessRequest, Access)>,
    /// The connection before that: to the `kubectl proxy` that lends its identity (API-9), or of the pod that asks to the
    /// API server (API-10).
    pub entry: Option<ApiLeg>,
    /// Every connection that may come of it: one for each endpoint and each address of the API server. The best one
    /// counts.
    pub legs: Vec<ApiLeg>,
    /// Pods that are reached in the same breath: those of a node whose kubelet is (API-8).
    pub also: Vec<PodId>,
    /// What must hold for a verdict that is conditional.
    pub conditions: Vec<ApiCondition>,
    /// The knobs on which a verdict depends that is undefined.
    pub knobs: KnobSet,
    /// Why there is nothing there, in words; for `NoRoute` and `NoListener`.
    pub why: Option<String>,
}

/// How `kubectl port-forward` and its like talk to the API server (API-7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// A POST that becomes SPDY.
    Spdy,
    /// A GET that becomes a WebSocket.
    WebSocket,
}

/// How a pod reaches the API server, and as whom (API-10, API-11).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ApiServerAccess {
    /// What becomes of a connection.
    pub verdict: Verdict,
    /// The rule that decides.
    pub rule: &'static str,
    /// The Service `default/kubernetes`, if the input has it.
    pub service: Option<ServiceId>,
    /// Its address and port, as far as they are known.
    pub dialled: Option<SocketAddr>,
    /// The API servers, address by address; empty when none is known.
    pub servers: Vec<(SocketAddr, Judgement)>,
    /// Whether the port of the API servers is the usual one, because nothing tells it.
    pub usual_port: bool,
    /// The knobs on which a verdict depends that is undefined.
    pub knobs: KnobSet,
    /// As whom it may ask: the account whose token is mounted; `None` when none is.
    pub user: Option<User>,
}

/// Whether an address is one that the API server opens connections to (API-5).
#[must_use]
pub fn is_proxyable(address: IpAddr) -> bool {
    let special = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    let further = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !special && !further
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<(Proxied, String, bool, String, String), UrlError> {
        ProxyUrl::parse(url).map(|url| {
            let who = format!("{}/{}", url.namespace.as_deref().unwrap_or_default(), url.name);
            (url.kind, who, url.tls, url.port.to_string(), url.path.to_string())
        })
    }

    #[test]
    fn urls_name_services_pods_and_nodes() {
        // API-1
        let found = |kind, who: &str, tls, port: &str, path: &str| {
            Ok((kind, who.to_owned(), tls, port.to_owned(), path.to_owned()))
        };
        use Proxied::{Node, Pod, Service};
        for (url, wanted) in [
            ("/api/v1/namespaces/x/services/web/proxy/", found(Service, "x/web", false, "", "/")),
            ("/api/v1/namespaces/x/services/web/proxy", found(Service, "x/web", false, "", "/")),
            ("/api/v1/namespaces/x/services/https:web:/proxy/a/b?c", found(Service, "x/web", true, "", "/a/b")),
            ("/api/v1/namespaces/x/services/http:web:80/proxy/", found(Service, "x/web", false, "80", "/")),
            ("/api/v1/namespaces/x/services/web:http/proxy/#a", found(Service, "x/web", false, "http", "/")),
            ("/api/v1/namespaces/x/services/https:web/proxy/", found(Service, "x/https", false, "web", "/")),
            ("/api/v1/namespaces/x/pods/web-0:8080/proxy/", found(Pod, "x/web-0", false, "8080", "/")),
            ("/api/v1/nodes/n1:9100/proxy/metrics", found(Node, "/n1", false, "9100", "/metrics")),
            ("http://10.0.77.98:8081/api/v1/proxy/namespaces/kubeflow/services/tensorboard:http/", {
                found(Service, "kubeflow/tensorboard", false, "http", "/")
            }),
            ("/api/v1/namespaces/x/services/http%3Aweb%3A80/proxy/", found(Service, "x/web", false, "80", "/")),
        ] {
            assert_eq!(read(url), wanted, "{url}");
        }
        assert!(ProxyUrl::parse("/api/v1/proxy/namespaces/a/pods/b").is_ok_and(|url| url.legacy));
    }

    #[test]
    fn other_urls_lead_nowhere() {
        // API-1
        for (url, wanted) in [
            ("", UrlError::Form),
            ("api/v1/namespaces/x/services/web/proxy", UrlError::Form),
            ("/api/v2/namespaces/x/services/web/proxy", UrlError::Form),
            ("/api/v1/namespaces/x/services/web", UrlError::Form),
            ("/api/v1/namespaces/x/services/web/proxies/", UrlError::Form),
            ("/api/v1/namespaces/x/configmaps/web/proxy", UrlError::Form),
            ("/api/v1/namespaces//services/web/proxy", UrlError::Form),
            ("/api/v1/services/web/proxy", UrlError::Form),
            ("/api/v1/namespaces/x/nodes/web/proxy", UrlError::Form),
            ("http://host", UrlError::Form),
            ("/api/v1/namespaces/x/services/ftp:web:80/proxy", UrlError::Segment),
            ("/api/v1/namespaces/x/services/a:b:c:d/proxy", UrlError::Segment),
            ("/api/v1/namespaces/x/services/http::80/proxy", UrlError::Segment),
            ("/api/v1/namespaces/x/services/%/proxy", UrlError::Escape),
            ("/api/v1/namespaces/x/services/%zz/proxy", UrlError::Escape),
            ("/api/v1/namespaces/x/services/%ff/proxy", UrlError::Escape),
        ] {
            assert_eq!(read(url), Err(wanted), "{url}");
        }
    }

    #[test]
    fn the_api_server_dials_ordinary_addresses_only() {
        // API-5
        for good in ["10.0.0.1", "203.0.113.7", "fd00::1", "2001:db8::1"] {
            assert!(is_proxyable(good.parse().unwrap()), "{good}");
        }
        for bad in [
            "127.0.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "ff02::1",
            "::",
        ] {
            assert!(!is_proxyable(bad.parse().unwrap()), "{bad}");
        }
    }
}
