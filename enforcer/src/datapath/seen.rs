//! What is pinned, seen by a process that has nothing to do with it: hooks, program, tables, counters. It changes nothing
//! and loads nothing.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use policy_core::model::Family;
use policy_core::node_program::Slot;

use crate::datapath::abi::{self, Cause, Tally};
use crate::datapath::legend::Legend;
use crate::datapath::object::{Embedded, LoadError};
use crate::datapath::pins::Pins;
use crate::datapath::sys;
use crate::datapath::tables::{GROWING, slot_number};
use crate::datapath::{Counters, HOOKS, Hook, Mode};

/// How often counters are read again when tables are switched meanwhile.
const TRIES: usize = 10;

/// A hook where a pinned program should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HookSeen {
    /// The family of addresses.
    pub family: Family,
    /// The hook.
    pub hook: Hook,
    /// The priority of the pinned link; none when no link is pinned for the hook.
    pub priority: Option<i32>,
}

/// The pinned program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProgramSeen {
    /// Its number in this kernel.
    pub id: u32,
    /// Instructions as the kernel keeps them.
    pub instructions: usize,
    /// Bytes of machine code; 0 when it is interpreted.
    pub machine_code: usize,
    /// Bytes of the kernel's memory, if it tells.
    pub memory: Option<u64>,
}

/// A table of the slot in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableSeen {
    /// Its name.
    pub name: &'static str,
    /// Elements that are used; none where that means nothing.
    pub used: Option<usize>,
    /// Elements that it has room for.
    pub capacity: usize,
    /// Bytes of the kernel's memory, of both slots where they share a table, if it tells.
    pub memory: Option<u64>,
}

/// Counters of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountsSeen {
    /// By cause.
    pub causes: Vec<(Cause, Tally)>,
    /// What the list of the present reasons is known by; see [`crate::reasons`].
    pub fingerprint: u64,
    /// By the number of a present reason.
    pub reasons: Vec<Tally>,
}

/// What is pinned.
#[derive(Debug)]
pub struct Seen {
    maps: BTreeMap<&'static str, OwnedFd>,
    program: OwnedFd,
    links: Vec<OwnedFd>,
}

impl Seen {
    /// Looks at pins; `None` when nothing is there.
    ///
    /// # Errors
    /// [`LoadError`] when the pins are not what this program would have made, or cannot be opened.
    pub fn open(pins: &Pins) -> Result<Option<Self>, LoadError> {
        if !pins.exist() {
            return Ok(None);
        }
        let maps = pins.maps(&Embedded::read()?.maps)?;
        let failed = |name| move |error| LoadError::Map { name, error };
        let program = pins.open("program").map_err(failed("program"))?;
        let mut links = Vec::new();
        for at in 0..HOOKS.len() {
            match pins.open(&format!("link-{at}")) {
                Ok(link) => links.push(link),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(LoadError::Map { name: "link", error }),
            }
        }
        Ok(Some(Self { maps, program, links }))
    }

