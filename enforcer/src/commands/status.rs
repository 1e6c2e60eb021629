//! `portolan-enforcer status`: what is pinned, and what it has done.

use std::error::Error;
use std::io::Write;

use crate::commands::{Output, PinArgs};
use crate::counters::{STATUS, Status, by_policy};
use crate::datapath::Seen;

/// Prints what is pinned, and what became of packets so far. Whether something is pinned.
///
/// # Errors
/// What the kernel or the stream said.
pub fn run(args: &PinArgs, output: Output, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let Some(seen) = Seen::open(&args.pins())? else {
        args.nothing(output, STATUS, out)?;
        return Ok(false);
    };
    let counts = seen.counts()?;
    let reasons = args.reasons().find(counts.fingerprint)?;
    let status = Status {
        pins: args.pins.display().to_string(),
        mode: seen.mode()?,
        hooks: seen.hooks()?,
        program: seen.program()?,
        tables: seen.tables()?,
        policies: by_policy(&counts, reasons.as_deref()),
        causes: counts.causes,
    };
    let text = match output {
        Output::Text => status.text(),
        Output::Json => status.json()?,
    };
    out.write_all(text.as_bytes())?;
    Ok(true)
}
