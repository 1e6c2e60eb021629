//! A line on standard error while long work goes on, on terminals only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows the current step of work that takes long.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    began: Instant,
}

impl Progress {
    /// `visible`: whether standard error is a terminal and nobody asked for quiet.
    pub(crate) fn new(visible: bool) -> Self {
        Self { bar: visible.then(ProgressBar::hidden), began: Instant::now() }
    }

    /// Names the step that begins.
    pub(crate) fn step(&self, message: &'static str) {
        let Some(bar) = &self.bar else { return };
        bar.set_message(message);
        let bar = bar.clone();
        let patience = PATIENCE.saturating_sub(self.began.elapsed());
        std::thread::spawn(move || {
            std::thread::sleep(patience);
            if bar.is_finished() || !bar.is_hidden() {
                return;
            }
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(120));
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
