//! Whose turn it is: functions run side by side, but one that had to be ended for its memory runs again with nobody beside it, and
//! from then on always.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a function waits to be alone. It may be that what runs waits for something that it cannot have so.
const PATIENCE: Duration = Duration::from_secs(60);
/// Functions that are known to need much memory; more are not remembered.
const GREEDY_COUNT_MAX: usize = 1024;

/// The turns of a worker's functions.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    is_alone: bool,
    /// Those that wait to be alone.
    waiting: usize,
    greedy: BTreeSet<[u8; 32]>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    pub(super) is_alone: bool,
}

impl Turns {
    /// A turn for a function. A call within a call never waits: the one that made it waits for it.
    pub(super) fn take(self: &Arc<Self>, function: &[u8; 32], is_nested: bool) -> Turn {
        let mut state = self.lock();
        if is_nested {
            state.running += 1;
            return self.turn(false);
        }
        if state.greedy.contains(function) {
            drop(state);
            return self.take_alone().unwrap_or_else(|| self.take_beside());
        }
        while state.is_alone || state.waiting > 0 {
            state = self.wait(state, PATIENCE);
        }
        state.running += 1;
        self.turn(false)
    }

    /// A turn beside others, if it is to be had without waiting.
    pub(super) fn take_now(self: &Arc<Self>, function: &[u8; 32]) -> Option<Turn> {
        let mut state = self.lock();
        if state.is_alone || state.waiting > 0 || state.greedy.contains(function) {
            return None;
        }
        state.running += 1;
        Some(self.turn(false))
    }

    /// A turn beside others, whoever waits.
    fn take_beside(self: &Arc<Self>) -> Turn {
        self.lock().running += 1;
        self.turn(false)
    }

    /// A turn with nobody beside; `None` if somebody runs on and on.
    pub(super) fn take_alone(self: &Arc<Self>) -> Option<Turn> {
        let end = Instant::now() + PATIENCE;
        let mut state = self.lock();
        state.waiting += 1;
        while state.is_alone || state.running > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.waiting -= 1;
                self.changed.notify_all();
                return None;
            }
            state = self.wait(state, left);
        }
        state.waiting -= 1;
        state.is_alone = true;
        Some(self.turn(true))
    }

    /// A function needs so much memory that it has to run alone.
    pub(super) fn is_greedy(&self, function: &[u8; 32]) {
        let mut state = self.lock();
        if state.greedy.len() < GREEDY_COUNT_MAX {
            state.greedy.insert(*function);
        }
    }

    fn turn(self: &Arc<Self>, is_alone: bool) -> Turn {
        let turns = self.clone();
        Turn { turns, is_alone }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, most: Duration) -> MutexGuard<'a, State> {
        let (state, _) = self
            .changed
            .wait_timeout(state, most)
            .unwrap_or_else(PoisonError::into_inner);
        state
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        // Nobody waits but for one that is, or is to be, alone; and to wake nobody is a call to the system too.
        let is_awaited = self.is_alone || state.waiting > 0;
        if self.is_alone {
            state.is_alone = false;
        } else {
            state.running -= 1;
        }
        drop(state);
        if is_awaited {
            self.turns.changed.notify_all();
        }
    }
}
