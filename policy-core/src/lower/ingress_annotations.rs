//! The annotations of Ingresses that change who gets through to what (ING-19, ING-22 … ING-24, ING-26).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::diagnostic::Diagnostic;
use crate::ids::NamespaceId;
use crate::lower::addresses::parse_cidr;
use crate::lower::context::Context;
use crate::lower::ingress::{Services, WantedPort, annotation};
use crate::model::Name;
use crate::model::http::{PathRewrite, Redirect};
use crate::model::ingress::{
    AlbAnnotations, CanaryRule, HaProxyAnnotations, IngressAnnotations, KongAnnotations, NginxAnnotations, PathMatcher,
    TraefikAnnotations,
};
use crate::snapshot::WayMeta;
use crate::source::Spanned;

/// Reads them.
pub(super) fn annotations(
    metadata: Option<&WayMeta>,
    namespace: NamespaceId,
    services: &Services<'_>,
    context: &mut Context,
) -> IngressAnnotations {
    if metadata.is_none_or(|metadata| metadata.annotations.as_ref().is_none_or(|found| found.is_empty())) {
        return IngressAnnotations::default();
    }
    let reader = Reader { metadata };
    IngressAnnotations {
        nginx: reader.nginx(namespace, services, context),
        haproxy: reader.haproxy(context),
        traefik: reader.traefik(context),
        kong: reader.kong(),
        gce_https_only: reader.switch("kubernetes.io/ingress.allow-http") == Some(false),
        alb: reader.alb(context),
    }
}

/// Addresses and blocks with commas between them. What is neither is an error.
pub(super) fn ranges(rule: &'static str, written: &Spanned<Name>, context: &mut Context) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for part in written.value.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
        let address = part.parse::<IpAddr>().ok().map(|ip| IpNet::from(ip.to_canonical()));
        match address.or_else(|| parse_cidr(part).map(|(net, _)| net)) {
            Some(net) => nets.push(net),
            None => context.report(
                Diagnostic::error(rule, written.span, format!("`{part}` is not an address and not a CIDR"))
                    .help("write addresses or blocks with commas between them: `10.0.0.0/8, 192.0.2.7`"),
            ),
        }
    }
    nets.sort();
    nets.dedup();
    nets
}

/// A boolean as Go reads it.
pub(super) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Where a URL sends a client.
fn redirect(url: &str, status: u16) -> Redirect {
    let text = |part: &str| (!part.is_empty()).then(|| Name::from(part));
    let (scheme, rest) = url.split_once("://").map_or((None, url), |(scheme, rest)| (text(scheme), rest));
    let (authority, path) = match rest.find('/') {
        Some(_) if scheme.is_none() && rest.starts_with('/') => ("", Some(rest)),
        Some(at) => rest.split_at_checked(at).map_or((rest, None), |(authority, path)| (authority, Some(path))),
        None => (rest, None),
    };
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let path = path.map(|path| PathRewrite::Full(Name::from(path)));
    Redirect { scheme, host: text(host), port: port.parse().ok(), path, status }
}

