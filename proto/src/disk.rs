//! What a worker has on disk, in frames.

use graticule_engine::{DiskCheck, DiskReport};

use crate::{
    ProtoError, v1,
    worker::{read_runs, run_frames},
};

impl From<DiskReport> for v1::Disk {
    fn from(report: DiskReport) -> Self {
        Self {
            to_disk: run_frames(report.to_disk),
            off_disk: run_frames(report.off_disk),
            check: report.check.map(Into::into),
            waiting: report.waiting,
        }
    }
}

impl TryFrom<v1::Disk> for DiskReport {
    type Error = ProtoError;

    fn try_from(report: v1::Disk) -> Result<Self, ProtoError> {
        Ok(Self {
            to_disk: read_runs(report.to_disk)?,
            off_disk: read_runs(report.off_disk)?,
            check: report.check.map(DiskCheck::try_from).transpose()?,
            waiting: report.waiting,
        })
    }
}

impl From<DiskCheck> for v1::DiskCheck {
    fn from(check: DiskCheck) -> Self {
        Self {
            from: Some(check.from.into()),
            until: check.until.map(Into::into),
            on_disk: run_frames(check.on_disk),
        }
    }
}

impl TryFrom<v1::DiskCheck> for DiskCheck {
    type Error = ProtoError;

    fn try_from(check: v1::DiskCheck) -> Result<Self, ProtoError> {
        let from = check.from.ok_or(ProtoError::Malformed("a check of no chunks"))?;
        Ok(Self {
            from: from.into(),
            until: check.until.map(Into::into),
            on_disk: read_runs(check.on_disk)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use graticule_engine::{BlockRun, ToScheduler};
    use graticule_plan::{JobId, LayerId, TaskId};

    use super::*;

    fn chunk(block: u64) -> TaskId {
        TaskId {
            job: JobId(3),
            layer: LayerId(1),
            block,
        }
    }

    fn run(block: u64, count: u64) -> BlockRun {
        BlockRun {
            count,
            ..chunk(block).into()
        }
    }

    #[test]
    fn what_is_on_disk_comes_back_as_it_was() {
        for until in [None, Some(chunk(90))] {
            let check = DiskCheck {
                from: chunk(0),
                until,
                on_disk: vec![run(0, 64), run(70, 3)],
            };
            let report = DiskReport {
                to_disk: vec![run(4, 2)],
                off_disk: vec![run(9, 1), run(11, 5)],
                check: Some(check),
                waiting: 8,
            };
            let told = ToScheduler::Disk(report);
            let sent = v1::WorkerMessage::from(told.clone());
            assert_eq!(ToScheduler::try_from(sent).unwrap(), told);
        }
    }

    #[test]
    fn runs_that_are_too_long_and_checks_of_nothing_are_refused() {
        let long = DiskReport {
            to_disk: vec![run(0, 65)],
            ..DiskReport::default()
        };
        assert!(DiskReport::try_from(v1::Disk::from(long)).is_err());
        let check = v1::Disk {
            check: Some(v1::DiskCheck::default()),
            ..v1::Disk::default()
        };
        assert!(DiskReport::try_from(check).is_err());
    }
}
