//! What each crate has to have: the workspace's lints, and a page of documentation on top.

use std::fs;

use anyhow::{Context, Result};

use super::{TextFile, Violation};
use crate::project::{Package, Project};

/// Kinds of targets whose first lines a reader meets.
const DOCUMENTED: &[&str] = &["lib", "bin", "example", "proc-macro", "cdylib"];

pub(super) fn check(project: &Project) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for package in &project.packages {
        let read = |path: &std::path::Path| -> Result<TextFile> {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(TextFile {
                path: project.shown(path),
                text,
            })
        };
        violations.extend(check_lints(&read(&package.dir.join("Cargo.toml"))?));
        for root in roots(package) {
            violations.extend(check_crate_docs(&read(root)?));
        }
    }
    Ok(violations)
}

fn roots(package: &Package) -> impl Iterator<Item = &std::path::Path> {
    let documented = package
        .targets
        .iter()
        .filter(|target| DOCUMENTED.contains(&target.kind.as_str()));
    documented.map(|target| target.source.as_path())
}

fn check_lints(manifest: &TextFile) -> Option<Violation> {
    let lines: Vec<&str> = manifest.text.lines().map(str::trim).collect();
    let lints = lines.iter().position(|line| *line == "[lints]");
    let section = lints.map_or(&[][..], |at| &lines[at + 1..]);
    let mut section = section.iter().take_while(|line| !line.starts_with('['));
    let shared = section.any(|line| line.replace(' ', "") == "workspace=true");
    (!shared).then(|| Violation::new(&manifest.path, "has no `[lints] workspace = true`"))
}

fn check_crate_docs(root: &TextFile) -> Option<Violation> {
    let documented = root
        .text
        .lines()
        .map(str::trim_start)
        .find(|line| !line.is_empty() && !line.starts_with("#!["));
    let documented = documented.is_some_and(|line| line.starts_with("//! ") && line.len() > "//! ".len());
    (!documented).then(|| Violation::new(&root.path, "does not begin with `//!` and what the crate is for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> TextFile {
        TextFile {
            path: "a".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn lints_of_the_workspace_are_required_in_their_own_section() {
        assert_eq!(
            check_lints(&file("[package]\n\n[lints]\nworkspace = true\n")),
            None
        );
        assert!(check_lints(&file("[package]\nname = \"a\"\n")).is_some());
        assert!(check_lints(&file("[lints]\n[dependencies.serde]\nworkspace = true\n")).is_some());
    }

    #[test]
    fn crate_docs_are_required_before_any_item() {
        assert_eq!(
            check_crate_docs(&file("#![no_std]\n//! What it is for.\nmod a;\n")),
            None
        );
        assert!(check_crate_docs(&file("mod a;\n//! Too late.\n")).is_some());
        assert!(check_crate_docs(&file("")).is_some());
    }
}
