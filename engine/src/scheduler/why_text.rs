//! Answers as a person reads them.

use std::fmt;

use super::why_answer::{Admission, Bound, Openings, Placement, Standing, Why, WhyLine, WorkerWhy};

impl fmt::Display for Why {
    /// A line for the task, and one for each cause below it, indented.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, line) in self.lines().iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", "  ".repeat(line.depth))?;
            if let Some((task, layer)) = line.of {
                write!(f, "{task} ({layer}): ")?;
            }
            f.write_str(&line.text)?;
        }
        Ok(())
    }
}

impl Why {
    /// What there is to say, line by line: of the task, and below it of what it waits for.
    pub fn lines(&self) -> Vec<WhyLine<'_>> {
        let mut lines = Vec::new();
        add_lines(self, 0, &mut lines);
        lines
    }
}

fn add_lines<'a>(why: &'a Why, depth: usize, lines: &mut Vec<WhyLine<'a>>) {
    let mut text = why.standing.to_string();
    if let Some(history) = history(why) {
        text.push_str(&format!(" [{history}]"));
    }
    lines.push(WhyLine {
        depth,
        of: Some((why.task, &why.layer)),
        text,
    });
    if let Standing::Waiting { missing, causes } = &why.standing {
        for cause in causes {
            add_lines(cause, depth + 1, lines);
        }
        let more = missing.saturating_sub(causes.len() as u64);
        // Further down one stands for all.
        if more > 0 && depth == 0 && !causes.is_empty() {
            lines.push(WhyLine {
                depth: 1,
                of: None,
                text: format!("and {more} more"),
            });
        }
    }
}

/// What went wrong with the task so far; `None` if nothing did.
fn history(why: &Why) -> Option<String> {
    let mut parts = Vec::new();
    if why.attempts > 1 {
        parts.push(format!("attempt {}", why.attempts));
    }
    for (count, what) in [
        (why.failures, "failed"),
        (why.losses, "lost its worker"),
        (why.misses, "did not find its inputs"),
    ] {
        match count {
            0 => {}
            1 => parts.push(format!("{what} once")),
            count => parts.push(format!("{what} {count} times")),
        }
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::NotDemanded {
                needed_for,
                walk_at,
                admission,
            } => {
                write!(f, "not demanded yet: output {needed_for} needs it")?;
                match walk_at {
                    Some(at) if at == needed_for => write!(f, ", which is being walked now")?,
                    Some(at) => write!(f, ", and output {at} comes first")?,
                    None => {}
                }
                write!(f, "; {admission}")
            }
            Standing::Waiting { missing: 1, .. } => f.write_str("waits for an input"),
            Standing::Waiting { missing, .. } => write!(f, "waits for {missing} inputs"),
            Standing::Ready { ahead, workers } => {
                f.write_str("ready")?;
                if *ahead > 0 {
                    write!(f, ", {ahead} of its job go before")?;
                }
                write!(f, "; {workers}")
            }
            Standing::Leased {
                worker,
                name,
                placement,
            } => write!(f, "with worker {worker} ({name}): {placement}"),
            Standing::Held {
                holders,
                bytes,
                needed,
            } => {
                let holders: Vec<String> = holders.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "done; its chunk of {} is held by worker {}",
                    size(*bytes),
                    holders.join(", ")
                )?;
                match needed {
                    0 => Ok(()),
                    1 => f.write_str(", and one task is still to use it"),
                    needed => write!(f, ", and {needed} tasks are still to use it"),
                }
            }
            Standing::Released => f.write_str("done; its chunk was dropped, since nobody needs it any more"),
            Standing::NotNeeded => f.write_str("its job is over, and nobody needs it"),
            Standing::Forgotten => f.write_str("its job is over and forgotten"),
        }
    }
}

