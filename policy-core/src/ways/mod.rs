//! Ways: how connections and requests get to pods (M-6, M-8).

pub mod ingress;
pub mod requests;
