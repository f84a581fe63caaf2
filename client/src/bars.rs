//! Progress bars in the terminal: one for each layer.

use std::collections::BTreeMap;

use futures::{Stream, StreamExt};
use graticule_plan::LayerId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::Progress;

/// Characters of a layer's name that are shown.
const NAME_CHARS_MAX: usize = 30;
/// Bars at most; a plan with more layers has its first ones shown.
const BAR_COUNT_MAX: usize = 24;

/// One bar for each layer of a job. Shows nothing where standard error is no terminal.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
    layers: BTreeMap<LayerId, ProgressBar>,
}

impl Bars {
    /// No bars yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Draws how far a job is.
    pub fn show(&mut self, progress: &Progress) {
        for layer in progress.layers.iter().take(BAR_COUNT_MAX) {
            let bar = self.layers.entry(layer.layer).or_insert_with(|| {
                let bar = self.all.add(ProgressBar::new(layer.task_count));
                bar.set_style(style());
                bar.set_message(shortened(&layer.name));
                bar
            });
            bar.set_position(layer.finished_count);
            let mut notes = Vec::new();
            if layer.leased_count > 0 {
                notes.push(format!("{} running", layer.leased_count));
            }
            if layer.failed_count > 0 {
                notes.push(format!("{} failed", layer.failed_count));
            }
            if layer.reset_count > 0 {
                notes.push(format!("{} again", layer.reset_count));
            }
            bar.set_prefix(notes.join(", "));
        }
    }

    /// Draws until the job ends.
    pub async fn follow(mut self, mut progress: impl Stream<Item = Progress> + Unpin) {
        while let Some(progress) = progress.next().await {
            self.show(&progress);
        }
        self.finish();
    }

    /// Leaves the bars as they are.
    pub fn finish(self) {
        self.layers.values().for_each(ProgressBar::abandon);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:30} {wide_bar} {pos}/{len} {elapsed} {prefix}")
        .expect("the template is valid, as the test shows")
        .progress_chars("=> ")
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_at_the_bars_width() {
        assert_eq!(shortened("read+where"), "read+where");
        let cut = shortened(&"x".repeat(100));
        assert_eq!(cut.chars().count(), NAME_CHARS_MAX);
        assert!(cut.ends_with('…'));
        let _ = style();
    }
}
