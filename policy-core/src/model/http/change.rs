//! What proxies make of requests: rewritten paths, hosts and headers, and the places that redirects name (GW-10).

use crate::model::Name;
use crate::model::http::{PathRewrite, Redirect, Request, Rewrite};

/// Where a redirect sends a client.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// The scheme.
    pub scheme: Name,
    /// The host; `None` = the one that the client dialled.
    pub host: Option<Name>,
    /// The port; `None` = that of the scheme.
    pub port: Option<u16>,
    /// The path; `None` when a controller's own template makes it.
    pub path: Option<Name>,
}

impl PathRewrite {
    /// The new path; `None` when a controller's own template makes it.
    #[must_use]
    pub fn apply(&self, path: &str) -> Option<Name> {
        match self {
            Self::Full(full) => Some(full.clone()),
            Self::Prefix { matched, replacement } => {
                let rest = path.strip_prefix(matched.strip_suffix('/').unwrap_or(matched)).unwrap_or(path);
                let new = format!("{}{rest}", replacement.strip_suffix('/').unwrap_or(replacement));
                Some(Name::from(if new.is_empty() { "/" } else { new.as_str() }))
            }
            Self::Template(_) => None,
        }
    }
}

impl Rewrite {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// The request as the backend sees it; a path that a controller's own template makes stays as it was.
    #[must_use]
    pub fn apply(&self, request: &Request) -> Request {
        let mut new = request.clone();
        if let Some(host) = &self.host {
            new.host = Some(host.clone());
        }
        if let Some(path) = self.path.as_ref().and_then(|path| path.apply(&request.path)) {
            new.path = path;
        }
        for (name, value) in &self.set_headers {
            new.headers.retain(|(known, _)| known != name);
            new.headers.push((name.clone(), value.clone()));
        }
        for (name, value) in &self.add_headers {
            match new.headers.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => *known = Name::from(format!("{known},{value}")),
                None => new.headers.push((name.clone(), value.clone())),
            }
        }
        new.headers.retain(|(known, _)| !self.remove_headers.contains(known));
        new
    }
}

impl Redirect {
    /// Where the client is sent that asked over `scheme` at `port`. A redirect to another scheme goes to that scheme's
    /// own port, any other to the port of the listener, unless it names one.
    #[must_use]
    pub fn location(&self, request: &Request, scheme: &str, port: u16) -> Location {
        let new_scheme = self.scheme.as_deref().unwrap_or(scheme);
        let own = |scheme: &str| match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = match (self.port, &self.scheme) {
            (Some(port), _) => port,
            (None, Some(scheme)) => own(scheme).unwrap_or(port),
            (None, None) => port,
        };
        let path = self.path.as_ref().map_or(Some(request.path.clone()), |path| path.apply(&request.path));
        Location {
            scheme: Name::from(new_scheme),
            host: self.host.clone().or_else(|| request.host.clone()),
            port: Some(port).filter(|port| own(new_scheme) != Some(*port)),
            path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_replaced_by_elements() {
        // GW-10
        for (path, matched, replacement, new) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "", "/bar"),
            ("/foo/", "/foo", "", "/"),
            ("/foo", "/foo", "", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
        ] {
            let rewrite = PathRewrite::Prefix { matched: Name::from(matched), replacement: Name::from(replacement) };
            assert_eq!(rewrite.apply(path).as_deref(), Some(new), "{path} {matched} {replacement}");
        }
    }

    #[test]
    fn the_port_of_a_redirect_follows_from_scheme_and_listener() {
        // GW-10
        let request = Request::get(Some("a.b"), "/");
        let port = |scheme: Option<&str>, port: Option<u16>, listener| {
            let redirect = Redirect { scheme: scheme.map(Name::from), host: None, port, path: None, status: 302 };
            redirect.location(&request, "http", listener).port
        };
        assert_eq!(port(None, None, 80), None);
        assert_eq!(port(None, None, 8080), Some(8080));
        assert_eq!(port(Some("https"), None, 8080), None);
        assert_eq!(port(Some("http"), Some(8083), 80), Some(8083));
        assert_eq!(port(Some("https"), Some(80), 80), Some(80));
    }

    #[test]
    fn headers_are_set_added_and_removed() {
        // GW-10
        let pair = |name: &str, value: &str| (Name::from(name), Name::from(value));
        let rewrite = Rewrite {
            set_headers: vec![pair("a", "1")],
            add_headers: vec![pair("b", "2"), pair("c", "3")],
            remove_headers: vec![Name::from("d")],
            ..Rewrite::default()
        };
        let request = Request {
            headers: vec![pair("a", "0"), pair("b", "0"), pair("d", "0"), pair("e", "0")],
            ..Request::get(None, "/")
        };
        let mut headers = rewrite.apply(&request).headers;
        headers.sort();
        assert_eq!(headers, [pair("a", "1"), pair("b", "0,2"), pair("c", "3"), pair("e", "0")]);
    }
}
