//! The data path: the kernel's program, its tables, and the hooks that it sits at.

pub mod abi;
mod btf;
mod events;
mod legend;
mod object;
mod pins;
mod seen;
mod sys;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

use aya::maps::{Map, MapData, PerCpuArray};
use policy_core::node_program::{Change, Installed, MapOp, NodeProgram, Reason, Slot, Step};

pub use abi::{Cause, Tally};
pub use events::{Events, Record};
pub use object::LoadError;
pub use pins::Pins;
pub use seen::{CountsSeen, HookSeen, ProgramSeen, Seen, TableSeen};
pub use tables::{Capacity, TooLarge};

use legend::Legend;
use object::{Declared, Embedded};
use sys::MapSpec;
use tables::{GROWING, Write, encode, sizes, slot_number};

/// `NF_INET_LOCAL_IN` and `NF_INET_POST_ROUTING`, each for IPv4 and IPv6: `(family, hook)`.
const HOOKS: [(u32, u32); 4] = [(2, 1), (2, 4), (10, 1), (10, 4)];
/// Just before source translation, which is at 100. The kernel wants each program of a hook at a priority of its own, and
/// there may be four of ours: what is pinned, what an agent left behind that was killed while it pinned, an agent that has
/// adopted the tables, and the one that takes over.
const PRIORITIES: [i32; 4] = [99, 98, 97, 96];
/// No table has more elements than this.
const MOST: usize = 1 << 24;

/// Where a packet is in the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hook {
    /// It is for a process of this node.
    LocalIn,
    /// It is of a process of this node. The program is not attached there: it stands for what a socket of this node sends
    /// past [`Hook::PostRouting`].
    LocalOut,
    /// It leaves the node, or enters a pod.
    PostRouting,
}

/// What an operator sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mode {
    /// Count and report what would be dropped, drop nothing.
    pub audit: bool,
    /// Let addresses of this node's pods pass that nobody knows yet.
    pub unknown_pods_pass: bool,
    /// Record also what passes.
    pub log_allowed: bool,
}

/// Why tables could not be brought up to date. What was enforced before still is.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// They do not fit.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A table could not be made or written.
    #[error("table `{table}`: {error}; what was enforced before still is")]
    Table {
        /// Its name.
        table: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
}

/// What a publication wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    /// Elements written or taken away.
    pub writes: usize,
    /// Whether packets were switched to another slot.
    pub switched: bool,
}

/// Counts of packets, kept by each processor for itself.
struct Counters(PerCpuArray<MapData, [u64; 3]>);

impl Counters {
    fn of(map: BorrowedFd<'_>) -> io::Result<Self> {
        let map = MapData::from_fd(map.try_clone_to_owned()?).map_err(io::Error::other)?;
        Ok(Self(Map::PerCpuArray(map).try_into().map_err(io::Error::other)?))
    }

    /// What all processors have counted there.
    fn at(&self, position: u32) -> io::Result<Tally> {
        let values = self.0.get(&position, 0).map_err(io::Error::other)?;
        let mut sum = Tally::default();
        for [passed, dropped, audited] in values.iter().copied() {
            sum += Tally { passed, dropped, audited };
        }
        Ok(sum)
    }
}

/// A table of one slot.
#[derive(Debug)]
struct Table {
    fd: OwnedFd,
    capacity: usize,
}

/// The kernel's program with its tables.
#[derive(Debug)]
pub struct Datapath {
    loaded: object::Loaded,
    capacity: Capacity,
    patterns: BTreeMap<&'static str, MapSpec>,
    slots: BTreeMap<(Slot, &'static str), Table>,
    installed: Installed,
    /// Of the reasons of what is installed.
    fingerprint: u64,
    /// Waits for packets that have not seen the last switch.
    waiting: Option<JoinHandle<io::Result<()>>>,
    mode: Mode,
    links: Vec<OwnedFd>,
}

impl Datapath {
    /// Loads the program with empty tables. Nothing is enforced yet: it sits at no hook.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn load(capacity: Capacity) -> Result<Self, LoadError> {
        Self::with(Embedded::read()?, BTreeMap::new(), Installed::default(), capacity)
    }

