//! What a film has of the pages that ask: communication, insights, what is held, how workers came and went, what was moved on
//! the timeline, and log lines. What workers reported of themselves is in the frames.
//!
//! The first four are the answers of the tables at moments of the run. Of too many bytes every other moment goes, and after
//! that only every other one is asked; the last one always stays. The others are there once, each row with its time.

use serde::Serialize;

use super::{
    archive::Archive,
    film::FramePlace,
    moves::{TellingOf, Told},
};
use crate::{
    Record,
    aggregate::{Aggregator, FilmLines, HolderName, TimelineMoves},
};

/// Bytes that the answers of one topic may take as JSON.
const TOPIC_BYTES_MAX: usize = 1 << 20;

/// Where the topics lie among the blobs.
#[derive(Serialize)]
pub(super) struct TopicPlaces {
    communication: Vec<FramePlace>,
    insights: Vec<FramePlace>,
    /// Rows of what is held.
    held: Vec<FramePlace>,
    /// `None` if the run was recorded without decisions on the number of workers.
    scaling: Option<Vec<FramePlace>>,
    /// The names of layers that hold something.
    names: (usize, usize),
    /// Lines and movements: where they begin, and how long they are.
    lines: (usize, usize),
    moves: (usize, usize),
}

/// The topics of a film that is being made.
pub(super) struct Topics {
    communication: Moments,
    insights: Moments,
    held: Moments,
    scaling: Option<Moments>,
}

impl Topics {
    pub(super) fn new(last: usize, has_scaling: bool) -> Self {
        Self {
            communication: Moments::new(last),
            insights: Moments::new(last),
            held: Moments::new(last),
            scaling: has_scaling.then(|| Moments::new(last)),
        }
    }

    /// Keeps how the topics stand at a step.
    pub(super) fn ask(&mut self, step: usize, now_us: u64, aggregator: &mut Aggregator) {
        if self.communication.is_wanted(step) {
            self.communication.keep(step, json(&aggregator.communication()));
        }
        if self.insights.is_wanted(step) {
            self.insights.keep(step, json(&aggregator.insights(now_us)));
        }
        if self.held.is_wanted(step) {
            self.held.keep(step, json(&aggregator.film_held()));
        }
        if let Some(scaling) = &mut self.scaling
            && scaling.is_wanted(step)
        {
            scaling.keep(step, json(&aggregator.film_scaling()));
        }
    }

    /// Writes all of it behind the blobs.
    pub(super) fn finish(
        self,
        blobs: &mut Vec<u8>,
        (lines, moves): (&FilmLines, &TimelineMoves),
        names: &[HolderName],
    ) -> TopicPlaces {
        TopicPlaces {
            communication: self.communication.write(blobs),
            insights: self.insights.write(blobs),
            held: self.held.write(blobs),
            scaling: self.scaling.map(|scaling| scaling.write(blobs)),
            names: write(blobs, &json(&names)),
            lines: write(blobs, &json(lines)),
            moves: write(blobs, &json(moves)),
        }
    }
}

fn json(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("answers are plain JSON")
}

fn write(blobs: &mut Vec<u8>, answer: &[u8]) -> (usize, usize) {
    let at = blobs.len();
    blobs.extend_from_slice(answer);
    (at, answer.len())
}

/// The answers to one question, each from its step on.
struct Moments {
    last: usize,
    stride: usize,
    answers: Vec<(usize, Vec<u8>)>,
    bytes: usize,
}

impl Moments {
    fn new(last: usize) -> Self {
        Self {
            last,
            stride: 1,
            answers: Vec::new(),
            bytes: 0,
        }
    }

    fn is_wanted(&self, step: usize) -> bool {
        step.is_multiple_of(self.stride) || step == self.last
    }

    fn keep(&mut self, step: usize, answer: Vec<u8>) {
        if self.answers.last().is_some_and(|(_, before)| *before == answer) {
            return;
        }
        self.bytes += answer.len();
        self.answers.push((step, answer));
        while self.bytes > TOPIC_BYTES_MAX && self.stride <= self.last {
            self.stride *= 2;
            let mut kept: Vec<(usize, Vec<u8>)> = Vec::new();
            for (step, answer) in std::mem::take(&mut self.answers) {
                // An answer stands until the next one: of those that stand at a step that stays, the last one does.
                let step = step.next_multiple_of(self.stride).min(self.last);
                kept.pop_if(|(before, _)| *before == step);
                kept.push((step, answer));
            }
            self.answers = kept;
            self.bytes = self.answers.iter().map(|(_, answer)| answer.len()).sum();
        }
    }

