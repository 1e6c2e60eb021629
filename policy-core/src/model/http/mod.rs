//! HTTP as proxies see it: requests, what rules say of them, and what becomes of them (ING-5 … ING-7, GW-6 … GW-10).

pub mod change;
pub mod pattern;
pub mod proxy;
pub mod request;
pub mod router;

pub use change::Location;
pub use pattern::{HostMatch, HttpRegex, PathMatch, RegexStyle, ValueMatch};
pub use proxy::{App, Listener, Proxy, ProxyKind, ProxyPods, ProxyPort};
pub use request::Request;
pub use router::{
    Action, Backend, BackendTarget, Check, Dial, PathRewrite, Redirect, RequestMatch, Rewrite, RouteOrigin, RouteRule,
    Routed, Router,
};
