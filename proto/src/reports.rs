//! Reports, many to a message: of tasks that went well a column for each fact, since small ones are reported by the
//! hundred thousand; one by one what has more to say.

use bytes::{Bytes, BytesMut};
use graticule_engine::{Finished, Report, TaskTimes};
use graticule_plan::{JobId, LayerId, TaskId};

use crate::{ProtoError, v1};

use ProtoError::Malformed;

/// Packs reports, in their order.
pub(crate) fn pack(reports: Vec<Report>) -> v1::Reports {
    let mut groups: Vec<v1::ReportGroup> = Vec::new();
    let mut columns = Columns::default();
    for report in reports {
        let report = match columns.add(report) {
            Ok(()) => continue,
            Err(report) => report,
        };
        groups.extend(columns.take());
        if let Err(report) = columns.add(report) {
            groups.push(v1::ReportGroup {
                group: Some(v1::report_group::Group::One(report.into())),
            });
        }
    }
    groups.extend(columns.take());
    v1::Reports { groups }
}

/// Unpacks what [`pack`] made.
pub(crate) fn unpack(message: v1::Reports) -> Result<Vec<Report>, ProtoError> {
    use v1::report_group::Group;
    let mut reports = Vec::new();
    for group in message.groups {
        match group.group.ok_or(Malformed("an empty group of reports"))? {
            Group::One(report) => reports.push(report.try_into()?),
            Group::Finished(columns) => each(columns, &mut reports)?,
        }
    }
    Ok(reports)
}

/// Tasks of one layer that went well, as they are gathered.
#[derive(Default)]
struct Columns {
    message: Option<v1::FinishedTasks>,
    inline: BytesMut,
}

impl Columns {
    /// Takes a report in, unless it has more to say than columns can, or is of another layer.
    #[expect(clippy::result_large_err, reason = "what is not taken in is given back")]
    fn add(&mut self, report: Report) -> Result<(), Report> {
        let (job, layer) = (report.task.job.0, report.task.layer.0);
        let fits = |of: &v1::FinishedTasks| (of.job, of.layer) == (job, layer);
        let finished = match &report.outcome {
            Ok(finished) if finished.problems.is_empty() && self.message.as_ref().is_none_or(fits) => {
                finished
            }
            Ok(_) | Err(_) => return Err(report),
        };
        let message = self.message.get_or_insert_with(|| v1::FinishedTasks {
            job,
            layer,
            ..v1::FinishedTasks::default()
        });
        message.firsts.push(report.task.block);
        message.counts.push(1 + report.others.len() as u64);
        message.attempts.push(report.attempt);
        message.bytes.push(finished.bytes);
        let size = finished.inline.as_ref().map_or(0, |value| value.len() as u64 + 1);
        message.inline_sizes.push(size);
        self.inline
            .extend_from_slice(finished.inline.as_deref().unwrap_or_default());
        for times in std::iter::once(&report.times).chain(&report.others) {
            message.slots.push(times.slot);
            message.queue_us.push(times.queue_us);
            message.fetch_us.push(times.fetch_us);
            message.compute_us.push(times.compute_us);
            message.fetched_bytes.push(times.fetched_bytes);
        }
        Ok(())
    }

    fn take(&mut self) -> Option<v1::ReportGroup> {
        let mut message = self.message.take()?;
        message.inline = std::mem::take(&mut self.inline).freeze();
        // Most tasks fetch nothing.
        for column in [&mut message.fetch_us, &mut message.fetched_bytes] {
            if column.iter().all(|&number| number == 0) {
                column.clear();
            }
        }
        Some(v1::ReportGroup {
            group: Some(v1::report_group::Group::Finished(message)),
        })
    }
}

