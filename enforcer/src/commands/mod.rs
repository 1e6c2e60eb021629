//! One file per command.

pub mod apply;
pub mod cleanup;
pub mod status;

use std::path::PathBuf;

use clap::Args;

use crate::datapath::Pins;

/// Where tables, program and links are pinned.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// The folder of pins, on a bpf file system
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/portolan")]
    pub pins: PathBuf,
}

impl PinArgs {
    /// The folder.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins::new(&self.pins)
    }
}
