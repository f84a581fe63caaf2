//! The rules of [findings](super::findings), a function for each kind, and their thresholds.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use graticule_plan::{JobId, LayerId, Source};

use super::{
    account::SlotUse,
    findings::{Finding, FindingKind, Scene},
    frame::RowKey,
    jobs::LayerTable,
};

/// Tasks of a layer from which on it can be too finely cut.
const SMALL_COUNT_MIN: u64 = 1_000;
/// Half of its tasks are at most so long.
const SMALL_TASK_US_MAX: u64 = 1_000;
/// And its chunks at most so large.
const SMALL_CHUNK_BYTES_MAX: u64 = 1 << 20;
/// And so many hundredths of the slots' time go to the scheduler and to waiting for tasks.
const SMALL_OVERHEAD_PERCENT_MIN: u64 = 25;
/// What a task should take for its overhead to vanish.
const GOOD_TASK_US: u64 = 50_000;

/// The longest task takes so many times as long as the middle one,
const SKEW_FACTOR_MIN: u64 = 5;
/// so much longer,
const SKEW_US_MIN: u64 = 500_000;
/// and so many hundredths of the time that its job ran.
const SKEW_PERCENT_MIN: u64 = 15;

/// Bytes over a worker's disk, in hundredths of its memory.
const SPILL_PERCENT_MIN: u64 = 20;

/// Fetches of a layer,
const CHATTY_COUNT_MIN: u64 = 500;
/// so many a task,
const CHATTY_PER_TASK_MIN: u64 = 8;
/// of so many bytes in the mean,
const CHATTY_BYTES_MAX: u64 = 64 << 10;
/// and its tasks wait for them so many hundredths of their time.
const CHATTY_WAIT_PERCENT_MIN: u64 = 25;

/// A worker takes so many tenths of the time that others take,
const SLOW_TENTHS_MIN: u64 = 18;
/// over so many tasks
const SLOW_COUNT_MIN: u64 = 8;
/// and so much time.
const SLOW_US_MIN: u64 = 500_000;

/// So many hundredths of the slots' time while a job runs there is no task for them,
const STARVED_PERCENT_MIN: u64 = 50;
/// and so much of it.
const STARVED_US_MIN: u64 = 4_000_000;

/// Kept results lie unread for so long after their job,
const LEAK_US_MIN: u64 = 60_000_000;
/// and take so many hundredths of all memory.
const LEAK_PERCENT_MIN: u64 = 20;
/// Chunks of one layer that are counted.
const LEAK_BLOCK_COUNT_MAX: u64 = 65_536;

/// Calls at one worker took so much time,
const HELD_US_MIN: u64 = 2_000_000;
/// of which so many hundredths on a CPU at most,
const HELD_CPU_PERCENT_MAX: u64 = 65;
/// while all of them together kept between these hundredths of one CPU busy.
const HELD_TOTAL_PERCENT: std::ops::Range<u64> = 60..130;

/// An idle worker did so many hundredths of what others did at most,
const IDLE_PERCENT_MAX: u64 = 5;
/// while those were busy for so many hundredths of the time
const IDLE_OTHERS_PERCENT_MIN: u64 = 40;
/// over so long.
const IDLE_US_MIN: u64 = 2_000_000;

