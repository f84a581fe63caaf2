//! Compiles `.proto` files to Rust: messages by prost, services by tonic, parsing by protox, so that nobody
//! needs `protoc`.
//!
//! `cargo xtask codegen` runs it; it knows nothing of the workspace beyond its two arguments:
//!
//! ```text
//! xtask-codegen proto/proto proto/src/gen
//! ```
//!
//! The first is the include root, searched for `.proto` files; the second receives one `.rs` file per protobuf
//! package and must exist.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [include_root, out_dir] = arguments.as_slice() else {
        bail!("usage: xtask-codegen INCLUDE_ROOT OUT_DIR");
    };
    let mut sources = Vec::new();
    collect_protos(include_root, &mut sources)?;
    if sources.is_empty() {
        bail!("{} holds no .proto file", include_root.display());
    }
    sources.sort();
    compile(include_root, &sources, out_dir)
}

/// Compiles all sources in one go, so that messages of one file may be used by another.
fn compile(include_root: &Path, sources: &[PathBuf], out_dir: &Path) -> Result<()> {
    let descriptors = protox::compile(sources, [include_root]).context("the .proto files do not compile")?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .build_transport(true)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(out_dir)
        .compile_fds(descriptors)
        .context("could not generate Rust code")
}

fn collect_protos(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}
