//! Ways in: what stands between a client and a pod.

pub mod ingress;
