//! Calls that are made within a call, and waited for there.
//!
//! Whoever waits occupies a slot, so calls that wait for calls could wait for each other's slots for ever. So a call within a
//! call runs on the worker of its maker, and whoever comes first runs it: a free slot, or the call that waits for it, in its
//! place. Who waits for one that runs already waits for something that goes on; so does everything, by induction.

use std::{
    collections::{BTreeMap, btree_map},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use graticule_client::{FunctionError, Value};
use graticule_plan::DType;
use pyo3::prelude::*;

use super::{
    entry::{Entry, locked},
    run,
    value::Home,
};
use crate::wait::{handle, is_in_task};

/// Calls that are remembered though nobody holds them any more.
const CLAIMS_MAX: usize = 1 << 16;
/// How long a wait lasts before it looks for signals again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

static CLAIMS: Mutex<BTreeMap<u64, Claim>> = Mutex::new(BTreeMap::new());
static MADE: Condvar = Condvar::new();

/// Who runs a call.
enum Claim {
    /// A slot does, or did.
    Slot,
    /// The call that waits for it does.
    Waiter,
    /// The call that waited for it has.
    Made(Outcome),
}

/// What became of a call that was run by who waited for it: the value, or what its task would have said.
pub(super) type Outcome = Result<Value, Arc<str>>;

/// The name of a call within a call, if this is one.
pub(super) fn token() -> Option<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    is_in_task().then(|| NEXT.fetch_add(1, Ordering::Relaxed))
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
    if let btree_map::Entry::Vacant(place) = claims.entry(token) {
        place.insert(Claim::Slot);
        if claims.len() > CLAIMS_MAX {
            claims.pop_first();
        }
        drop(claims);
        return make();
    }
    loop {
        if let Some(Claim::Made(outcome)) = claims.get(&token) {
            return outcome.clone().map_err(|message| message.to_string().into());
        }
        if matches!(claims.get(&token), None | Some(Claim::Slot)) {
            // It is tried again.
            drop(claims);
            return make();
        }
        claims = MADE.wait(claims).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Forgets a call.
pub(super) fn forget(token: u64) {
    locked(&CLAIMS).remove(&token);
}

fn claim(token: u64) -> bool {
    let mut claims = locked(&CLAIMS);
    if claims.contains_key(&token) {
        return false;
    }
    claims.insert(token, Claim::Waiter);
    true
}

fn made(token: u64, outcome: Outcome) {
    locked(&CLAIMS).insert(token, Claim::Made(outcome));
    MADE.notify_all();
}

/// Within a call: runs a call that is waited for, and what it needs, unless they run or ran elsewhere. Elsewhere nothing.
pub(super) fn help(py: Python<'_>, entry: &Arc<Entry>) -> PyResult<()> {
    if !is_in_task() || entry.is_done() {
        return Ok(());
    }
    let Some(spec) = entry.spec() else { return Ok(()) };
    let Some(token) = spec.token.filter(|&token| claim(token)) else {
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
    entry.set_inline(outcome.clone());
    made(token, outcome);
    Ok(())
}

/// Waits for a call within a call.
fn whole(py: Python<'_>, entry: &Arc<Entry>) -> PyResult<Outcome> {
    loop {
        if let Some(outcome) = entry.inline() {
            return Ok(outcome.clone());
        }
        let Some(future) = entry.future() else {
            return Ok(Err("it was cancelled".into()));
        };
        let runtime = handle().map_err(PyErr::from)?;
        let outcome =
            py.detach(|| runtime.block_on(async { tokio::time::timeout(LOOK_EVERY, future.result()).await }));
        match outcome {
            Ok(outcome) => return Ok(outcome.map_err(|error| error.to_string().into())),
            Err(_) => py.check_signals()?,
        }
    }
}
