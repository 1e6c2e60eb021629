//! Whom each address stands for, with how many there are of each family.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Deref;

use crate::model::Family;
use crate::node_program::Endpoint;

/// Addresses of pods and nodes, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ends {
    all: BTreeMap<IpAddr, Endpoint>,
    v4: usize,
}

impl Deref for Ends {
    type Target = BTreeMap<IpAddr, Endpoint>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl Ends {
    /// The number of addresses of a family.
    #[must_use]
    pub fn count(&self, family: Family) -> usize {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.all.len() - self.v4,
        }
    }

    /// Says whom an address stands for.
    pub fn insert(&mut self, address: IpAddr, end: Endpoint) {
        let was = self.all.insert(address, end);
        self.v4 += usize::from(was.is_none() && address.is_ipv4());
    }

    /// An address stands for nobody.
    pub fn remove(&mut self, address: &IpAddr) {
        let was = self.all.remove(address);
        self.v4 -= usize::from(was.is_some() && address.is_ipv4());
    }
}

impl FromIterator<(IpAddr, Endpoint)> for Ends {
    fn from_iter<I: IntoIterator<Item = (IpAddr, Endpoint)>>(ends: I) -> Self {
        let all: BTreeMap<IpAddr, Endpoint> = ends.into_iter().collect();
        let v4 = all.keys().filter(|address| address.is_ipv4()).count();
        Self { all, v4 }
    }
}
