//! Answers as a person reads them.

use std::fmt;

use graticule_engine::Time;

use crate::{About, Answer, Happening};

impl fmt::Display for Answer {
    /// Several lines: how it is, then what was, by the time that has passed since.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.about {
            About::Task(why) => write!(f, "{why}")?,
            About::Worker(why) => write!(f, "{why}")?,
            About::FormerWorker(worker) => write!(f, "worker {worker} is not connected any more")?,
        }
        if let Some(ran) = self.ran_text() {
            write!(f, "\n  {ran}")?;
        }
        if self.story.is_empty() {
            return match (self.is_cut, &self.about) {
                (true, _) => f.write_str("\nstory: nothing is remembered, older entries were dropped"),
                (false, _) => Ok(()),
            };
        }
        f.write_str("\nstory")?;
        if self.is_cut {
            f.write_str(" (older entries were dropped)")?;
        }
        f.write_str(":")?;
        let is_of_task = matches!(self.about, About::Task(_));
        for (at, happening) in &self.story {
            write!(
                f,
                "\n  {:>10}  {}",
                Ago(*at, self.now),
                Told(happening, is_of_task)
            )?;
        }
        Ok(())
    }
}

impl Answer {
    /// Of a task that is done, where it ran, and why there.
    pub fn ran_text(&self) -> Option<String> {
        let (worker, placement) = self.ran.as_ref()?;
        Some(format!("ran on worker {worker}: {placement}"))
    }
}

/// How long ago something was.
struct Ago(Time, Time);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.1.since_us(self.0) / 1000;
        let text = match ms {
            0..60_000 => format!("-{}.{:03} s", ms / 1000, ms % 1000),
            _ => format!("-{} min {:02} s", ms / 60_000, ms / 1000 % 60),
        };
        f.pad(&text)
    }
}

/// A happening without what the story is of anyway.
struct Told<'a>(&'a Happening, bool);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told(happening, is_of_task) = self;
        match (happening.task(), happening.worker()) {
            (Some(_), Some(worker)) if *is_of_task => write!(f, "worker {worker}: ")?,
            (Some(task), _) if !is_of_task => write!(f, "{task}: ")?,
            _ => {}
        }
        let ms = |us: u64| us as f64 / 1e3;
        match happening {
            Happening::Leased { attempt, .. } => write!(f, "leased, attempt {}", attempt + 1),
            Happening::Finished { bytes, times, .. } => write!(
                f,
                "finished: {bytes} bytes; waited {:.1} ms, fetched {:.1} ms, computed {:.1} ms",
                ms(times.queue_us),
                ms(times.fetch_us),
                ms(times.compute_us)
            ),
            Happening::Failed { attempt, message, .. } => {
                write!(f, "attempt {} failed: {message}", attempt + 1)
            }
            Happening::Reset {
                was_finished: true, ..
            } => f.write_str("its chunk was lost; it runs again"),
            Happening::LetGo { .. } => {
                f.write_str("its chunk was dropped to save memory; it runs again when somebody needs it")
            }
            Happening::Reset { attempt, .. } => write!(f, "attempt {} is void", attempt + 1),
            Happening::Joined { name, address, .. } => write!(f, "connected as {name} at {address}"),
            Happening::Left { why: None, .. } => f.write_str("left, as it had said"),
            Happening::Left { why: Some(why), .. } => write!(f, "lost: {why}"),
        }
    }
}
