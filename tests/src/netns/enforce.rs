//! The program at the hooks of every node of a network.

use std::io;

use enforcer::datapath::{Capacity, Datapath, Mode};
use policy_core::node_program::NodeProgram;

use super::{Network, Place};

/// One data path a node. They leave their hooks when this value is dropped.
#[derive(Debug)]
pub struct Enforcers {
    datapaths: Vec<Datapath>,
}

impl Enforcers {
    /// Puts the program at the hooks of every node. Until something is published, nothing passes there.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn attach(network: &Network) -> io::Result<Self> {
        Self::attach_with(network, |_| Capacity::default())
    }

    /// The same with tables of these sizes on each node.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn attach_with(network: &Network, capacity: impl Fn(usize) -> Capacity) -> io::Result<Self> {
        let attach = |at: usize| -> io::Result<Datapath> {
            let mut datapath = Datapath::load(capacity(at)).map_err(io::Error::other)?;
            network.at(Place::Node(at))?.inside(|| datapath.attach())??;
            Ok(datapath)
        };
        Ok(Self { datapaths: (0..network.plan().nodes.len()).map(attach).collect::<io::Result<_>>()? })
    }

    /// Brings the tables of a node up to date.
    ///
    /// # Errors
    /// `NotFound` when there is no such node, and what the kernel said.
    pub fn publish(&mut self, node: usize, program: &NodeProgram) -> io::Result<()> {
        let datapath = self.datapaths.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
        datapath.publish(program).map(drop).map_err(io::Error::other)
    }

    /// Sets the mode of all nodes.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn set_mode(&mut self, mode: Mode) -> io::Result<()> {
        self.datapaths.iter_mut().try_for_each(|datapath| datapath.set_mode(mode))
    }

    /// The data path of a node.
    #[must_use]
    pub fn of(&self, node: usize) -> Option<&Datapath> {
        self.datapaths.get(node)
    }
}
