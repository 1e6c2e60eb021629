//! Reading manifests: texts into a [`Snapshot`], with a diagnostic for everything that was not understood.
//!
//! ```text
//! SourceMap ─ pieces ─▶ [Piece] ─ read_piece ─▶ [Part] ─ combine ─▶ Snapshot + diagnostics
//!                        (independent of each other: a caller may use threads)
//! ```
//!
//! Hand-written objects pass a strict check against the Kubernetes API; objects that an API server wrote
//! (`uid` and `resourceVersion` are there) do not, and large JSON dumps of them are read without a tree.
//! Reading never fails and never stops at the first problem.

mod access;
mod combine;
mod decode;
mod document;
mod dump;
mod encoding;
mod findings;
mod json;
mod kinds;
mod names;
mod object;
mod old_ingress;
mod peek;
mod pieces;
mod scalar;
mod schema;
mod tiers;
mod tree;
mod unread;
mod yaml;

#[cfg(test)]
mod tests;

use crate::diagnostic::Diagnostic;
use crate::snapshot::{Object, Snapshot};
use crate::source::SourceMap;

pub use combine::combine;
pub use encoding::{EncodingError, decode_bytes};
pub use pieces::{Piece, pieces, read_piece};
pub use unread::reason;

/// How to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadOptions {
    /// Skip what is wrong instead of handing on as much of it as can be used. Either way the problems are
    /// reported as errors; without this the caller is expected to stop there.
    pub keep_going: bool,
    /// How many nodes the aliases of one YAML document may copy (IN-11).
    pub max_nodes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { keep_going: false, max_nodes: 5_000_000 }
    }
}

/// What one [`Piece`] held.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// With each: whether its fingerprint does not depend on the layout.
    objects: Vec<(Object, bool)>,
    diagnostics: Vec<Diagnostic>,
    incomplete: bool,
}

/// Reads everything.
#[must_use]
pub fn read(sources: &SourceMap, options: &ReadOptions) -> (Snapshot, Vec<Diagnostic>) {
    let parts = pieces(sources, options).iter().map(|piece| read_piece(sources, piece, options)).collect();
    combine(sources, parts)
}
