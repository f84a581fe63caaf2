//! What a pure crate must not contain: neither in the crates it depends on, nor in its own sources.

use anyhow::Result;

use super::edges::{PURE_CRATES, is_pure};
use super::source::{code_without_tests, std_paths};
use super::{TextFile, Violation, is_test_file};
use crate::project::{DependencyKind, Package, Project};

/// Crates that bring a runtime, sockets, files, threads, a clock or entropy.
const IMPURE: &[&str] = &[
    "async-std",
    "axum",
    "chrono",
    "crossbeam-channel",
    "fastrand",
    "fs4",
    "getrandom",
    "h2",
    "hyper",
    "jiff",
    "memmap2",
    "mio",
    "num_cpus",
    "object_store",
    "polling",
    "quinn",
    "rand",
    "rayon",
    "rayon-core",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tonic",
    "tonic-prost",
    "prost",
    "tower",
    "tracing-subscriber",
    "ureq",
    "uuid",
    "web-time",
];
/// Of those, what a pure crate may have below it all the same: `faer` asks how many cores share a cache.
const FINE_BELOW: &[(&str, &str)] = &[
    ("graticule-numerics", "num_cpus"),
    ("graticule-kernel", "num_cpus"),
];
/// Of those, what tests of a pure crate may use.
const FINE_IN_TESTS: &[&str] = &["fastrand", "rand", "tempfile"];

/// Parts of the standard library that read or change the world, or draw entropy.
const IMPURE_STD: &[&str] = &[
    "std::env",
    "std::fs",
    "std::hash::RandomState",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];
/// Maps whose default hasher draws entropy, so that their order differs from run to run; in a file that names a
/// hasher of its own they are fine.
const HASHED_STD: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::*",
];
const OWN_HASHER: &str = "BuildHasher";

/// What the binary of a pure crate may use all the same: it is the shell that feeds the pure part.
const FINE_IN_BINARIES: &[&str] = &["std::env", "std::fs", "std::process", "std::thread", "std::time"];

/// Asks Cargo for everything below each pure crate, with that crate's own features.
pub(super) fn check_dependencies(project: &Project) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for package in project.packages.iter().filter(|package| is_pure(&package.name)) {
        let words = "tree --edges normal,no-proc-macro --prefix none --no-dedupe --format {p} --package";
        let tree = project.cargo(words).arg(&package.name).run_ok_stdout()?;
        let below = tree.lines().filter_map(|line| line.split_whitespace().next());
        violations.extend(check_tree(&package.name, below));
        violations.extend(check_dev(package));
    }
    Ok(violations)
}

fn check_tree<'a>(name: &str, below: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let is_impure =
        |dependency: &&str| IMPURE.contains(dependency) && !FINE_BELOW.contains(&(name, dependency));
    let mut found: Vec<&str> = below.filter(is_impure).collect();
    found.sort_unstable();
    found.dedup();
    let message = |dependency: &str| {
        format!("is pure, but has `{dependency}` below it: see `cargo tree -p {name} -i {dependency}`")
    };
    found
        .into_iter()
        .map(|dependency| Violation::new(name, message(dependency)))
        .collect()
}

fn check_dev(package: &Package) -> Vec<Violation> {
    let tested_with = package
        .dependencies
        .iter()
        .filter(|to| to.kind == DependencyKind::Dev);
    tested_with
        .map(|to| to.name.as_str())
        .filter(|name| IMPURE.contains(name) && !FINE_IN_TESTS.contains(name))
        .map(|name| Violation::new(&package.name, format!("is pure, but its tests use `{name}`")))
        .collect()
}

/// Reads the sources of the pure crates, tests left out.
pub(super) fn check_sources(files: &[TextFile]) -> Vec<Violation> {
    let folders: Vec<String> = PURE_CRATES
        .iter()
        .filter_map(|name| name.strip_prefix("graticule-"))
        .map(|name| format!("{name}/src/"))
        .collect();
    let pure = |file: &&TextFile| {
        let path = &file.path;
        path.ends_with(".rs") && folders.iter().any(|folder| path.starts_with(folder)) && !is_test_file(path)
    };
    files.iter().filter(pure).flat_map(check_source).collect()
}

