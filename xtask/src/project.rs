//! The checkout: where things lie, which packages it has, and which files belong to it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::Task;

/// Folders that hold nothing of the project's own, wherever they stand. The same as in `.gitignore`, and Git's own.
const FOREIGN_DIRS: &[&str] = &[
    ".git",
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    ".pytest_cache",
    ".vite",
    "out",
];

/// The checkout and what `cargo metadata` says about it.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) target_dir: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    /// The root files of its libraries, binaries and examples.
    pub(crate) targets: Vec<Target>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) source: PathBuf,
}

#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
    pub(crate) optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Build,
    Dev,
}

impl Project {
    /// Asks Cargo about the workspace that it runs this program from: of checkouts that share a folder for what is built, one
    /// may run what another has built.
    pub(crate) fn open() -> Result<Self> {
        let folder =
            std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&folder)
            .parent()
            .context("xtask stands in a folder of the workspace")?
            .to_path_buf();
        let metadata = Task::cargo()
            .words("metadata --format-version 1 --no-deps")
            .dir(&root)
            .run_ok_stdout()?;
        Self::from_metadata(root, &metadata)
    }

    /// Reads the output of `cargo metadata --no-deps`.
    pub(crate) fn from_metadata(root: PathBuf, metadata: &str) -> Result<Self> {
        let metadata: Value = serde_json::from_str(metadata).context("cargo metadata is not JSON")?;
        let target_dir = text(&metadata, "target_directory")?.into();
        let packages = list(&metadata, "packages")?
            .iter()
            .map(Package::from_json)
            .collect::<Result<_>>()?;
        Ok(Self {
            root,
            target_dir,
            packages,
        })
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// A task of Cargo's in the root of the checkout.
    pub(crate) fn cargo(&self, words: &str) -> Task {
        Task::cargo().words(words).dir(&self.root)
    }

    /// All files of the project below `dir`, sorted.
    pub(crate) fn files_below(&self, dir: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let start = self.root.join(dir);
        if start.is_dir() {
            walk(&start, &mut found)?;
        }
        found.sort();
        Ok(found)
    }

    /// `path` as people write it: from the root, with forward slashes.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    }
}

impl Package {
    fn from_json(value: &Value) -> Result<Self> {
        let manifest = PathBuf::from(text(value, "manifest_path")?);
        Ok(Self {
            name: text(value, "name")?,
            dir: manifest
                .parent()
                .context("a manifest stands in a folder")?
                .to_path_buf(),
            targets: list(value, "targets")?
                .iter()
                .map(Target::from_json)
                .collect::<Result<_>>()?,
            dependencies: list(value, "dependencies")?
                .iter()
                .map(Dependency::from_json)
                .collect::<Result<_>>()?,
        })
    }

    /// True if it has a target of this kind (`bin`, `example`, ...) and name.
    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind == kind && target.name == name)
    }
}

impl Target {
    fn from_json(value: &Value) -> Result<Self> {
        let kind = list(value, "kind")?
            .first()
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned();
        Ok(Self {
            name: text(value, "name")?,
            kind,
            source: text(value, "src_path")?.into(),
        })
    }
}

impl Dependency {
    fn from_json(value: &Value) -> Result<Self> {
        let kind = match value.get("kind").and_then(Value::as_str) {
            Some("dev") => DependencyKind::Dev,
            Some("build") => DependencyKind::Build,
            _ => DependencyKind::Normal,
        };
        let optional = value.get("optional").and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            name: text(value, "name")?,
            kind,
            optional,
        })
    }
}

fn text(value: &Value, field: &str) -> Result<String> {
    let found = value.get(field).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("cargo metadata has no text `{field}`"))?
        .to_owned())
}

fn list<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    value
        .get(field)
        .and_then(Value::as_array)
        .with_context(|| format!("cargo metadata has no list `{field}`"))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let foreign = FOREIGN_DIRS.iter().any(|name| entry.file_name() == *name);
            if !foreign {
                walk(&entry.path(), found)?;
            }
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_kinds_of_dependencies_are_read_from_metadata() {
        let metadata = r#"{"target_directory": "/there/target", "packages": [{
            "name": "graticule-plan", "manifest_path": "/there/plan/Cargo.toml",
            "targets": [{"name": "graticule_plan", "kind": ["lib"], "src_path": "/there/plan/src/lib.rs"}],
            "dependencies": [
                {"name": "serde", "kind": null, "optional": true},
                {"name": "proptest", "kind": "dev", "optional": false}
            ]}]}"#;
        let project = Project::from_metadata("/there".into(), metadata).unwrap();
        let package = project.package("graticule-plan").unwrap();
        assert_eq!(project.shown(&package.dir), "plan");
        assert_eq!(package.dependencies[0].kind, DependencyKind::Normal);
        assert!(package.dependencies[0].optional);
        assert_eq!(package.dependencies[1].kind, DependencyKind::Dev);
        assert!(package.has_target("lib", "graticule_plan"));
        assert!(!package.has_target("bin", "graticule_plan"));
    }

    #[test]
    fn metadata_without_packages_is_an_error_that_names_the_field() {
        let error = Project::from_metadata("/there".into(), r#"{"target_directory": "t"}"#)
            .err()
            .unwrap();
        assert!(error.to_string().contains("packages"));
    }
}
