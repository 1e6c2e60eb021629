//! Names in the bpf file system: what is enforced outlives the agent that arranged it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use crate::datapath::abi;
use crate::datapath::object::{Declared, LoadError};
use crate::datapath::sys;

/// A folder of pins. The version of the layouts is part of its path: nobody adopts what it would misread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// The folder below `root`, which is on a bpf file system.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Whether pins can be there: names of programs and tables live on a bpf file system only.
    ///
    /// # Errors
    /// What the file system said.
    pub fn are_possible(&self) -> io::Result<bool> {
        const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
        let Some(there) = self.root.ancestors().find(|folder| folder.exists()) else { return Ok(false) };
        Ok(rustix::fs::statfs(there)?.f_type == BPF_FS_MAGIC)
    }

    /// Where everything of this version lies.
    fn folder(&self) -> PathBuf {
        self.root.join(format!("v{}", abi::VERSION))
    }

    /// Whether something is pinned.
    #[must_use]
    pub fn exist(&self) -> bool {
        self.folder().join("control").exists()
    }

    /// What has a name here.
    pub(crate) fn open(&self, name: &str) -> io::Result<OwnedFd> {
        sys::pinned(&self.folder().join(name))
    }

    /// The pinned maps, if they are those that are declared; none when nothing is pinned.
    pub(crate) fn maps(
        &self,
        declared: &BTreeMap<&'static str, Declared>,
    ) -> Result<BTreeMap<&'static str, OwnedFd>, LoadError> {
        let mut maps = BTreeMap::new();
        if !self.exist() {
            return Ok(maps);
        }
        for (&name, declared) in declared {
            let failed = |error| LoadError::Map { name, error };
            let map = sys::pinned(&self.folder().join(name)).map_err(failed)?;
            let (found, wanted) = (sys::layout(map.as_fd()).map_err(failed)?.0, declared.spec.layout());
            if found != wanted {
                let path = self.folder().join(name);
                return Err(LoadError::Pinned { path, found: format!("{found:?}"), wanted: format!("{wanted:?}") });
            }
            maps.insert(name, map);
        }
        Ok(maps)
    }

    /// Pins maps, program and links; what had the names of the program and the links before is let go.
    pub(crate) fn keep<'a>(
        &self,
        maps: impl Iterator<Item = (&'static str, BorrowedFd<'a>)>,
        program: BorrowedFd<'a>,
        links: impl Iterator<Item = BorrowedFd<'a>>,
    ) -> io::Result<()> {
        let folder = self.folder();
        fs::create_dir_all(&folder)?;
        // Either all maps are there or, without `control`, none counts: who pinned them was killed before he was done.
        if !self.exist() {
            let (control, others): (Vec<_>, Vec<_>) = maps.partition(|(name, _)| *name == "control");
            for (name, map) in others.into_iter().chain(control) {
                let path = folder.join(name);
                if path.exists() {
                    fs::remove_file(&path)?;
                }
                sys::pin(map, &path)?;
            }
        }
        let named = links.enumerate().map(|(at, link)| (format!("link-{at}"), link));
        for (name, object) in named.chain([("program".to_owned(), program)]) {
            // The new one first: an old link leaves its hook only when nothing names it any more.
            let (new, path) = (folder.join(format!("{name}-new")), folder.join(&name));
            if new.exists() {
                fs::remove_file(&new)?;
            }
            sys::pin(object, &new)?;
            fs::rename(&new, &path)?;
        }
        Ok(())
    }

    /// Takes all pins of all versions away: nothing is enforced any more. How many there were.
    ///
    /// # Errors
    /// What the file system said.
    pub fn remove(&self) -> io::Result<usize> {
        let mut removed = 0;
        let versions = match fs::read_dir(&self.root) {
            Ok(versions) => versions,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        for version in versions {
            removed += remove_folder(&version?.path())?;
        }
        fs::remove_dir(&self.root)?;
        Ok(removed)
    }

    /// Takes the pins of other versions away, which nobody reads any more.
    ///
    /// # Errors
    /// What the file system said.
    pub fn sweep(&self) -> io::Result<()> {
        let Ok(versions) = fs::read_dir(&self.root) else { return Ok(()) };
        for version in versions {
            let version = version?.path();
            if version != self.folder() {
                remove_folder(&version)?;
            }
        }
        Ok(())
    }
}

/// Takes the pins of one version away. How many there were.
fn remove_folder(folder: &Path) -> io::Result<usize> {
    let mut pins: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|pin| pin.map(|pin| pin.path())).collect::<io::Result<_>>()?;
    // Links first: a hook without tables would drop everything.
    let is_link = |pin: &Path| pin.file_name().is_some_and(|name| name.to_string_lossy().starts_with("link-"));
    pins.sort_by_key(|pin| !is_link(pin));
    pins.iter().try_for_each(fs::remove_file)?;
    fs::remove_dir(folder)?;
    Ok(pins.len())
}
