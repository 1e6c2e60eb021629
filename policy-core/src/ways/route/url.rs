//! A request as people write it: a URL with a method, headers and a server name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use crate::model::Name;
use crate::model::http::request::{bare_host, split_query};
use crate::model::http::{Location, Request};

/// What a client dials and asks for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Url {
    /// Whether it is `https`.
    pub tls: bool,
    /// The host that is dialled, in lower case: a name or an address.
    pub host: Name,
    /// The port that is dialled.
    pub port: u16,
    /// The path with its query, from `/` on, without a fragment.
    pub target: Name,
}

/// A URL and everything else that a request says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Question {
    /// What is dialled.
    pub url: Url,
    /// What is asked for.
    pub request: Request,
}

/// Why something is no request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadRequest {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: &'static str,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl std::error::Error for BadRequest {}

fn bad<T>(message: impl Into<String>, help: &'static str) -> Result<T, BadRequest> {
    Err(BadRequest { message: message.into(), help })
}

const FORM: &str = "write http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH";

impl Url {
    /// Reads `http://HOST[:PORT][/PATH][?QUERY]`, or the same with `https`.
    ///
    /// # Errors
    /// [`BadRequest`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BadRequest> {
        let Some((scheme, rest)) = text.split_once("://") else { return bad("the URL has no scheme", FORM) };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            other => {
                let help = "only http and https are routed; a WebSocket and gRPC are requests of these as well";
                return bad(format!("`{other}` is no scheme that is routed"), help);
            }
        };
        if let Some(found) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return bad(format!("the URL has {found:?} in it"), "write it with % and two digits: a space is %20");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            let help = "leave it out, or give it as a header: --header 'Authorization: Basic …'";
            return bad("the URL has a user in it", help);
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => match rest.strip_prefix(':') {
                port @ Some(_) => (host, port),
                None if rest.is_empty() => (host, None),
                None => return bad(format!("`{authority}` is no host"), FORM),
            },
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => {
                if tls {
                    443
                } else {
                    80
                }
            }
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => port,
                _ => return bad(format!("`{port}` is no port"), "ports are 1 to 65535"),
            },
        };
        if authority.starts_with('[') && host.parse::<Ipv6Addr>().is_err() {
            return bad(format!("`{host}` is no IPv6 address"), "only addresses stand in brackets: [2001:db8::1]");
        }
        let host = read_host(host)?;
        let target = target.split_once('#').map_or(target, |(before, _)| before);
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        if path.split('/').any(|element| matches!(element, "." | "..")) {
            return bad("the path has `.` or `..` in it", "write the path that is left: clients send it without them");
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { tls, host, port, target: Name::from(target) })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The address that is dialled, when it is written instead of a name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = if self.tls { 443 } else { 80 };
        match self.address() {
            Some(IpAddr::V6(address)) => write!(f, "{}://[{address}]", self.scheme())?,
            _ => write!(f, "{}://{}", self.scheme(), self.host)?,
        }
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.target)
    }
}

/// A name of DNS or an address.
fn read_host(written: &str) -> Result<Name, BadRequest> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(Name::from(address.to_string()));
    }
    let Some(host) = bare_host(written) else { return bad("the URL has no host", FORM) };
    if !host.is_ascii() {
        return bad(format!("`{host}` has other letters than a to z"), "write the name as DNS has it: xn--…");
    }
    let is_label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.len() <= 63 && label.bytes().all(inside)
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return bad(format!("`{host}` is no host"), "a host is a name such as shop.example.com, or an address");
    }
    if host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return bad(format!("`{host}` is no address"), "an IPv4 address has four numbers up to 255");
    }
    Ok(host)
}

/// What names of headers and methods are written with.
fn is_token(text: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(inside)
}

impl Question {
    /// A request for a URL. A header `Host` goes before the host of the URL; without `sni` the server name of a
    /// connection with TLS is the host of the URL, if that is a name.
    ///
    /// # Errors
    /// [`BadRequest`] says what is wrong with the method, a header or the server name.
    pub fn new(
        url: Url,
        method: Option<&str>,
        headers: impl IntoIterator<Item = (String, String)>,
        sni: Option<&str>,
    ) -> Result<Self, BadRequest> {
        let method = method.unwrap_or("GET");
        if !is_token(method) {
            return bad(format!("`{method}` is no method"), "a method is one word, such as GET or POST");
        }
        let (path, query) = split_query(&url.target);
        let named = url.address().is_none().then(|| url.host.clone());
        let mut request = Request {
            method: Name::from(method),
            host: named.clone(),
            path,
            query,
            headers: Vec::new(),
            sni: named.filter(|_| url.tls),
        };
        for (name, value) in headers {
            if !is_token(&name) {
                return bad(format!("`{name}` is no name of a header"), "write a header as 'Name: value'");
            }
            if value.chars().any(|c| c.is_control() && c != '\t') {
                return bad(format!("the value of `{name}` has a line break or the like in it"), "take it out");
            }
            let name = name.to_ascii_lowercase();
            if name == "host" {
                let host = bare_host(value.trim());
                request.host = host.filter(|host| host.parse::<IpAddr>().is_err());
            } else {
                request.headers.push((Name::from(name), Name::from(value.trim())));
            }
        }
        if let Some(sni) = sni {
            if !url.tls {
                return bad("a server name without TLS", "leave --sni out, or ask for https://");
            }
            let name = read_host(sni)?;
            if name.parse::<IpAddr>().is_ok() {
                return bad(format!("`{sni}` is no server name"), "a server name is a name, never an address");
            }
            request.sni = Some(name);
        }
        Ok(Self { url, request })
    }

