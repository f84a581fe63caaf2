//! Which crate of the workspace may see which.

use super::Violation;
use crate::project::{DependencyKind, Package};

/// Crates without a runtime, files, sockets, clock and entropy.
pub(crate) const PURE_CRATES: &[&str] = &[
    "graticule-plan",
    "graticule-ops",
    "graticule-array",
    "graticule-numerics",
    "graticule-kernel",
    "graticule-engine",
    "graticule-sim",
];

/// What a crate may name.
struct Rule {
    from: &'static str,
    to: &'static [&'static str],
    /// Only behind a feature.
    optional: &'static [&'static str],
}

const fn rule(from: &'static str, to: &'static [&'static str]) -> Rule {
    Rule {
        from,
        to,
        optional: &[],
    }
}

/// The arrows of ARCHITECTURE.md. `plan` and `ops` are vocabulary: whoever talks to a crate that speaks it may name
/// it too. `array`, `kernel` and `engine` never see each other.
const RULES: &[Rule] = &[
    rule("graticule-plan", &[]),
    rule("graticule-ops", &["plan"]),
    rule("graticule-array", &["plan", "ops"]),
    rule("graticule-numerics", &["ops"]),
    rule("graticule-kernel", &["plan", "ops", "numerics"]),
    rule("graticule-engine", &["plan"]),
    rule("graticule-sim", &["plan", "engine"]),
    rule("graticule-proto", &["plan", "ops", "engine"]),
    rule("graticule-transfer", &["plan", "kernel", "proto"]),
    rule("graticule-data", &["plan", "ops", "kernel"]),
    rule("graticule-dashboard", &["plan"]),
    rule("graticule-logs", &["plan", "engine"]),
    rule("graticule-traces", &["plan", "dashboard"]),
    rule(
        "graticule-scheduler",
        &["plan", "engine", "proto", "dashboard", "logs", "traces"],
    ),
    rule(
        "graticule-worker",
        &[
            "plan", "ops", "engine", "kernel", "data", "proto", "transfer", "logs",
        ],
    ),
    Rule {
        from: "graticule-client",
        to: &["plan", "ops", "kernel", "array", "data", "proto", "transfer"],
        // The embedded cluster.
        optional: &["engine", "scheduler", "worker", "dashboard", "traces"],
    },
    rule("graticule-operator", &["plan", "engine", "proto"]),
    rule(
        "graticule-python",
        &[
            "plan",
            "ops",
            "kernel",
            "array",
            "data",
            "client",
            "logs",
            "scheduler",
            "traces",
            "transfer",
            "worker",
        ],
    ),
    // The one binary brings everything together, except what only tests use.
    rule(
        "graticule-cli",
        &[
            "plan",
            "ops",
            "array",
            "kernel",
            "engine",
            "proto",
            "transfer",
            "data",
            "logs",
            "traces",
            "scheduler",
            "worker",
            "client",
            "dashboard",
        ],
    ),
    rule(
        "graticule-tests",
        &[
            "plan",
            "ops",
            "array",
            "kernel",
            "engine",
            "sim",
            "proto",
            "transfer",
            "data",
            "scheduler",
            "worker",
            "client",
            "dashboard",
            "cli",
        ],
    ),
    rule("xtask", &[]),
    rule("xtask-codegen", &[]),
];

/// Checks each edge inside the workspace. For tests a crate may look further, but a pure one at pure ones only.
pub(super) fn check(packages: &[Package]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(rule) = RULES.iter().find(|rule| rule.from == package.name) else {
            let message = format!(
                "`{}` has no rule yet: say in xtask what it may depend on",
                package.name
            );
            violations.push(Violation::new(&package.name, message));
            continue;
        };
        let inside = |name: &str| packages.iter().any(|other| other.name == name);
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| inside(&dependency.name))
        {
            let to = dependency.name.as_str();
            let problem = match dependency.kind {
                DependencyKind::Dev if !is_pure(&package.name) || is_pure(to) => None,
                DependencyKind::Dev => Some("is pure, so its tests may use pure crates only"),
                DependencyKind::Normal | DependencyKind::Build => rule.problem(to, dependency.optional),
            };
            if let Some(problem) = problem {
                violations.push(Violation::new(
                    &package.name,
                    format!("depends on `{to}`, but {problem}"),
                ));
            }
        }
    }
    violations
}

