use std::cmp::Reverse;

use graticule_plan::WorkerId;

use super::{Cluster, Decision, Memory, Rules, Supply, WorkerView};
use crate::Time;

/// What there is, added up.
struct Sums<'a> {
    staying: Vec<&'a WorkerView>,
    retiring: Vec<&'a WorkerView>,
    pending: u32,
    tasks_left: u64,
    work_us: u128,
    held_bytes: u128,
    slots: u64,
}

impl<'a> Sums<'a> {
    fn of(cluster: &'a Cluster, supply: &Supply) -> Self {
        let (retiring, staying): (Vec<&WorkerView>, Vec<&WorkerView>) =
            cluster.workers.iter().partition(|w| w.retires);
        let tasks = cluster.layers.iter().map(|layer| layer.tasks_left);
        let work = cluster.layers.iter();
        let work = work.map(|layer| u128::from(layer.tasks_left) * u128::from(layer.mean_us));
        let held = |w: &WorkerView| u128::from(w.memory_bytes) + u128::from(w.spilled_bytes);
        let pending = u32::try_from(supply.pending.len()).unwrap_or(u32::MAX);
        let there: u64 = staying.iter().map(|w| u64::from(w.slots.max(1))).sum();
        Self {
            pending,
            tasks_left: tasks.fold(0, u64::saturating_add),
            work_us: work.fold(0, u128::saturating_add),
            held_bytes: cluster.workers.iter().map(held).sum(),
            slots: there + u64::from(pending) * u64::from(supply.slots.max(1)),
            staying,
            retiring,
        }
    }

    /// Workers that are there and stay, or are on their way.
    fn count(&self) -> u32 {
        let there = u32::try_from(self.staying.len()).unwrap_or(u32::MAX);
        there.saturating_add(self.pending)
    }

    /// When what is left would end if nothing changed, microseconds.
    fn ends_in_us(&self) -> u128 {
        self.work_us
            .checked_div(u128::from(self.slots))
            .unwrap_or(u128::MAX)
    }
}

/// How many workers the cluster could use.
struct Needed {
    count: u32,
    /// For their memory, not for their slots.
    for_memory: bool,
    why: String,
}

/// Says how many workers are wanted, and which are to go. See the [module](super).
///
/// `wanted` lies within `supply.min..=supply.max`, unless more than that are there and cannot go yet; a bound that
/// contradicts itself is read as `min..=min`. Victims are connected and do not retire already.
pub fn decide(cluster: &Cluster, supply: &Supply, rules: &Rules, memory: &mut Memory) -> Decision {
    remember_idle(cluster, memory);
    let sums = Sums::of(cluster, supply);
    let needed = needed(&sums, supply, rules);
    let count = sums.count();
    if needed.count > count {
        more(&sums, supply, memory, cluster.now, &needed)
    } else if needed.count < count {
        fewer(&sums, supply, rules, memory, cluster.now, &needed)
    } else {
        memory.surplus = None;
        nothing(count, format!("{}, and there", needed.why))
    }
}

fn nothing(wanted: u32, reason: String) -> Decision {
    Decision {
        wanted,
        start: 0,
        stay: Vec::new(),
        victims: Vec::new(),
        reason,
    }
}

fn remember_idle(cluster: &Cluster, memory: &mut Memory) {
    let idle = cluster.workers.iter().filter(|w| w.tasks_at_hand == 0);
    let since = idle.map(|w| {
        let before = memory.idle.get(&w.worker).filter(|&&since| since >= w.joined);
        (w.worker, before.copied().unwrap_or(cluster.now))
    });
    memory.idle = since.collect();
}

/// How many workers the work and the chunks that are held ask for, within the bounds, and why.
fn needed(sums: &Sums<'_>, supply: &Supply, rules: &Rules) -> Needed {
    let to_count = |number: u128| u32::try_from(number).unwrap_or(u32::MAX);
    let slots = u128::from(supply.slots.max(1));
    let within_us = u128::from(rules.finish_us.max(supply.start_us.saturating_mul(2)).max(1));
    let by_time = sums.work_us.div_ceil(slots * within_us);
    let by_tasks = u128::from(sums.tasks_left).div_ceil(slots);
    let by_work = to_count(by_time.min(by_tasks)).max(u32::from(sums.tasks_left > 0));
    let usable = u128::from(supply.budget_bytes) * u128::from(rules.memory_per_mille) / 1000;
    let by_memory = match usable {
        0 => 0,
        usable => to_count(sums.held_bytes.div_ceil(usable)),
    };
    let asked = by_work.max(by_memory);
    let needed = asked.min(supply.max).max(supply.min);
    let what = if sums.tasks_left == 0 && by_memory <= supply.min {
        "no work".to_owned()
    } else if by_memory > by_work {
        format!("{} MiB are held", sums.held_bytes >> 20)
    } else {
        let seconds = sums.work_us / 1_000_000;
        format!("{} tasks left, about {seconds} s on one slot", sums.tasks_left)
    };
    let bound = match asked {
        asked if asked > supply.max => format!(" ({asked} without the limit)"),
        asked if asked < supply.min => " (the fewest allowed)".to_owned(),
        _ => String::new(),
    };
    Needed {
        count: needed,
        for_memory: by_memory > by_work,
        why: format!("{what}: {needed} workers needed{bound}"),
    }
}

