//! Compiles the kernel's program. It is no part of the repository as a binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where distributions keep `asm/types.h` of this machine.
fn multiarch() -> Option<PathBuf> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").ok()?;
    let path = PathBuf::from(format!("/usr/include/{arch}-linux-gnu"));
    path.is_dir().then_some(path)
}

fn main() -> ExitCode {
    let source = Path::new("bpf/netfilter.bpf.c");
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    let Some(out) = env::var_os("OUT_DIR") else { return fail("cargo has set no OUT_DIR") };
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let mut command = Command::new(&clang);
    command.args(["-target", "bpf", "-O2", "-g", "-Wall", "-Werror"]);
    if let Some(include) = multiarch() {
        command.arg("-I").arg(include);
    }
    command.arg("-c").arg(source).arg("-o").arg(Path::new(&out).join("netfilter.bpf.o"));
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(status) => fail(&format!(
            "clang could not compile {} ({status}); its headers are in the packages libbpf-dev and linux-libc-dev",
            source.display()
        )),
        Err(error) => fail(&format!(
            "`{}` does not run: {error}; the kernel's program is C, and Debian's package is called clang",
            clang.display()
        )),
    }
}

fn fail(why: &str) -> ExitCode {
    println!("cargo::error={why}");
    ExitCode::FAILURE
}