    /// Reads `Name: value`.
    ///
    /// # Errors
    /// [`BadRequest`] when there is no colon.
    pub fn header(written: &str) -> Result<(String, String), BadRequest> {
        match written.split_once(':') {
            Some((name, value)) => Ok((name.to_owned(), value.trim().to_owned())),
            None => bad(format!("`{written}` is no header"), "write a header as 'Name: value'"),
        }
    }

    /// The same request where a redirect sends the client; `None` when nobody can tell where that is. `whole` = the
    /// query goes along.
    #[must_use]
    pub(super) fn redirected(&self, location: &Location, whole: bool) -> Option<Self> {
        let tls = match &*location.scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = location.host.clone().or_else(|| Some(self.url.host.clone()))?;
        let path = location.path.clone()?;
        let (_, query) = self.url.target.split_once('?').unwrap_or(("", ""));
        let target = if whole && !query.is_empty() { Name::from(format!("{path}?{query}")) } else { path };
        let port = location.port.unwrap_or(if tls { 443 } else { 80 });
        let url = Url { tls, host, port, target };
        let mut next = Self::new(url, Some(&self.request.method), [], None).ok()?;
        next.request.headers.clone_from(&self.request.headers);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let url = Url::parse("HTTPS://Shop.Example.com:8443/a?b=c#top").unwrap();
        assert_eq!((url.tls, &*url.host, url.port, &*url.target), (true, "shop.example.com", 8443, "/a?b=c"));
        assert_eq!(Url::parse("http://a.b?x=1").unwrap().to_string(), "http://a.b/?x=1");
        let six = Url::parse("http://[2001:DB8::1]:80/").unwrap();
        assert_eq!((six.to_string().as_str(), six.port), ("http://[2001:db8::1]/", 80));
    }

    #[test]
    fn bad_urls_say_what_is_wrong() {
        for (text, part) in [
            ("shop.example.com/", "no scheme"),
            ("ftp://a.b/", "`ftp` is no scheme"),
            ("http:///x", "no host"),
            ("http://a.b:0/", "`0` is no port"),
            ("http://a.b:99999/", "`99999` is no port"),
            ("http://a b/", "' ' in it"),
            ("http://u:p@a.b/", "has a user"),
            ("http://a..b/", "`a..b` is no host"),
            ("http://münchen.example/", "other letters"),
            ("http://300.1.1.1/", "is no address"),
            ("http://[a.b]/", "no IPv6 address"),
            ("http://[::1]x/", "is no host"),
            ("http://a.b/x/../y", "`..` in it"),
        ] {
            let wrong = Url::parse(text).unwrap_err();
            assert!(wrong.message.contains(part) && !wrong.help.is_empty(), "{text}: {wrong}");
        }
    }

    #[test]
    fn a_request_has_method_headers_and_a_server_name() {
        // ING-8: the server name chooses the certificate, the header the route.
        let ask = |url: &str, headers: &[(&str, &str)], sni| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Question::new(Url::parse(url).unwrap(), None, headers, sni)
        };
        let asked = ask("https://10.0.0.1/", &[("Host", "Shop.example.com:443"), ("X-Y", " 1 ")], Some("A.b")).unwrap();
        assert_eq!(asked.request.host.as_deref(), Some("shop.example.com"));
        assert_eq!(asked.request.sni.as_deref(), Some("a.b"));
        assert_eq!(asked.request.header("x-y").map(|value| &**value), Some("1"));
        assert_eq!(ask("http://10.0.0.1/", &[], None).unwrap().request.host, None);
        assert!(ask("http://a.b/", &[], Some("a.b")).unwrap_err().message.contains("without TLS"));
        assert!(ask("http://a.b/", &[("a b", "c")], None).unwrap_err().message.contains("`a b`"));
        assert!(ask("http://a.b/", &[("a", "c\r\nd: e")], None).unwrap_err().message.contains("line break"));
        assert!(Question::header("nonsense").unwrap_err().message.contains("no header"));
        let url = Url::parse("http://a.b/").unwrap();
        assert!(Question::new(url, Some("GE T"), [], None).unwrap_err().message.contains("no method"));
    }
}