    /// Loads the program with the tables that were pinned there, if some were: packets go on to be judged by what is in
    /// them, and by the program that is there, until [`attach`](Self::attach). `capacity` is for tables that are not there.
    ///
    /// # Errors
    /// [`LoadError`]; also when the pins are not what this program would have made.
    pub fn adopt(pins: &Pins, mut capacity: Capacity) -> Result<Self, LoadError> {
        let embedded = Embedded::read()?;
        let maps = pins.maps(&embedded.maps)?;
        let mut installed = Installed::default();
        for (name, of_table) in [
            ("identities", &mut capacity.identities),
            ("rows", &mut capacity.rows),
            ("cells", &mut capacity.cells),
            ("tallies", &mut capacity.reasons),
        ] {
            let Some(map) = maps.get(name) else { continue };
            let (_, entries) = sys::layout(map.as_fd()).map_err(|error| LoadError::Map { name, error })?;
            *of_table = usize::try_from(entries / abi::SLOTS).unwrap_or_default();
        }
        if let Some(control) = maps.get("control") {
            let mut value = [0_u8; 8];
            let failed = |error| LoadError::Map { name: "control", error };
            sys::lookup(control.as_fd(), &abi::words([0]), &mut value).map_err(failed)?;
            let [a, b, c, d, ..] = value;
            let slot = if u32::from_ne_bytes([a, b, c, d]) == 0 { Slot::A } else { Slot::B };
            installed = Installed::adopted(slot);
        }
        Self::with(embedded, maps, installed, capacity)
    }

    fn with(
        embedded: Embedded,
        maps: BTreeMap<&'static str, OwnedFd>,
        installed: Installed,
        capacity: Capacity,
    ) -> Result<Self, LoadError> {
        let inner = |(name, declared): (&&'static str, &Declared)| Some((*name, declared.inner.clone()?));
        let patterns = embedded.maps.iter().filter_map(inner).collect();
        Ok(Self {
            loaded: object::load(embedded, maps, capacity)?,
            capacity,
            patterns,
            slots: BTreeMap::new(),
            installed,
            fingerprint: 0,
            waiting: None,
            mode: Mode::default(),
            links: Vec::new(),
        })
    }

    /// Instructions of the program, and those that the verifier walked through, if it told.
    #[must_use]
    pub fn size(&self) -> (usize, Option<u64>) {
        (self.loaded.size, self.loaded.verified)
    }

    /// Brings the tables up to date. Packets are judged by what was there or by `wanted`, by nothing in between.
    ///
    /// # Errors
    /// [`PublishError`]; then packets are judged as before.
    pub fn publish(&mut self, wanted: &NodeProgram) -> Result<Published, PublishError> {
        self.publish_change(wanted, &Change::Everything)
    }

    /// The same where it is known in what `wanted` differs from what was wanted the last time.
    ///
    /// # Errors
    /// [`PublishError`]; then packets are judged as before.
    pub fn publish_change(&mut self, wanted: &NodeProgram, change: &Change) -> Result<Published, PublishError> {
        self.installed.note(change);
        let needed = sizes(wanted, self.capacity, MOST)?;
        let fits = self.installed.current().is_some_and(|current| self.fits(current, needed));
        let legend = self.legend(wanted);
        let in_place = self.installed.in_place(wanted).filter(|_| fits).zip(self.installed.current());
        let (steps, slot) = match in_place {
            Some((steps, current)) => {
                self.write_legend(current, legend, wanted)?;
                (steps, current)
            }
            None => {
                let idle = self.installed.idle();
                self.wait_for_packets()?;
                if !self.fits(idle, needed) {
                    // First: of tables that are made one after the other, the second may fail.
                    self.installed.forget(idle);
                    self.make_room(idle, needed)?;
                }
                self.write_legend(idle, legend, wanted)?;
                (self.installed.by_switch(wanted), idle)
            }
        };
        let published = self.carry_out(&steps, wanted)?;
        self.installed.settle(slot, wanted);
        self.fingerprint = legend.fingerprint;
        Ok(published)
    }

    /// Brings the idle slot up to date too, so that the next switch has less to write. Packets go on as they are.
    ///
    /// # Errors
    /// [`PublishError`]; packets are judged as before.
    pub fn prepare(&mut self, wanted: &NodeProgram) -> Result<Published, PublishError> {
        let needed = sizes(wanted, self.capacity, MOST)?;
        let idle = self.installed.idle();
        self.wait_for_packets()?;
        if !self.fits(idle, needed) {
            self.installed.forget(idle);
            self.make_room(idle, needed)?;
        }
        let legend = self.legend(wanted);
        self.write_legend(idle, legend, wanted)?;
        let steps: Vec<Step> =
            self.installed.by_switch(wanted).into_iter().filter(|step| step.op != MapOp::Switch).collect();
        let published = self.carry_out(&steps, wanted)?;
        self.installed.settle(idle, wanted);
        Ok(published)
    }

    /// Packets that still use the idle slot have seen the last switch but one: waits until there are none.
    fn wait_for_packets(&mut self) -> Result<(), PublishError> {
        let waited = match self.waiting.take() {
            Some(thread) => thread.join().unwrap_or_else(|_| sys::wait_for_packets()),
            None => sys::wait_for_packets(),
        };
        waited.map_err(|error| PublishError::Table { table: "control", error })
    }

    /// What the reasons in the two slots are known by, in no order; see [`crate::reasons`].
    ///
    /// # Errors
    /// What the kernel said.
    pub fn fingerprints(&self) -> io::Result<[u64; 2]> {
        let [a, b] = Slot::ALL.map(|slot| Legend::read(self.map("legend")?.as_fd(), slot));
        Ok([a?.fingerprint, b?.fingerprint])
    }

    /// Sets what an operator sets, at once.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn set_mode(&mut self, mode: Mode) -> io::Result<()> {
        self.mode = mode;
        self.installed.current().map_or(Ok(()), |current| self.write_control(current))
    }

