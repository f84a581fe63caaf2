//! What is written to standard output and standard error, cut into the lines that are kept of it.

use crate::{LogLevel, LogLine, LogScope, note};

/// A line that is longer is cut.
const LINE_BYTES_MAX: usize = 16 << 10;

/// `graticule._logs` has these around what a handler of `logging` writes, which was told as a record already. Terminals leave them out.
const TOLD: &[u8] = b"\x1b]graticule;told\x07";
const NOT_TOLD: &[u8] = b"\x1b]graticule;new\x07";
const ESCAPE: u8 = 0x1b;

/// What is written to one of the two, by one who writes.
#[derive(Debug, Default)]
pub struct OutputLines {
    is_error: bool,
    /// The line that has begun.
    line: Vec<u8>,
    /// How much of it was passed on.
    passed: usize,
    /// It was so long that it was told already.
    is_long: bool,
    /// What comes now was told as a record of `logging`.
    is_told: bool,
}

impl OutputLines {
    /// Those of standard error, or else of standard output.
    pub fn of(is_error: bool) -> Self {
        Self {
            is_error,
            ..Self::default()
        }
    }

    /// Whether they are those of standard error.
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    /// Bytes have come: `on` gets those that are to be passed on, `lines` what they complete.
    pub fn come(&mut self, bytes: &[u8], lines: &mut Vec<String>, on: &mut Vec<u8>) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.passed == 0 && self.line.starts_with(NOT_TOLD) {
                self.line.drain(..NOT_TOLD.len());
                self.is_told = false;
            }
            let is_whole = part.ends_with(b"\n");
            if is_whole || self.line.len() > LINE_BYTES_MAX {
                on.extend_from_slice(&without_marks(&self.line[self.passed..]).0);
                self.passed = self.line.len();
                // What will be written over says nothing yet.
                let written_over = self
                    .line
                    .iter()
                    .rposition(|&byte| byte == b'\r')
                    .map_or(0, |at| at + 1);
                if is_whole || self.line.len() - written_over > LINE_BYTES_MAX {
                    let was_long = std::mem::replace(&mut self.is_long, !is_whole);
                    lines.extend(self.end_line(on).filter(|_| !was_long));
                } else {
                    self.line.drain(..written_over);
                    self.passed -= written_over;
                }
            }
        }
        // A progress bar goes on in its line.
        let rest = &self.line[self.passed..];
        let len = before_mark(rest);
        on.extend_from_slice(&rest[..len]);
        self.passed += len;
    }

    /// What has no end is a line too, if it says something that was not told already. `on` gets what of it was not passed on.
    pub fn end(&mut self, on: &mut Vec<u8>) -> Option<String> {
        let line = self.end_line(on).filter(|_| !self.is_long);
        (self.is_told, self.is_long) = (false, false);
        line
    }

    /// The line that has begun, if it says something that was not told already. `on` gets what of it was not passed on.
    fn end_line(&mut self, on: &mut Vec<u8>) -> Option<String> {
        if self.line.is_empty() {
            return None;
        }
        let line = std::mem::take(&mut self.line);
        if self.passed < line.len() {
            on.extend_from_slice(&without_marks(&line[self.passed..]).0);
        }
        self.passed = 0;
        let (text, marks) = without_marks(&line);
        let was_told = self.is_told || marks.contains(&true);
        self.is_told = marks.last().copied().unwrap_or(self.is_told);
        if was_told {
            return None;
        }
        let text = String::from_utf8_lossy(&text);
        // Of a line that was written over and over what stands there at last.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Keeps lines; of errors, those that are indented go on with the one before, as in tracebacks and warnings.
    pub fn keep(&self, lines: &[String], scope: Option<&LogScope>) {
        let goes_on = |line: &str| self.is_error && line.starts_with([' ', '\t']);
        let (level, target) = match self.is_error {
            false => (LogLevel::Info, "stdout"),
            true => (LogLevel::Warn, "stderr"),
        };
        for lines in lines.chunk_by(|_, next| goes_on(next)) {
            let line = LogLine::new(level, target, &lines.join("\n"));
            match scope {
                Some(scope) => scope.run(|| note(line)),
                None => note(line),
            }
        }
    }
}

