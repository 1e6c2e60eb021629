//! Clusters for the tests of modules that stand on lowered objects.

use crate::lower::{LowerOptions, lower};
use crate::manifest::{ReadOptions, read};
use crate::model::Cluster;
use crate::source::SourceMap;

/// The cluster of some manifests: a base, and objects beside it. Panics where reading or lowering finds an error.
pub(crate) fn cluster(base: &str, objects: &[&str]) -> Cluster {
    let mut sources = SourceMap::default();
    sources.add("base.yaml", base);
    for (at, object) in objects.iter().enumerate() {
        sources.add(format!("{at}.yaml"), *object);
    }
    let (snapshot, found) = read(&sources, &ReadOptions::default());
    assert!(found.iter().all(|found| !found.is_error()), "{found:#?}");
    let (cluster, found) = lower(&snapshot, &LowerOptions::default());
    assert!(found.iter().all(|found| !found.is_error()), "{found:#?}");
    cluster
}