    fn fits(&self, slot: Slot, needed: [usize; 4]) -> bool {
        GROWING
            .iter()
            .zip(needed)
            .all(|(table, needed)| self.slots.get(&(slot, *table)).is_some_and(|table| table.capacity >= needed))
    }

    /// The legend of a program. Most have the reasons of the one before, and a few more.
    fn legend(&self, wanted: &NodeProgram) -> Legend {
        let current = self.installed.current().and_then(|slot| self.installed.program(slot));
        let known = current.map_or(0, |held| reasons_kept(held, wanted));
        let is_whole = current.is_some_and(|held| held.generation.reasons.len() == known);
        if is_whole { Legend::after(self.fingerprint, known, wanted) } else { Legend::of(wanted) }
    }

    /// Says what a slot's numbers will mean. What was counted for other reasons, in the places of those that it gets, is
    /// forgotten: whoever reads it meanwhile is told that nothing is known of the slot.
    fn write_legend(&self, slot: Slot, legend: Legend, wanted: &NodeProgram) -> Result<(), PublishError> {
        let of_legend = |error| PublishError::Table { table: "legend", error };
        let failed = |error| PublishError::Table { table: "tallies", error };
        let map = self.map("legend").map_err(of_legend)?.as_fd();
        let written = Legend::read(map, slot).map_err(of_legend)?;
        if written == legend {
            return Ok(());
        }
        if written.fingerprint != legend.fingerprint {
            Legend::default().write(map, slot).map_err(of_legend)?;
            let known = self.installed.program(slot).map_or(0, |held| reasons_kept(held, wanted));
            let new = wanted.generation.reasons.len() - known;
            let processors = aya::util::nr_cpus().map_err(|(_, error)| failed(error))?;
            let begin = self.capacity.first_reason(slot);
            let keys: Vec<u8> = (begin..).skip(known).take(new).flat_map(u32::to_ne_bytes).collect();
            let nothing = vec![0_u8; new * processors * size_of::<[u64; 3]>()];
            let tallies = self.map("tallies").map_err(failed)?.as_fd();
            if new > 0 {
                sys::update_batch(tallies, &keys, &nothing, new).map_err(failed)?;
            }
        }
        legend.write(map, slot).map_err(of_legend)
    }