impl Scene<'_> {
    pub(super) fn chunks_too_small(&self, layer: &LayerTable) -> Option<Finding> {
        let (done, median_us) = (layer.words.tally().done, layer.times.quantile(0.5));
        let chunk_bytes = layer.chunk_bytes();
        let overhead_us = self.used[4] + self.used[5];
        if done < SMALL_COUNT_MIN
            || median_us > SMALL_TASK_US_MAX
            || chunk_bytes > SMALL_CHUNK_BYTES_MAX
            || overhead_us * 100 < self.wanted_us() * SMALL_OVERHEAD_PERCENT_MIN
        {
            return None;
        }
        let by_time = GOOD_TASK_US / median_us.max(1);
        let by_size = (64 << 20) / chunk_bytes.max(1);
        let factor = by_time.min(by_size).min(done).max(2);
        let name = layer.name();
        Some(Finding {
            kind: FindingKind::ChunksTooSmall,
            cost_us: overhead_us,
            text: format!(
                "The chunks of {name} are too small: {done} tasks, half of them within {}, while slots wait {} for the next one.",
                time(median_us),
                percent(overhead_us, self.wanted_us()),
            ),
            remedy: format!(
                "Cut the array into chunks {factor} times as large, about {} instead of {}; the tasks then take about {}.",
                size(chunk_bytes.saturating_mul(factor)),
                size(chunk_bytes),
                time(median_us.saturating_mul(factor)),
            ),
            layer: Some(layer.key),
            ..nowhere(FindingKind::ChunksTooSmall)
        })
    }

    pub(super) fn skew(&self, job: JobId, layer: &LayerTable, slow: &BTreeSet<RowKey>) -> Option<Finding> {
        let longest = self.tables.shares.longest(layer.key)?;
        let median_us = layer.times.quantile(0.5);
        let more_us = longest.duration_us.saturating_sub(median_us);
        let table = self.tables.jobs.get(&job)?;
        let ran_us = table
            .ended_us()
            .unwrap_or(self.now_us)
            .saturating_sub(table.started_us()?);
        if layer.words.tally().done < 4
            || longest.duration_us < median_us.saturating_mul(SKEW_FACTOR_MIN)
            || more_us < SKEW_US_MIN
            || more_us * 100 < ran_us * SKEW_PERCENT_MIN
            || slow.contains(&longest.worker)
        {
            return None;
        }
        Some(Finding {
            kind: FindingKind::Skew,
            cost_us: more_us,
            text: format!(
                "{} is skewed: block {} took {}, {} times as long as the middle one ({}).",
                layer.name(),
                longest.block,
                time(longest.duration_us),
                longest.duration_us / median_us.max(1),
                time(median_us),
            ),
            remedy: format!(
                "Cut the array finer where its work is, so that block {} becomes about {}; or give the operation a higher priority, so that it begins first.",
                longest.block,
                (longest.duration_us / median_us.max(1)).max(2),
            ),
            layer: Some(layer.key),
            worker: Some(longest.worker),
            block: Some(longest.block),
            span_us: Some((
                longest.started_us,
                longest.started_us.saturating_add(longest.duration_us),
            )),
        })
    }

    pub(super) fn spills(&self) -> Option<Finding> {
        let mut bytes = 0;
        let mut worst = None;
        for table in self.tables.workers.values() {
            let of = self.tables.traffic.disk_bytes(table.key);
            if of > 0 && of.saturating_mul(100) >= table.budget_bytes().saturating_mul(SPILL_PERCENT_MIN) {
                bytes += of;
                worst = worst.max(Some((of, table.key)));
            }
        }
        let (_, worker) = worst?;
        let layers = self.layers().map(|(_, _, layer)| layer);
        let layer =
            layers.max_by_key(|layer| (self.tables.traffic.of_layer(layer.key).1, Reverse(layer.key)))?;
        let budget = self
            .tables
            .workers
            .values()
            .find(|it| it.key == worker)?
            .budget_bytes();
        let of_worst = self.tables.traffic.disk_bytes(worker);
        Some(Finding {
            kind: FindingKind::Spill,
            cost_us: self.used[3],
            text: format!(
                "Memory is short: {} went over workers' disks, most of it chunks of {}; slots waited {} for disks.",
                size(bytes),
                layer.name(),
                time(self.used[3]),
            ),
            remedy: format!(
                "Give {} more memory than its {} (another {} would hold what it spilled), add a worker, or cut the arrays into smaller chunks.",
                self.worker_name(worker),
                size(budget),
                size(of_worst / 2),
            ),
            layer: Some(layer.key),
            worker: Some(worker),
            ..nowhere(FindingKind::Spill)
        })
    }

    pub(super) fn chatty(&self, layer: &LayerTable) -> Option<Finding> {
        let (fetched, _) = self.tables.traffic.of_layer(layer.key);
        let tasks = layer.words.tally().done.max(1);
        let mean = fetched.bytes / fetched.count.max(1);
        if fetched.count < CHATTY_COUNT_MIN
            || fetched.count < tasks * CHATTY_PER_TASK_MIN
            || mean > CHATTY_BYTES_MAX
            || layer.fetch_us * 100 < (layer.fetch_us + layer.busy_us) * CHATTY_WAIT_PERCENT_MIN
        {
            return None;
        }
        Some(Finding {
            kind: FindingKind::ChattyRechunk,
            cost_us: layer.fetch_us,
            text: format!(
                "{} fetches small pieces: {} for {tasks} tasks, {} each, and its tasks wait {} for them.",
                layer.name(),
                fetched.count,
                size(mean),
                time(layer.fetch_us),
            ),
            remedy: format!(
                "Cut both arrays alike along one axis, or go there in two steps, each of which touches about {} chunks a task instead of {}.",
                (fetched.count / tasks).isqrt().max(2),
                fetched.count / tasks,
            ),
            layer: Some(layer.key),
            ..nowhere(FindingKind::ChattyRechunk)
        })
    }

    pub(super) fn slow_workers(&self) -> Vec<Finding> {
        let mut by_layer: BTreeMap<RowKey, Vec<(RowKey, u64, u64)>> = BTreeMap::new();
        for ((layer, worker), mut share) in self.tables.shares.each() {
            // The longest task of all says more of itself than of its worker.
            let longest = self.tables.shares.longest(layer).filter(|it| it.worker == worker);
            if let Some(longest) = longest.filter(|_| share.count > 1) {
                share.count -= 1;
                share.busy_us -= longest.duration_us.min(share.busy_us);
            }
            by_layer
                .entry(layer)
                .or_default()
                .push((worker, share.count, share.busy_us));
        }
        // Of each worker: tasks, what it took, and what others take for as many of the same operations.
        let mut sums: BTreeMap<RowKey, (u64, u64, u64)> = BTreeMap::new();
        for shares in by_layer.values() {
            for (worker, count, busy_us) in shares {
                let others = shares.iter().filter(|it| it.0 != *worker);
                let (others_count, others_us) = others.fold((0, 0), |sum, it| (sum.0 + it.1, sum.1 + it.2));
                if others_count == 0 {
                    continue;
                }
                let expected = u128::from(others_us) * u128::from(*count) / u128::from(others_count);
                let sum = sums.entry(*worker).or_default();
                *sum = (sum.0 + count, sum.1 + busy_us, sum.2 + expected as u64);
            }
        }
        let slow = sums.into_iter().filter(|(_, (count, took, expected))| {
            *count >= SLOW_COUNT_MIN
                && took.saturating_sub(*expected) >= SLOW_US_MIN
                && took * 10 >= expected * SLOW_TENTHS_MIN
        });
        slow.map(|(worker, (count, took, expected))| {
            let name = self.worker_name(worker);
            Finding {
                kind: FindingKind::SlowWorker,
                cost_us: took - expected,
                text: format!(
                    "{name} is slow: {} for {count} tasks for which others take {}.",
                    time(took),
                    time(expected),
                ),
                remedy: format!(
                    "Look at what else its machine does, and at its disk; without it the others would need about {} more.",
                    time(expected / (self.by_worker.len() as u64).saturating_sub(1).max(1)),
                ),
                worker: Some(worker),
                ..nowhere(FindingKind::SlowWorker)
            }
        })
        .collect()
    }

    pub(super) fn starvation(&self) -> Option<Finding> {
        let (starved, wanted) = (self.used[5], self.wanted_us());
        if starved < STARVED_US_MIN || starved * 100 < wanted * STARVED_PERCENT_MIN {
            return None;
        }
        let slots: u64 = self.tables.workers.values().map(|it| u64::from(it.slots())).sum();
        let busy_slots = (wanted - starved).div_ceil(self.worked_us.max(1));
        Some(Finding {
            kind: FindingKind::Starvation,
            cost_us: starved,
            text: format!(
                "Slots are starved: for {} of the time that jobs ran ({}) there was no task ready for them.",
                percent(starved, wanted),
                time(starved),
            ),
            remedy: format!(
                "Cut the arrays into more chunks, at least {} at each step, or compute several results together; as it is, {busy_slots} of {slots} slots would do.",
                slots * 2,
            ),
            ..nowhere(FindingKind::Starvation)
        })
    }

    pub(super) fn leak(&self, job: JobId, id: LayerId, layer: &LayerTable) -> Option<Finding> {
        let plan = layer.plan().filter(|plan| !plan.keys.is_empty())?;
        let ended_us = self.tables.jobs.get(&job)?.ended_us()?;
        let age_us = self.now_us.saturating_sub(ended_us);
        let is_read = self.tables.jobs.iter().any(|(reader, table)| {
            let inputs = table
                .layers
                .values()
                .filter_map(LayerTable::plan)
                .flat_map(|it| &it.inputs);
            inputs.into_iter().any(|input| match input.source {
                Source::Held(key) => plan.keys.contains(&key),
                Source::Layer(source) => *reader == job && source == id && !table.is_ended(),
            })
        });
        let count = layer.block_end().min(LEAK_BLOCK_COUNT_MAX);
        if age_us < LEAK_US_MIN || is_read {
            return None;
        }
        let is_there = |block: &u64| {
            let facts = layer.words.facts(*block);
            facts.standing == super::tasks::Standing::Done && !facts.is_released
        };
        let held = (0..count).filter(is_there).count() as u64;
        let bytes = layer.bytes / layer.words.tally().done.max(1) * held;
        let memory: u64 = self.tables.workers.values().map(|it| it.budget_bytes()).sum();
        if held == 0 || bytes.saturating_mul(100) < memory.saturating_mul(LEAK_PERCENT_MIN) {
            return None;
        }
        Some(Finding {
            kind: FindingKind::Leak,
            cost_us: self.used[3],
            text: format!(
                "{} chunks of {} are kept ({}) and were not read for {}.",
                held,
                layer.name(),
                size(bytes),
                time(age_us),
            ),
            remedy: format!(
                "Let go of the persisted array where it is not needed any more (`del` its name); that frees {} of the workers' {}.",
                size(bytes),
                size(memory),
            ),
            layer: Some(layer.key),
            ..nowhere(FindingKind::Leak)
        })
    }

    pub(super) fn interpreter_held(&self) -> Vec<Finding> {
        let held = self.tables.traffic.calls.iter().filter(|(_, it)| {
            let total = it.cpu_us * 100 / it.span_us.max(1);
            it.wall_us >= HELD_US_MIN
                && it.wall_us >= it.span_us + it.span_us / 2
                && it.cpu_us * 100 <= it.wall_us * HELD_CPU_PERCENT_MAX
                && HELD_TOTAL_PERCENT.contains(&total)
        });
        held.map(|((layer, worker), it)| {
            let name = self.layers().find(|(_, _, table)| table.key == *layer);
            let name = name.map_or_else(|| "a function".into(), |(_, _, table)| table.name());
            let at_once = (it.wall_us / it.span_us.max(1)).max(2);
            Finding {
                kind: FindingKind::InterpreterHeld,
                cost_us: it.wall_us - it.cpu_us,
                text: format!(
                    "The function of {name} holds Python's interpreter: {at_once} calls at a time on {} took {} and computed {} of it.",
                    self.worker_name(*worker),
                    time(it.wall_us),
                    percent(it.cpu_us, it.wall_us),
                ),
                remedy: format!(
                    "Start {at_once} workers of one slot in place of one of {at_once} slots, or do the work in NumPy calls, which let go of the interpreter; up to {at_once} times as fast.",
                ),
                layer: Some(*layer),
                worker: Some(*worker),
                ..nowhere(FindingKind::InterpreterHeld)
            }
        })
        .collect()
    }

    pub(super) fn retries(&self, layer: &LayerTable) -> Option<Finding> {
        let tally = layer.words.tally();
        if tally.errors == 0 {
            return None;
        }
        let each_us = layer.busy_us / tally.done.max(1);
        let last = self.tables.failures.iter().rev();
        let last = last
            .into_iter()
            .find(|it| self.tables.layer_key(it.task) == Some(layer.key));
        let said = last.map_or_else(String::new, |it| {
            format!(
                " The last one said: {}",
                it.message.lines().next().unwrap_or_default()
            )
        });
        Some(Finding {
            kind: FindingKind::Retries,
            cost_us: each_us.saturating_mul(tally.errors),
            text: format!(
                "{} {} at {} failed; {}.{said}",
                tally.errors,
                if tally.errors == 1 { "attempt" } else { "attempts" },
                layer.name(),
                match tally.failed {
                    0 => "its tasks succeeded, or may still".to_owned(),
                    failed => format!("{failed} of its tasks did not succeed since"),
                },
            ),
            remedy: format!(
                "Mend the cause: each attempt costs about {}, {} so far. Retries only hide it.",
                time(each_us),
                time(each_us.saturating_mul(tally.errors)),
            ),
            layer: Some(layer.key),
            worker: last.and_then(|it| Some(self.tables.workers.get(&it.worker)?.key)),
            block: last.map(|it| it.task.block),
            span_us: None,
        })
    }

    pub(super) fn idle_workers(&self) -> Vec<Finding> {
        let there: Vec<_> = self
            .tables
            .workers
            .values()
            .filter(|table| table.left_us().is_none() && table.slots() > 0)
            .filter_map(|table| Some((table.key, self.by_worker.get(&table.key)?)))
            .collect();
        let busy = |used: &SlotUse| used[0] + used[1];
        let share = |used: &SlotUse| busy(used) * 100 / used[..6].iter().sum::<u64>().max(1);
        let idle = there.iter().filter(|(key, used)| {
            let others: Vec<_> = there.iter().filter(|it| it.0 != *key).collect();
            let mean = others.iter().map(|it| share(it.1)).sum::<u64>() / (others.len() as u64).max(1);
            let wanted: u64 = used[..6].iter().sum();
            !others.is_empty()
                && wanted >= IDLE_US_MIN
                && mean >= IDLE_OTHERS_PERCENT_MIN
                && share(used) * 100 <= mean * IDLE_PERCENT_MAX
        });
        idle.map(|(key, used)| {
            let wanted: u64 = used[..6].iter().sum();
            let name = self.worker_name(*key);
            Finding {
                kind: FindingKind::IdleWorker,
                cost_us: wanted - busy(used),
                text: format!(
                    "{name} is idle: it computed {} of the {} that it could, while others were busy.",
                    time(busy(used)),
                    time(wanted),
                ),
                remedy: format!(
                    "Look at whether tasks may run there (functions, resources, chosen workers), and cut arrays into more than {} chunks, so that each slot gets some.",
                    self.tables.workers.values().map(|it| u64::from(it.slots())).sum::<u64>() * 2,
                ),
                worker: Some(*key),
                ..nowhere(FindingKind::IdleWorker)
            }
        })
        .collect()
    }
}

fn nowhere(kind: FindingKind) -> Finding {
    Finding {
        kind,
        cost_us: 0,
        text: String::new(),
        remedy: String::new(),
        layer: None,
        worker: None,
        block: None,
        span_us: None,
    }
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} min {:02} s", us / 60_000_000, us / 1_000_000 % 60),
    }
}

fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = bytes as f64;
    let mut unit = 0;
    while scaled >= 1_000.0 && unit + 1 < UNITS.len() {
        scaled /= 1_024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && scaled < 100.0);
    format!("{scaled:.digits$} {}", UNITS[unit])
}

fn percent(part: u64, whole: u64) -> String {
    format!(
        "{} %",
        (u128::from(part) * 100 / u128::from(whole.max(1))).min(100)
    )
}