/// How many bytes stand before the first mark, or what may become one.
fn before_mark(bytes: &[u8]) -> usize {
    let is_mark = |at: usize| {
        let rest = &bytes[at..];
        [TOLD, NOT_TOLD]
            .iter()
            .any(|mark| rest.starts_with(mark) || mark.starts_with(rest))
    };
    let escapes = bytes.iter().enumerate().filter(|(_, byte)| **byte == ESCAPE);
    let mut marks = escapes.map(|(at, _)| at).filter(|&at| is_mark(at));
    marks.next().unwrap_or(bytes.len())
}

/// The bytes without marks, and of each mark whether it says that what follows was told.
fn without_marks(bytes: &[u8]) -> (Vec<u8>, Vec<bool>) {
    let (mut text, mut rest, mut marks) = (Vec::with_capacity(bytes.len()), bytes, Vec::new());
    while let Some(at) = rest.iter().position(|&byte| byte == ESCAPE) {
        let (before, behind) = rest.split_at(at);
        text.extend_from_slice(before);
        rest = if let Some(behind) = behind.strip_prefix(TOLD) {
            marks.push(true);
            behind
        } else if let Some(behind) = behind.strip_prefix(NOT_TOLD) {
            marks.push(false);
            behind
        } else {
            text.push(ESCAPE);
            &behind[1..]
        };
    }
    text.extend_from_slice(rest);
    (text, marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on, and the lines, of bytes that come in pieces of so many.
    fn come(bytes: &[u8], piece: usize) -> (String, Vec<String>) {
        let (mut all, mut lines, mut on) = (OutputLines::of(true), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            all.come(piece, &mut lines, &mut on);
        }
        lines.extend(all.end(&mut on));
        (String::from_utf8(on).unwrap(), lines)
    }

    #[test]
    fn however_output_is_cut_into_pieces_it_is_passed_on_and_told_line_by_line() {
        let told = [TOLD, b"warm\nand more", NOT_TOLD, b"\n"].concat();
        let one = [TOLD, b"w\n", NOT_TOLD].concat();
        let parts = [
            &b"a\xc3\xa4\n\n"[..],
            &told,
            b"b\n",
            &told,
            &one,
            &told,
            b" 10%\r\x1b[1m100%\n",
            &one,
            b"c",
        ];
        let all = parts.concat();
        for piece in 1..all.len() {
            let (on, lines) = come(&all, piece);
            assert_eq!(
                on,
                "a\u{e4}\n\nwarm\nand more\nb\nwarm\nand more\nw\nwarm\nand more\n 10%\r\x1b[1m100%\nw\nc",
                "pieces of {piece}"
            );
            assert_eq!(lines, ["a\u{e4}", "b", "\x1b[1m100%", "c"], "pieces of {piece}");
        }
    }

    #[test]
    fn of_a_line_that_is_too_long_the_beginning_is_told() {
        for piece in [1000, 7, 1 << 20] {
            let long = vec![b'x'; LINE_BYTES_MAX * 3 + 5];
            let (on, lines) = come(&[&long[..], b"\nshort\n", &long, b"\nlast"].concat(), piece);
            assert_eq!(on.len(), 2 * long.len() + 12);
            let short: Vec<&str> = lines.iter().map(|line| &line[..line.len().min(5)]).collect();
            assert_eq!(short, ["xxxxx", "short", "xxxxx", "last"]);
        }
    }

    #[test]
    fn a_line_that_is_written_over_for_long_is_what_stands_there_at_last() {
        let bar: String = (0..10_000).map(|step| format!("\r{step} of 9999")).collect();
        for piece in [1000, 7] {
            let (on, lines) = come(bar.as_bytes(), piece);
            assert_eq!(
                (on.len(), &lines[..]),
                (bar.len(), &["9999 of 9999".to_owned()][..])
            );
        }
    }
}
