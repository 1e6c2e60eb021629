//! Sizes and offsets of structures, out of the BTF of an object: aya-obj keeps them to itself.

use std::collections::BTreeMap;

const KIND_INT: u32 = 1;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_DECL_TAG: u32 = 17;
const KIND_ENUM64: u32 = 19;

/// A structure: its size, and its members with their offsets. In bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) size: usize,
    pub(crate) members: Vec<(String, usize)>,
}

/// All structures with a name; `None` when the bytes are no BTF of this machine's byte order.
pub(crate) fn structs(bytes: &[u8]) -> Option<BTreeMap<String, Layout>> {
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?)) };
    let place = |at: usize| -> Option<usize> { usize::try_from(word(at)?).ok() };
    let (header, types, types_len, strings) = (place(4)?, place(8)?, place(12)?, place(16)?);
    let name = |offset: usize| -> Option<String> {
        let text = bytes.get(header.checked_add(strings)?.checked_add(offset)?..)?;
        let text = text.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let mut found = BTreeMap::new();
    let mut at = header.checked_add(types)?;
    let end = at.checked_add(types_len)?;
    while at < end {
        let info = word(at + 4)?;
        let (kind, count, bits) = ((info >> 24) & 0x1f, (info & 0xffff) as usize, info >> 31 == 1);
        let body = at + 12;
        if kind == KIND_STRUCT {
            let member = |member: usize| {
                let at = body + 12 * member;
                let offset = place(at + 8)?;
                // Of bit fields, only the lower bits are the offset.
                Some((name(place(at)?)?, if bits { offset & 0xff_ffff } else { offset } / 8))
            };
            let members = (0..count).map(member).collect::<Option<Vec<_>>>()?;
            found.insert(name(place(at)?)?, Layout { size: place(at + 8)?, members });
        }
        at = body
            + match kind {
                KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
                KIND_ARRAY => 12,
                KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => 12 * count,
                KIND_ENUM | KIND_FUNC_PROTO => 8 * count,
                _ => 0,
            };
    }
    found.remove("");
    Some(found)
}
