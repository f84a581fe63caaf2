//! Documentation that must not rot: relative links, and the list of crates in ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{TextFile, Violation};
use crate::project::{Package, Project};

/// Every relative link of a Markdown file leads to a file or folder of the project.
pub(super) fn check_links(project: &Project, files: &[TextFile], paths: &[PathBuf]) -> Vec<Violation> {
    let mut known = BTreeSet::new();
    for path in paths {
        let shown = project.shown(path);
        known.extend(
            Path::new(&shown)
                .ancestors()
                .map(|part| part.to_string_lossy().into_owned()),
        );
    }
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    pages.flat_map(|page| broken_links(page, &known)).collect()
}

/// Each crate that a user or contributor meets has its place in ARCHITECTURE.md, if the project has that page.
pub(super) fn check_architecture(packages: &[Package], files: &[TextFile]) -> Vec<Violation> {
    let Some(page) = files.iter().find(|file| file.path == "ARCHITECTURE.md") else {
        return Vec::new();
    };
    let mut violations = Vec::new();
    for package in packages {
        let Some(folder) = package.name.strip_prefix("graticule-") else {
            continue;
        };
        let named = [format!("{folder}/"), format!("`{folder}`"), package.name.clone()];
        if !named.iter().any(|name| page.text.contains(name)) {
            violations.push(Violation::new(
                &page.path,
                format!("does not say what `{folder}/` is for"),
            ));
        }
    }
    violations
}

fn broken_links(page: &TextFile, known: &BTreeSet<String>) -> Vec<Violation> {
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let mut violations = Vec::new();
    for (line, target) in links(&page.text) {
        let path = target.split(['#', '?']).next().unwrap_or("");
        let elsewhere = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
        if elsewhere {
            continue;
        }
        let resolved = match path.strip_prefix('/') {
            Some(from_root) => normal(Path::new(from_root)),
            None => normal(&folder.join(path)),
        };
        if !known.contains(&resolved) {
            violations.push(Violation::new(
                format!("{}:{line}", page.path),
                format!("links to `{target}`, which is not there"),
            ));
        }
    }
    violations
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target`, outside of code.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        let inline = line.match_indices("](").filter(|(at, _)| !in_code(line, *at));
        let inline = inline.filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next());
        found.extend(inline.map(|target| (index + 1, target)));
        let named = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        found.extend(named.map(|(_, target)| (index + 1, target.trim())));
    }
    found
}

fn in_code(line: &str, at: usize) -> bool {
    line[..at].matches('`').count() % 2 == 1
}

/// `a/./b/../c` as `a/c`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            Component::ParentDir if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> Project {
        Project {
            root: "/p".into(),
            target_dir: "/p/target".into(),
            packages: Vec::new(),
        }
    }

    fn broken(path: &str, text: &str) -> Vec<String> {
        let page = TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let paths = ["/p/README.md", "/p/docs/cache.md", "/p/plan/src/lib.rs"].map(PathBuf::from);
        check_links(&project(), &[page], &paths)
            .into_iter()
            .map(|one| one.message)
            .collect()
    }

    #[test]
    fn links_to_files_folders_and_anchors_resolve() {
        let text = "[a](docs/cache.md#top) ![b](./plan/src) [c](https://example.org/x) [d](#here) [e](docs/)\n[f]: README.md\n";
        assert_eq!(broken("README.md", text), [""; 0]);
        assert_eq!(broken("docs/cache.md", "[up](../README.md) [root](..)"), [""; 0]);
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        assert_eq!(broken("docs/cache.md", "[a](README.md)").len(), 1);
        assert_eq!(
            broken("README.md", "[a](docs/cash.md \"title\")\n\n[b]: nowhere.md").len(),
            2
        );
        assert_eq!(broken("README.md", "[a](../../outside.md)").len(), 1);
    }

    #[test]
    fn code_has_no_links() {
        assert_eq!(
            broken("README.md", "```rust\na[0](x)\n```\nand `a[0](x)` too"),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_missing_in_the_architecture_is_found() {
        let package = |name: &str| Package {
            name: name.to_owned(),
            ..Package::default()
        };
        let packages = [
            package("graticule-plan"),
            package("graticule-ops"),
            package("xtask"),
        ];
        let page = TextFile {
            path: "ARCHITECTURE.md".to_owned(),
            text: "plan/  the vocabulary".to_owned(),
        };
        let found = check_architecture(&packages, &[page]);
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("ops"));
        assert_eq!(check_architecture(&packages, &[]), []);
    }
}
