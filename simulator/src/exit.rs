//! Exit statuses, and the reasons for which a command stops.

use std::io;
use std::process::ExitCode;

/// What the process says to its caller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// 0: everything asked about is allowed, or there was nothing to find.
    Clean,
    /// 1: something is not allowed (denied, undefined, conditional, no-route, no-listener).
    Finding,
    /// 2: the question could not be answered: usage or input.
    CouldNotRun,
}

impl Exit {
    /// 0, 1 or 2.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Finding => 1,
            Self::CouldNotRun => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command stops before its end.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for something that there is not.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The input is bad; the diagnostics are printed already.
    #[error("the input has errors")]
    Input,
    /// A stream could not be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    /// A usage error with advice.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: Some(help.into()) }
    }

    /// Whether the reader of the output has gone away (`| head`): not a fault.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