fn check_source(file: &TextFile) -> Vec<Violation> {
    let in_binary = file.path.contains("/src/bin/") || file.path.ends_with("/src/main.rs");
    let code = code_without_tests(&file.text);
    let own_hasher = code.contains(OWN_HASHER);
    let mut violations = Vec::new();
    for (line, path) in std_paths(&code) {
        let excused = in_binary && FINE_IN_BINARIES.iter().any(|fine| within(&path, fine));
        let hashed = !own_hasher && HASHED_STD.iter().any(|map| within(&path, map));
        let reason = match (is_impure(&path) && !excused, hashed) {
            (true, _) => "reads or changes the world outside",
            (false, true) => "draws entropy: use an ordered map, or a fixed hasher",
            (false, false) => continue,
        };
        let message = format!("a pure crate may not use `{path}`, which {reason}");
        violations.push(Violation::new(format!("{}:{line}", file.path), message));
    }
    violations
}

/// True for an impure item, for anything inside an impure module, and for the whole of `std::time`: under
/// `use std::time;` an `Instant` could no longer be seen.
fn is_impure(path: &str) -> bool {
    let whole_time = matches!(path, "std::time" | "std::time::*");
    whole_time || IMPURE_STD.iter().any(|impure| within(path, impure))
}

fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Dependency;

    fn found(path: &str, text: &str) -> Vec<String> {
        let file = TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check_sources(&[file])
            .into_iter()
            .map(|violation| format!("{} {}", violation.place, violation.message))
            .collect()
    }

    #[test]
    fn a_runtime_anywhere_below_a_pure_crate_is_found_once() {
        let below = ["graticule-engine", "bytes", "tokio", "mio", "tokio"];
        let found = check_tree("graticule-engine", below.into_iter());
        assert_eq!(found.len(), 2);
        assert!(
            found
                .iter()
                .any(|violation| violation.message.contains("`tokio`"))
        );
        assert_eq!(
            check_tree("graticule-engine", ["bytes", "thiserror"].into_iter()),
            []
        );
    }

    #[test]
    fn tests_of_a_pure_crate_may_draw_random_numbers_and_may_not_start_a_runtime() {
        let dev = |name: &str| Dependency {
            name: name.to_owned(),
            kind: DependencyKind::Dev,
            optional: false,
        };
        let package = |name: &str| Package {
            dependencies: vec![dev(name)],
            ..Package::default()
        };
        assert_eq!(check_dev(&package("rand")), []);
        assert_eq!(check_dev(&package("tokio")).len(), 1);
    }

    #[test]
    fn a_clock_a_file_a_thread_and_a_socket_are_found_with_their_lines() {
        let text = "use std::time::Duration;\nuse std::time::Instant;\nfn f() {\n    std::fs::read(\"a\");\n    \
                    std::thread::spawn(f);\n}\nuse std::{net::{TcpStream, UdpSocket}, fmt};\n";
        let found = found("engine/src/a.rs", text);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found[0].starts_with("engine/src/a.rs:2 ") && found[0].contains("std::time::Instant"));
        assert!(found[1].starts_with("engine/src/a.rs:4 "));
        assert!(
            found
                .iter()
                .any(|message| message.contains("std::net::UdpSocket"))
        );
    }

    #[test]
    fn a_whole_module_or_a_randomly_ordered_map_is_found() {
        for text in [
            "use std::time;",
            "use std::time::*;",
            "use std::time::{self, Duration};",
            "use std::collections::*;",
            "use std::collections::{BTreeMap, HashMap as Map};",
        ] {
            assert_eq!(found("plan/src/a.rs", text).len(), 1, "{text}");
        }
        assert!(
            found(
                "plan/src/a.rs",
                "use std::{time::Duration, collections::BTreeMap};"
            )
            .is_empty()
        );
    }

    #[test]
    fn words_in_comments_texts_and_tests_are_no_use() {
        let text = "//! Not std::fs.\nconst A: &str = \"std::net\"; /* std::thread */\n#[cfg(test)]\nmod tests {\n    \
                    use std::fs;\n}\n";
        assert!(found("ops/src/a.rs", text).is_empty());
        assert!(found("ops/src/a/tests.rs", "use std::fs;").is_empty());
        assert_eq!(
            found(
                "ops/src/a.rs",
                "#[cfg(test)]\nmod tests { use std::fs; }\nuse std::env;"
            )
            .len(),
            1
        );
    }

    #[test]
    fn a_binary_may_read_the_clock_and_shells_may_do_as_they_like() {
        assert!(found("sim/src/bin/simulate.rs", "use std::time::Instant;").is_empty());
        assert_eq!(
            found("sim/src/bin/simulate.rs", "use std::net::TcpStream;").len(),
            1
        );
        assert_eq!(found("sim/src/world.rs", "use std::time::Instant;").len(), 1);
        assert!(found("worker/src/lib.rs", "use std::fs;").is_empty());
    }
}
