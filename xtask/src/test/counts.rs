//! Reading from a runner's output how many tests passed and failed.

use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What makes a runner's word for a test's end a failure. Skipped, ignored and expected failures count as neither.
const FAILURES: &[&str] = &["failed", "timed out", "exec failed", "error", "errors", "fail"];
const PASSES: &[&str] = &["passed", "pass"];

/// `Summary [ 0.1s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 0 skipped`, as cargo-nextest says it.
pub(super) fn nextest(output: &str) -> Option<Counts> {
    let plain = without_ansi(output);
    let line = plain
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with("Summary ["))?;
    let (_, list) = line.split_once("run:")?;
    Some(sum_list(list))
}

/// The sum over `test result: ok. 5 passed; 0 failed; 1 ignored; ...`, one line for each test binary.
pub(super) fn libtest(output: &str) -> Option<Counts> {
    let plain = without_ansi(output);
    let results = plain
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("test result: "));
    let mut total = None;
    for result in results {
        let (_, list) = result.split_once(". ").unwrap_or(("", result));
        *total.get_or_insert_with(Counts::default) += sum_list(list);
    }
    total
}

/// `== 1 failed, 3 passed, 1 error in 0.12s ==`, as pytest says it.
pub(crate) fn pytest(output: &str) -> Option<Counts> {
    let plain = without_ansi(output);
    let lines = plain.lines().rev().map(|line| line.trim_matches(['=', ' ']));
    let mut lists = lines.filter_map(|line| Some(line.rsplit_once(" in ")?.0));
    lists.find_map(|list| Some(sum_list(list)).filter(|counts| *counts != Counts::default()))
}

/// The summary of Vitest (`Tests  1 failed | 11 passed (12)`), of Node's own runner (`# pass 5`, `# fail 0`), or
/// of Playwright (`5 passed (3.2s)` below `1 failed`), whichever the output has.
pub(super) fn javascript(output: &str) -> Option<Counts> {
    let plain = without_ansi(output);
    let lines: Vec<&str> = plain.lines().map(str::trim).collect();
    if let Some(list) = lines.iter().rev().find_map(|line| line.strip_prefix("Tests  ")) {
        return Some(sum_list(list));
    }
    let node = |word: &str| {
        let found = lines.iter().rev().find_map(|line| {
            line.strip_prefix("# ")
                .or(line.strip_prefix("ℹ "))
                .and_then(|rest| rest.strip_prefix(word))
        });
        found.and_then(|number| number.trim().parse::<u64>().ok())
    };
    if let (Some(passed), Some(failed)) = (node("pass "), node("fail ")) {
        return Some(Counts { passed, failed });
    }
    let mut total = Counts::default();
    for line in lines.iter().filter(|line| line.split_whitespace().count() <= 3) {
        total += sum_list(line);
    }
    (total != Counts::default()).then_some(total)
}

/// Sums `3 passed (1 slow), 1 failed` whatever stands between its parts.
fn sum_list(list: &str) -> Counts {
    let mut total = Counts::default();
    for part in without_parentheses(list).split([',', ';', '|']) {
        let Some((number, word)) = part.trim().split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse::<u64>() else {
            continue;
        };
        let word = word.trim();
        if PASSES.contains(&word) {
            total.passed += number;
        } else if FAILURES.contains(&word) {
            total.failed += number;
        }
    }
    total
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let keep = |symbol: &char| {
        match symbol {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(keep).collect()
}

/// Removes the escape sequences that colour a terminal's text.
fn without_ansi(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut symbols = text.chars();
    while let Some(symbol) = symbols.next() {
        if symbol != '\u{1b}' {
            plain.push(symbol);
        } else if symbols.next() == Some('[') {
            symbols.by_ref().find(|end| end.is_ascii_alphabetic());
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: u64, failed: u64) -> Option<Counts> {
        Some(Counts { passed, failed })
    }

    #[test]
    fn nextest_counts_time_outs_and_what_cannot_start_as_failures() {
        let text = "   PASS [ 0.0s] a b\n     Summary [   0.345s] 9 tests run: 4 passed (2 slow, 1 leaky), 1 failed, \
                    1 exec failed, 3 timed out, 7 skipped\n        FAIL [ 0.1s] x";
        assert_eq!(nextest(text), counts(4, 5));
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m1\u{1b}[0m test run: \u{1b}[1m1\u{1b}[0m \
                        \u{1b}[32;1mpassed\u{1b}[0m, 0 skipped";
        assert_eq!(nextest(coloured), counts(1, 0));
        assert_eq!(nextest("error: could not compile `graticule-plan`"), None);
    }

    #[test]
    fn nextest_that_stopped_early_still_counts() {
        assert_eq!(
            nextest("Summary [ 1s] 3/10 tests run: 2 passed, 1 failed, 0 skipped"),
            counts(2, 1)
        );
    }

    #[test]
    fn libtest_sums_over_binaries_and_leaves_out_the_ignored() {
        let text = "test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(libtest(text), counts(7, 3));
        assert_eq!(libtest("error[E0432]"), None);
    }

    #[test]
    fn pytest_errors_are_failures_and_skips_are_neither() {
        assert_eq!(
            pytest("x\n=== 1 failed, 3 passed, 2 skipped, 2 errors in 0.12s ==="),
            counts(3, 3)
        );
        assert_eq!(pytest("12 passed in 3.45s"), counts(12, 0));
        assert_eq!(pytest("no tests ran in 0.01s"), None);
    }

    #[test]
    fn javascript_runners_are_told_apart() {
        let vitest =
            " Test Files  1 failed | 3 passed (4)\n      Tests  1 failed | 11 passed | 2 skipped (14)\n";
        assert_eq!(javascript(vitest), counts(11, 1));
        assert_eq!(javascript("# tests 6\n# pass 5\n# fail 1\n"), counts(5, 1));
        assert_eq!(javascript("ℹ pass 5\nℹ fail 0\n"), counts(5, 0));
        assert_eq!(
            javascript("  1 failed\n    a.spec.ts:3:1 > it shows\n  5 passed (3.2s)\n"),
            counts(5, 1)
        );
        assert_eq!(javascript("npm error Missing script: \"test:unit\""), None);
    }
}
