//! Real packets between network namespaces, and what the program at the nodes' hooks does with them. Needs root, and a
//! kernel with `BPF_PROG_TYPE_NETFILTER`; without them every test here fails.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod bridge;
mod cases;
mod changes;
mod flips;
mod full;
mod ground;
mod nodes;
mod packets;
mod pinned;
mod services;
mod stage;
mod stream;
mod upgrade;
