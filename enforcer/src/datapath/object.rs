//! From the embedded object to a loaded program: maps, relocation, calls of kernel functions.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use aya_obj::Object;
use aya_obj::btf::{Btf, BtfKind};
use aya_obj::generated::{bpf_insn, bpf_map_type};

use crate::datapath::abi;
use crate::datapath::sys::{self, MapSpec};
use crate::datapath::tables::Capacity;

/// `enforcer/bpf/netfilter.bpf.c`, compiled by `build.rs`.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/netfilter.bpf.o"));

/// The name of the program in the object.
const PROGRAM: &str = "portolan";

/// Kernel functions: the number that stands in the object's calls (`kernel.h`), and the name in the kernel's BTF.
const KERNEL_FUNCTIONS: [(i32, &str); 3] =
    [(0x7000_0001, "bpf_dynptr_from_skb"), (0x7000_0002, "bpf_dynptr_slice"), (0x7000_0003, "bpf_rdonly_cast")];

/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL`.
const KERNEL_FUNCTION_CALL: u8 = 2;

/// Why the program could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The embedded object is not what this program expects.
    #[error("the embedded object is broken: {0}")]
    Object(String),
    /// The kernel has no type information, or lacks something that the program uses.
    #[error("this kernel cannot run the program: {0}")]
    Kernel(String),
    /// A map could not be made.
    #[error("no map `{name}`: {error}")]
    Map {
        /// Its name.
        name: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// A pinned map is not what this program would have made.
    #[error("{} is another map: its kind and sizes are {found}, not {wanted}; `portolan-enforcer cleanup` removes it", path.display())]
    Pinned {
        /// Where it is pinned.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// The verifier refused the program.
    #[error("the kernel refuses the program: {error}\n{log}")]
    Refused {
        /// What the kernel said.
        error: io::Error,
        /// The end of the verifier's log.
        log: String,
    },
}

/// A map of the object: what its elements look like if it is a map of maps.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) spec: MapSpec,
    pub(crate) inner: Option<MapSpec>,
}

/// The embedded object, read and compared with this program's layouts.
pub(crate) struct Embedded {
    object: Object,
    /// The maps that the program uses.
    pub(crate) maps: BTreeMap<&'static str, Declared>,
}

/// The loaded program and its maps.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) program: OwnedFd,
    pub(crate) maps: BTreeMap<&'static str, OwnedFd>,
    /// Instructions of the program, and instructions that the verifier walked through.
    pub(crate) size: usize,
    pub(crate) verified: Option<u64>,
}

/// The maps by name, and the patterns of their elements.
pub(crate) const MAPS: [&str; 16] = [
    "control",
    "ends4",
    "ends6",
    "blocks4",
    "blocks6",
    "identities",
    "cells",
    "rows",
    "ports",
    "shapes",
    "legend",
    "tallies",
    "causes",
    "events",
    "recent",
    "share",
];

impl Embedded {
    /// Reads it.
    pub(crate) fn read() -> Result<Self, LoadError> {
        let object = Object::parse(OBJECT).map_err(|error| LoadError::Object(chain(&error)))?;
        let layouts = object.btf.as_ref().map(Btf::to_bytes).unwrap_or_default();
        abi::check(&layouts).map_err(|error| LoadError::Object(error.to_string()))?;
        let maps = MAPS.into_iter().map(|name| Ok((name, declared(&object, name)?)));
        Ok(Self { maps: maps.collect::<Result<_, LoadError>>()?, object })
    }
}

/// Makes the maps that are not there yet, and loads the program with all of them.
pub(crate) fn load(
    embedded: Embedded,
    mut maps: BTreeMap<&'static str, OwnedFd>,
    capacity: Capacity,
) -> Result<Loaded, LoadError> {
    let broken = LoadError::Object;
    let Embedded { mut object, maps: declared } = embedded;
    let kernel = Btf::from_sys_fs().map_err(|error| LoadError::Kernel(chain(&error)))?;
    object.relocate_btf(&kernel).map_err(|error| LoadError::Kernel(chain(&error)))?;
    for (name, Declared { spec, inner }) in declared {
        if maps.contains_key(name) {
            continue;
        }
        let failed = |error| LoadError::Map { name, error };
        let inner = inner.map(|inner| sys::create_map(&inner, None)).transpose().map_err(failed)?;
        let max_entries = entries(name, capacity).unwrap_or(spec.max_entries);
        let spec = MapSpec { max_entries, ..spec };
        let map = sys::create_map(&spec, inner.as_ref().map(|inner| inner.as_fd())).map_err(failed)?;
        maps.insert(name, map);
    }
    let text = object.functions.keys().map(|(section, _)| *section).collect();
    let of_object = object.maps.clone();
    let known = maps.iter().filter_map(|(name, fd)| Some((*name, fd.as_raw_fd(), of_object.get(*name)?)));
    object.relocate_maps(known, &text).map_err(|error| broken(chain(&error)))?;
    object.relocate_calls(&text).map_err(|error| broken(chain(&error)))?;
    let program = object.programs.get(PROGRAM).ok_or_else(|| broken(format!("it has no program `{PROGRAM}`")))?;
    let function = object.functions.get(&program.function_key());
    let function = function.ok_or_else(|| broken(format!("`{PROGRAM}` has no instructions")))?;
    let mut instructions = function.instructions.clone();
    call_kernel_functions(&mut instructions, &kernel)?;
    let license = program.license.clone();
    let (program, log) = sys::load_program(PROGRAM, &instructions, &license)
        .map_err(|(error, log)| LoadError::Refused { error, log: tail(&log, 60) })?;
    Ok(Loaded { program, maps, size: instructions.len(), verified: verified(&log) })
}

/// How many elements a table of both slots has; `None` for the others.
fn entries(name: &str, capacity: Capacity) -> Option<u32> {
    let of_slot = match name {
        "identities" => capacity.identities,
        "rows" => capacity.rows,
        "cells" => capacity.cells,
        "tallies" => capacity.reasons,
        _ => return None,
    };
    u32::try_from(of_slot).ok()?.checked_mul(abi::SLOTS)
}

/// A program that lets everything pass, to compare with.
pub(crate) fn load_empty() -> Result<OwnedFd, LoadError> {
    let instruction = |code: u8, imm: i32| bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(0, 0),
        off: 0,
        imm,
    };
    // r0 = 1; exit
    let program = [instruction(0xb7, 1), instruction(0x95, 0)];
    let loaded = sys::load_program("empty", &program, c"GPL");
    loaded.map(|(fd, _)| fd).map_err(|(error, log)| LoadError::Refused { error, log })
}

/// What the object says of a map.
fn declared(object: &Object, name: &'static str) -> Result<Declared, LoadError> {
    let map = object.maps.get(name).ok_or_else(|| LoadError::Object(format!("it has no map `{name}`")))?;
    let spec = |map: &aya_obj::Map| MapSpec {
        name,
        kind: map.map_type(),
        key_size: map.key_size(),
        value_size: if map.map_type() == bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32 {
            4
        } else {
            map.value_size()
        },
        max_entries: map.max_entries(),
        flags: map.map_flags(),
    };
    Ok(Declared { spec: spec(map), inner: map.inner().as_ref().map(spec) })
}

/// Turns calls of the numbers of `kernel.h` into calls of kernel functions.
fn call_kernel_functions(instructions: &mut [bpf_insn], kernel: &Btf) -> Result<(), LoadError> {
    for (number, name) in KERNEL_FUNCTIONS {
        let id = kernel.id_by_type_name_kind(name, BtfKind::Func);
        let id = id.map_err(|_| LoadError::Kernel(format!("it has no function `{name}`")))?;
        let id = i32::try_from(id).map_err(|_| LoadError::Kernel(format!("`{name}` has no usable id")))?;
        for call in instructions.iter_mut().filter(|one| one.code == CALL && one.src_reg() == 0 && one.imm == number) {
            call.set_src_reg(KERNEL_FUNCTION_CALL);
            call.imm = id;
            call.off = 0;
        }
    }
    Ok(())
}

/// `processed N insns …` at the end of the verifier's log.
fn verified(log: &str) -> Option<u64> {
    let line = log.lines().rev().find_map(|line| line.strip_prefix("processed "))?;
    line.split_whitespace().next()?.parse().ok()
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
}

/// An error with everything that it says about its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
