//! Files, folders and standard input to texts: the only place that opens files.
//!
//! Every problem is collected, none stops the search: the caller sees all of them at once.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use policy_core::diagnostic::Diagnostic;
use rayon::prelude::*;

use crate::render::{counted, escape};
use policy_core::near::near;

/// The largest YAML file that is read unless `--max-file-size` says otherwise.
pub const MAX_YAML: u64 = 256 << 20;
/// The largest JSON file that is read unless `--max-file-size` says otherwise.
pub const MAX_JSON: u64 = 2 << 30;
/// A [`Span`](policy_core::source::Span) counts bytes in 32 bits.
const MAX_ADDRESSABLE: u64 = u32::MAX as u64;

/// Everything that was found, in the order of the arguments, folders sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What was read.
    pub(crate) files: Vec<Content>,
    /// What stood in a folder and is no manifest by its name, or was read already.
    pub(crate) skipped: Vec<Skipped>,
    /// What could not be read.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// One file's bytes under the name that is shown.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// A file that was not opened, and why.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Skipped {
    pub(crate) name: String,
    pub(crate) reason: &'static str,
}

enum Entry {
    File(PathBuf),
    Stdin,
}

/// Reads all paths; `-` is `stdin`.
pub(crate) fn load(paths: &[PathBuf], limit: Option<u64>, stdin: &mut dyn Read) -> Found {
    let mut found = Found::default();
    let entries: Vec<Entry> = paths.iter().flat_map(|path| found.entries(path)).collect();
    let mut piped: Option<Result<Content, Box<Diagnostic>>> = None;
    if entries.iter().any(|entry| matches!(entry, Entry::Stdin)) {
        piped = Some(read_stream("<stdin>".to_owned(), stdin, limit, None));
    }
    let read: Vec<_> = entries
        .par_iter()
        .filter_map(|entry| match entry {
            Entry::File(path) => Some(read_file(path, limit)),
            Entry::Stdin => None,
        })
        .collect();
    let mut read = read.into_iter();
    for entry in &entries {
        let content = match entry {
            Entry::Stdin => piped.take(),
            Entry::File(_) => read.next(),
        };
        match content {
            Some(Ok(content)) => found.files.push(content),
            Some(Err(diagnostic)) => found.diagnostics.push(*diagnostic),
            None => {}
        }
    }
    found
}

/// The file of batch questions, line by line.
pub(crate) fn open_lines(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let name = show(path);
    let file = File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{name}: {}", reason(&error))))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// A small text file that is no manifest: a profile.
pub(crate) fn read_text(path: &Path) -> Result<Content, Box<Diagnostic>> {
    if !path.exists() {
        return Err(Box::new(missing(path)));
    }
    read_file(path, Some(1 << 20))
}

impl Found {
    fn entries(&mut self, path: &Path) -> Vec<Entry> {
        if path.as_os_str() == "-" {
            return vec![Entry::Stdin];
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(_) => vec![Entry::File(path.to_owned())],
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.diagnostics.push(missing(path));
                Vec::new()
            }
            Err(error) => {
                self.diagnostics.push(unreadable(path, &error));
                Vec::new()
            }
        }
    }

    fn folder(&mut self, folder: &Path) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut linked = BTreeSet::new();
        let (skipped_before, problems_before) = (self.skipped.len(), self.diagnostics.len());
        let walk = walkdir::WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
        for item in walk.filter_entry(|entry| entry.file_name() != OsStr::new(".git")) {
            match item {
                Ok(item) if item.file_type().is_dir() => {}
                Ok(item) if !is_manifest(item.path()) => self.skip(item.path(), "not a manifest by its name"),
                Ok(item) => {
                    if item.path_is_symlink() {
                        linked.insert(item.path().to_owned());
                    }
                    entries.push(item.into_path());
                }
                Err(error) => self.walk_problem(folder, &error),
            }
        }
        let entries = self.without_twins(entries, &linked);
        // IN-7: a folder that gives nothing is more likely a typo than an empty cluster.
        if entries.is_empty() && self.diagnostics.len() == problems_before {
            self.diagnostics.push(nothing_in(folder, self.skipped.len() - skipped_before));
        }
        entries
    }

    /// Leaves out links to files that are read under their own name (a mounted ConfigMap is made of such links).
    fn without_twins(&mut self, paths: Vec<PathBuf>, linked: &BTreeSet<PathBuf>) -> Vec<Entry> {
        if linked.is_empty() {
            return paths.into_iter().map(Entry::File).collect();
        }
        let real: BTreeSet<PathBuf> = paths
            .iter()
            .filter(|path| !linked.contains(*path))
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        let mut kept = Vec::new();
        for path in paths {
            if linked.contains(&path) && fs::canonicalize(&path).is_ok_and(|target| real.contains(&target)) {
                self.skip(&path, "a link to a file that is read already");
            } else {
                kept.push(Entry::File(path));
            }
        }
        kept
    }

    fn skip(&mut self, path: &Path, reason: &'static str) {
        self.skipped.push(Skipped { name: show(path), reason });
    }

    fn walk_problem(&mut self, folder: &Path, error: &walkdir::Error) {
        let path = error.path().unwrap_or(folder);
        if let Some(ancestor) = error.loop_ancestor() {
            let message = format!("`{}` links back to `{}` and was not followed", show(path), show(ancestor));
            self.diagnostics.push(Diagnostic::warning("IN-6", None, message));
            return;
        }
        match error.io_error() {
            Some(error) if error.kind() == io::ErrorKind::NotFound && !is_manifest(path) => {
                self.skip(path, "a link to nothing");
            }
            Some(error) => self.diagnostics.push(unreadable(path, error)),
            None => self.diagnostics.push(Diagnostic::error("IN-6", None, format!("`{}` cannot be read", show(path)))),
        }
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    matches!(extension.as_str(), "yaml" | "yml" | "json" | "jsonl")
}

