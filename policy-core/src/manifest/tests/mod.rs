//! What is read and what is said about it, from whole texts.

mod corpus;
mod dumps;
mod faults;
mod hostile;
mod objects;

use super::*;
use crate::diagnostic::Severity;

/// Reads one text named `a.yaml`.
fn reading(text: &str) -> (Snapshot, Vec<String>) {
    reading_with(&[("a.yaml", text)], &ReadOptions::default())
}

/// Reads texts; a diagnostic becomes `severity[rule] place: message (label) underlined; help`.
fn reading_with(texts: &[(&str, &str)], options: &ReadOptions) -> (Snapshot, Vec<String>) {
    let mut sources = SourceMap::default();
    for (name, text) in texts {
        sources.add(*name, *text);
    }
    let (snapshot, diagnostics) = read(&sources, options);
    (snapshot, diagnostics.iter().map(|diagnostic| show(&sources, diagnostic)).collect())
}

/// What is written at a place.
fn written(text: &str, span: Option<crate::source::Span>) -> &str {
    let span = span.unwrap();
    text.get(span.start as usize..span.end as usize).unwrap()
}

fn show(sources: &SourceMap, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let mut shown = format!("{severity}[{}]", diagnostic.rule);
    if let Some(label) = &diagnostic.primary {
        shown += &format!(" {}", sources.locate(label.span));
    }
    shown += &format!(": {}", diagnostic.message);
    if let Some(label) = &diagnostic.primary {
        shown += &format!(" <{}> {}", sources.text(label.span), label.text);
    }
    for label in &diagnostic.secondary {
        shown += &format!(" | {} <{}> {}", sources.locate(label.span), sources.text(label.span), label.text);
    }
    if let Some(help) = &diagnostic.help {
        shown += &format!(" ; {help}");
    }
    shown
}
