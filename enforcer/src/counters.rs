//! Counters by policy, as text for people and as JSON for machines.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::datapath::{Cause, CountsSeen, HookSeen, Mode, ProgramSeen, TableSeen, Tally};
use crate::reasons::Told;

/// The version of the JSON of `status`; it changes when a reader would have to.
pub const STATUS: &str = "portolan-status/v1";
/// The same of `top`.
pub const TOP: &str = "portolan-top/v1";
/// Packets that pass because no policy acts on the end that was asked.
const NO_POLICY: &str = "(no policy)";
/// Packets about which policies decide nothing.
const UNDECIDED: &str = "(undecided)";
/// Packets of which nobody can say any more which policies decided.
const UNKNOWN: &str = "(unknown reasons, replaced since)";

/// Counters of one policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfPolicy {
    /// `namespace/name`, `kind/name` of a cluster-wide one, or a phrase in parentheses.
    pub name: String,
    /// Packets about which it decided. What several policies refuse together counts for each of them.
    pub tally: Tally,
}

/// Counters by policy, those with the most packets first. `reasons` are the words, if they are known.
#[must_use]
pub fn by_policy(counts: &CountsSeen, reasons: Option<&[Told]>) -> Vec<OfPolicy> {
    let mut policies: BTreeMap<&str, Tally> = BTreeMap::new();
    for (number, tally) in counts.reasons.iter().enumerate() {
        match reasons.map(|reasons| reasons.get(number)) {
            Some(Some(told)) => match told.policies.as_slice() {
                [] if told.open => *policies.entry(NO_POLICY).or_default() += *tally,
                [] => *policies.entry(UNDECIDED).or_default() += *tally,
                named => named.iter().for_each(|name| *policies.entry(name).or_default() += *tally),
            },
            _ => *policies.entry(UNKNOWN).or_default() += *tally,
        }
    }
    let of = |(name, tally): (&str, Tally)| OfPolicy { name: name.to_owned(), tally };
    let mut listed: Vec<OfPolicy> = policies.into_iter().map(of).filter(|one| one.tally.total() > 0).collect();
    listed.sort_by_key(|one| std::cmp::Reverse(one.tally.total()));
    listed
}

/// A policy's counters in an interval, and altogether.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InInterval {
    /// As [`OfPolicy::name`].
    pub name: String,
    /// In the interval.
    pub now: Tally,
    /// Since there are the present reasons.
    pub total: Tally,
}

/// What was counted between two looks, the most packets first. Where the reasons are others, everything is new.
#[must_use]
pub fn between(before: &[OfPolicy], after: &[OfPolicy], same_reasons: bool) -> Vec<InInterval> {
    let was = |name: &str| before.iter().find(|one| same_reasons && one.name == name).map(|one| one.tally);
    let interval = |one: &OfPolicy| InInterval {
        name: one.name.clone(),
        now: one.tally.since(was(&one.name).unwrap_or_default()),
        total: one.tally,
    };
    let mut listed: Vec<InInterval> = after.iter().map(interval).collect();
    // Stable: those with as many packets stay in the order of all packets.
    listed.sort_by_key(|one| std::cmp::Reverse(one.now.total()));
    listed
}

/// A line of counters: a name, and numbers to the right.
fn line(name: &str, width: usize, numbers: &[u64]) -> String {
    let numbers: String = numbers.iter().map(|number| format!(" {number:>12}")).collect();
    format!("{name:<width$}{numbers}\n")
}

fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(str::len).max().unwrap_or_default().max(20)
}

fn header(name: &str, width: usize, columns: &[&str]) -> String {
    let columns: String = columns.iter().map(|column| format!(" {column:>12}")).collect();
    format!("{name:<width$}{columns}\n")
}

/// What `status` shows.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where the pins are.
    pub pins: String,
    /// What an operator has set.
    pub mode: Mode,
    /// Every hook.
    pub hooks: Vec<HookSeen>,
    /// The program.
    pub program: ProgramSeen,
    /// The tables.
    pub tables: Vec<TableSeen>,
    /// Counters by cause.
    pub causes: Vec<(Cause, Tally)>,
    /// Counters by policy.
    pub policies: Vec<OfPolicy>,
}