fn is_json(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    extension.eq_ignore_ascii_case("json") || extension.eq_ignore_ascii_case("jsonl")
}

fn read_file(path: &Path, limit: Option<u64>) -> Result<Content, Box<Diagnostic>> {
    let name = show(path);
    let file = File::open(path).map_err(|error| Box::new(unreadable(path, &error)))?;
    let metadata = file.metadata().map_err(|error| Box::new(unreadable(path, &error)))?;
    let limit = limit.or_else(|| is_manifest(path).then_some(if is_json(path) { MAX_JSON } else { MAX_YAML }));
    // A pipe (`-f <(…)`) has no size; it is counted while it is read.
    let size = metadata.is_file().then_some(metadata.len());
    read_stream(name, file, limit, size)
}

/// Reads up to `limit` bytes; without one, what the first byte says of the format decides.
fn read_stream(
    name: String,
    mut stream: impl Read,
    limit: Option<u64>,
    size: Option<u64>,
) -> Result<Content, Box<Diagnostic>> {
    let failed = |error: io::Error| Box::new(unreadable(Path::new(&name), &error));
    let mut bytes = Vec::new();
    let head = stream.by_ref().take(1 << 12).read_to_end(&mut bytes).map_err(failed)?;
    let json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['));
    let limit = limit.unwrap_or(if json { MAX_JSON } else { MAX_YAML }).min(MAX_ADDRESSABLE);
    // IN-12: refused by its size alone, without reading it.
    if let Some(size) = size.filter(|size| *size > limit) {
        return Err(Box::new(too_large(&name, Some(size), limit)));
    }
    let expected = size.unwrap_or(0).saturating_sub(head as u64);
    bytes.reserve_exact(usize::try_from(expected).unwrap_or(0).saturating_add(1));
    let rest = (limit + 1).saturating_sub(head as u64);
    stream.take(rest).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Box::new(too_large(&name, None, limit)));
    }
    Ok(Content { name, bytes })
}

/// IN-5, with the sibling that was probably meant.
fn missing(path: &Path) -> Diagnostic {
    let diagnostic = Diagnostic::error("IN-5", None, format!("`{}` does not exist", show(path)));
    // The first part of the path that is missing is the one that may be mistyped.
    let broken = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && fs::metadata(part).is_err()).last();
    let Some((broken, wanted)) = broken.and_then(|part| Some((part, part.file_name()?.to_str()?))) else {
        return diagnostic;
    };
    let parent = match broken.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let siblings: Vec<String> = fs::read_dir(parent)
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    match near(wanted, siblings.iter().map(String::as_str), 1).first() {
        Some(close) => diagnostic.help(format!("did you mean `{}`?", show(&broken.with_file_name(close)))),
        None => diagnostic,
    }
}

/// IN-6.
fn unreadable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error("IN-6", None, format!("`{}` cannot be read: {}", show(path), reason(error)))
}

/// IN-7.
fn nothing_in(folder: &Path, skipped: usize) -> Diagnostic {
    let other = match skipped {
        0 => "it is empty".to_owned(),
        _ => format!("it holds {} of other names", counted(skipped, "file")),
    };
    Diagnostic::error("IN-7", None, format!("`{}` holds no manifest", show(folder)))
        .help(format!("{other}; in folders *.yaml, *.yml, *.json and *.jsonl are read"))
}