struct Reader<'a> {
    metadata: Option<&'a WayMeta>,
}

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&Spanned<Name>> {
        annotation(self.metadata, key)
    }

    fn text(&self, key: &str) -> Option<Name> {
        self.get(key).map(|written| Name::from(written.value.trim())).filter(|text| !text.is_empty())
    }

    fn switch(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(|written| switch(&written.value))
    }

    fn is_on(&self, key: &str) -> bool {
        self.switch(key) == Some(true)
    }

    fn list(&self, key: &str) -> Vec<Name> {
        let text = self.text(key);
        let parts = text.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|part| !part.is_empty());
        parts.map(Name::from).collect()
    }

    fn ranges(&self, rule: &'static str, keys: &[&str], context: &mut Context) -> Option<Vec<IpNet>> {
        let written = keys.iter().find_map(|key| self.get(key))?;
        Some(ranges(rule, written, context)).filter(|ranges| !ranges.is_empty())
    }

    /// ING-19
    fn nginx(&self, namespace: NamespaceId, services: &Services<'_>, context: &mut Context) -> NginxAnnotations {
        let key = |name: &str| format!("nginx.ingress.kubernetes.io/{name}");
        let is_on = |name: &str| self.is_on(&key(name));
        let permanent = self.text(&key("permanent-redirect"));
        let temporal = self.text(&key("temporal-redirect"));
        let code = |name: &str, usual: u16| self.text(&key(name)).and_then(|code| code.parse().ok()).unwrap_or(usual);
        let redirect = temporal
            .map(|url| redirect(&url, code("temporal-redirect-code", 302)))
            .or_else(|| permanent.map(|url| redirect(&url, code("permanent-redirect-code", 301))));
        let default_backend = self.get(&key("default-backend")).filter(|written| !written.value.is_empty());
        let default_backend = default_backend
            .map(|written| services.find(namespace, &written.value, &WantedPort::First, written.span, context));
        let aliases =
            self.list(&key("server-alias")).iter().map(|alias| Name::from(alias.to_ascii_lowercase())).collect();
        NginxAnnotations {
            use_regex: is_on("use-regex"),
            rewrite_target: self.text(&key("rewrite-target")),
            aliases,
            allow: self.ranges("ING-19", &[&key("whitelist-source-range"), &key("allowlist-source-range")], context),
            deny: self.ranges("ING-19", &[&key("denylist-source-range")], context),
            canary: is_on("canary").then(|| self.canary()),
            ssl_passthrough: is_on("ssl-passthrough"),
            default_backend,
            redirect,
            ssl_redirect: self.switch(&key("ssl-redirect")),
            force_ssl_redirect: self.switch(&key("force-ssl-redirect")),
            auth: self.text(&key("auth-url")).is_some() || self.text(&key("auth-type")).is_some(),
            no_global_auth: self.switch(&key("enable-global-auth")) == Some(false),
            client_certificate: self.text(&key("auth-tls-secret")).is_some()
                && self.text(&key("auth-tls-verify-client")).is_none_or(|verify| *verify == *"on"),
            satisfy_any: self.text(&key("satisfy")).is_some_and(|satisfy| *satisfy == *"any"),
            service_upstream: is_on("service-upstream"),
        }
    }

    fn canary(&self) -> CanaryRule {
        let text = |name: &str| self.text(&format!("nginx.ingress.kubernetes.io/canary-{name}"));
        let number = |name: &str, usual: u32| text(name).and_then(|number| number.parse().ok()).unwrap_or(usual);
        CanaryRule {
            header: text("by-header").map(|name| Name::from(name.to_ascii_lowercase())),
            header_value: text("by-header-value"),
            header_pattern: text("by-header-pattern"),
            cookie: text("by-cookie"),
            weight: number("weight", 0),
            total: number("weight-total", 100),
        }
    }

    /// ING-24
    fn haproxy(&self, context: &mut Context) -> HaProxyAnnotations {
        let list = |names: [&str; 2], context: &mut Context| {
            let keys = ["haproxy.org", "ingress.kubernetes.io", "haproxy.com"];
            let keys: Vec<_> =
                keys.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}/{name}"))).collect();
            let keys: Vec<_> = keys.iter().map(String::as_str).collect();
            self.ranges("ING-24", &keys, context).unwrap_or_default()
        };
        HaProxyAnnotations {
            allow: list(["allow-list", "whitelist"], context),
            deny: list(["deny-list", "blacklist"], context),
            ssl_passthrough: self.is_on("haproxy.org/ssl-passthrough"),
        }
    }

    /// ING-22
    fn traefik(&self, context: &mut Context) -> TraefikAnnotations {
        let key = |name: &str| format!("traefik.ingress.kubernetes.io/{name}");
        let written = self.get(&key("router.pathmatcher"));
        let matcher = match written.map(|written| &*written.value) {
            None | Some("" | "PathPrefix") => PathMatcher::PathPrefix,
            Some("Path") => PathMatcher::Path,
            Some("PathRegexp") => PathMatcher::PathRegexp,
            Some(other) => {
                context.report(
                    Diagnostic::error(
                        "ING-22",
                        written.and_then(|found| found.span),
                        format!("`{other}` is no matcher of paths"),
                    )
                    .help("there are `PathPrefix`, `Path` and `PathRegexp`"),
                );
                PathMatcher::PathPrefix
            }
        };
        TraefikAnnotations {
            matcher,
            priority: self.text(&key("router.priority")).and_then(|text| text.parse().ok()).unwrap_or_default(),
            entry_points: self.list(&key("router.entrypoints")),
            native_lb: self.is_on(&key("service.nativelb")),
            node_port_lb: self.is_on(&key("service.nodeportlb")),
        }
    }

    /// ING-23
    fn kong(&self) -> KongAnnotations {
        let protocols = self.list("konghq.com/protocols");
        let mut methods: Vec<Name> =
            self.list("konghq.com/methods").iter().map(|method| Name::from(method.to_ascii_uppercase())).collect();
        methods.sort();
        methods.dedup();
        let all = self.metadata.and_then(|metadata| metadata.annotations.as_ref()).into_iter().flatten();
        let headers = all.filter_map(|(key, value)| {
            let header = key.strip_prefix("konghq.com/headers.")?;
            let values = value.value.split(',').map(str::trim).filter(|value| !value.is_empty()).map(Name::from);
            Some((Name::from(header.to_ascii_lowercase()), values.collect()))
        });
        KongAnnotations {
            https_only: !protocols.is_empty()
                && protocols.iter().all(|protocol| matches!(&**protocol, "https" | "grpcs")),
            redirect_status: self
                .text("konghq.com/https-redirect-status-code")
                .and_then(|code| code.parse().ok())
                .unwrap_or_default(),
            methods,
            headers: headers.collect(),
            strip_path: self.is_on("konghq.com/strip-path"),
        }
    }

    /// ING-26
    fn alb(&self, context: &mut Context) -> AlbAnnotations {
        let target = self.text("alb.ingress.kubernetes.io/target-type");
        AlbAnnotations {
            ip_targets: target.is_some_and(|target| *target == *"ip"),
            sources: self.ranges("ING-26", &["alb.ingress.kubernetes.io/inbound-cidrs"], context).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_clients_are_sent() {
        // ING-19
        let sent = redirect("https://new.example:8443/a?b=c", 301);
        assert_eq!(
            (sent.scheme.as_deref(), sent.host.as_deref(), sent.port),
            (Some("https"), Some("new.example"), Some(8443))
        );
        assert_eq!(sent.path, Some(PathRewrite::Full(Name::from("/a?b=c"))));
        let sent = redirect("/elsewhere", 302);
        assert_eq!(
            (sent.scheme, sent.host, sent.path),
            (None, None, Some(PathRewrite::Full(Name::from("/elsewhere"))))
        );
        let sent = redirect("https://new.example", 301);
        assert_eq!((sent.host.as_deref(), sent.path), (Some("new.example"), None));
    }

    #[test]
    fn lists_of_sources_are_addresses_and_blocks() {
        // ING-19
        let mut context = Context::default();
        let read = ranges("ING-19", &Spanned::nowhere(Name::from("10.0.0.0/8, 192.0.2.7,nonsense")), &mut context);
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.7/32"]);
        assert_eq!(context.errors(), 1);
    }
}
