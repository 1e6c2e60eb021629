//! One request.

use crate::model::Name;

/// A request as it arrives at a proxy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Request {
    /// The method, as written: `GET`.
    pub method: Name,
    /// The host in lower case, without a port; `None` when the client dialled a bare address.
    pub host: Option<Name>,
    /// The path, from `/` on, without query and fragment (ING-6).
    pub path: Name,
    /// Query parameters in their order.
    pub query: Vec<(Name, Name)>,
    /// Headers in their order, names in lower case.
    pub headers: Vec<(Name, Name)>,
    /// The server name of the TLS handshake in lower case; `None` over plain connections and without the extension.
    pub sni: Option<Name>,
}

impl Request {
    /// `GET` of a path with its query (`/shop?item=1`) on a host.
    #[must_use]
    pub fn get(host: Option<&str>, path_and_query: &str) -> Self {
        let (path, query) = split_query(path_and_query);
        Self { method: Name::from("GET"), host: host.and_then(bare_host), path, query, headers: Vec::new(), sni: None }
    }

    /// The first value of a header; `name` in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&Name> {
        self.headers.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }

    /// The first value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Name> {
        self.query.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }
}

/// A host as matching sees it: lower case, no port, no dot at its end; `None` when nothing is left.
#[must_use]
pub fn bare_host(written: &str) -> Option<Name> {
    let host = match written.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => written.split_once(':').map_or(written, |(host, _)| host),
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty()).then(|| Name::from(host.to_ascii_lowercase()))
}

/// Path and query parameters of a request target, fragment left out (ING-6).
#[must_use]
pub fn split_query(target: &str) -> (Name, Vec<(Name, Name)>) {
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (Name::from(name), Name::from(value))
    };
    let path = if path.is_empty() { "/" } else { path };
    (Name::from(path), query.split('&').filter(|pair| !pair.is_empty()).map(parameter).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_path_and_query_are_told_apart() {
        // ING-5, ING-6
        assert_eq!(bare_host("Shop.Example.com:8080").as_deref(), Some("shop.example.com"));
        assert_eq!(bare_host("[2001:db8::1]:443").as_deref(), Some("2001:db8::1"));
        assert_eq!(bare_host(""), None);
        let request = Request::get(Some("a.b."), "/shop?item=1&all#top");
        assert_eq!((request.host.as_deref(), &*request.path), (Some("a.b"), "/shop"));
        assert_eq!(request.parameter("item").map(|value| &**value), Some("1"));
        assert_eq!(request.parameter("all").map(|value| &**value), Some(""));
        assert_eq!(&*Request::get(None, "?a=b").path, "/");
    }
}
