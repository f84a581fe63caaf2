//! What functions print that run on threads of this process. `graticule._output` says here what is written to `sys.stdout` and
//! `sys.stderr`, after it went where it goes; it is kept as lines of the task whose function runs on the thread that writes.

use std::{
    cell::RefCell,
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed},
    },
};

use graticule_logs::OutputLines;
use pyo3::{prelude::*, sync::PyOnceLock, types::PyString};

use crate::wait::is_in_task;

/// So much of a text is looked at in one go.
const PIECE_BYTES: usize = 16 << 10;

/// What is kept: nothing, what functions print, or all that is printed in this process.
static KEPT: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
const OF_FUNCTIONS: u8 = 1;
const ALL: u8 = 2;

/// Functions that run.
static RUNNING_COUNT: AtomicUsize = AtomicUsize::new(0);
/// This process; one that it forks has nobody to tell.
static PID: OnceLock<u32> = OnceLock::new();

thread_local! {
    /// The lines that have begun on this thread, of standard output and standard error.
    static BEGUN: RefCell<[OutputLines; 2]> = RefCell::new(begun());
}

fn begun() -> [OutputLines; 2] {
    [false, true].map(OutputLines::of)
}

/// Has what is printed be kept from now on: of functions, or all; or nothing.
#[pyfunction]
fn keep_printed(of_functions: bool, all: bool) {
    PID.get_or_init(std::process::id);
    let kept = match (of_functions, all) {
        (_, true) => ALL,
        (true, false) => OF_FUNCTIONS,
        (false, false) => NOTHING,
    };
    KEPT.store(kept, Relaxed);
}

/// A text was written to standard error, or else to standard output.
#[pyfunction]
fn note_printed(is_error: bool, text: &Bound<'_, PyString>) {
    let is_kept = match KEPT.load(Relaxed) {
        NOTHING => false,
        OF_FUNCTIONS => is_in_task(),
        _ => true,
    };
    if !is_kept || PID.get() != Some(&std::process::id()) {
        return;
    }
    let text = text.to_string_lossy();
    BEGUN.with_borrow_mut(|begun| {
        let begun = &mut begun[usize::from(is_error)];
        let (mut lines, mut on) = (Vec::new(), Vec::new());
        for piece in text.as_bytes().chunks(PIECE_BYTES) {
            begun.come(piece, &mut lines, &mut on);
            begun.keep(&lines, None);
            lines.clear();
            on.clear();
        }
    });
}

/// Runs the function of a task: what has no end when it ends is a line of the task too.
pub(crate) fn of_task<T>(py: Python<'_>, run: impl FnOnce() -> T) -> T {
    if KEPT.load(Relaxed) == NOTHING {
        return run();
    }
    let _printing = Printing::begin(py);
    run()
}

/// A function that runs on this thread, perhaps in the middle of another one.
struct Printing {
    before: [OutputLines; 2],
}

impl Printing {
    fn begin(py: Python<'_>) -> Self {
        if RUNNING_COUNT.fetch_add(1, Relaxed) == 0 {
            look(py);
        }
        let before = BEGUN.replace(begun());
        Self { before }
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        for mut lines in BEGUN.replace(std::mem::take(&mut self.before)) {
            let line = lines.end(&mut Vec::new());
            lines.keep(line.as_slice(), None);
        }
        RUNNING_COUNT.fetch_sub(1, Relaxed);
    }
}

/// The streams may be others than before. While functions run they are not looked for: one of them may have put there what is to
/// catch its output.
fn look(py: Python<'_>) {
    static LOOK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let look = LOOK.get_or_try_init(py, || {
        py.import("graticule._output")?.getattr("look").map(Bound::unbind)
    });
    // Streams that cannot be listened to are as they were.
    let _ = look.and_then(|look| look.call0(py));
}

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(keep_printed, module)?)?;
    module.add_function(wrap_pyfunction!(note_printed, module)?)
}
