//! The test vectors, each asked of both evaluators on the common fixture `fixtures/corpus/fx`.
//!
//! Where one of the vectors up to TV-60 goes through a Service, the test builds the *leg* by hand: the flow after
//! address translation, with what the client dialled and who masqueraded. From TV-61 on, a node is asked what it does
//! with the packet, and policies what they say of the legs that follow.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod api_server;
mod ends;
mod fx;
mod gateway;
mod ingress;
mod lifecycle;
mod peers;
mod ports;
mod selection;
mod services;
mod tiers;
mod translation;
mod validation;
