//! What the numbers in a slot's tables mean, as far as another process has to know: `struct legend`. Packets do not look at
//! it.

use std::io;
use std::os::fd::BorrowedFd;

use policy_core::node_program::{NodeProgram, Slot};

use crate::datapath::tables::slot_number;
use crate::datapath::{abi, sys};
use crate::reasons::{Told, fingerprint};

/// The legend of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Legend {
    /// Of the list of reasons; 0 when nothing is known of the slot.
    pub(crate) fingerprint: u64,
    /// How many elements of the tables that both slots share are the slot's, and in use.
    pub(crate) identities: u32,
    pub(crate) rows: u32,
    pub(crate) cells: u32,
    pub(crate) reasons: u32,
}

impl Legend {
    pub(crate) fn of(program: &NodeProgram) -> Self {
        let generation = &program.generation;
        // What does not fit was refused before.
        let word = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            fingerprint: fingerprint(&Told::all(program)),
            identities: word(generation.identities.len()),
            rows: word(generation.rows.len()),
            cells: word(generation.cells.len()),
            reasons: word(generation.reasons.len()),
        }
    }

    pub(crate) fn read(map: BorrowedFd<'_>, slot: Slot) -> io::Result<Self> {
        let mut value = [0_u8; 24];
        sys::lookup(map, &abi::words([slot_number(slot)]), &mut value)?;
        let (long, words) = value.split_at(8);
        let mut words = words.chunks_exact(4).filter_map(|word| Some(u32::from_ne_bytes(word.try_into().ok()?)));
        let mut word = || words.next().unwrap_or_default();
        Ok(Self {
            fingerprint: long.try_into().map(u64::from_ne_bytes).unwrap_or_default(),
            identities: word(),
            rows: word(),
            cells: word(),
            reasons: word(),
        })
    }

    pub(crate) fn write(&self, map: BorrowedFd<'_>, slot: Slot) -> io::Result<()> {
        let mut value = self.fingerprint.to_ne_bytes().to_vec();
        value.extend(abi::words([self.identities, self.rows, self.cells, self.reasons]));
        sys::update(map, &abi::words([slot_number(slot)]), &value)
    }
}
