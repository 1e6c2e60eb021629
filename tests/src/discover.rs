//! Paths to case files: which files are cases, and of which format.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A file that says which format it has.
#[derive(Clone, PartialEq, Debug)]
pub struct CaseFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its `schema`.
    pub schema: String,
    /// All of it.
    pub content: Value,
}

/// What was found below some paths.
#[derive(Debug, Default)]
pub struct Found {
    /// Files with a `schema`, by path.
    pub files: Vec<CaseFile>,
    /// Files that were named themselves, or that say `schema:`, and could not be read.
    pub broken: Vec<(PathBuf, String)>,
}

/// Looks for case files: each path is a file or a folder, which is searched to its bottom.
///
/// A folder that holds a `case.yaml` is one case: nothing below it is looked at.
///
/// # Errors
/// When a path does not exist or a folder cannot be listed.
pub fn discover(paths: &[PathBuf]) -> io::Result<Found> {
    let mut found = Found::default();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|error| named(path, &error))?;
        if metadata.is_dir() {
            folder(path, &mut found)?;
        } else {
            file(path, true, &mut found);
        }
    }
    Ok(found)
}

/// Counts files by schema.
#[must_use]
pub fn count_by_schema<'a>(files: impl IntoIterator<Item = &'a CaseFile>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for file in files {
        *counts.entry(file.schema.as_str()).or_default() += 1;
    }
    counts
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

/// The entries of a folder, sorted by name.
///
/// # Errors
/// When the folder cannot be listed.
pub fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = fs::read_dir(folder).map_err(|error| named(folder, &error))?;
    let mut entries = listing.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

fn folder(path: &Path, found: &mut Found) -> io::Result<()> {
    let case = path.join("case.yaml");
    if case.is_file() {
        file(&case, true, found);
        return Ok(());
    }
    for entry in entries(path)? {
        if entry.is_dir() {
            folder(&entry, found)?;
        } else if is_yaml(&entry) {
            file(&entry, false, found);
        }
    }
    Ok(())
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// YAML to a value. `y` and `n` are words: namespaces are called so.
///
/// # Errors
/// When the text is no YAML.
pub fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// Files without a `schema` are no case files; a folder may hold any number of them.
fn file(path: &Path, named: bool, found: &mut Found) {
    let read = fs::read(path).map_err(|error| error.to_string());
    let text = read.and_then(|bytes| String::from_utf8(bytes).map_err(|error| error.to_string()));
    let says_schema = |text: &str| text.lines().any(|line| line.starts_with("schema:"));
    let wanted = named || text.as_deref().is_ok_and(says_schema);
    if !wanted {
        return;
    }
    let content = text.and_then(|text| parse(&text));
    match content {
        Ok(content) => match content.get("schema").and_then(Value::as_str).map(str::to_owned) {
            Some(schema) => found.files.push(CaseFile { path: path.to_owned(), schema, content }),
            None => found.broken.push((path.to_owned(), "the file has no `schema`".to_owned())),
        },
        Err(problem) => found.broken.push((path.to_owned(), problem)),
    }
}
