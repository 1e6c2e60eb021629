//! What is wrong or noteworthy in the input: plain data, rendered elsewhere.

use crate::source::Span;

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The input cannot be trusted: no answer without `--keep-going`.
    Error,
    /// The input was read, but probably does not say what its author meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place and what is to be said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// A short phrase printed under the underline; may be empty.
    pub text: String,
}

/// One finding about the input.
///
/// Messages are lower case, without a full stop, with the user's words in backticks. `rule` is the id of a
/// rule in `docs/SPEC.md`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// The rule that is broken or applied, such as `NP-31` or `IN-3`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one short phrase.
    pub message: String,
    /// The place at fault; `None` only when there is no text (a missing file).
    pub primary: Option<Label>,
    /// Further places that matter (the first of two duplicates).
    pub secondary: Vec<Label>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(rule: &'static str, span: Option<Span>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, rule, span, message.into())
    }

    /// A warning at a place.
    pub fn warning(rule: &'static str, span: Option<Span>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, rule, span, message.into())
    }

    /// A note at a place.
    pub fn note(rule: &'static str, span: Option<Span>, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, rule, span, message.into())
    }

    fn new(severity: Severity, rule: &'static str, span: Option<Span>, message: String) -> Self {
        let primary = span.map(|span| Label { span, text: String::new() });
        Self { rule, severity, message, primary, secondary: Vec::new(), help: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The phrase under the underline of the primary place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Adds a further place.
    #[must_use]
    pub fn also(mut self, span: Option<Span>, text: impl Into<String>) -> Self {
        if let Some(span) = span {
            self.secondary.push(Label { span, text: text.into() });
        }
        self
    }

    /// Whether this stops an answer.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