/// `proto` alone names prost's types, so that a change of the wire format stays in one crate.
pub(super) fn check_prost(packages: &[Package]) -> Vec<Violation> {
    let others = packages
        .iter()
        .filter(|package| package.name != "graticule-proto");
    let named = others.flat_map(|package| package.dependencies.iter().map(move |to| (package, to)));
    named
        .filter(|(_, to)| {
            to.kind == DependencyKind::Normal && (to.name == "prost" || to.name == "prost-types")
        })
        .map(|(package, to)| {
            Violation::new(
                &package.name,
                format!("depends on `{}`, which only graticule-proto may", to.name),
            )
        })
        .collect()
}

pub(super) fn is_pure(name: &str) -> bool {
    PURE_CRATES.contains(&name)
}

impl Rule {
    fn problem(&self, to: &str, optional: bool) -> Option<&'static str> {
        let lists = |names: &[&str]| {
            names
                .iter()
                .any(|name| to.strip_prefix("graticule-") == Some(name))
        };
        if lists(self.to) || (lists(self.optional) && optional) {
            None
        } else if lists(self.optional) {
            Some("it may only behind a feature: make the dependency optional")
        } else {
            Some("ARCHITECTURE.md has no such arrow")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Dependency;

    fn package(name: &str, dependencies: &[(&str, DependencyKind, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind, optional)| Dependency {
                name: (*name).to_owned(),
                kind: *kind,
                optional: *optional,
            })
            .collect();
        Package {
            name: name.to_owned(),
            dependencies,
            ..Package::default()
        }
    }

    /// The workspace of the rules themselves, without any edge.
    fn bare() -> Vec<Package> {
        RULES.iter().map(|rule| package(rule.from, &[])).collect()
    }

    fn with(package: Package) -> Vec<Package> {
        let mut packages = bare();
        packages.retain(|other| other.name != package.name);
        packages.push(package);
        packages
    }

    #[test]
    fn an_allowed_edge_and_outside_crates_pass() {
        let edges = [
            ("graticule-plan", DependencyKind::Normal, false),
            ("serde", DependencyKind::Normal, false),
        ];
        assert_eq!(check(&with(package("graticule-ops", &edges))), []);
    }

    #[test]
    fn kernel_array_and_engine_never_see_each_other() {
        let rooms = ["graticule-array", "graticule-kernel", "graticule-engine"];
        for from in rooms {
            for to in rooms.iter().filter(|to| **to != from) {
                let found = check(&with(package(from, &[(to, DependencyKind::Normal, true)])));
                assert_eq!(found.len(), 1, "{from} -> {to}");
                assert!(found[0].place == from && found[0].message.contains(to));
            }
        }
    }

    #[test]
    fn a_build_dependency_is_an_edge_like_any_other() {
        let edges = [("graticule-data", DependencyKind::Build, false)];
        assert_eq!(check(&with(package("graticule-plan", &edges))).len(), 1);
    }

    #[test]
    fn tests_of_a_shell_may_look_around_and_tests_of_a_pure_crate_may_not() {
        let shell = package(
            "graticule-data",
            &[("graticule-worker", DependencyKind::Dev, false)],
        );
        assert_eq!(check(&with(shell)), []);
        let pure = package(
            "graticule-kernel",
            &[("graticule-data", DependencyKind::Dev, false)],
        );
        assert_eq!(check(&with(pure)).len(), 1);
        let pure = package(
            "graticule-engine",
            &[("graticule-sim", DependencyKind::Dev, false)],
        );
        assert_eq!(check(&with(pure)), []);
    }

    #[test]
    fn the_client_sees_the_shells_behind_a_feature_only() {
        let edge = |optional| {
            package(
                "graticule-client",
                &[("graticule-scheduler", DependencyKind::Normal, optional)],
            )
        };
        assert_eq!(check(&with(edge(true))), []);
        assert_eq!(check(&with(edge(false))).len(), 1);
    }

    #[test]
    fn a_crate_without_a_rule_is_reported() {
        let found = check(&with(package("graticule-new", &[])));
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("graticule-new"));
    }

    #[test]
    fn prost_is_named_by_proto_alone() {
        let edge = [("prost", DependencyKind::Normal, false)];
        assert_eq!(check_prost(&with(package("graticule-proto", &edge))), []);
        assert_eq!(check_prost(&with(package("graticule-scheduler", &edge))).len(), 1);
    }
}
