//! `cargo xtask tidy`: the rules of the house that no compiler checks.
//!
//! Each rule is a function from what it reads to [`Violation`]s, so that its tests can hand it a made-up workspace.

mod edges;
mod files;
mod manifests;
mod markdown;
mod purity;
mod sizes;
mod source;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::project::Project;

pub(crate) use edges::PURE_CRATES;

/// One broken rule: where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) place: String,
    pub(crate) message: String,
}

/// What all rules found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rule_count: usize,
    pub(crate) violations: Vec<Violation>,
    /// Worth a look, but no failure.
    pub(crate) notes: Vec<String>,
}

/// A text file of the project.
#[derive(Debug, Clone)]
struct TextFile {
    /// From the root of the checkout, with forward slashes.
    path: String,
    text: String,
}

/// `cargo xtask tidy`: prints what is broken; true if nothing is.
pub(crate) fn command(project: &Project) -> Result<bool> {
    let report = check(project)?;
    report.print();
    println!(
        "{} rules, {} violations",
        report.rule_count,
        report.violations.len()
    );
    Ok(report.violations.is_empty())
}

/// Checks every rule.
pub(crate) fn check(project: &Project) -> Result<Report> {
    let paths = project.files_below("")?;
    let files = read_texts(project, &paths)?;
    let mut report = Report::default();
    report.add(edges::check(&project.packages));
    report.add(edges::check_prost(&project.packages));
    report.add(purity::check_dependencies(project)?);
    report.add(purity::check_sources(&files));
    report.add(manifests::check(project)?);
    report.add(files::check_conflict_markers(&files));
    report.add(files::check_machine_paths(&files, &project.root));
    report.add(files::check_registries(&files));
    report.add(files::check_sizes_on_disk(project, &paths)?);
    let known: Vec<PathBuf> = paths.clone();
    report.add(markdown::check_links(project, &files, &known));
    report.add(markdown::check_architecture(&project.packages, &files));
    let (violations, notes) = sizes::check(&files);
    report.add(violations);
    report.notes = notes;
    Ok(report)
}

impl Report {
    fn add(&mut self, violations: Vec<Violation>) {
        self.rule_count += 1;
        self.violations.extend(violations);
    }

    pub(crate) fn print(&self) {
        for note in &self.notes {
            println!("note: {note}");
        }
        for violation in &self.violations {
            println!("{}: {}", violation.place, violation.message);
        }
    }
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

/// The files that are text. Samples, pictures and fonts are not.
fn read_texts(project: &Project, paths: &[PathBuf]) -> Result<Vec<TextFile>> {
    let mut texts = Vec::new();
    for path in paths {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if bytes.contains(&0) {
            continue;
        }
        if let Ok(text) = String::from_utf8(bytes) {
            texts.push(TextFile {
                path: project.shown(path),
                text,
            });
        }
    }
    Ok(texts)
}

/// True for files that a program writes: they follow the rules of their generator.
fn is_generated(path: &str) -> bool {
    path.starts_with("proto/src/gen/")
        || path.starts_with("dashboard/web/dist/")
        || path.ends_with("Cargo.lock")
        || path.ends_with("package-lock.json")
        || path.ends_with(".snap")
}

/// True for files that hold nothing but tests.
fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let in_test_dir = path
        .split('/')
        .rev()
        .skip(1)
        .any(|folder| matches!(folder, "tests" | "test" | "benches"));
    let named = name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name.starts_with("test_")
        || name.contains(".test.")
        || name.contains(".spec.");
    // This package's own folder `test` is the command of that name.
    named || (in_test_dir && !path.starts_with("xtask/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_files_are_told_by_name_or_folder() {
        for path in [
            "plan/src/map/tests.rs",
            "tests/src/cluster.rs",
            "engine/tests/a.rs",
            "dashboard/web/src/a.test.ts",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in ["plan/src/map.rs", "xtask/src/test/steps.rs", "data/src/latest.rs"] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
