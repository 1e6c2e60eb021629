//! `bpf(2)`: what aya has no call for. Together with `abi`, the only place with `unsafe`.
#![expect(unsafe_code, reason = "the system call takes a union of structs with pointers")]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_link_info, bpf_link_type, bpf_map_info, bpf_prog_info,
    bpf_prog_type,
};

/// The kernel puts packets' fragments together before the program sees them.
const NETFILTER_IP_DEFRAG: u32 = 1;
/// Verifier statistics: the last line of the log.
const LOG_STATS: u32 = 4;
/// The whole log: every instruction that the verifier walked through.
const LOG_EVERYTHING: u32 = 1;

/// How a map is laid out.
#[derive(Clone, Debug)]
pub(crate) struct MapSpec {
    pub(crate) name: &'static str,
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

impl MapSpec {
    /// What a map of it is: kind, sizes of keys and values.
    pub(crate) fn layout(&self) -> (u32, u32, u32) {
        (self.kind, self.key_size, self.value_size)
    }
}

fn attr() -> bpf_attr {
    // SAFETY: a union of plain integers and pointers; all zeroes is a value of each of them.
    unsafe { std::mem::zeroed() }
}

fn call(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<i32> {
    let size = size_of::<bpf_attr>();
    // SAFETY: `attr` is valid for `size` bytes, and every pointer in it was made from a slice that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command as u32, attr as *mut bpf_attr, size) };
    match i32::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn fd_of(fd: BorrowedFd<'_>) -> u32 {
    u32::try_from(fd.as_raw_fd()).unwrap_or(u32::MAX)
}

fn size_u32(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

/// Makes a map; `inner` is the pattern for the elements of a map of maps.
pub(crate) fn create_map(spec: &MapSpec, inner: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let create = unsafe { &mut attr.__bindgen_anon_1 };
    create.map_type = spec.kind;
    create.key_size = spec.key_size;
    create.value_size = spec.value_size;
    create.max_entries = spec.max_entries;
    create.map_flags = spec.flags;
    create.inner_map_fd = inner.map_or(0, fd_of);
    for (to, from) in create.map_name.iter_mut().zip(spec.name.bytes().take(15)) {
        *to = from.cast_signed();
    }
    call(bpf_cmd::BPF_MAP_CREATE, &mut attr).map(owned)
}

/// Writes one element.
pub(crate) fn update(map: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = key.as_ptr() as u64;
    element.__bindgen_anon_1.value = value.as_ptr() as u64;
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// Reads one element into `value`, which has the size of a value (of a value for each processor).
pub(crate) fn lookup(map: BorrowedFd<'_>, key: &[u8], value: &mut [u8]) -> io::Result<()> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = key.as_ptr() as u64;
    element.__bindgen_anon_1.value = value.as_mut_ptr() as u64;
    call(bpf_cmd::BPF_MAP_LOOKUP_ELEM, &mut attr).map(drop)
}

/// Takes one element away.
pub(crate) fn delete(map: BorrowedFd<'_>, key: &[u8]) -> io::Result<()> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let element = unsafe { &mut attr.__bindgen_anon_2 };
    element.map_fd = fd_of(map);
    element.key = key.as_ptr() as u64;
    call(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr).map(drop)
}

/// Writes many elements: keys one after the other, and values likewise.
pub(crate) fn update_batch(map: BorrowedFd<'_>, keys: &[u8], values: &[u8], count: usize) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let batch = unsafe { &mut attr.batch };
    batch.map_fd = fd_of(map);
    batch.keys = keys.as_ptr() as u64;
    batch.values = values.as_ptr() as u64;
    batch.count = size_u32(count)?;
    call(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr)?;
    // SAFETY: the kernel wrote how many it took into the same member.
    let written = unsafe { attr.batch.count };
    if written as usize == count { Ok(()) } else { Err(io::Error::from(io::ErrorKind::WriteZero)) }
}

/// Loads a netfilter program. The log is what the verifier had to say: all of it if it refused the program.
pub(crate) fn load_program(
    name: &str,
    instructions: &[bpf_insn],
    license: &CStr,
) -> Result<(OwnedFd, String), (io::Error, String)> {
    let load = |level: u32, log: &mut Vec<u8>| -> io::Result<OwnedFd> {
        let mut attr = attr();
        // SAFETY: this command reads this member of the union.
        let program = unsafe { &mut attr.__bindgen_anon_3 };
        program.prog_type = bpf_prog_type::BPF_PROG_TYPE_NETFILTER as u32;
        program.expected_attach_type = bpf_attach_type::BPF_NETFILTER as u32;
        program.insns = instructions.as_ptr() as u64;
        program.insn_cnt = size_u32(instructions.len())?;
        program.license = license.as_ptr() as u64;
        program.log_level = level;
        program.log_buf = log.as_mut_ptr() as u64;
        program.log_size = size_u32(log.len())?;
        for (to, from) in program.prog_name.iter_mut().zip(name.bytes().take(15)) {
            *to = from.cast_signed();
        }
        call(bpf_cmd::BPF_PROG_LOAD, &mut attr).map(owned)
    };
    let text =
        |log: &[u8]| String::from_utf8_lossy(log.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
    let mut log = vec![0_u8; 4096];
    match load(LOG_STATS, &mut log) {
        Ok(fd) => Ok((fd, text(&log))),
        Err(error) => {
            let mut log = vec![0_u8; 16 << 20];
            let again = load(LOG_EVERYTHING, &mut log);
            Err((again.err().unwrap_or(error), text(&log)))
        }
    }
}

/// Puts a program on a hook of netfilter in this network namespace. The link holds it there.
pub(crate) fn attach(program: BorrowedFd<'_>, family: u32, hook: u32, priority: i32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let link = unsafe { &mut attr.link_create };
    link.__bindgen_anon_1.prog_fd = fd_of(program);
    link.attach_type = bpf_attach_type::BPF_NETFILTER as u32;
    link.__bindgen_anon_3.netfilter.pf = family;
    link.__bindgen_anon_3.netfilter.hooknum = hook;
    link.__bindgen_anon_3.netfilter.priority = priority;
    link.__bindgen_anon_3.netfilter.flags = NETFILTER_IP_DEFRAG;
    call(bpf_cmd::BPF_LINK_CREATE, &mut attr).map(owned)
}

fn path_of(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

/// Gives an object a name in the bpf file system, under which it outlives this process.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = path_of(path)?;
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let pin = unsafe { &mut attr.__bindgen_anon_4 };
    pin.pathname = path.as_ptr() as u64;
    pin.bpf_fd = fd_of(object);
    call(bpf_cmd::BPF_OBJ_PIN, &mut attr).map(drop)
}

/// The object of a name.
pub(crate) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = path_of(path)?;
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let get = unsafe { &mut attr.__bindgen_anon_4 };
    get.pathname = path.as_ptr() as u64;
    call(bpf_cmd::BPF_OBJ_GET, &mut attr).map(owned)
}

/// What the kernel says of an object. `T` is the structure of its kind.
fn info<T: Copy>(object: BorrowedFd<'_>) -> io::Result<T> {
    // SAFETY: only called with structures of plain integers; all zeroes is a value of each of them.
    let mut info: T = unsafe { std::mem::zeroed() };
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let asked = unsafe { &mut attr.info };
    asked.bpf_fd = fd_of(object);
    asked.info_len = size_u32(size_of::<T>())?;
    asked.info = &raw mut info as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info)
}

/// What a map is: its kind, the sizes of keys and values, and how many elements it may have.
pub(crate) fn layout(map: BorrowedFd<'_>) -> io::Result<((u32, u32, u32), u32)> {
    let info: bpf_map_info = info(map)?;
    Ok(((info.type_, info.key_size, info.value_size), info.max_entries))
}

/// What a program is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Program {
    pub(crate) id: u32,
    /// Instructions as the kernel keeps them.
    pub(crate) instructions: usize,
    /// In bytes.
    pub(crate) machine_code: usize,
}

/// What a program is.
pub(crate) fn program(program: BorrowedFd<'_>) -> io::Result<Program> {
    let info: bpf_prog_info = info(program)?;
    Ok(Program {
        id: info.id,
        instructions: info.xlated_prog_len as usize / size_of::<bpf_insn>(),
        machine_code: info.jited_prog_len as usize,
    })
}

/// Where a link holds its program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NetfilterLink {
    pub(crate) family: u32,
    pub(crate) hook: u32,
    pub(crate) priority: i32,
}

/// Where a link of a netfilter program holds it.
pub(crate) fn netfilter_link(link: BorrowedFd<'_>) -> io::Result<NetfilterLink> {
    let info: bpf_link_info = info(link)?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_NETFILTER as u32 {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    // SAFETY: a link of this kind fills this member of the union.
    let netfilter = unsafe { info.__bindgen_anon_1.netfilter };
    Ok(NetfilterLink { family: netfilter.pf, hook: netfilter.hooknum, priority: netfilter.priority })
}

/// The map with a number.
pub(crate) fn map_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let get = unsafe { &mut attr.__bindgen_anon_6 };
    get.__bindgen_anon_1.map_id = id;
    call(bpf_cmd::BPF_MAP_GET_FD_BY_ID, &mut attr).map(owned)
}

/// How many elements a hash or a trie has; at most `most`, also when it changes meanwhile.
pub(crate) fn count(map: BorrowedFd<'_>, key_size: u32, most: u32) -> io::Result<usize> {
    let mut key = vec![0_u8; key_size as usize];
    let mut next = key.clone();
    let mut found = 0_usize;
    while found < most as usize {
        let mut attr = attr();
        // SAFETY: this command reads this member of the union.
        let element = unsafe { &mut attr.__bindgen_anon_2 };
        element.map_fd = fd_of(map);
        // Without a key, the first.
        element.key = if found == 0 { 0 } else { key.as_ptr() as u64 };
        element.__bindgen_anon_1.next_key = next.as_mut_ptr() as u64;
        match call(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) {
            Ok(_) => found += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
        std::mem::swap(&mut key, &mut next);
    }
    Ok(found)
}

/// What a run of a program on a packet gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TestRun {
    /// What the program returned: 0 drops, 1 accepts.
    pub(crate) verdict: u32,
    /// Nanoseconds of one run, on average.
    pub(crate) nanoseconds: u32,
}

/// Runs a program on an Ethernet frame, as if it passed a hook.
pub(crate) fn test_run(program: BorrowedFd<'_>, frame: &[u8], state: &[u8], repeat: u32) -> io::Result<TestRun> {
    let mut attr = attr();
    // SAFETY: this command reads this member of the union.
    let test = unsafe { &mut attr.test };
    test.prog_fd = fd_of(program);
    test.data_in = frame.as_ptr() as u64;
    test.data_size_in = size_u32(frame.len())?;
    test.ctx_in = state.as_ptr() as u64;
    test.ctx_size_in = size_u32(state.len())?;
    test.repeat = repeat;
    call(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr)?;
    // SAFETY: the kernel wrote its answer into the same member.
    let test = unsafe { attr.test };
    Ok(TestRun { verdict: test.retval, nanoseconds: test.duration })
}

/// Waits until every packet that a program was judging when this was called has been judged.
pub(crate) fn wait_for_packets() -> io::Result<()> {
    const GLOBAL: i32 = 1;
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