fn more(sums: &Sums<'_>, supply: &Supply, memory: &mut Memory, now: Time, needed: &Needed) -> Decision {
    let why = &needed.why;
    memory.surplus = None;
    let count = sums.count();
    let too_few = count < supply.min;
    if !too_few && !needed.for_memory && sums.ends_in_us() <= u128::from(supply.start_us) {
        let reason = format!("{why}, but the work ends before another worker would be there");
        return nothing(count, reason);
    }
    let missing = needed.count - count;
    let mut back: Vec<&WorkerView> = sums.retiring.clone();
    back.sort_by_key(|w| (Reverse(w.sole_bytes), w.worker));
    back.truncate(missing as usize);
    let stay: Vec<WorkerId> = back.iter().map(|w| w.worker).collect();
    let start = missing - u32::try_from(stay.len()).unwrap_or(missing);
    if start > 0 && now < supply.not_before {
        let seconds = supply.not_before.since_us(now).div_ceil(1_000_000);
        let reason = format!("{why}, but the last start failed: waits {seconds} s before the next");
        let wanted = needed.count - start;
        return Decision {
            stay,
            ..nothing(wanted, reason)
        };
    }
    memory.started = Some(now);
    let retained = match stay.len() {
        0 => String::new(),
        kept => format!(", {kept} of them by staying"),
    };
    Decision {
        wanted: needed.count,
        start,
        stay,
        victims: Vec::new(),
        reason: format!("{why}, {count} there or on their way: {missing} more{retained}"),
    }
}

fn fewer(
    sums: &Sums<'_>,
    supply: &Supply,
    rules: &Rules,
    memory: &mut Memory,
    now: Time,
    needed: &Needed,
) -> Decision {
    let (count, why) = (sums.count(), &needed.why);
    let (since, most) = memory.surplus.unwrap_or((now, needed.count));
    let most = most.max(needed.count);
    memory.surplus = Some((since, most));
    let over_quota = count > supply.max.max(supply.min);
    if !over_quota {
        if sums.pending > 0 {
            return nothing(count, format!("{why}, {} are still on their way", sums.pending));
        }
        let surplus = Some((since, rules.surplus_us));
        let started = memory.started.map(|started| (started, rules.after_start_us));
        let over = |(from, us): &(Time, u64)| now.since_us(*from) < *us;
        if let Some((from, us)) = surplus.into_iter().chain(started).find(over) {
            let seconds = us.saturating_sub(now.since_us(from)).div_ceil(1_000_000);
            return nothing(
                count,
                format!("{why}, {count} there: waits {seconds} s before one goes"),
            );
        }
    }
    let target = if over_quota {
        supply.max.max(supply.min)
    } else {
        most
    };
    let surplus = count.saturating_sub(target) as usize;
    let idle_for = |w: &WorkerView| memory.idle.get(&w.worker).map(|&since| now.since_us(since));
    let mut candidates: Vec<&WorkerView> = sums.staying.clone();
    candidates.retain(|w| over_quota || idle_for(w).is_some_and(|us| us >= rules.idle_us));
    candidates.sort_by_key(|w| (Reverse(idle_for(w)), w.sole_bytes, w.tasks_at_hand, w.worker));
    let victims = with_room(sums, &candidates, surplus);
    let gone = u32::try_from(victims.len()).unwrap_or(u32::MAX);
    if gone > 0 {
        memory.surplus = None;
    }
    let reason = match (victims.is_empty(), candidates.is_empty()) {
        (false, _) => format!("{why}, {count} there: {gone} go"),
        (true, true) => format!("{why}, {count} there, but none is idle for long enough"),
        (true, false) => format!("{why}, {count} there, but the others have no room for what one holds"),
    };
    Decision {
        wanted: count - gone,
        victims,
        ..nothing(count, reason)
    }
}

/// The first of the candidates, at most `count`, whose chunks fit those that stay.
fn with_room(sums: &Sums<'_>, candidates: &[&WorkerView], count: usize) -> Vec<WorkerId> {
    let free = |w: &WorkerView| u128::from(w.budget_bytes.saturating_sub(w.memory_bytes));
    let leaving = sums.retiring.iter().map(|w| u128::from(w.sole_bytes));
    let mut moved: u128 = leaving.sum();
    let mut room: u128 = sums.staying.iter().map(|w| free(w)).sum();
    let mut victims = Vec::new();
    for victim in candidates {
        let (room_without, moved_with) = (room - free(victim), moved + u128::from(victim.sole_bytes));
        if victims.len() < count && (victim.sole_bytes == 0 || moved_with <= room_without) {
            victims.push(victim.worker);
            (room, moved) = (room_without, moved_with);
        }
    }
    victims
}
