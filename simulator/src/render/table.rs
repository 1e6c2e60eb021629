//! Rows and columns as aligned text, Markdown or CSV.

use std::io::{self, Write};

use super::{Palette, Tone};

/// One cell of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Text {
    /// A cell in the colour of `tone`.
    pub(crate) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

/// A heading and rows of equal length.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<Text>>,
}

/// One long cell must not widen every row: a table of many lines would be spaces for the most part.
const WIDEST: usize = 120;

impl Table {
    /// A table with a heading in lower case.
    pub(crate) fn new(heading: &[&str]) -> Self {
        Self::with_names(heading.iter().map(|word| (*word).to_owned()).collect())
    }

    /// A table whose heading holds names.
    pub(crate) fn with_names(heading: Vec<String>) -> Self {
        Self { heading, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Text>) {
        self.rows.push(row);
    }

    /// Puts the rows into the order of their texts.
    pub(crate) fn sort(&mut self) {
        self.rows.sort_by(|a, b| a.iter().map(|cell| &cell.text).cmp(b.iter().map(|cell| &cell.text)));
    }

    /// Columns two spaces apart, headings without `/` in capitals, no trailing space. Columns without any text are
    /// left out. Cells wider than [`WIDEST`] push their own row and no other.
    pub(crate) fn aligned(&self, out: &mut dyn Write, palette: Palette) -> io::Result<()> {
        let mut widths: Vec<usize> = vec![0; self.heading.len()];
        for row in &self.rows {
            for (have, cell) in widths.iter_mut().zip(row) {
                *have = (*have).max(width(&cell.text).min(WIDEST));
            }
        }
        for (have, word) in widths.iter_mut().zip(&self.heading) {
            let empty = *have == 0 && !self.rows.is_empty();
            *have = if empty { 0 } else { (*have).max(width(word)) };
        }
        let shown = |word: &String| if word.contains('/') { word.clone() } else { word.to_uppercase() };
        let heading: Vec<Text> = self.heading.iter().map(|word| Text::toned(Tone::Strong, shown(word))).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let cells: Vec<_> = row.iter().zip(&widths).filter(|(_, width)| **width > 0).collect();
            let last = cells.iter().rposition(|(cell, _)| !cell.text.is_empty()).unwrap_or(0);
            for (index, (cell, wanted)) in cells.into_iter().enumerate().take(last + 1) {
                write!(out, "{}", palette.paint(cell.tone, &cell.text))?;
                if index < last {
                    write!(out, "{:1$}", "", wanted.saturating_sub(width(&cell.text)) + 2)?;
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// A Markdown table.
    pub(crate) fn markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "| {} |", self.heading.join(" | "))?;
        writeln!(out, "|{}", " --- |".repeat(self.heading.len()))?;
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().map(|cell| cell.text.replace('\\', "\\\\").replace('|', "\\|")).collect();
            writeln!(out, "| {} |", cells.join(" | "))?;
        }
        Ok(())
    }

    /// RFC 4180 with a heading, lines ended by LF.
    pub(crate) fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&self.heading).map_err(io::Error::from)?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| &cell.text)).map_err(io::Error::from)?;
        }
        writer.flush()
    }
}

/// Characters, not bytes: names are ASCII, marks such as `…` are one column wide.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["from", "verdict", "note"]);
        table.push(vec!["shop/web".into(), Text::toned(Tone::Good, "allowed"), "".into()]);
        table.push(vec!["a".into(), Text::toned(Tone::Bad, "denied"), "x|y, z".into()]);
        table
    }

    fn text(write: impl Fn(&Table, &mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&sample(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_without_trailing_space() {
        let plain = text(|table, out| table.aligned(out, Palette { on: false }));
        assert_eq!(plain, "FROM      VERDICT  NOTE\nshop/web  allowed\na         denied   x|y, z\n");
    }

    #[test]
    fn a_column_without_text_is_left_out() {
        let mut table = Table::new(&["from", "unsure", "to"]);
        table.push(vec!["a".into(), "".into(), "b".into()]);
        let mut out = Vec::new();
        table.aligned(&mut out, Palette { on: false }).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "FROM  TO\na     b\n");
    }

    #[test]
    fn colour_does_not_move_columns() {
        let coloured = text(|table, out| table.aligned(out, Palette { on: true }));
        assert!(coloured.contains("a         \u{1b}[31mdenied\u{1b}[0m   x|y, z"), "{coloured:?}");
    }

    #[test]
    fn markdown_escapes_bars() {
        assert!(text(|table, out| table.markdown(out)).ends_with("| a | denied | x\\|y, z |\n"));
    }

    #[test]
    fn csv_quotes_commas() {
        assert_eq!(text(|table, out| table.csv(out)), "from,verdict,note\nshop/web,allowed,\na,denied,\"x|y, z\"\n");
    }
}