/// The reports of a group's columns.
fn each(mut columns: v1::FinishedTasks, reports: &mut Vec<Report>) -> Result<(), ProtoError> {
    let (runs, tasks) = (columns.firsts.len(), columns.slots.len());
    for column in [&mut columns.fetch_us, &mut columns.fetched_bytes] {
        if column.is_empty() {
            column.resize(tasks, 0);
        }
    }
    let of_runs = [&columns.counts, &columns.bytes, &columns.inline_sizes];
    let of_tasks = [
        &columns.queue_us,
        &columns.fetch_us,
        &columns.compute_us,
        &columns.fetched_bytes,
    ];
    if of_runs.iter().any(|column| column.len() != runs)
        || columns.attempts.len() != runs
        || of_tasks.iter().any(|column| column.len() != tasks)
    {
        return Err(Malformed("columns of different lengths"));
    }
    let times = |at: usize| TaskTimes {
        slot: columns.slots[at],
        queue_us: columns.queue_us[at],
        fetch_us: columns.fetch_us[at],
        compute_us: columns.compute_us[at],
        fetched_bytes: columns.fetched_bytes[at],
    };
    let mut inline = std::mem::take(&mut columns.inline);
    let mut begin = 0;
    reports.reserve(runs);
    for run in 0..runs {
        let (first, count) = (columns.firsts[run], columns.counts[run]);
        let end = usize::try_from(count)
            .ok()
            .and_then(|count| count.checked_add(begin));
        let end = end.filter(|&end| end > begin && end <= tasks && first.checked_add(count).is_some());
        let end = end.ok_or(Malformed("a report on more blocks than there can be"))?;
        let value = split_value(&mut inline, columns.inline_sizes[run])?;
        reports.push(Report {
            task: TaskId {
                job: JobId(columns.job),
                layer: LayerId(columns.layer),
                block: first,
            },
            attempt: columns.attempts[run],
            outcome: Ok(Finished {
                bytes: columns.bytes[run],
                inline: value,
                problems: Vec::new(),
            }),
            times: times(begin),
            others: (begin + 1..end).map(times).collect(),
        });
        begin = end;
    }
    Ok(())
}

/// Takes a value of a size, plus one, off the values that lie one after the other; 0: there is none.
pub(crate) fn split_value(values: &mut Bytes, size: u64) -> Result<Option<Bytes>, ProtoError> {
    let Some(size) = size.checked_sub(1) else {
        return Ok(None);
    };
    let size = usize::try_from(size).ok().filter(|&size| size <= values.len());
    Ok(Some(
        values.split_to(size.ok_or(Malformed("a value that is not there"))?),
    ))
}

#[cfg(test)]
mod tests {
    use graticule_engine::{Failure, FailureKind};
    use prost::Message;

    use super::*;

    fn report(layer: u32, block: u64, finished: Finished) -> Report {
        Report {
            task: TaskId {
                job: JobId(7),
                layer: LayerId(layer),
                block,
            },
            attempt: 2,
            outcome: Ok(finished),
            times: times(block),
            others: Vec::new(),
        }
    }

    fn times(number: u64) -> TaskTimes {
        TaskTimes {
            slot: 1,
            queue_us: number,
            fetch_us: 0,
            compute_us: number + 2,
            fetched_bytes: 0,
        }
    }

    fn finished(inline: Option<&'static [u8]>) -> Finished {
        Finished {
            bytes: 8,
            inline: inline.map(Bytes::from_static),
            problems: Vec::new(),
        }
    }

    fn sent(reports: &[Report]) -> (usize, Vec<Report>) {
        let bytes = pack(reports.to_vec()).encode_to_vec();
        let message = v1::Reports::decode(Bytes::from(bytes)).unwrap();
        (message.groups.len(), unpack(message).unwrap())
    }

    #[test]
    fn reports_come_back_as_they_were_and_in_their_order() {
        let mut several = report(0, 20, finished(None));
        several.others = vec![times(5), times(6)];
        let mut fetched = report(1, 3, finished(Some(b"")));
        (fetched.times.fetch_us, fetched.times.fetched_bytes) = (4, 5);
        let mut failed = report(1, 4, finished(None));
        failed.outcome = Err(Failure {
            kind: FailureKind::Transient,
            message: "why".into(),
        });
        let mut noted = report(1, 6, finished(None));
        noted.outcome.as_mut().unwrap().problems = vec!["left out".into()];
        let reports = [
            report(0, 9, finished(Some(b"value"))),
            several,
            report(0, 1, finished(Some(b"x"))),
            fetched,
            failed,
            report(1, 5, finished(None)),
            noted,
        ];
        let (groups, back) = sent(&reports);
        assert_eq!(back, reports);
        assert_eq!(groups, 5);
        assert_eq!(sent(&[]), (0, vec![]));
    }

    #[test]
    fn columns_that_do_not_fit_together_are_refused() {
        let mut several = report(0, 20, finished(Some(b"value")));
        several.others = vec![times(5)];
        let broken: [fn(&mut v1::FinishedTasks); 7] = [
            |message| message.counts[0] = 0,
            |message| message.counts[0] = 3,
            |message| message.counts[0] = u64::MAX,
            |message| message.attempts.clear(),
            |message| message.compute_us.push(1),
            |message| message.inline_sizes[0] = 99,
            |message| message.firsts[0] = u64::MAX,
        ];
        for damage in broken {
            let mut message = pack(vec![several.clone()]);
            let Some(v1::report_group::Group::Finished(columns)) = &mut message.groups[0].group else {
                panic!("tasks that went well go in columns");
            };
            damage(columns);
            assert!(unpack(message).is_err());
        }
    }
}
