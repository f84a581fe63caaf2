//! What one can ask about, as a person writes it and on the wire.

use std::{str::FromStr, sync::Arc};

use graticule_plan::{JobId, LayerId, TaskId, WorkerId};

use crate::{ProtoError, v1};

use ProtoError::Malformed;

/// What somebody asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A task, and the chunk that it makes.
    Task(TaskId),
    /// What the first output of a job that is missing waits for.
    Job(JobId),
    /// A worker by its number.
    Worker(WorkerId),
    /// A worker by its name.
    WorkerNamed(Arc<str>),
}

/// A text that names nothing that can be asked about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no task, job or worker; write JOB/LAYER/BLOCK as in 1/2/17 (or job-1/layer-2/block-17) for a task, \
     job-1 for a job, worker-3 or a worker's name for a worker"
)]
pub struct SubjectError {
    text: String,
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// Reads what logs and the dashboard print: `1/2/17` and `job-1/layer-2/block-17` are a task, `job-1` is a job,
    /// `worker-3` is worker 3 or one of that name, and any other name is a worker's.
    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let text = text.trim();
        let error = || SubjectError {
            text: text.to_owned(),
        };
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [job, layer, block] => {
                let job = number(job, "job").ok_or_else(error)?;
                let layer = number(layer, "layer").and_then(|layer| u32::try_from(layer).ok());
                Ok(Subject::Task(TaskId {
                    job: JobId(job),
                    layer: LayerId(layer.ok_or_else(error)?),
                    block: number(block, "block").ok_or_else(error)?,
                }))
            }
            [one] => match one.strip_prefix("job").and_then(|_| number(one, "job")) {
                Some(job) => Ok(Subject::Job(JobId(job))),
                None if one.is_empty() || one.bytes().all(|byte| byte.is_ascii_digit()) => Err(error()),
                None => Ok(Subject::WorkerNamed(one.into())),
            },
            _ => Err(error()),
        }
    }
}

/// A number, with the word before it or without.
fn number(text: &str, word: &str) -> Option<u64> {
    let rest = text.trim();
    let rest = rest
        .strip_prefix(word)
        .map_or(rest, |rest| rest.trim_start_matches(['-', ' ', ':']));
    let digits = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| rest.parse().ok()).flatten()
}

/// The number in `worker-3`: what a worker is called if no other has that name.
pub fn worker_number(name: &str) -> Option<WorkerId> {
    let is_numbered = name.starts_with("worker");
    is_numbered
        .then(|| number(name, "worker"))
        .flatten()
        .map(WorkerId)
}

impl From<Subject> for v1::WhyRequest {
    fn from(subject: Subject) -> Self {
        use v1::why_request::Subject as To;
        let subject = match subject {
            Subject::Task(task) => To::Task(task.into()),
            Subject::Job(job) => To::Job(job.0),
            Subject::Worker(worker) => To::Worker(worker.0),
            Subject::WorkerNamed(name) => To::WorkerName(name.to_string()),
        };
        Self {
            version: Some(crate::version()),
            subject: Some(subject),
        }
    }
}

impl TryFrom<v1::WhyRequest> for Subject {
    type Error = ProtoError;

    fn try_from(request: v1::WhyRequest) -> Result<Self, ProtoError> {
        use v1::why_request::Subject as From;
        crate::check_version(request.version)?;
        Ok(
            match request.subject.ok_or(Malformed("a question about nothing"))? {
                From::Task(task) => Subject::Task(task.into()),
                From::Job(job) => Subject::Job(JobId(job)),
                From::Worker(worker) => Subject::Worker(WorkerId(worker)),
                From::WorkerName(name) => Subject::WorkerNamed(name.into()),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_logs_and_people_write_is_read() {
        let task = TaskId {
            job: JobId(1),
            layer: LayerId(2),
            block: 17,
        };
        for text in [
            "1/2/17",
            "job-1/layer-2/block-17",
            " job 1/layer 2/block 17 ",
            "job-1/2/17",
        ] {
            assert_eq!(text.parse(), Ok(Subject::Task(task)), "{text}");
        }
        assert_eq!(task.to_string().parse(), Ok(Subject::Task(task)));
        assert_eq!("job-7".parse(), Ok(Subject::Job(JobId(7))));
        assert_eq!("worker-3".parse(), Ok(Subject::WorkerNamed("worker-3".into())));
        assert_eq!(worker_number("worker-3"), Some(WorkerId(3)));
        assert_eq!(worker_number("local-3"), None);
    }

    #[test]
    fn what_names_nothing_is_told_the_forms() {
        for text in [
            "",
            "17",
            "1/2",
            "1/2/3/4",
            "1/2/x",
            "1//3",
            "-1/2/3",
            "1/99999999999/3",
            "job-1/layer-2/layer-3",
        ] {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(
                error.contains("1/2/17") && error.contains("worker-3"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_question_comes_back_from_the_wire_as_it_was() {
        for text in ["1/2/17", "job-7", "worker-3", "alice"] {
            let subject: Subject = text.parse().unwrap();
            assert_eq!(
                Subject::try_from(v1::WhyRequest::from(subject.clone())).unwrap(),
                subject
            );
        }
        assert!(Subject::try_from(v1::WhyRequest::default()).is_err());
    }
}
