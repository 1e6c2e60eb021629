//! Real packets: network namespaces in place of machines, listeners and clients in them, and the kernel's verdict.
//!
//! ```text
//! Plan ─ Network::build ─▶ namespaces, veths, routes ─┬─ Enforcers ─▶ the program at each node's hooks
//!                                                     ├─ Listeners ─▶ sockets that tell whom they see
//!                                                     └─ ask ───────▶ what became of connections
//! ```
//!
//! A namespace here has no name: it lives as long as somebody holds its descriptor, and goes with the process however
//! that ends. Needs root; nothing leaves the namespaces.

mod ask;
mod command;
mod enforce;
mod listen;
mod namespace;
mod network;
mod ping;
mod sctp;
mod services;
mod verdicts;
mod workload;

pub use ask::{Dial, Heard, ask};
pub use command::run;
pub use enforce::Enforcers;
pub use listen::{Listen, Listeners};
pub use namespace::Namespace;
pub use network::{Network, Place, Plan, PlannedNode, PlannedPod};
pub use ping::ping;
pub use services::{Forwarded, kube_proxy};
pub use verdicts::RealPackets;
pub use workload::{Servers, stay_on, two_processors};