impl Status {
    /// Aligned tables.
    #[must_use]
    pub fn text(&self) -> String {
        let mode = if self.mode.audit { "nothing is dropped (audit)" } else { "enforced" };
        let ProgramSeen { id, instructions, machine_code, memory } = self.program;
        let mut out = format!(
            "pinned below {}: {mode}\nprogram {id}: {instructions} instructions, {machine_code} bytes of machine code{}\n\n",
            self.pins,
            memory.map(|bytes| format!(", {bytes} bytes of memory")).unwrap_or_default()
        );
        out += "hook                 priority\n";
        for HookSeen { family, hook, priority } in &self.hooks {
            let priority = priority.map_or("missing".to_owned(), |priority| priority.to_string());
            out += &format!("{:<20} {priority:>8}\n", format!("{family} {hook}"));
        }
        out += "\n";
        out += &header("table", 20, &["used", "capacity", "bytes"]);
        for TableSeen { name, used, capacity, memory } in &self.tables {
            let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
            let used = number(used.map(|used| used.to_string()));
            let memory = number(memory.map(|memory| memory.to_string()));
            out += &format!("{name:<20} {used:>12} {capacity:>12} {memory:>12}\n");
        }
        out += "\n";
        out += &header("cause", 20, &["passed", "dropped", "would drop"]);
        for (cause, tally) in self.causes.iter().filter(|(_, tally)| tally.total() > 0) {
            out += &line(cause.as_str(), 20, &[tally.passed, tally.dropped, tally.audited]);
        }
        let names = width(self.policies.iter().map(|one| one.name.as_str()));
        out += "\n";
        out += &header("policy", names, &["passed", "dropped", "would drop"]);
        for OfPolicy { name, tally } in &self.policies {
            out += &line(name, names, &[tally.passed, tally.dropped, tally.audited]);
        }
        out
    }

    /// One JSON object, `portolan-status/v1`.
    ///
    /// # Errors
    /// The serializer's, of which none is known for this type.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        #[derive(Serialize)]
        struct Hooked {
            family: String,
            hook: String,
            priority: Option<i32>,
        }
        #[derive(Serialize)]
        struct Program {
            id: u32,
            instructions: usize,
            machine_code_bytes: usize,
            memory_bytes: Option<u64>,
        }
        #[derive(Serialize)]
        struct Table {
            name: &'static str,
            used: Option<usize>,
            capacity: usize,
            memory_bytes: Option<u64>,
        }
        #[derive(Serialize)]
        struct Document<'a> {
            version: &'static str,
            pinned: bool,
            pins: &'a str,
            audit: bool,
            unknown_pods_pass: bool,
            log_allowed: bool,
            hooks: Vec<Hooked>,
            program: Program,
            tables: Vec<Table>,
            causes: Vec<Named<'a>>,
            policies: Vec<Named<'a>>,
        }
        let hooked = |seen: &HookSeen| Hooked {
            family: seen.family.to_string(),
            hook: seen.hook.to_string(),
            priority: seen.priority,
        };
        let table = |seen: &TableSeen| Table {
            name: seen.name,
            used: seen.used,
            capacity: seen.capacity,
            memory_bytes: seen.memory,
        };
        pretty(&Document {
            version: STATUS,
            pinned: true,
            pins: &self.pins,
            audit: self.mode.audit,
            unknown_pods_pass: self.mode.unknown_pods_pass,
            log_allowed: self.mode.log_allowed,
            hooks: self.hooks.iter().map(hooked).collect(),
            program: Program {
                id: self.program.id,
                instructions: self.program.instructions,
                machine_code_bytes: self.program.machine_code,
                memory_bytes: self.program.memory,
            },
            tables: self.tables.iter().map(table).collect(),
            causes: self.causes.iter().map(|(cause, tally)| Named::of(cause.as_str(), *tally)).collect(),
            policies: self.policies.iter().map(|one| Named::of(&one.name, one.tally)).collect(),
        })
    }
}

/// Packets under a name.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
    passed: u64,
    dropped: u64,
    would_drop: u64,
}

