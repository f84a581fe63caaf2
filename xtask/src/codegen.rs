//! What is generated and committed, so that a user needs neither protoc nor Node.js: `proto/src/gen` from the
//! `.proto` files, `dashboard/web/dist` from the page's sources.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Task;
use crate::project::Project;
use crate::web;

const PROTO_SOURCES: &str = "proto/proto";
const PROTO_OUTPUT: &str = "proto/src/gen";
const PAGE_OUTPUT: &str = "dashboard/web/dist";
/// What a build of the page does not read.
const PAGE_NOT_COPIED: &[&str] = &["node_modules", "dist"];

/// One folder of generated files.
struct Generated {
    /// Where it is committed, from the root.
    output: &'static str,
    /// Where it was made just now.
    fresh: PathBuf,
}

/// What a check compared, and what it found different.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) file_count: usize,
    pub(crate) differences: Vec<String>,
}

/// `cargo xtask codegen`: writes everything generated anew.
pub(crate) fn write(project: &Project) -> Result<()> {
    for Generated { output, fresh } in generate(project)? {
        replace(&fresh, &project.root.join(output)).with_context(|| format!("cannot write {output}"))?;
    }
    Ok(())
}

/// `cargo xtask codegen --check`: prints what differs from its sources.
pub(crate) fn check_command(project: &Project) -> Result<bool> {
    let comparison = check(project)?;
    for difference in &comparison.differences {
        println!("{difference}");
    }
    println!(
        "{} generated files compared, {} differ",
        comparison.file_count,
        comparison.differences.len()
    );
    Ok(comparison.differences.is_empty())
}

/// Compares what is committed with what its sources give now.
pub(crate) fn check(project: &Project) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    for Generated { output, fresh } in generate(project)? {
        compare(output, &project.root.join(output), &fresh, &mut comparison)?;
    }
    Ok(comparison)
}

/// Generates everything that has sources, aside: the checkout is left alone.
fn generate(project: &Project) -> Result<Vec<Generated>> {
    let mut generated = Vec::new();
    if has_protos(project)? {
        let fresh = scratch_dir(project, "proto")?;
        generate_proto(project, &fresh)?;
        generated.push(Generated {
            output: PROTO_OUTPUT,
            fresh,
        });
    }
    if let Some(page) = web::dir(project) {
        web::ensure_packages(&page)?;
        let scratch = scratch_dir(project, "page")?;
        copy_page(&page, &scratch)?;
        web::build(&scratch)?;
        generated.push(Generated {
            output: PAGE_OUTPUT,
            fresh: scratch.join("dist"),
        });
    }
    Ok(generated)
}

fn has_protos(project: &Project) -> Result<bool> {
    let files = project.files_below(PROTO_SOURCES)?;
    Ok(files
        .iter()
        .any(|file| file.extension().is_some_and(|extension| extension == "proto")))
}

/// Compiles the `.proto` files and formats the result, so that `cargo fmt` leaves it alone.
fn generate_proto(project: &Project, out_dir: &Path) -> Result<()> {
    project
        .cargo("run --quiet --profile codegen --package xtask-codegen --")
        .arg(project.root.join(PROTO_SOURCES))
        .arg(out_dir)
        .run_ok()
        .context("generating code from the .proto files failed")?;
    for file in tree(out_dir)?.into_keys() {
        Task::new("rustfmt")
            .words("--edition 2024 --config-path")
            .arg(&project.root)
            .arg(out_dir.join(file))
            .dir(&project.root)
            .quiet()
            .run_ok()?;
    }
    Ok(())
}

