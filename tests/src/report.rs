//! The lines that the runner prints, and its exit status.

use std::io::{self, Write};

/// What came of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The case's name.
    pub name: String,
    /// Questions answered as the case wants.
    pub right: usize,
    /// Questions asked.
    pub asked: usize,
    /// A remark at the end of the case's line, such as the number of documented differences.
    pub remark: Option<String>,
    /// What went wrong; empty iff the case passes.
    pub differences: Vec<String>,
}

impl Outcome {
    /// A case that could not be run: it fails, and says why.
    #[must_use]
    pub fn broken(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), right: 0, asked: 0, remark: None, differences: vec![why.into()] }
    }

    /// Whether every question was asked and answered as wanted. A case without any question passes nothing.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.differences.is_empty() && self.asked > 0 && self.right == self.asked
    }
}

/// At most this many differences are printed for one case.
const SHOWN: usize = 20;

/// Counts cases while their lines are written.
#[derive(Debug, Default)]
pub struct Report {
    passed: usize,
    failed: usize,
    left_out: Vec<String>,
}

impl Report {
    /// Writes the line of a case and its differences.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn case(&mut self, out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
        let word = if outcome.passed() { "ok" } else { "FAILED" };
        if outcome.passed() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        let remark = outcome.remark.as_ref().map(|remark| format!(" ({remark})")).unwrap_or_default();
        writeln!(out, "{word} {} ({} of {}){remark}", outcome.name, outcome.right, outcome.asked)?;
        for difference in outcome.differences.iter().take(SHOWN) {
            writeln!(out, "  {difference}")?;
        }
        match outcome.differences.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(out, "  … and {more} more"),
            _ => Ok(()),
        }
    }

    /// Notes something that was found and not run.
    pub fn left_out(&mut self, what: impl Into<String>) {
        self.left_out.push(what.into());
    }

    /// Whether no case has been run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.passed + self.failed == 0
    }

    /// Whether a case has failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.failed > 0
    }

    /// Writes what was left out to `err` and the closing line to `out`.
    ///
    /// # Errors
    /// When either cannot be written.
    pub fn close(&self, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
        for what in &self.left_out {
            writeln!(err, "left out: {what}")?;
        }
        writeln!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(right: usize, asked: usize, differences: &[&str]) -> Outcome {
        let differences = differences.iter().map(|text| (*text).to_owned()).collect();
        Outcome { name: "case".to_owned(), right, asked, remark: None, differences }
    }

    #[test]
    fn a_case_without_questions_does_not_pass() {
        assert!(!outcome(0, 0, &[]).passed());
        assert!(!outcome(2, 2, &["something"]).passed());
        assert!(!outcome(1, 2, &[]).passed());
        assert!(outcome(2, 2, &[]).passed());
    }

    #[test]
    fn the_closing_line_counts_cases() {
        let (mut report, mut out, mut err) = (Report::default(), Vec::new(), Vec::new());
        report.case(&mut out, &outcome(2, 2, &[])).unwrap();
        report.case(&mut out, &outcome(1, 2, &["wanted allow, got denied"])).unwrap();
        report.left_out("3 files of schema `route-case/v1`");
        report.close(&mut out, &mut err).unwrap();
        let wanted = "ok case (2 of 2)\nFAILED case (1 of 2)\n  wanted allow, got denied\n1 passed, 1 failed\n";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        assert_eq!(String::from_utf8(err).unwrap(), "left out: 3 files of schema `route-case/v1`\n");
    }
}
