//! `portolan-enforcer cleanup`: as if it had never been there.

use std::io::{self, Write};

use crate::commands::PinArgs;
use crate::ground::Followed;

/// Takes all pins away, of every version, and the words behind their counters.
///
/// # Errors
/// What the file system, the kernel or the stream said.
pub fn run(args: &PinArgs, out: &mut impl Write) -> io::Result<()> {
    let removed = args.pins().remove()?;
    args.reasons().remove()?;
    // In the network namespace of this process, where `apply` should have run as well.
    Followed::release()?;
    match removed {
        0 => writeln!(out, "nothing is pinned below {}", args.pins.display()),
        _ => writeln!(out, "removed {removed} pins below {}: nothing is enforced any more", args.pins.display()),
    }
}
