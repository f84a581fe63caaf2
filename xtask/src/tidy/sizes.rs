//! How long a source file may grow before it has to be split.

use super::source::test_line_count;
use super::{TextFile, Violation, is_generated, is_test_file};

/// From here on it is worth a thought.
const LINE_COUNT_NOTED: usize = 500;
const LINE_COUNT_MAX: usize = 800;
const SOURCES: &[&str] = &[
    "rs", "py", "ts", "tsx", "js", "mjs", "css", "svelte", "sh", "proto",
];

/// Violations and notes about files that are too long; tests and generated files are left out.
pub(super) fn check(files: &[TextFile]) -> (Vec<Violation>, Vec<String>) {
    let (mut violations, mut notes) = (Vec::new(), Vec::new());
    for file in files.iter().filter(|file| is_measured(&file.path)) {
        let count = line_count(file);
        if count > LINE_COUNT_MAX {
            let message = format!(
                "{count} lines without tests, at most {LINE_COUNT_MAX} are allowed: split it by subject"
            );
            violations.push(Violation::new(&file.path, message));
        } else if count > LINE_COUNT_NOTED {
            notes.push(format!(
                "{} has {count} lines without tests: think of splitting it",
                file.path
            ));
        }
    }
    (violations, notes)
}

fn is_measured(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    SOURCES.contains(&extension) && !is_generated(path) && !is_test_file(path)
}

/// Lines of the file that do not belong to its tests.
fn line_count(file: &TextFile) -> usize {
    let all = file.text.lines().count();
    if file.path.ends_with(".rs") {
        all - test_line_count(&file.text)
    } else {
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: String) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text,
        }
    }

    #[test]
    fn long_files_are_noted_and_longer_ones_fail() {
        let lines = |count: usize| "const A: u8 = 1;\n".repeat(count);
        let (violations, notes) = check(&[
            file("a/src/a.rs", lines(500)),
            file("a/src/b.rs", lines(501)),
            file("a/src/c.rs", lines(801)),
        ]);
        assert_eq!((violations.len(), notes.len()), (1, 1));
        assert!(violations[0].place == "a/src/c.rs" && violations[0].message.starts_with("801 "));
    }

    #[test]
    fn tests_and_generated_files_are_not_counted() {
        let tests = format!(
            "const A: u8 = 1;\n\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "    const B: u8 = 2;\n".repeat(900)
        );
        let long = "x\n".repeat(900);
        let files = [
            file("a/src/a.rs", tests),
            file("a/src/a/tests.rs", long.clone()),
            file("proto/src/gen/a.rs", long.clone()),
            file("docs/a.md", long),
        ];
        let (violations, notes) = check(&files);
        assert_eq!((violations, notes), (vec![], vec![]));
    }
}
