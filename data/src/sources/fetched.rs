use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use graticule_kernel::{BoxError, Reader, Tensor, read_inline};
use graticule_ops::{ArraySource, NodeId, Read};

use super::{Place, ReadCause, ReadError, raster::RasterPart, zarr::ZarrPart};

/// All bytes that a task's reads need, ready to be decoded on a CPU thread.
pub struct Fetched {
    parts: BTreeMap<NodeId, Part>,
    /// What failed while decoding and was let pass.
    problems: Mutex<Vec<Problem>>,
}

/// What was fetched for one read.
pub(super) enum Part {
    Inline(Arc<ArraySource>),
    Raster(Box<RasterPart>),
    Zarr(Box<ZarrPart>),
}

/// Something that was left out of a result because the source's `on_error` says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Item, asset, address without secrets, and window.
    pub place: Place,
    /// Why it could not be read.
    pub cause: String,
    /// Whether the whole item was left out of the read, not only this file.
    pub is_item_skipped: bool,
}

impl Problem {
    pub(super) fn new(error: &ReadError, is_item_skipped: bool) -> Self {
        Self {
            place: (*error.place).clone(),
            cause: error.cause.to_string(),
            is_item_skipped,
        }
    }
}

impl Fetched {
    pub(super) fn new(parts: impl IntoIterator<Item = (NodeId, Part)>) -> Self {
        Self {
            parts: parts.into_iter().collect(),
            problems: Mutex::new(Vec::new()),
        }
    }

    /// Bytes held, as they came from the stores.
    pub fn nbytes(&self) -> u64 {
        self.parts
            .values()
            .map(|part| match part {
                Part::Inline(_) => 0,
                Part::Raster(part) => part.nbytes(),
                Part::Zarr(part) => part.nbytes(),
            })
            .sum()
    }

    /// What was left out so far; complete after the last read. Each failure comes once.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let while_fetching = self.parts.values().flat_map(|part| match part {
            Part::Inline(_) => &[][..],
            Part::Raster(part) => &part.problems,
            Part::Zarr(part) => &part.problems,
        });
        let while_decoding = self.problems.lock().expect("no panic while the list is held");
        for problem in while_fetching.chain(while_decoding.iter()) {
            if !problems.contains(problem) {
                problems.push(problem.clone());
            }
        }
        problems
    }
}

impl Reader for Fetched {
    fn read(&self, node: NodeId, read: &Read, extents: &[Range<u64>]) -> Result<Tensor, BoxError> {
        let not_fetched = || {
            ReadError::of_task(ReadCause::Description(format!(
                "{extents:?} was not fetched for the read of node {}",
                node.0
            )))
        };
        match self.parts.get(&node).ok_or_else(not_fetched)? {
            Part::Inline(source) => match &**source {
                ArraySource::Inline(array) => Ok(read_inline(array, read, extents)?),
                _ => Err(not_fetched().into()),
            },
            Part::Raster(part) => {
                let (tensor, problems) = part.decode(read, extents)?;
                self.report(problems);
                Ok(tensor)
            }
            Part::Zarr(part) => {
                let (tensor, problems) = part.decode(read, extents)?;
                self.report(problems);
                Ok(tensor)
            }
        }
    }
}

impl Fetched {
    fn report(&self, problems: Vec<Problem>) {
        if !problems.is_empty() {
            self.problems
                .lock()
                .expect("no panic while the list is held")
                .extend(problems);
        }
    }
}