impl fmt::Display for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = format!("{} of {}", size(self.in_use_bytes), size(self.budget_bytes));
        match self.bound {
            Bound::NoWorkers => f.write_str("no worker is connected"),
            Bound::Ready => write!(
                f,
                "{} tasks are ready, which is enough for all slots ({} at most)",
                self.ready_count, self.ready_count_max
            ),
            Bound::Barren => f.write_str("all that was demanded lately waits for what workers have at hand"),
            Bound::Memory => write!(f, "{of} for what passes through the workers' memory are in use"),
            Bound::JobMemory => write!(
                f,
                "{of} that its plan needs are in use, and no source is begun before some of it is done"
            ),
            Bound::Clients => write!(
                f,
                "{of} for what passes through the workers' memory are in use, {} by results that clients have not fetched",
                size(self.undelivered_bytes)
            ),
            Bound::None => f.write_str("nothing bounds the walk now"),
        }
    }
}

impl fmt::Display for Openings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.connected == 0 {
            return f.write_str("no worker is connected");
        }
        if self.awaits_first {
            return f.write_str("another call of its function runs first, to tell how large results are");
        }
        let reasons = [
            (self.full, "has its queue full", "have their queues full"),
            (self.retiring, "leaves", "leave"),
            (
                self.unfit,
                "lacks what it asks for, or has it in use",
                "lack what it asks for, or have it in use",
            ),
            (self.isolated, "runs one task alone", "run one task alone each"),
            (
                self.not_empty,
                "is busy, and this task is to run alone (workers vanished with it, or its result's size is unknown)",
                "are busy, and this task is to run alone (workers vanished with it, or its result's size is unknown)",
            ),
        ];
        let reasons = reasons.into_iter().filter(|(count, ..)| *count > 0);
        let texts: Vec<String> = reasons
            .map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }))
            .collect();
        let workers = if self.connected == 1 { "worker" } else { "workers" };
        if texts.is_empty() {
            return write!(f, "none of {} {workers} refuses it", self.connected);
        }
        write!(f, "of {} {workers} {}", self.connected, texts.join(", "))
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placement::MostInputs { held_bytes, of_bytes } => write!(
                f,
                "no other holds more of its inputs ({} of {})",
                size(*held_bytes),
                size(*of_bytes)
            ),
            Placement::NextBest { held_bytes, of_bytes } => write!(
                f,
                "those that hold more of its inputs had no room (here {} of {})",
                size(*held_bytes),
                size(*of_bytes)
            ),
            Placement::Idlest => f.write_str("it had the fewest tasks at hand"),
            Placement::OnlyFit => f.write_str("it is the only one that has what the task asks for"),
            Placement::Alone => {
                f.write_str("it was empty, and the task runs alone (workers vanished with it, or its result's size is unknown)")
            }
        }
    }
}

impl fmt::Display for WorkerWhy {
    /// Several lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |us: u64| us as f64 / 1e6;
        write!(f, "worker {} ({}) at {}: ", self.worker, self.name, self.address)?;
        match (self.is_retiring, self.is_isolated, self.leased_count) {
            (true, ..) => f.write_str("leaves, and takes no more tasks")?,
            (_, true, _) => f.write_str("runs one task alone, or is emptied for one")?,
            (.., 0) => f.write_str("has nothing to do")?,
            _ => f.write_str("works")?,
        }
        write!(
            f,
            "\n  tasks at hand: {} for {} slots, {:.3} s of work; it says {} run and {} wait",
            self.leased_count,
            self.slots,
            seconds(self.load_us),
            self.status.running,
            self.status.queued
        )?;
        if !self.leased.is_empty() {
            let named: Vec<String> = self.leased.iter().map(ToString::to_string).collect();
            let more = if self.leased.len() as u64 == self.leased_count {
                ""
            } else {
                ", ..."
            };
            write!(f, "\n    {}{more}", named.join(", "))?;
        }
        write!(
            f,
            "\n  holds {} chunks of {}; in memory {} and reserved {} of {}, on disk {}",
            self.held_count,
            size(self.held_bytes),
            size(self.status.memory_bytes),
            size(self.status.reserved_bytes),
            size(self.budget_bytes),
            size(self.status.spilled_bytes)
        )?;
        write!(f, "\n  last heard of {:.1} s ago", seconds(self.silent_us))
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut size = bytes as f64;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{size:.1} {}", UNITS[unit]),
    }
}
