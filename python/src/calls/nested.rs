//! Calls that are made within a call, and waited for there.
//!
//! Whoever waits occupies a slot, so calls that wait for calls could wait for each other's slots for ever. So a call within a
//! call runs on the worker of its maker, and whoever comes first runs it: a free slot, or the call that waits for it, in its
//! place. Who waits for one that runs already waits for something that goes on; so does everything, by induction. For that a
//! wait must end wherever the call was run: what its task says may have to wait for a slot (see `Entry::result`).

use std::{
    collections::{BTreeMap, btree_map},
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use graticule_client::{FunctionError, Value};
use graticule_plan::DType;
use pyo3::prelude::*;

use super::{
    entry::{Entry, locked},
    run,
    value::Home,
};
use crate::{
    children,
    error::Failure,
    wait::{is_in_task, wait_anywhere},
};

/// Calls that are remembered though nobody holds them any more.
const CLAIMS_MAX: usize = 1 << 16;

static CLAIMS: Mutex<BTreeMap<u64, Claim>> = Mutex::new(BTreeMap::new());
static MADE: Condvar = Condvar::new();

/// Who runs a call.
enum Claim {
    /// A slot does, or did.
    Slot,
    /// The call that waits for it does, or did; with what it made, or `None` if it gave up.
    Waiter(Arc<OnceLock<Option<Outcome>>>),
    /// The call that waited for it has run it, and nobody holds it any more: it is not run again.
    Gone,
}

/// What became of a call that was run by who waited for it: the value, or what its task would have said.
pub(crate) type Outcome = Result<Value, Arc<str>>;

/// The name of a call within a call, if this is one.
pub(super) fn token() -> Option<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    is_in_task().then(|| children::number() | NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The token among the inputs of a call: no object of Python's is a single number in itself.
pub(super) fn token_of(inputs: &[Value]) -> Option<u64> {
    let last = inputs.last()?.tensor();
    (last.dtype() == DType::UInt64 && last.ndim() == 0).then(|| inputs.last()?.number::<u64>())?
}

/// Runs a call on a slot, unless whoever waits for it does.
pub(super) fn on_slot(
    token: u64,
    make: impl FnOnce() -> Result<Value, FunctionError>,
) -> Result<Value, FunctionError> {
    let mut claims = locked(&CLAIMS);
    let cell = match claims.entry(token) {
        btree_map::Entry::Vacant(place) => {
            place.insert(Claim::Slot);
            shorten(&mut claims);
            None
        }
        btree_map::Entry::Occupied(place) => match place.get() {
            // It is tried again.
            Claim::Slot => None,
            Claim::Waiter(cell) => Some(cell.clone()),
            Claim::Gone => return Err("nobody holds it any more".into()),
        },
    };
    let Some(cell) = cell else {
        drop(claims);
        return make();
    };
    loop {
        match cell.get() {
            Some(Some(outcome)) => return outcome.clone().map_err(|message| message.to_string().into()),
            Some(None) => {
                drop(claims);
                return make();
            }
            None => claims = MADE.wait(claims).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// Nobody holds a call any more.
pub(crate) fn forget(token: u64) {
    if children::is_child() {
        return children::forget(token);
    }
    let mut claims = locked(&CLAIMS);
    if let Some(Claim::Waiter(_)) = claims.remove(&token) {
        claims.insert(token, Claim::Gone);
    }
}

fn shorten(claims: &mut BTreeMap<u64, Claim>) {
    if claims.len() > CLAIMS_MAX {
        claims.pop_first();
    }
}

/// A call that is run by who waits for it. Dropped without an outcome, it is left to whoever comes next.
#[derive(Debug)]
pub(crate) struct Held {
    token: u64,
    cell: Arc<OnceLock<Option<Outcome>>>,
}

impl Held {
    pub(crate) fn take(token: u64) -> Option<Self> {
        let mut claims = locked(&CLAIMS);
        let btree_map::Entry::Vacant(place) = claims.entry(token) else {
            return None;
        };
        let cell = Arc::default();
        place.insert(Claim::Waiter(Arc::clone(&cell)));
        shorten(&mut claims);
        Some(Self { token, cell })
    }

    pub(crate) fn made(self, outcome: Outcome) {
        let _ = self.cell.set(Some(outcome));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Under the lock, so that no slot goes to sleep after it has looked.
        let mut claims = locked(&CLAIMS);
        if self.cell.set(None).is_ok() {
            claims.remove(&self.token);
        }
        drop(claims);
        MADE.notify_all();
    }
}

/// As [`Held`], where the caller is a child process: its worker holds the call for it.
struct HeldFar {
    token: u64,
    is_made: bool,
}

impl Drop for HeldFar {
    fn drop(&mut self) {
        if !self.is_made {
            children::give_up(self.token);
        }
    }
}

enum Claimed {
    Here(Held),
    Far(HeldFar),
}

impl Claimed {
    fn take(token: u64) -> Option<Self> {
        if !children::is_child() {
            return Held::take(token).map(Self::Here);
        }
        let held = || HeldFar {
            token,
            is_made: false,
        };
        children::claim(token).then(held).map(Self::Far)
    }

    fn made(self, outcome: Outcome) {
        match self {
            Self::Here(held) => held.made(outcome),
            Self::Far(mut held) => {
                held.is_made = true;
                children::settle(held.token, outcome);
            }
        }
    }
}

/// Within a call: runs a call that is waited for, and what it needs, unless they run or ran elsewhere. Elsewhere nothing.
pub(super) fn help(py: Python<'_>, entry: &Arc<Entry>) -> PyResult<()> {
    if !is_in_task() || entry.is_done() {
        return Ok(());
    }
    let Some(spec) = entry.spec() else { return Ok(()) };
    let Some(claimed) = spec.token.and_then(Claimed::take) else {
        return Ok(());
    };
    let mut inputs = spec.values.to_vec();
    let mut failed = None;
    for need in &spec.needs {
        help(py, need)?;
        match whole(py, need)? {
            Ok(value) => inputs.push(value),
            Err(message) => failed = failed.or(Some(message)),
        }
    }
    let outcome = match failed {
        Some(message) => Err(message),
        None => run::run_here(py, &inputs, Home::Own).map_err(|error| error.to_string().into()),
    };
    claimed.made(outcome.clone());
    entry.set_inline(outcome);
    Ok(())
}

/// Waits for a call within a call.
fn whole(py: Python<'_>, entry: &Arc<Entry>) -> PyResult<Outcome> {
    let result = entry.clone().result();
    let outcome = wait_anywhere(py, async move { Ok::<_, Failure>(result.await) })?;
    Ok(outcome.map_err(|error| error.to_string().into()))
}
