//! `portolan-enforcer status`: what is pinned, and what it has done.

use std::io::{self, Write};

use crate::commands::PinArgs;
use crate::datapath::{Capacity, Datapath};

/// Prints what is pinned, and what became of packets so far.
///
/// # Errors
/// What the kernel or the stream said.
pub fn run(args: &PinArgs, out: &mut impl Write) -> Result<bool, Box<dyn std::error::Error>> {
    let pins = args.pins();
    if !pins.exist() {
        writeln!(out, "nothing is pinned below {}: nothing is enforced by a pinned program", args.pins.display())?;
        return Ok(false);
    }
    let seen = Datapath::adopt(&pins, Capacity::default())?;
    writeln!(out, "pinned below {}", args.pins.display())?;
    table(out, &seen)?;
    Ok(true)
}

fn table(out: &mut impl Write, datapath: &Datapath) -> io::Result<()> {
    writeln!(out, "{:<20} {:>12} {:>12}", "cause", "passed", "dropped")?;
    for (cause, tally) in datapath.causes()? {
        if tally.passed + tally.dropped > 0 {
            writeln!(out, "{:<20} {:>12} {:>12}", cause.as_str(), tally.passed, tally.dropped)?;
        }
    }
    Ok(())
}
