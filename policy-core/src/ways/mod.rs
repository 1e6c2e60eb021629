//! The ways by which pods are reached, beside the plain connection to an address.
//!
//! Each file turns one kind of question into legs, which a [`Judge`](crate::model::Judge) judges, and says what comes
//! of the whole. What policies mean is none of its business.

pub mod api_access;
pub mod api_server;
pub mod dns;
pub mod kubectl_proxy;
mod ready;
