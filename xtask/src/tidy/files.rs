//! What no file of the project may contain, and how big files may be.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{TextFile, Violation, is_generated};
use crate::project::Project;

const FILE_SIZE_MAX: u64 = 2 * 1024 * 1024;
const SAMPLES: &str = "examples/data/";
const SAMPLES_SIZE_MAX: u64 = 15 * 1024 * 1024;

/// Tops of folders that exist on one person's machine only.
const MACHINE_DIRS: &[&str] = &["home", "root", "Users", "work"];

/// The registries that lock files may name; a mirror of somebody's would break everyone else's build.
const CARGO_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const NPM_REGISTRY: &str = "https://registry.npmjs.org/";

/// Lines that Git leaves behind in an unfinished merge.
pub(super) fn check_conflict_markers(files: &[TextFile]) -> Vec<Violation> {
    let markers = ["<", ">", "|"].map(|symbol| format!("{} ", symbol.repeat(7)));
    let is_marker = |line: &str| markers.iter().any(|marker| line.starts_with(marker));
    lines_with(files, |line| {
        is_marker(line).then(|| "a merge was not finished here".to_owned())
    })
}

/// Absolute paths into somebody's own folders, and the path of this very checkout.
pub(super) fn check_machine_paths(files: &[TextFile], root: &Path) -> Vec<Violation> {
    let root = root.to_string_lossy();
    lines_with(files, |line| {
        let found = machine_path(line).or_else(|| line.contains(&*root).then(|| root.to_string()))?;
        Some(format!("`{found}` exists on one machine only"))
    })
}

/// Lock files that name other registries than the public ones.
pub(super) fn check_registries(files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files {
        let name = file.path.rsplit('/').next().unwrap_or(&file.path);
        let (field, registry) = match name {
            "Cargo.lock" => ("source = \"", CARGO_REGISTRY),
            "package-lock.json" => ("\"resolved\": \"", NPM_REGISTRY),
            _ => continue,
        };
        for (index, line) in file.text.lines().enumerate() {
            let source = line.trim_start().strip_prefix(field);
            if let Some(source) = source.filter(|source| !source.starts_with(registry)) {
                let message = format!(
                    "comes from {}, not from {registry}",
                    source.trim_end_matches(['"', ','])
                );
                violations.push(Violation::new(format!("{}:{}", file.path, index + 1), message));
            }
        }
    }
    violations
}

/// Files above the limit, and samples above theirs in sum.
pub(super) fn check_sizes_on_disk(project: &Project, paths: &[PathBuf]) -> Result<Vec<Violation>> {
    let mut sizes = Vec::new();
    for path in paths {
        sizes.push((project.shown(path), fs::metadata(path)?.len()));
    }
    Ok(check_sizes(&sizes))
}

fn check_sizes(sizes: &[(String, u64)]) -> Vec<Violation> {
    let too_big = sizes.iter().filter(|(_, size)| *size > FILE_SIZE_MAX);
    let mut violations: Vec<Violation> = too_big
        .map(|(path, size)| {
            Violation::new(path, format!("{size} bytes, at most {FILE_SIZE_MAX} are allowed"))
        })
        .collect();
    let samples: u64 = sizes
        .iter()
        .filter(|(path, _)| path.starts_with(SAMPLES))
        .map(|(_, size)| size)
        .sum();
    if samples > SAMPLES_SIZE_MAX {
        let message = format!("{samples} bytes in sum, at most {SAMPLES_SIZE_MAX} are allowed");
        violations.push(Violation::new(SAMPLES, message));
    }
    violations
}

fn lines_with(files: &[TextFile], problem: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| !is_generated(&file.path)) {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(message) = problem(line) {
                violations.push(Violation::new(format!("{}:{}", file.path, index + 1), message));
            }
        }
    }
    violations
}

/// The first absolute path in `line` that begins with one of [`MACHINE_DIRS`] and goes on below it.
fn machine_path(line: &str) -> Option<String> {
    for (at, _) in line.match_indices('/') {
        // Inside a longer path or an address it is a folder's name like any other.
        let starts = line[..at]
            .chars()
            .next_back()
            .is_none_or(|before| " \t\"'`(=:[<,".contains(before));
        let rest = &line[at + 1..];
        let Some((top, below)) = rest.split_once('/') else {
            continue;
        };
        let goes_on = below.starts_with(|symbol: char| symbol.is_alphanumeric() || symbol == '.');
        if starts && goes_on && MACHINE_DIRS.contains(&top) {
            let end = rest
                .find([' ', '"', '\'', '`', ')', ',', ';'])
                .unwrap_or(rest.len());
            return Some(format!("/{}", &rest[..end]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn conflict_markers_are_found_at_the_start_of_a_line_only() {
        let marker = "<".repeat(7);
        let found = check_conflict_markers(&[
            file("a.rs", &format!("fine\n{marker} HEAD\n")),
            file("b.md", "=======\n"),
        ]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "a.rs:2");
        assert_eq!(
            check_conflict_markers(&[file("a.rs", &format!("let a = \"{marker} b\";"))]),
            []
        );
    }

    #[test]
    fn paths_of_one_machine_are_found_and_addresses_are_not() {
        let home = ["", "home", "ann", "data"].join("/");
        let found = check_machine_paths(
            &[file("a.md", &format!("see `{home}` there"))],
            Path::new("/nowhere/at/all"),
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains(&home));
        let fine = "https://example.org/home/ann a/home/b std/root/x `/home/`";
        assert_eq!(
            check_machine_paths(&[file("a.md", fine)], Path::new("/nowhere/at/all")),
            []
        );
    }

    #[test]
    fn the_path_of_the_checkout_is_found_wherever_it_lies() {
        let found = check_machine_paths(
            &[file("a.md", "in /srv/build/it/src")],
            Path::new("/srv/build/it"),
        );
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn lock_files_name_the_public_registries_only() {
        let cargo =
            format!("source = \"{CARGO_REGISTRY}\"\nsource = \"registry+https://mirror.example/index\"\n");
        let npm = format!(
            "  \"resolved\": \"{NPM_REGISTRY}a/-/a.tgz\",\n  \"resolved\": \"http://mirror.example/a.tgz\",\n"
        );
        let found = check_registries(&[file("Cargo.lock", &cargo), file("web/package-lock.json", &npm)]);
        assert_eq!(
            found.iter().map(|one| one.place.as_str()).collect::<Vec<_>>(),
            ["Cargo.lock:2", "web/package-lock.json:2"]
        );
    }

    #[test]
    fn big_files_and_too_many_samples_are_found() {
        let sample = |index: u32| (format!("{SAMPLES}{index}.tif"), FILE_SIZE_MAX);
        let fits: Vec<_> = (0..7).map(sample).collect();
        assert_eq!(check_sizes(&fits), []);
        let too_many: Vec<_> = (0..8).map(sample).collect();
        assert_eq!(check_sizes(&too_many).len(), 1);
        assert_eq!(check_sizes(&[("a.png".to_owned(), FILE_SIZE_MAX + 1)]).len(), 1);
    }
}
