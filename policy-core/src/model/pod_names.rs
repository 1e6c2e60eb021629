//! What the pods of a workload may be called of which the input has none.

use crate::model::{Name, WorkloadKind};

/// So much of what a controller gives is kept before the random end of a pod's name, in bytes.
const KEPT: usize = 58;

/// The names that pods of a workload may have, in the place that they have in the segment of a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PodNames {
    /// What stands before the name: `http:`, or nothing.
    before: Name,
    /// What all of the names begin with.
    begin: Name,
    /// Whether numbers follow, as in a StatefulSet.
    numbered: bool,
    /// What stands behind the name: `:80`, or nothing.
    after: Name,
}

impl PodNames {
    /// The names of pods of a workload. `segment` is one in which the workload's own name stands for them; `None` when
    /// it does not.
    #[must_use]
    pub fn of(kind: &WorkloadKind, workload: &str, segment: &str) -> Option<Self> {
        let is_it = |part: &&str| *part == workload;
        let parts: Vec<&str> = segment.split(':').collect();
        let (before, after) = match parts.as_slice() {
            [name] if is_it(name) => (String::new(), String::new()),
            [name, port] if is_it(name) => (String::new(), format!(":{port}")),
            [scheme, name, port] if is_it(name) => (format!("{scheme}:"), format!(":{port}")),
            _ => return None,
        };
        let whole = format!("{workload}-");
        let numbered = *kind == WorkloadKind::StatefulSet;
        // Long names are cut, those of StatefulSets are not.
        let begin = if numbered { whole.as_str() } else { whole.get(..KEPT).unwrap_or(&whole) };
        Some(Self { before: before.into(), begin: begin.into(), numbered, after: after.into() })
    }

    /// Whether a name, as `resourceNames` has it, may be one of them.
    #[must_use]
    pub fn may_be(&self, written: &str) -> bool {
        let inside = written.strip_prefix(&*self.before).and_then(|rest| rest.strip_suffix(&*self.after));
        let Some(end) = inside.and_then(|name| name.strip_prefix(&*self.begin)) else { return false };
        let fits = |byte: u8| match self.numbered {
            true => byte.is_ascii_digit(),
            false => byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
        };
        !end.is_empty() && end.bytes().all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_called_after_their_workload() {
        // API-2
        let may = |kind: &WorkloadKind, segment: &str, written: &str| {
            PodNames::of(kind, "web", segment).is_some_and(|names| names.may_be(written))
        };
        use WorkloadKind::{Deployment, StatefulSet};
        for (kind, segment, written, wanted) in [
            (&Deployment, "web", "web-7d9f-x2x4z", true),
            (&Deployment, "web", "web", false),
            (&Deployment, "web", "web-", false),
            (&Deployment, "web", "webs-7d9f-x2x4z", false),
            (&Deployment, "web", "web-7d9f-x2x4z:80", false),
            (&Deployment, "web:80", "web-7d9f-x2x4z:80", true),
            (&Deployment, "web:80", "web-7d9f-x2x4z:81", false),
            (&Deployment, "http:web:80", "http:web-7d9f-x2x4z:80", true),
            (&Deployment, "http:web:80", "web-7d9f-x2x4z:80", false),
            (&Deployment, "other:80", "web-7d9f-x2x4z:80", false),
            (&StatefulSet, "web", "web-0", true),
            (&StatefulSet, "web", "web-a", false),
            (&StatefulSet, "https:web:", "https:web-12:", true),
        ] {
            assert_eq!(may(kind, segment, written), wanted, "{segment} {written}");
        }
    }

    #[test]
    fn long_names_are_cut_but_for_those_with_numbers() {
        // API-2
        let long = "a".repeat(60);
        let pod = format!("{}x2x4z", "a".repeat(58));
        assert!(PodNames::of(&WorkloadKind::Deployment, &long, &long).unwrap().may_be(&pod));
        assert!(!PodNames::of(&WorkloadKind::StatefulSet, &long, &long).unwrap().may_be(&pod));
    }
}
