//! All printing: text for people and machines, written to the streams that the caller gave.

pub(crate) mod diagnostic;
pub(crate) mod dot;
pub(crate) mod table;

use std::fmt;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use policy_core::diagnostic::Diagnostic;
use policy_core::source::SourceMap;

/// The two output streams, and how to write to them.
pub(crate) struct Output<'a> {
    pub(crate) stdout: &'a mut dyn Write,
    pub(crate) stderr: &'a mut dyn Write,
    pub(crate) palette: Palette,
    pub(crate) stderr_palette: Palette,
    pub(crate) stderr_terminal: bool,
    pub(crate) quiet: bool,
}

impl Output<'_> {
    /// A remark on standard error, unless `--quiet`.
    pub(crate) fn notice(&mut self, word: &str, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let word = self.stderr_palette.paint(Tone::Unsure, word);
        writeln!(self.stderr, "{word}: {text}")
    }

    /// All diagnostics in their order, then one line that counts them. `--quiet` leaves only errors.
    pub(crate) fn diagnostics(&mut self, batches: Vec<(Vec<Diagnostic>, &SourceMap)>) -> io::Result<()> {
        let mut shown = diagnostic::Summary::default();
        for (mut diagnostics, sources) in batches {
            diagnostics.retain(|diagnostic| diagnostic.is_error() || !self.quiet);
            diagnostic::sort(&mut diagnostics);
            for diagnostic in &diagnostics {
                let text = diagnostic::render(diagnostic, sources, self.stderr_palette.on);
                writeln!(self.stderr, "{text}")?;
                shown.count(diagnostic, sources);
            }
        }
        if !shown.is_empty() {
            writeln!(self.stderr, "{shown}")?;
        }
        Ok(())
    }
}

/// What a word means to its reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    Unsure,
    Strong,
    Faint,
}

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) on: bool,
}

impl Palette {
    /// `text` in the colour of `tone`.
    pub(crate) fn paint<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        let style = match tone {
            _ if !self.on => Style::new(),
            Tone::Plain => Style::new(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Unsure => AnsiColor::Yellow.on_default(),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
        };
        Painted { style, text }
    }
}

/// A coloured text.
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.style.render(), self.text, self.style.render_reset())
    }
}

/// `1 file`, `2 files`, `2 policies`, `2 ways`.
pub(crate) fn counted(count: usize, word: &str) -> String {
    let stem = word.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match (count, stem) {
        (1, _) => format!("{count} {word}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {word}s"),
    }
}

/// The text with control characters written out, so that input cannot steer a terminal.
pub(crate) fn escape(text: &str) -> String {
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() && c != '\n' {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_english() {
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(2, "policy"), "2 policies");
        assert_eq!(counted(2, "way"), "2 ways");
        assert_eq!(counted(0, "error"), "0 errors");
        assert_eq!(counted(45, "way"), "45 ways");
    }

    #[test]
    fn colour_is_written_only_when_it_is_on() {
        assert_eq!(Palette { on: false }.paint(Tone::Good, "allowed").to_string(), "allowed");
        assert_eq!(Palette { on: true }.paint(Tone::Good, "allowed").to_string(), "\u{1b}[32mallowed\u{1b}[0m");
    }
}
