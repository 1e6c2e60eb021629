//! The test vectors TV-1 … TV-60 and TV-93 … TV-113, each asked of both evaluators on the common fixture `fixtures/corpus/fx`.
//!
//! Services are not modelled yet. Where a vector goes through one, the test builds the *leg* by hand: the flow after
//! address translation, with what the client dialled and who masqueraded. That Services yield these legs (which
//! endpoints, which node translates: SVC-5, SVC-9, KP-3, KP-4) is the other half of such a vector and comes with them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ends;
mod fx;
mod gateway;
mod ingress;
mod lifecycle;
mod peers;
mod ports;
mod selection;
mod tiers;
mod translation;
mod validation;