    fn write(self, blobs: &mut Vec<u8>) -> Vec<FramePlace> {
        let places = self.answers.into_iter().map(|(step, answer)| {
            let (at, len) = write(blobs, &answer);
            (step, at, len)
        });
        places.collect()
    }
}

/// Tasks that waited: when it was told, by whom, and within which span they waited how long.
pub(super) type Waited = (u64, graticule_plan::WorkerId, (u64, u64), u64);

impl Archive {
    /// What was moved and logged as records, and what tasks waited, by time, shifted to begin at zero.
    pub(super) fn timed_topics(&self) -> (Vec<(u64, Record)>, Vec<Waited>) {
        let base = self.span_us.0;
        let mut told: Vec<TellingOf> = Vec::new();
        for tape in &self.jobs {
            // An archive that was read or recorded is sound.
            told.extend(tape.moves.read().unwrap_or_default());
        }
        told.sort_by_key(|(at_us, worker, _)| (*at_us, *worker));
        let (mut timed, mut waited) = (Vec::new(), Vec::new());
        // All that a worker told at a time is one report.
        for report in told.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (at_us, worker, _) = report[0];
            let at_us = at_us.saturating_sub(base);
            let mut moves = Vec::new();
            for (_, _, told) in report {
                match *told {
                    Told::Moved(mut moved) => {
                        moved.began_us = moved.began_us.saturating_sub(base);
                        moved.ended_us = moved.ended_us.saturating_sub(base);
                        moves.push(moved);
                    }
                    Told::Queued {
                        span_us: (from_us, to_us),
                        waited_us,
                    } => {
                        let span_us = (from_us.saturating_sub(base), to_us.saturating_sub(base));
                        waited.push((at_us, worker, span_us, waited_us));
                    }
                }
            }
            if !moves.is_empty() {
                let moves = moves.into();
                let record = Record::Moved {
                    worker,
                    moves,
                    lost: 0,
                };
                timed.push((at_us, record));
            }
        }
        timed.extend(self.timed_lines());
        (timed, waited)
    }

    fn timed_lines(&self) -> Vec<(u64, Record)> {
        let base = self.span_us.0;
        let Some(of_run) = &self.lines else {
            return Vec::new();
        };
        let mut timed: Vec<(u64, Record)> = Vec::new();
        for (source, line) in &of_run.lines {
            let mut line = line.clone();
            line.first_us = line.first_us.saturating_sub(base);
            line.last_us = line.last_us.saturating_sub(base);
            let record = Record::Logged {
                source: *source,
                lines: [line].into(),
                lost: 0,
            };
            // In the order in which they came, whatever their times: all are taken in before they are read.
            timed.push((0, record));
        }
        let lost = Record::Logged {
            source: crate::LogSource::Scheduler,
            lines: [].into(),
            lost: of_run.lost,
        };
        timed.push((0, lost));
        timed
    }

    /// Movements that had no room in workers' tables, or in the archive.
    pub(super) fn lost_moves(&self) -> u64 {
        // Each job that ran meanwhile counted them.
        self.jobs.iter().map(|tape| tape.moves.lost).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_bytes_every_other_moment_goes_and_the_last_one_stays() {
        let mut moments = Moments::new(160);
        for step in 0..=160 {
            if moments.is_wanted(step) {
                moments.keep(step, vec![step as u8; 100_000]);
            }
        }
        let steps: Vec<usize> = moments.answers.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [0, 32, 64, 96, 128, 160]);
        assert!(moments.bytes <= TOPIC_BYTES_MAX);
    }

    #[test]
    fn an_answer_that_stands_for_long_is_not_lost_with_its_moment() {
        let mut moments = Moments::new(160);
        moments.keep(0, vec![0; 10]);
        moments.keep(3, vec![1; 10]);
        for step in 100..=160 {
            if moments.is_wanted(step) {
                moments.keep(step, vec![step as u8; 300_000]);
            }
        }
        assert!(
            moments
                .answers
                .iter()
                .any(|(step, answer)| *step <= 64 && answer[0] == 1)
        );
    }

    #[test]
    fn an_answer_that_stays_is_written_once() {
        let mut moments = Moments::new(4);
        for (step, answer) in [b"a", b"a", b"b", b"b", b"a"].into_iter().enumerate() {
            moments.keep(step, answer.to_vec());
        }
        let mut blobs = vec![9];
        assert_eq!(moments.write(&mut blobs), [(0, 1, 1), (2, 2, 1), (4, 3, 1)]);
    }
}
