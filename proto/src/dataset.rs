//! What clients publish for each other by name.

use std::sync::Arc;

use bytes::Bytes;
use graticule_plan::Key;

use crate::{
    ProtoError,
    ProtoError::Malformed,
    plan::{key, key_bytes},
    v1, version,
};

/// Something that has a name in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The name.
    pub name: Arc<str>,
    /// What it stands for, as clients write it down for each other.
    pub content: Bytes,
    /// The kept results that it refers to.
    pub keys: Vec<Key>,
}

/// What a client asks of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatasetRequest {
    /// Keep results under a name.
    Publish {
        /// What has the name.
        dataset: Dataset,
        /// Whether it takes the place of another one.
        replaces: bool,
    },
    /// Forget a name.
    Unpublish {
        /// The name.
        name: Arc<str>,
    },
    /// What a name stands for.
    Content {
        /// The name.
        name: Arc<str>,
    },
    /// All names.
    Names,
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatasetAnswer {
    /// What the name stands for that was asked for.
    pub content: Bytes,
    /// All names, in order, if they were asked for.
    pub names: Vec<Arc<str>>,
}

/// Why that is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatasetError {
    /// Nothing has the name.
    #[error("no dataset has the name {name:?}; there {}", told(.known))]
    Unknown {
        /// The name.
        name: Arc<str>,
        /// Names that there are.
        known: Vec<Arc<str>>,
    },
    /// Another one has the name.
    #[error("a dataset of the name {name:?} is there already; override=True replaces it")]
    Taken {
        /// The name.
        name: Arc<str>,
    },
    /// It cannot be published.
    #[error("{why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// The names of which a message tells.
const TOLD_COUNT_MAX: usize = 8;

fn told(known: &[Arc<str>]) -> String {
    let first: Vec<&str> = known.iter().take(TOLD_COUNT_MAX).map(|name| &**name).collect();
    match known.len().saturating_sub(first.len()) {
        _ if first.is_empty() => "is none".into(),
        0 => format!("are {}", first.join(", ")),
        more => format!("are {} and {more} more", first.join(", ")),
    }
}

pub(crate) fn keys(all: &[Bytes]) -> Result<Vec<Key>, ProtoError> {
    all.iter().map(|bytes| key(bytes)).collect()
}

impl From<DatasetRequest> for v1::DatasetRequest {
    fn from(request: DatasetRequest) -> Self {
        use v1::dataset_request::Request;
        let request = match request {
            DatasetRequest::Publish { dataset, replaces } => Request::Publish(v1::DatasetPublish {
                name: dataset.name.to_string(),
                content: dataset.content,
                keys: dataset.keys.into_iter().map(key_bytes).collect(),
                replaces,
            }),
            DatasetRequest::Unpublish { name } => Request::Unpublish(name.to_string()),
            DatasetRequest::Content { name } => Request::Content(name.to_string()),
            DatasetRequest::Names => Request::Names(v1::DatasetNames::default()),
        };
        Self {
            version: Some(version()),
            request: Some(request),
        }
    }
}

impl TryFrom<v1::DatasetRequest> for DatasetRequest {
    type Error = ProtoError;

    fn try_from(asked: v1::DatasetRequest) -> Result<Self, ProtoError> {
        use v1::dataset_request::Request;
        crate::check_version(asked.version)?;
        let request = asked.request.ok_or(Malformed("a request about no dataset"))?;
        Ok(match request {
            Request::Publish(publish) => DatasetRequest::Publish {
                dataset: Dataset {
                    name: publish.name.into(),
                    content: publish.content,
                    keys: keys(&publish.keys)?,
                },
                replaces: publish.replaces,
            },
            Request::Unpublish(name) => DatasetRequest::Unpublish { name: name.into() },
            Request::Content(name) => DatasetRequest::Content { name: name.into() },
            Request::Names(_) => DatasetRequest::Names,
        })
    }
}

impl From<DatasetAnswer> for v1::DatasetReply {
    fn from(answer: DatasetAnswer) -> Self {
        Self {
            content: answer.content,
            names: answer.names.iter().map(ToString::to_string).collect(),
        }
    }
}

impl From<v1::DatasetReply> for DatasetAnswer {
    fn from(reply: v1::DatasetReply) -> Self {
        Self {
            content: reply.content,
            names: reply.names.into_iter().map(Into::into).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let dataset = Dataset {
            name: "sst".into(),
            content: Bytes::from_static(b"pickle"),
            keys: vec![Key(1), Key(u128::MAX)],
        };
        let requests = [
            DatasetRequest::Publish {
                dataset,
                replaces: true,
            },
            DatasetRequest::Unpublish { name: "a".into() },
            DatasetRequest::Content { name: "b".into() },
            DatasetRequest::Names,
        ];
        for request in requests {
            let sent = v1::DatasetRequest::from(request.clone());
            assert_eq!(DatasetRequest::try_from(sent), Ok(request));
        }
        let empty = v1::DatasetRequest {
            version: Some(version()),
            request: None,
        };
        assert!(DatasetRequest::try_from(empty).is_err());
    }

    #[test]
    fn who_asks_for_an_unknown_name_is_told_some_that_there_are() {
        let unknown = |count: usize| DatasetError::Unknown {
            name: "x".into(),
            known: (0..count).map(|at| format!("n{at}").into()).collect(),
        };
        assert!(unknown(0).to_string().ends_with("there is none"));
        assert!(unknown(2).to_string().ends_with("there are n0, n1"));
        assert!(unknown(10).to_string().ends_with("n7 and 2 more"));
    }
}
