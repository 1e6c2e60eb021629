//! `portolan-enforcer cleanup`: as if it had never been there.

use std::io::{self, Write};

use crate::commands::PinArgs;

/// Takes all pins away, of every version, and the words behind their counters.
///
/// # Errors
/// What the file system or the stream said.
pub fn run(args: &PinArgs, out: &mut impl Write) -> io::Result<()> {
    let removed = args.pins().remove()?;
    args.reasons().remove()?;
    match removed {
        0 => writeln!(out, "nothing is pinned below {}", args.pins.display()),
        _ => writeln!(out, "removed {removed} pins below {}: nothing is enforced any more", args.pins.display()),
    }
}