/// IN-12.
fn too_large(name: &str, size: Option<u64>, limit: u64) -> Diagnostic {
    let is = size.map_or_else(|| "is".to_owned(), |size| format!("has {}, which is", mebibytes(size)));
    let message = format!("`{}` {is} over the limit of {}", escape(name), mebibytes(limit));
    let help = if limit >= MAX_ADDRESSABLE {
        "split it: one file may have 4096 MiB at most".to_owned()
    } else {
        "raise it with --max-file-size, split the file, or dump it as JSON, which is read faster and may be larger"
            .to_owned()
    };
    Diagnostic::error("IN-12", None, message).help(help)
}

fn mebibytes(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{bytes} bytes") } else { format!("{} MiB", bytes >> 20) }
}

/// The system's word without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.chars()
        .next()
        .map(|first| first.to_lowercase().to_string() + text.get(first.len_utf8()..).unwrap_or_default())
        .unwrap_or_default()
}

fn show(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn read(paths: &[PathBuf], limit: Option<u64>) -> Found {
        load(paths, limit, &mut io::empty())
    }

    fn rules(found: &Found) -> Vec<&'static str> {
        found.diagnostics.iter().map(|diagnostic| diagnostic.rule).collect()
    }

    #[test]
    fn a_folder_is_read_recursively_in_sorted_order_and_other_files_are_counted() {
        let dir =
            tree(&[("b.yaml", "b"), ("a/z.yml", "z"), ("a/c.JSON", "c"), ("README.md", "x"), (".git/x.yaml", "g")]);
        let found = read(&[dir.path().to_owned()], None);
        let read: Vec<_> = found.files.iter().map(|file| String::from_utf8_lossy(&file.bytes).into_owned()).collect();
        assert_eq!(read, ["c", "z", "b"]);
        assert_eq!(found.skipped.len(), 1);
        assert_eq!(rules(&found), Vec::<&str>::new());
    }

    #[test] // IN-5
    fn a_mistyped_path_names_its_near_match() {
        let dir = tree(&[("manifests/a.yaml", "")]);
        let found = read(&[dir.path().join("manifest/a.yaml")], None);
        assert_eq!(rules(&found), ["IN-5"]);
        let help = found.diagnostics[0].help.clone().unwrap();
        assert!(help.ends_with("/manifests`?"), "{help}");
    }

    #[test] // IN-7
    fn a_folder_without_manifests_is_an_error() {
        let dir = tree(&[("notes.txt", "")]);
        assert_eq!(rules(&read(&[dir.path().to_owned()], None)), ["IN-7"]);
    }

    #[test] // IN-12
    fn a_file_over_the_limit_is_refused() {
        let dir = tree(&[("a.yaml", "0123456789")]);
        assert_eq!(rules(&read(&[dir.path().join("a.yaml")], Some(9))), ["IN-12"]);
        assert_eq!(rules(&read(&[dir.path().join("a.yaml")], Some(10))), Vec::<&str>::new());
    }

    #[test] // IN-12
    fn a_huge_file_is_refused_by_its_size_without_reading_it() {
        let dir = tree(&[("a.yaml", "")]);
        File::options().write(true).open(dir.path().join("a.yaml")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(rules(&read(&[dir.path().to_owned()], None)), ["IN-12"]);
    }

    #[test] // IN-12
    fn standard_input_is_counted_while_it_is_read() {
        let mut endless = io::repeat(b' ');
        let found = load(&[PathBuf::from("-")], Some(1 << 16), &mut endless);
        assert_eq!(rules(&found), ["IN-12"]);
    }

    #[cfg(unix)]
    #[test] // IN-6
    fn a_loop_of_links_ends_with_a_warning() {
        let dir = tree(&[("a/b.yaml", "b")]);
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/again")).unwrap();
        let found = read(&[dir.path().to_owned()], None);
        assert_eq!(found.files.len(), 1);
        assert_eq!(rules(&found), ["IN-6"]);
        assert!(!found.diagnostics[0].is_error());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_is_read_anyway_is_skipped() {
        let dir = tree(&[("data/a.yaml", "a")]);
        std::os::unix::fs::symlink(dir.path().join("data/a.yaml"), dir.path().join("b.yaml")).unwrap();
        let found = read(&[dir.path().to_owned()], None);
        assert_eq!((found.files.len(), found.skipped.len()), (1, 1));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let dir = tree(&[("empty/x.txt", ""), ("big.yaml", "0123456789")]);
        let at = |name: &str| dir.path().join(name);
        let found = read(&[at("nowhere-at-all"), at("empty"), at("big.yaml")], Some(5));
        assert_eq!(rules(&found), ["IN-5", "IN-7", "IN-12"]);
    }
}