    /// Makes the tables of a slot anew, with room to grow.
    fn make_room(&mut self, slot: Slot, needed: [usize; 4]) -> Result<(), PublishError> {
        for (table, needed) in GROWING.into_iter().zip(needed) {
            let failed = |error| PublishError::Table { table, error };
            let capacity = (needed + needed / 2).clamp(64, MOST);
            let Some(pattern) = self.patterns.get(table) else { continue };
            let max_entries = u32::try_from(capacity).unwrap_or(u32::MAX);
            let fd = sys::create_map(&MapSpec { max_entries, ..pattern.clone() }, None).map_err(failed)?;
            if let Some(outer) = self.loaded.maps.get(table) {
                let element = fd.as_raw_fd().to_ne_bytes();
                sys::update(outer.as_fd(), &slot_number(slot).to_ne_bytes(), &element).map_err(failed)?;
            }
            self.slots.insert((slot, table), Table { fd, capacity });
        }
        Ok(())
    }

    fn carry_out(&mut self, steps: &[Step], wanted: &NodeProgram) -> Result<Published, PublishError> {
        let mut batch: Vec<Write> = Vec::new();
        let mut published = Published { writes: 0, switched: false };
        for step in steps {
            if step.op == MapOp::Switch {
                published.writes += self.flush(step.slot, &mut batch)?;
                self.write_control(step.slot).map_err(|error| PublishError::Table { table: "control", error })?;
                published.switched = true;
                // Whoever writes next has less to wait for.
                self.waiting = Some(thread::spawn(sys::wait_for_packets));
                continue;
            }
            for write in encode(&step.op, step.slot, self.capacity) {
                let alike = |last: &Write| last.table == write.table && last.value.is_some() == write.value.is_some();
                if batch.last().is_some_and(|last| !alike(last)) {
                    published.writes += self.flush(step.slot, &mut batch)?;
                }
                batch.push(write);
            }
        }
        if let Some(last) = steps.last() {
            published.writes += self.flush(last.slot, &mut batch)?;
        }
        for step in steps {
            self.installed.carry_out(step, wanted);
        }
        Ok(published)
    }

    /// Carries out writes to one table.
    fn flush(&mut self, slot: Slot, batch: &mut Vec<Write>) -> Result<usize, PublishError> {
        let writes = std::mem::take(batch);
        let Some(first) = writes.first() else { return Ok(0) };
        let name = first.table;
        let failed = |error| PublishError::Table { table: name, error };
        let fd = match self.slots.get(&(slot, name)) {
            Some(table) => &table.fd,
            None if GROWING.contains(&name) => return Err(failed(io::ErrorKind::NotFound.into())),
            None => self.map(name).map_err(failed)?,
        };
        let fd = fd.as_fd();
        let result = if first.value.is_none() {
            writes.iter().try_for_each(|write| sys::delete(fd, &write.key))
        } else if let [Write { key, value: Some(value), .. }] = writes.as_slice() {
            sys::update(fd, key, value)
        } else {
            let keys: Vec<u8> = writes.iter().flat_map(|write| write.key.iter().copied()).collect();
            let values: Vec<u8> = writes.iter().filter_map(|write| write.value.as_deref()).flatten().copied().collect();
            sys::update_batch(fd, &keys, &values, writes.len())
        };
        if let Err(error) = result {
            // Nobody knows what the slot holds now. Where packets use it, the one write that was not made changed nothing.
            self.installed.forget(slot);
            self.slots.retain(|(of, _), _| *of != slot);
            return Err(failed(error));
        }
        Ok(writes.len())
    }

    fn write_control(&self, slot: Slot) -> io::Result<()> {
        let control = self.map("control")?;
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = flag(self.mode.audit, abi::CONTROL_AUDIT)
            | flag(self.mode.unknown_pods_pass, abi::CONTROL_UNKNOWN_PASS)
            | flag(self.mode.log_allowed, abi::CONTROL_LOG_ALLOWED);
        sys::update(control.as_fd(), &abi::words([0]), &abi::words([slot_number(slot), flags]))
    }

