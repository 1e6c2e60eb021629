//! The program in the kernel.

use enforcer::datapath::{Capacity, Datapath};

/// More instructions than the verifier walked through when this was written, and a fifth: growth wants a note in
/// CHANGELOG.md.
const VERIFIED: u64 = 62_700;
/// The same of the program's own instructions.
const SIZE: usize = 2_075;

#[test]
#[ignore = "loads a program into the kernel: needs root; ./test runs it"]
fn the_kernel_takes_the_program_and_it_is_no_larger_than_it_was() {
    let datapath = match Datapath::load(Capacity::default()) {
        Ok(datapath) => datapath,
        Err(error) => panic!("{error}"),
    };
    let (size, verified) = datapath.size();
    println!("{size} instructions, {verified:?} verified");
    assert!(size <= SIZE, "{size}");
    assert!(verified.is_some_and(|verified| verified <= VERIFIED), "{verified:?}");
}