    fn map(&self, name: &'static str) -> io::Result<BorrowedFd<'_>> {
        self.maps.get(name).map(|map| map.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Every hook at which a program should be.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn hooks(&self) -> io::Result<Vec<HookSeen>> {
        let links = self.links.iter().map(|link| sys::netfilter_link(link.as_fd())).collect::<io::Result<Vec<_>>>()?;
        let seen = |(family, hook): (u32, u32)| {
            let link = links.iter().find(|link| (link.family, link.hook) == (family, hook));
            let (family, hook) = (
                if family == 2 { Family::V4 } else { Family::V6 },
                if hook == 1 { Hook::LocalIn } else { Hook::PostRouting },
            );
            HookSeen { family, hook, priority: link.map(|link| link.priority) }
        };
        Ok(HOOKS.into_iter().map(seen).collect())
    }

    /// The program.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn program(&self) -> io::Result<ProgramSeen> {
        let info = sys::program(self.program.as_fd())?;
        Ok(ProgramSeen {
            id: info.id,
            instructions: info.instructions,
            machine_code: info.machine_code,
            memory: memory(self.program.as_fd()),
        })
    }

    /// The slot in use, and the mode.
    fn control(&self) -> io::Result<(Slot, u32)> {
        let mut value = [0_u8; 8];
        sys::lookup(self.map("control")?, &abi::words([0]), &mut value)?;
        let [a, b, c, d, e, f, g, h] = value;
        let slot = if u32::from_ne_bytes([a, b, c, d]) == 0 { Slot::A } else { Slot::B };
        Ok((slot, u32::from_ne_bytes([e, f, g, h])))
    }

    /// What an operator has set.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn mode(&self) -> io::Result<Mode> {
        let (_, flags) = self.control()?;
        Ok(Mode {
            audit: flags & abi::CONTROL_AUDIT != 0,
            unknown_pods_pass: flags & abi::CONTROL_UNKNOWN_PASS != 0,
            log_allowed: flags & abi::CONTROL_LOG_ALLOWED != 0,
        })
    }

    /// The tables of the slot in use.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn tables(&self) -> io::Result<Vec<TableSeen>> {
        let (slot, legend, _) = self.legends()?;
        let mut seen = Vec::new();
        for name in GROWING {
            let mut id = [0_u8; 4];
            sys::lookup(self.map(name)?, &abi::words([slot_number(slot)]), &mut id)?;
            let map = sys::map_by_id(u32::from_ne_bytes(id))?;
            let ((_, key_size, _), capacity) = sys::layout(map.as_fd())?;
            let used = sys::count(map.as_fd(), key_size, capacity)?;
            let (used, capacity) = (Some(used), capacity as usize);
            seen.push(TableSeen { name, used, capacity, memory: memory(map.as_fd()) });
        }
        let of_slot = [
            ("identities", legend.identities),
            ("rows", legend.rows),
            ("cells", legend.cells),
            ("tallies", legend.reasons),
        ];
        for (name, used) in of_slot {
            let map = self.map(name)?;
            let capacity = (sys::layout(map)?.1 / abi::SLOTS) as usize;
            seen.push(TableSeen { name, used: Some(used as usize), capacity, memory: memory(map) });
        }
        for name in ["ports", "recent", "events"] {
            let map = self.map(name)?;
            seen.push(TableSeen { name, used: None, capacity: sys::layout(map)?.1 as usize, memory: memory(map) });
        }
        Ok(seen)
    }

    /// What became of packets so far; by reason, as long as there have been the present reasons.
    ///
    /// # Errors
    /// What the kernel said; `Interrupted` when tables were switched all the while.
    pub fn counts(&self) -> io::Result<CountsSeen> {
        let causes = self.counters("causes")?;
        let causes: Vec<(Cause, Tally)> =
            Cause::ALL.into_iter().map(|cause| Ok((cause, causes.at(cause as u32)?))).collect::<io::Result<_>>()?;
        let tallies = self.counters("tallies")?;
        let of_slot = sys::layout(self.map("tallies")?)?.1 / abi::SLOTS;
        for _ in 0..TRIES {
            let (slot, now, other) = self.legends()?;
            let mut reasons = Vec::new();
            for number in 0..now.reasons {
                let mut tally = tallies.at(slot_number(slot) * of_slot + number)?;
                // The same reasons have been in use in the other slot.
                if other.fingerprint == now.fingerprint {
                    tally += tallies.at(slot_number(slot.other()) * of_slot + number)?;
                }
                reasons.push(tally);
            }
            if self.legends()? == (slot, now, other) {
                return Ok(CountsSeen { causes, fingerprint: now.fingerprint, reasons });
            }
        }
        Err(io::Error::new(io::ErrorKind::Interrupted, "the tables were switched again and again"))
    }

    /// The slot in use, its legend, and that of the other one.
    fn legends(&self) -> io::Result<(Slot, Legend, Legend)> {
        let (slot, _) = self.control()?;
        let map = self.map("legend")?;
        Ok((slot, Legend::read(map, slot)?, Legend::read(map, slot.other())?))
    }

    fn counters(&self, name: &'static str) -> io::Result<Counters> {
        Counters::of(self.map(name)?)
    }
}

/// Bytes of the kernel's memory that an object takes, if it tells.
fn memory(object: BorrowedFd<'_>) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", object.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}