    /// What became of packets so far, by cause.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn causes(&self) -> io::Result<Vec<(Cause, Tally)>> {
        let counters = self.counters("causes")?;
        let tally = |cause: Cause| Ok((cause, counters.at(cause as u32)?));
        Cause::ALL.into_iter().map(tally).collect()
    }

    /// Why a recorded packet passed or not; `None` when its tables have been replaced since.
    #[must_use]
    pub fn reason(&self, record: &Record) -> Option<&Reason> {
        let (slot, id) = record.reason;
        self.installed.program(slot)?.generation.reasons.get(id)
    }

    /// The records of packets from now on.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn events(&self) -> io::Result<Events> {
        Events::new(self.map("events")?.try_clone()?)
    }

    fn counters(&self, name: &'static str) -> io::Result<Counters> {
        Counters::of(self.map(name)?.as_fd())
    }

    fn map(&self, name: &'static str) -> io::Result<&OwnedFd> {
        self.loaded.maps.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Puts the program at its hooks in the network namespace of this thread. It stays there until this value is dropped.
    /// Where others of its kind are, packets have to please all of them.
    ///
    /// # Errors
    /// What the kernel said; `ResourceBusy` when every priority is taken.
    pub fn attach(&mut self) -> io::Result<()> {
        for (family, hook) in HOOKS {
            let link = self.attach_at(family, hook)?;
            self.links.push(link);
        }
        Ok(())
    }

    /// Takes the program off the hooks where [`attach`](Self::attach) put it. Its tables stay; pinned links, too.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    fn attach_at(&self, family: u32, hook: u32) -> io::Result<OwnedFd> {
        for priority in PRIORITIES {
            match sys::attach(self.loaded.program.as_fd(), family, hook, priority) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
                result => return result,
            }
        }
        let why = "four programs sit just before source translation already: other enforcers run here";
        Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
    }

    /// Gives tables, program and links names, so that they outlive this process. Links that had the names before leave
    /// their hooks: in between, packets have to please both programs.
    ///
    /// # Errors
    /// What the kernel said, or the file system.
    pub fn pin(&self, pins: &Pins) -> io::Result<()> {
        let maps = self.loaded.maps.iter().map(|(name, fd)| (*name, fd.as_fd()));
        pins.keep(maps, self.loaded.program.as_fd(), self.links.iter().map(|link| link.as_fd()))
    }

    /// Runs the program on an Ethernet frame as if it passed a hook: whether it passes, and the nanoseconds of one run.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn test(&self, frame: &[u8], hook: Hook, repeat: u32) -> io::Result<(bool, u32)> {
        let state = hook.state(frame);
        // What a socket sends has no Ethernet header yet.
        let packet = if hook == Hook::LocalOut { frame.get(14..).unwrap_or_default() } else { frame };
        let run = sys::test_run(self.loaded.program.as_fd(), packet, &state, repeat)?;
        Ok((run.verdict == 1, run.nanoseconds))
    }
}

/// How many reasons a program has in common with what a slot holds, from the first on; none where one of them differs.
fn reasons_kept(held: &NodeProgram, wanted: &NodeProgram) -> usize {
    let (held, wanted) = (&held.generation.reasons, &wanted.generation.reasons);
    let differs = held.values().zip(wanted.values()).any(|(held, wanted)| held != wanted);
    if differs { 0 } else { held.len().min(wanted.len()) }
}

/// Nanoseconds of one run of a program of the same kind that lets everything pass: what [`Datapath::test`] is compared
/// with.
///
/// # Errors
/// What the kernel said.
pub fn test_empty(frame: &[u8], hook: Hook, repeat: u32) -> io::Result<u32> {
    let program = object::load_empty().map_err(io::Error::other)?;
    Ok(sys::test_run(program.as_fd(), frame, &hook.state(frame), repeat)?.nanoseconds)
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LocalIn => "local-in",
            Self::LocalOut => "local-out",
            Self::PostRouting => "post-routing",
        })
    }
}

impl Hook {
    /// `struct nf_hook_state`: the hook, the family, and nothing of the rest.
    fn state(self, frame: &[u8]) -> [u8; 48] {
        let mut state = [0_u8; 48];
        let family = if frame.get(12..14) == Some(&[0x86, 0xdd]) { 10 } else { 2 };
        let hook = match self {
            Self::LocalIn => 1,
            Self::LocalOut => 3,
            Self::PostRouting => 4,
        };
        for (byte, value) in state.iter_mut().zip([hook, family]) {
            *byte = value;
        }
        state
    }
}