/// An empty folder below the target directory.
fn scratch_dir(project: &Project, name: &str) -> Result<PathBuf> {
    let dir = project.target_dir.join("codegen-scratch").join(name);
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Copies the page's sources, so that a build cannot touch the checkout; the packages are linked.
fn copy_page(page: &Path, scratch: &Path) -> Result<()> {
    for entry in fs::read_dir(page)? {
        let entry = entry?;
        if PAGE_NOT_COPIED.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        copy(&entry.path(), &scratch.join(entry.file_name()))?;
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(page.join("node_modules"), scratch.join("node_modules"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Puts the files of `fresh` in place of all that is in `old`, and leaves alone what is equal already.
fn replace(fresh: &Path, old: &Path) -> Result<()> {
    fs::create_dir_all(old)?;
    let (wanted, present) = (tree(fresh)?, tree(old)?);
    if wanted.is_empty() {
        bail!("nothing was generated");
    }
    for path in present.keys().filter(|path| !wanted.contains_key(*path)) {
        fs::remove_file(old.join(path))?;
    }
    for (path, bytes) in &wanted {
        if present.get(path) != Some(bytes) {
            let file = old.join(path);
            fs::create_dir_all(file.parent().context("a file stands in a folder")?)?;
            fs::write(file, bytes)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

/// Adds to `comparison` how the folder `committed`, called `name`, differs from the fresh one.
fn compare(name: &str, committed: &Path, fresh: &Path, comparison: &mut Comparison) -> Result<()> {
    let (present, wanted) = (tree(committed)?, tree(fresh)?);
    if wanted.is_empty() {
        bail!("nothing was generated for {name}");
    }
    let mut report = |path: &Path, what: &str| {
        comparison.differences.push(format!(
            "{name}/{} {what}: run `cargo xtask codegen`",
            path.display()
        ));
    };
    for (path, bytes) in &wanted {
        match present.get(path) {
            None => report(path, "is missing"),
            Some(found) if found != bytes => report(path, "differs from its sources"),
            Some(_) => {}
        }
    }
    for path in present.keys().filter(|path| !wanted.contains_key(*path)) {
        report(path, "is not generated any more");
    }
    comparison.file_count += wanted.len();
    Ok(())
}

/// The contents of all files below `dir`, by their paths from it; empty if there is no such folder.
fn tree(dir: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(folder) = open.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else {
                let key = path
                    .strip_prefix(dir)
                    .context("a walk stays below its start")?
                    .to_path_buf();
                found.insert(key, fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("graticule-xtask-{}-{name}", std::process::id()));
        let _may_be_absent = fs::remove_dir_all(&dir);
        for (path, text) in files {
            let file = dir.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        dir
    }

    #[test]
    fn changed_missing_and_surplus_files_are_told_apart() {
        let committed = folder(
            "committed",
            &[("same", "1"), ("changed", "1"), ("old/surplus", "1")],
        );
        let fresh = folder("fresh", &[("same", "1"), ("changed", "2"), ("missing", "1")]);
        let mut comparison = Comparison::default();
        compare("gen", &committed, &fresh, &mut comparison).unwrap();
        assert_eq!(comparison.file_count, 3);
        let all = comparison.differences.join("\n");
        assert_eq!(comparison.differences.len(), 3, "{all}");
        assert!(all.contains("gen/changed differs"));
        assert!(all.contains("gen/missing is missing"));
        assert!(all.contains("gen/old/surplus is not generated"));
    }

    #[test]
    fn nothing_generated_is_an_error_and_not_equality() {
        let empty = folder("empty", &[]);
        assert!(compare("gen", &empty, &empty, &mut Comparison::default()).is_err());
        let old = folder("kept", &[("a", "1")]);
        assert!(replace(&empty, &old).is_err());
        assert_eq!(tree(&old).unwrap().len(), 1);
    }

    #[test]
    fn after_replacing_both_folders_are_equal() {
        let old = folder("replace-old", &[("a", "1"), ("gone/b", "1")]);
        let fresh = folder("replace-fresh", &[("a", "2"), ("new/c", "3")]);
        replace(&fresh, &old).unwrap();
        assert_eq!(tree(&old).unwrap(), tree(&fresh).unwrap());
    }
}