impl<'a> Named<'a> {
    fn of(name: &'a str, tally: Tally) -> Self {
        Self { name, passed: tally.passed, dropped: tally.dropped, would_drop: tally.audited }
    }
}

fn pretty(document: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(document).map(|text| text + "\n")
}

/// What `top` shows of one interval, as a table.
#[must_use]
pub fn top_text(policies: &[InInterval], seconds: f64) -> String {
    let names = width(policies.iter().map(|one| one.name.as_str()));
    let mut out = format!("packets in {seconds:.1} s, and since there are the present policies\n");
    out += &header("policy", names, &["passed", "dropped", "would drop", "all passed", "all dropped", "all would"]);
    for InInterval { name, now, total } in policies {
        let numbers = [now.passed, now.dropped, now.audited, total.passed, total.dropped, total.audited];
        out += &line(name, names, &numbers);
    }
    out
}

/// The same as one JSON object, `portolan-top/v1`.
///
/// # Errors
/// The serializer's, of which none is known for this type.
pub fn top_json(policies: &[InInterval], seconds: f64) -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    struct Policy<'a> {
        name: &'a str,
        interval: Counted,
        total: Counted,
    }
    #[derive(Serialize)]
    struct Counted {
        passed: u64,
        dropped: u64,
        would_drop: u64,
    }
    #[derive(Serialize)]
    struct Document<'a> {
        version: &'static str,
        pinned: bool,
        seconds: f64,
        policies: Vec<Policy<'a>>,
    }
    let counted = |tally: Tally| Counted { passed: tally.passed, dropped: tally.dropped, would_drop: tally.audited };
    let policies =
        policies.iter().map(|one| Policy { name: &one.name, interval: counted(one.now), total: counted(one.total) });
    let policies = policies.collect();
    pretty(&Document { version: TOP, pinned: true, seconds, policies })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(policies: &[&str], open: bool) -> Told {
        Told { text: String::new(), policies: policies.iter().map(ToString::to_string).collect(), open }
    }

    fn tally(passed: u64, dropped: u64) -> Tally {
        Tally { passed, dropped, audited: 0 }
    }

    fn counts(reasons: Vec<Tally>) -> CountsSeen {
        CountsSeen { causes: Vec::new(), fingerprint: 1, reasons }
    }

    fn names(listed: &[OfPolicy]) -> Vec<(&str, u64, u64)> {
        listed.iter().map(|one| (one.name.as_str(), one.tally.passed, one.tally.dropped)).collect()
    }

    #[test]
    fn what_policies_refuse_together_counts_for_each_and_their_rules_for_the_policy() {
        let reasons = [told(&[], true), told(&["a/x"], false), told(&["a/x", "b/y"], false), told(&[], false)];
        let counts = counts(vec![tally(5, 0), tally(2, 0), tally(0, 7), tally(0, 1)]);
        let listed = by_policy(&counts, Some(&reasons));
        assert_eq!(names(&listed), [("a/x", 2, 7), ("b/y", 0, 7), (NO_POLICY, 5, 0), (UNDECIDED, 0, 1)]);
        assert_eq!(names(&by_policy(&counts, None)), [(UNKNOWN, 7, 8)]);
    }

    #[test]
    fn an_interval_is_sorted_by_itself_and_begins_anew_with_other_reasons() {
        let of = |name: &str, passed| OfPolicy { name: name.to_owned(), tally: tally(passed, 0) };
        let (before, after) = ([of("a", 100), of("b", 1)], [of("a", 101), of("b", 9)]);
        let listed = |same| -> Vec<(String, u64)> {
            between(&before, &after, same).into_iter().map(|one| (one.name, one.now.passed)).collect()
        };
        assert_eq!(listed(true), [("b".to_owned(), 8), ("a".to_owned(), 1)]);
        assert_eq!(listed(false), [("a".to_owned(), 101), ("b".to_owned(), 9)]);
    }

    #[test]
    fn documents_are_versioned() {
        let json =
            top_json(&between(&[], &[OfPolicy { name: "a".to_owned(), tally: tally(1, 2) }], true), 1.0).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["version"], "portolan-top/v1");
        assert_eq!(value["policies"][0]["interval"]["dropped"], 2);
    }
}
