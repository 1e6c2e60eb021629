//! A cluster with its compiled form: the handle to ask.

use crate::compile::{Compiled, compile};
use crate::model::{Cluster, Flow, Judge, Judgement, Profile, leg};
use crate::ways::Ways;

/// An immutable analysis of one cluster under one profile. Every answer is a pure function of it and the question.
#[derive(Clone, Debug)]
pub struct Analysis {
    /// The cluster.
    pub cluster: Cluster,
    /// The knobs.
    pub profile: Profile,
    /// The compiled form of both.
    pub compiled: Compiled,
    /// What leads to pods besides their own addresses.
    pub ways: Ways,
}

impl Analysis {
    /// Compiles a cluster under a profile.
    #[must_use]
    pub fn new(cluster: Cluster, profile: Profile) -> Self {
        let compiled = compile(&cluster, &profile);
        let ways = Ways::new(&cluster, &profile);
        Self { cluster, profile, compiled, ways }
    }
}

/// A compiled cluster, and what it was compiled from and under.
#[derive(Clone, Copy, Debug)]
pub struct Compilation<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// The knobs.
    pub profile: &'a Profile,
    /// The compiled form of both.
    pub compiled: &'a Compiled,
}

impl<'a> From<&'a Analysis> for Compilation<'a> {
    fn from(analysis: &'a Analysis) -> Self {
        let Analysis { cluster, profile, compiled, .. } = analysis;
        Self { cluster, profile, compiled }
    }
}

impl Judge for Analysis {
    fn judge(&self, flow: &Flow) -> Judgement {
        leg::judge(&self.compiled, &self.cluster, &self.profile, flow)
    }
}
