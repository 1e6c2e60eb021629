//! `portolan-enforcer top`: which policies packets meet just now.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use crate::commands::{Output, PinArgs};
use crate::counters::{OfPolicy, TOP, between, by_policy, top_json, top_text};
use crate::datapath::Seen;

/// At most this long between two looks at whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// The cursor to the corner, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// The options of `top`.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    pub interval: Duration,
    /// End after so many seconds [default: with SIGINT or SIGTERM; in a pipe after one interval]
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// How to write it
    #[arg(short, long, visible_alias = "format", value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Where pins are.
    #[command(flatten)]
    pub pins: PinArgs,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is wanted".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if interval >= LOOK => Ok(interval),
        _ => Err("at least 0.1 seconds".to_owned()),
    }
}

/// Prints what was counted in each interval, until told to stop. Whether something is pinned.
///
/// # Errors
/// What the kernel or the stream said.
pub fn run(args: &TopArgs, terminal: bool, out: &mut impl Write) -> Result<bool, Box<dyn Error>> {
    let Some(seen) = Seen::open(&args.pins.pins())? else {
        args.pins.nothing(args.output, TOP, out)?;
        return Ok(false);
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let begun = Instant::now();
    let over = |stop: &AtomicBool| {
        stop.load(Ordering::Relaxed) || args.seconds.is_some_and(|seconds| begun.elapsed().as_secs() >= seconds)
    };
    let (mut reasons, mut before) = look(&seen, &args.pins)?;
    let mut looked = Instant::now();
    loop {
        while looked.elapsed() < args.interval && !over(&stop) {
            thread::sleep(args.interval.saturating_sub(looked.elapsed()).min(LOOK));
        }
        let seconds = looked.elapsed().as_secs_f64();
        let (fingerprint, after) = look(&seen, &args.pins)?;
        looked = Instant::now();
        let listed = between(&before, &after, fingerprint == reasons);
        let text = match args.output {
            Output::Text => top_text(&listed, seconds),
            Output::Json => top_json(&listed, seconds)?,
        };
        let clear = if terminal && args.output == Output::Text { CLEAR } else { "" };
        write!(out, "{clear}{text}")?;
        out.flush()?;
        // In a pipe somebody waits for an answer.
        if over(&stop) || (!terminal && args.seconds.is_none()) {
            return Ok(true);
        }
        (reasons, before) = (fingerprint, after);
    }
}

/// The counters of this moment, and the fingerprint of their reasons.
fn look(seen: &Seen, pins: &PinArgs) -> Result<(u64, Vec<OfPolicy>), Box<dyn Error>> {
    let counts = seen.counts()?;
    let reasons = pins.reasons().find(counts.fingerprint)?;
    Ok((counts.fingerprint, by_policy(&counts, reasons.as_deref())))
}
