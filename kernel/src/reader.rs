use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use graticule_ops::{ArraySource, InlineArray, NodeId, Read, decode_table};
use graticule_plan::Digest;

use crate::{BoxError, KernelError, Tensor, movement::stride_box};

/// Makes elements of what has been fetched for a task's reads. Works in the compute phase: it waits for nothing.
pub trait Reader {
    /// The elements of `extents`, counted within the read's selection, one range for each axis.
    ///
    /// The tensor has the read's dtype and the extents' shape; its values are as they come out of the read.
    ///
    /// # Errors
    /// Whatever keeps the elements from being made.
    fn read(&self, node: NodeId, read: &Read, extents: &[Range<u64>]) -> Result<Tensor, BoxError>;
}

/// Holds side tables by digest.
pub trait Tables {
    /// The table's content.
    fn table(&self, digest: Digest) -> Option<Arc<[u8]>>;
}

impl Tables for BTreeMap<Digest, Arc<[u8]>> {
    fn table(&self, digest: Digest) -> Option<Arc<[u8]>> {
        self.get(&digest).cloned()
    }
}

/// Reads [`ArraySource::Inline`] sources from their tables, and hands all others on.
pub struct InlineReader<'a> {
    tables: &'a dyn Tables,
    others: Option<&'a dyn Reader>,
}

impl<'a> InlineReader<'a> {
    /// A reader of inline sources only.
    pub fn new(tables: &'a dyn Tables) -> Self {
        Self { tables, others: None }
    }

    /// A reader that asks `others` about sources that are not inline.
    pub fn with_others(tables: &'a dyn Tables, others: &'a dyn Reader) -> Self {
        Self {
            tables,
            others: Some(others),
        }
    }
}

impl Reader for InlineReader<'_> {
    fn read(&self, node: NodeId, read: &Read, extents: &[Range<u64>]) -> Result<Tensor, BoxError> {
        let table = self
            .tables
            .table(read.source)
            .ok_or(KernelError::NoSuchTable(read.source))?;
        match (decode_table::<ArraySource>(&table)?, self.others) {
            (ArraySource::Inline(array), _) => Ok(read_inline(&array, read, extents)?),
            (_, Some(others)) => others.read(node, read, extents),
            (_, None) => Err("the source is not inline and no other reader is at hand".into()),
        }
    }
}

/// The elements of `extents` within the read's selection of an inline array.
///
/// # Errors
/// [`KernelError::Window`] or [`KernelError::Length`] where array, selection and extents do not fit each other.
pub fn read_inline(array: &InlineArray, read: &Read, extents: &[Range<u64>]) -> Result<Tensor, KernelError> {
    let whole = inline_tensor(array)?;
    let misfit = |why: String| Err(KernelError::Window(format!("read of an inline array: {why}")));
    if read.dtype != array.dtype {
        return misfit(format!("it is {}, the read wants {}", array.dtype, read.dtype));
    }
    if read.selection.len() != whole.ndim() || extents.len() != whole.ndim() {
        return misfit(format!(
            "{} selections for {} axes",
            read.selection.len(),
            whole.ndim()
        ));
    }
    let (mut region, mut steps) = (Vec::new(), Vec::new());
    for ((selection, extent), &len) in read.selection.iter().zip(extents).zip(whole.shape()) {
        if extent.start > extent.end || extent.end > selection.len || selection.step == 0 {
            return misfit(format!("extent {extent:?} of selection {selection:?}"));
        }
        steps.push(selection.step);
        if extent.is_empty() {
            region.push(0..0);
            continue;
        }
        let element = |k: u64| i128::from(selection.start) + i128::from(selection.step) * i128::from(k);
        let (a, b) = (element(extent.start), element(extent.end - 1));
        if a.min(b) < 0 || a.max(b) >= len as i128 {
            return misfit(format!("selection {selection:?} of an axis of {len}"));
        }
        region.push(a.min(b) as u64..a.max(b) as u64 + 1);
    }
    let part = whole.region(&region)?;
    if steps.iter().all(|&step| step == 1) {
        Ok(part)
    } else {
        stride_box(&part, &steps)
    }
}

fn inline_tensor(array: &InlineArray) -> Result<Tensor, KernelError> {
    let too_large = |_| KernelError::TooLarge {
        bytes: u64::MAX,
        limit: crate::TENSOR_BYTES_MAX,
    };
    let shape: Vec<usize> = array
        .shape
        .iter()
        .map(|&len| usize::try_from(len))
        .collect::<Result<_, _>>()
        .map_err(too_large)?;
    let item = array.dtype.size_bytes() as usize;
    if cfg!(target_endian = "little") || item == 1 {
        return Tensor::from_bytes(array.dtype, &shape, Bytes::copy_from_slice(&array.data));
    }
    let mut swapped = array.data.clone();
    swapped.chunks_exact_mut(item).for_each(<[u8]>::reverse);
    Tensor::from_bytes(array.dtype, &shape, Bytes::from(swapped))
}
