//! One file per command.

pub mod apply;
pub mod cleanup;
pub mod status;
pub mod top;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::datapath::Pins;
use crate::reasons::ReasonsFile;

/// How to write a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Output {
    /// Aligned tables.
    Text,
    /// One JSON object.
    Json,
}

/// Where tables, program and links are pinned.
#[derive(Args, Clone, Debug)]
pub struct PinArgs {
    /// The folder of pins, on a bpf file system
    #[arg(long, value_name = "PATH", default_value = "/sys/fs/bpf/portolan")]
    pub pins: PathBuf,
    /// The folder where the words behind counters are kept
    #[arg(long, value_name = "PATH", default_value = "/run/portolan")]
    pub run: PathBuf,
}

impl PinArgs {
    /// The folder.
    #[must_use]
    pub fn pins(&self) -> Pins {
        Pins::new(&self.pins)
    }

    /// The words behind the pinned counters.
    #[must_use]
    pub fn reasons(&self) -> ReasonsFile {
        ReasonsFile::new(&self.run, &self.pins)
    }

    /// Says that nothing is pinned; in a document of this version.
    pub(crate) fn nothing(&self, output: Output, version: &str, out: &mut impl Write) -> io::Result<()> {
        let pins = self.pins.display();
        match output {
            Output::Text => writeln!(out, "nothing is pinned below {pins}: nothing is enforced by a pinned program"),
            Output::Json => {
                let document = serde_json::json!({ "version": version, "pinned": false, "pins": pins.to_string() });
                writeln!(out, "{document:#}")
            }
        }
    }
}
