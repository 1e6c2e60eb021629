//! Questions and their answers: who reaches whom, on which ports.

mod bundle;
pub mod pair;
pub mod reach;
pub mod subject;

pub use bundle::{Actor, clients};
pub use pair::{PortVerdicts, between};
pub use reach::{Cell, Prepared, can, can_prepared, placement, reach};
pub use subject::{PortAsk, Subject, SubjectError, SubjectProblem, Target};
