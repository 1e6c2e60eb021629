//! The words behind counters, for processes that did not write the tables: reasons are numbers in the kernel. A file holds
//! lists of reasons, and a list is found by its fingerprint, which stands beside the tables: words that belong to other
//! tables are never taken for theirs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policy_core::node_program::{NodeProgram, Reason};
use serde::{Deserialize, Serialize};

/// The version of the file; it changes when a reader would have to.
const VERSION: &str = "portolan-reasons/v1";

/// A reason in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// A phrase for people.
    pub text: String,
    /// The policies that say so: one that decides, or all that isolate an end together. None for what no policy says.
    pub policies: Vec<String>,
    /// Whether packets pass because nothing is asked.
    pub open: bool,
}

impl Told {
    fn of(reason: &Reason) -> Self {
        let policies = match reason {
            Reason::Admitted(rule) | Reason::Tier(rule) => vec![rule.policy.to_string()],
            Reason::Isolated(policies) => policies.iter().map(ToString::to_string).collect(),
            Reason::Open | Reason::Undecided(_) => Vec::new(),
        };
        Self { text: reason.to_string(), policies, open: *reason == Reason::Open }
    }

    /// All reasons of a program, by their numbers.
    #[must_use]
    pub fn all(program: &NodeProgram) -> Vec<Self> {
        program.generation.reasons.values().map(Self::of).collect()
    }
}

/// A number that tells lists of reasons apart (FNV-1a, 64 bits).
#[must_use]
pub fn fingerprint(reasons: &[Told]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    // Bytes that are in no UTF-8 keep the parts apart.
    let texts = reasons.iter().flat_map(|told| {
        let policies = told.policies.iter().flat_map(|policy| policy.bytes().chain([0xfe]));
        told.text.bytes().chain([0xfe, u8::from(told.open)]).chain(policies).chain([0xff])
    });
    texts.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: String,
    lists: Vec<Vec<Told>>,
}

/// The file of one folder of pins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReasonsFile {
    path: PathBuf,
}

impl ReasonsFile {
    /// That of the pins below `pins`, in the folder `run`.
    #[must_use]
    pub fn new(run: &Path, pins: &Path) -> Self {
        let name = pins.to_string_lossy().trim_matches('/').replace('/', "-");
        Self { path: run.join(format!("{name}.json")) }
    }

    fn lists(&self) -> io::Result<Vec<Vec<Told>>> {
        let text = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text?,
        };
        // What another version wrote, or half of it, tells nothing: the words are not known then.
        let content: Option<Content> = serde_json::from_slice(&text).ok();
        Ok(content.filter(|content| content.version == VERSION).map(|content| content.lists).unwrap_or_default())
    }

    /// The list with a fingerprint, if it is there.
    ///
    /// # Errors
    /// What the file system said.
    pub fn find(&self, wanted: u64) -> io::Result<Option<Vec<Told>>> {
        Ok(self.lists()?.into_iter().find(|list| fingerprint(list) == wanted))
    }

    /// Puts a list in. Of those that are there, the ones with these fingerprints stay. Readers see the old file or the new.
    ///
    /// # Errors
    /// What the file system said.
    pub fn keep(&self, list: Vec<Told>, in_use: &[u64]) -> io::Result<()> {
        let new = fingerprint(&list);
        let mut lists = self.lists()?;
        lists.retain(|list| fingerprint(list) != new && in_use.contains(&fingerprint(list)));
        lists.push(list);
        let text = serde_json::to_vec(&Content { version: VERSION.to_owned(), lists })?;
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let written = self.path.with_extension(format!("new-{}", std::process::id()));
        fs::write(&written, text)?;
        fs::rename(&written, &self.path)
    }

    /// Takes the file away, and its folder if nothing else is there.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        if let Some(folder) = self.path.parent() {
            // It may not be empty.
            let _ = fs::remove_dir(folder);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, policies: &[&str]) -> Told {
        Told { text: text.to_owned(), policies: policies.iter().map(ToString::to_string).collect(), open: false }
    }

    #[test]
    fn fingerprints_tell_lists_apart_by_every_part_and_by_order() {
        let lists = [
            vec![],
            vec![told("a", &[])],
            vec![told("a", &["b"])],
            vec![told("ab", &[])],
            vec![told("a", &[]), told("b", &[])],
            vec![told("b", &[]), told("a", &[])],
            vec![told("a", &["b", "c"])],
            vec![told("a", &["bc"])],
        ];
        let numbers: std::collections::BTreeSet<u64> = lists.iter().map(|list| fingerprint(list)).collect();
        assert_eq!(numbers.len(), lists.len());
    }

    #[test]
    fn words_are_found_by_fingerprint_as_long_as_tables_use_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = ReasonsFile::new(&folder.path().join("run"), Path::new("/sys/fs/bpf/x"));
        let [one, two, three] = ["one", "two", "three"].map(|text| vec![told(text, &["ns/p"])]);
        let [a, b, c] = [&one, &two, &three].map(|list| fingerprint(list));
        assert_eq!(file.find(a).unwrap(), None);
        file.keep(one.clone(), &[]).unwrap();
        file.keep(two.clone(), &[a]).unwrap();
        assert_eq!([file.find(a).unwrap(), file.find(b).unwrap()], [Some(one), Some(two.clone())]);
        file.keep(three.clone(), &[b]).unwrap();
        assert_eq!(
            [file.find(a).unwrap(), file.find(b).unwrap(), file.find(c).unwrap()],
            [None, Some(two), Some(three)]
        );
        assert_eq!(file.path, folder.path().join("run/sys-fs-bpf-x.json"));
        fs::write(&file.path, b"{\"version\":\"portolan-reasons/v0\",\"lists\":[]").unwrap();
        assert_eq!(file.find(c).unwrap(), None);
        file.remove().unwrap();
        file.remove().unwrap();
        assert!(!folder.path().join("run").exists());
    }
}
