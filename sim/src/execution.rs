//! What becomes of a computation: how long it takes, whether it fails, what size its result has.

use graticule_engine::{Failure, FailureKind, Finished, INLINE_BYTES_MAX, LayerSpec, worker::RunId};
use graticule_plan::{Layer, TaskId};

use crate::{
    oracle::secret_item_bytes,
    phase::Phase,
    profile::{Nuisance, Temper},
    rng::{Rng, Stream, mix_all},
    value::Values,
    world::{Happening, LOSSES_MAX, Story, World},
};

/// Tasks that always end their workers, in a story that looks at the blame.
const CULPRITS_MAX: usize = 6;
/// A task that fails so often though it might succeed is tried without end.
const FAILURES_MAX: u32 = 100;

/// What a task does whenever it runs, if the profile has such tasks.
#[derive(Debug, Clone, Copy)]
struct Character {
    stubborn: bool,
    culprit: bool,
    /// It ends its worker by hanging.
    hangs: bool,
    /// The size of its result in eighths of what the plan says.
    eighths: u64,
}

impl World {
    fn character(&self, task: TaskId) -> Character {
        let mut rng = Rng::of(self.case.seed, Stream::Task, number_of(task));
        let mut has = |nuisance| {
            let draw = rng.below(1000);
            draw < self.profile.rate(nuisance)
        };
        let stubborn = has(Nuisance::StubbornFailures);
        let culprit = has(Nuisance::Culprits);
        let misjudged = has(Nuisance::WrongSizes);
        Character {
            stubborn,
            culprit,
            hangs: rng.chance(500),
            eighths: if misjudged {
                *rng.pick(&[0, 1, 4, 16, 64])
            } else {
                8
            },
        }
    }

    fn execution_rng(&self, task: TaskId, execution: u32) -> Rng {
        let number = mix_all(&[number_of(task), u64::from(execution)]);
        Rng::of(self.case.seed, Stream::Execution, number)
    }

    pub(crate) fn begin_execution(
        &mut self,
        at: usize,
        run: RunId,
        task: TaskId,
        execution: u32,
        cost_ns: u64,
    ) {
        let mut rng = self.execution_rng(task, execution);
        let cost_us = cost_ns / 1000 + 20;
        let delay = rng.within(cost_us / 2..cost_us * 2) * self.nodes[at].slowness;
        if self.character(task).hangs && self.is_culprit_now(at, task) {
            self.accuse(task);
            self.tell(|| format!("{task} hangs on process {at}"));
            let patience_us = rng.within(10_000..100_000);
            self.schedule(patience_us, Happening::Kill { node: at });
            return;
        }
        self.schedule(delay, Happening::ComputeEnds { node: at, run });
    }

    /// Whether a task ends its worker when it runs this time.
    fn is_culprit_now(&self, at: usize, task: TaskId) -> bool {
        // One that nobody wants any more ends quietly, or those that run beside it would be blamed rightly.
        if !self.character(task).culprit || !self.ledger.is_leased_to(task, self.nodes[at].engine.id()) {
            return false;
        }
        let so_far = self.culprits.get(&task).copied();
        match (self.temper, so_far) {
            (Temper::Wild | Temper::Calm, so_far) => so_far.unwrap_or(0) < 2,
            (Temper::Blaming, Some(_)) => true,
            (Temper::Blaming, None) => self.culprits.len() < CULPRITS_MAX,
        }
    }

    fn accuse(&mut self, task: TaskId) {
        self.counts.nuisance(Nuisance::Culprits);
        let count = self.culprits.entry(task).or_default();
        *count += 1;
        // Others' kills may have been counted against it before its own.
        if self.temper == Temper::Blaming || *count >= LOSSES_MAX {
            self.may_fail(task.job);
        }
    }

    /// Whether the computation that is at its end took its worker along.
    pub(crate) fn ends_its_worker(&mut self, at: usize, task: TaskId) -> bool {
        if self.character(task).hangs || !self.is_culprit_now(at, task) {
            return false;
        }
        self.accuse(task);
        self.tell(|| format!("{task} ends process {at}"));
        self.kill(at);
        true
    }

    /// Ends a worker's process and starts another one.
    pub(crate) fn kill(&mut self, node: usize) {
        if self.nodes[node].alive {
            self.tell(|| format!("process {node} is killed"));
            self.end_process(node, false);
            let origin = mix_all(&[self.nodes[node].origin, 1]);
            self.start_worker(origin);
            if self.phase != Phase::Chaos {
                self.have_one_able();
            }
        }
    }

    /// Decides whether a computation fails.
    pub(crate) fn injected_failure(&mut self, task: TaskId, execution: u32, retries: u32) -> Option<Failure> {
        let mut rng = self.execution_rng(task, execution);
        rng.next();
        let unlucky = rng.chance(self.profile.rate(Nuisance::TransientFailures));
        // What was there at first is more likely to be gone later: a file that was removed, say.
        let staleness = if execution > 0 { 8 } else { 1 };
        if rng.chance(self.profile.rate(Nuisance::PermanentFailures) * staleness) {
            self.doomed.insert(task);
        }
        if self.doomed.contains(&task) {
            self.counts.nuisance(Nuisance::PermanentFailures);
            self.may_fail(task.job);
            self.tell(|| format!("{task} fails for good"));
            return Some(Failure {
                kind: FailureKind::Permanent,
                message: "doomed".into(),
            });
        }
        let stubborn = self.character(task).stubborn || self.stubborn.contains(&task);
        if !stubborn && !unlucky {
            return None;
        }
        if stubborn {
            self.stubborn.insert(task);
            self.counts.nuisance(Nuisance::StubbornFailures);
        } else {
            self.counts.nuisance(Nuisance::TransientFailures);
        }
        let count = self.transient.entry(task).or_default();
        *count += 1;
        let count = *count;
        if count > retries {
            self.may_fail(task.job);
        }
        if count > FAILURES_MAX {
            self.fail(format!(
                "{task} has failed {count} times, and shall be tried {retries} times"
            ));
        }
        Some(Failure {
            kind: FailureKind::Transient,
            message: "bad luck".into(),
        })
    }

    /// What the shell reports of a computation that succeeded.
    pub(crate) fn finished(
        &mut self,
        task: TaskId,
        execution: u32,
        spec: &LayerSpec,
        values: &Values,
    ) -> Finished {
        let eighths = self.character(task).eighths;
        if eighths != 8 {
            self.counts.nuisance(Nuisance::WrongSizes);
        }
        let mut rng = self.execution_rng(task, execution);
        // Those before it decide how long it takes and whether it fails.
        (0..3).for_each(|_| {
            rng.next();
        });
        let small = spec.deliver && rng.chance(400);
        let inline = small.then(|| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes());
            bytes.collect::<bytes::Bytes>()
        });
        Finished {
            bytes: result_bytes(&spec.layer, task.block, eighths),
            inline: inline.filter(|b| b.len() <= INLINE_BYTES_MAX),
            problems: Vec::new(),
        }
    }
}

/// What a result takes: where the plan knows it, so many eighths of that; else at most what was left out of the plan,
/// since tasks that read more than a worker has are refused.
fn result_bytes(layer: &Layer, block: u64, eighths: u64) -> u64 {
    match layer.learns_size() {
        None => layer.output_bytes(block) * eighths / 8,
        Some(_) => layer.grid.block_len(block) * secret_item_bytes(layer) * eighths.min(8) / 8,
    }
}

fn number_of(task: TaskId) -> u64 {
    mix_all(&[task.job.0, u64::from(task.layer.0), task.block])
}
