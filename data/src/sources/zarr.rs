//! Fetches the bytes of Zarr chunks.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use graticule_ops::{ArraySource, OnError, ZarrArray};

use crate::{
    error::Extent,
    redact::redact,
    store::{Address, Object, StoreError},
    zarr::{Layout, LayoutError, ShardIndex, checked},
};

use super::{
    Place, ReadCause, ReadError, Sources,
    fetched::Problem,
    place::{AxisPart, Selected},
};

/// What was fetched for one read of a Zarr array.
pub(super) struct ZarrPart {
    pub(super) source: Arc<ArraySource>,
    pub(super) layout: Arc<Layout>,
    pub(super) selected: Selected,
    /// The chunks that exist; all others are absent and hold the fill value.
    pub(super) chunks: Vec<Chunk>,
    pub(super) problems: Vec<Problem>,
}

pub(super) struct Chunk {
    pub(super) index: Vec<u64>,
    pub(super) bytes: Bytes,
}

/// # Panics
/// If the source is of another kind.
pub(super) fn array(source: &ArraySource) -> &ZarrArray {
    match source {
        ArraySource::Zarr(array) => array,
        _ => unreachable!("the caller has looked at the kind"),
    }
}

impl ZarrPart {
    pub(super) fn nbytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum()
    }

    /// Where a chunk lies, for messages.
    pub(super) fn place_of(&self, index: &[u64]) -> Place {
        let outer: Vec<u64> = index
            .iter()
            .zip(ratios(&self.layout))
            .map(|(inner, ratio)| inner / ratio)
            .collect();
        place_of(array(&self.source), &self.layout, &outer, index)
    }
}

fn place_of(array: &ZarrArray, layout: &Layout, outer: &[u64], index: &[u64]) -> Place {
    let file = redact(&array.url);
    let address = format!("{}/{}", file.trim_end_matches('/'), layout.key(outer));
    Place {
        item: String::new(),
        asset: String::new(),
        address,
        window: Extent::Chunk(index.to_vec()),
    }
}

/// Inner chunks of a stored one along each axis: 1 where there are no shards.
fn ratios(layout: &Layout) -> impl Iterator<Item = u64> {
    layout
        .outer
        .iter()
        .zip(&layout.chunks)
        .map(|(outer, inner)| outer / inner)
}

/// A stored file, and the chunks in it that are wanted.
struct Job {
    outer: Vec<u64>,
    wanted: Vec<Vec<u64>>,
}

/// Fetches the chunks that the box touches.
pub(super) async fn fetch(
    sources: &Sources,
    source: Arc<ArraySource>,
    layout: Arc<Layout>,
    selected: Selected,
) -> Result<ZarrPart, ReadError> {
    let description = array(&source);
    let of_array = |error: StoreError| {
        let address = redact(&description.url);
        let place = Place {
            item: String::new(),
            asset: String::new(),
            address,
            window: Extent::File,
        };
        ReadError::new(place, error)
    };
    let folder = Address::parse(&description.url).map_err(of_array)?;
    let on_error = description.on_error;
    let mut part = ZarrPart {
        source: source.clone(),
        layout: layout.clone(),
        chunks: Vec::new(),
        problems: Vec::new(),
        selected,
    };
    let jobs = jobs(&layout, &part.selected);
    let fetches = jobs.into_iter().map(|job| {
        let (layout, folder) = (&layout, &folder);
        async move {
            let fetched = fetch_file(sources, layout, &folder.child(&layout.key(&job.outer)), &job).await;
            (job, fetched)
        }
    });
    let mut fetches = stream::iter(fetches).buffered(sources.shared.config.files_at_once.max(1));
    while let Some((job, fetched)) = fetches.next().await {
        match fetched {
            Ok(chunks) => part.chunks.extend(chunks),
            Err(cause) => {
                let error = ReadError::new(
                    place_of(array(&source), &layout, &job.outer, &job.wanted[0]),
                    cause,
                );
                if on_error == OnError::Raise {
                    return Err(error);
                }
                part.problems.push(Problem::new(&error, false));
            }
        }
    }
    drop(fetches);
    Ok(part)
}

/// The files that hold elements of the box, in C order.
fn jobs(layout: &Layout, selected: &Selected) -> Vec<Job> {
    let touched: Vec<Vec<u64>> = selected
        .axes
        .iter()
        .zip(&layout.chunks)
        .map(|(axis, len)| blocks(axis, *len))
        .collect();
    let mut chunks = vec![Vec::new()];
    for along in &touched {
        let longer = |index: &Vec<u64>| {
            along
                .iter()
                .map(|&i| [&index[..], &[i]].concat())
                .collect::<Vec<_>>()
        };
        chunks = chunks.iter().flat_map(longer).collect();
    }
    let mut files: BTreeMap<Vec<u64>, Vec<Vec<u64>>> = BTreeMap::new();
    for index in chunks {
        let outer = index
            .iter()
            .zip(ratios(layout))
            .map(|(inner, ratio)| inner / ratio)
            .collect();
        files.entry(outer).or_default().push(index);
    }
    files
        .into_iter()
        .map(|(outer, wanted)| Job { outer, wanted })
        .collect()
}

/// The chunks of one axis that hold elements of it: none that a long step leaps over.
fn blocks(axis: &AxisPart, len: u64) -> Vec<u64> {
    if axis.len == 0 {
        return Vec::new();
    }
    let span = axis.span();
    let all = span.start / len..=(span.end - 1) / len;
    all.filter(|block| {
        !axis
            .within(&(block * len..block.saturating_add(1).saturating_mul(len)))
            .is_empty()
    })
    .collect()
}

/// The wanted chunks of a file that exist.
async fn fetch_file(
    sources: &Sources,
    layout: &Layout,
    address: &Address,
    job: &Job,
) -> Result<Vec<Chunk>, ReadCause> {
    let object = sources.stores().object(address)?;
    let result = match layout.shards {
        None => object.whole().await.map(|bytes| {
            vec![Chunk {
                index: job.wanted[0].clone(),
                bytes,
            }]
        }),
        Some(shards) if job.wanted.len() == shards.count => match object.whole().await {
            Ok(file) => return cut_whole(layout, shards, &file, &job.wanted),
            Err(error) => Err(error),
        },
        Some(shards) => return fetch_shard(sources, layout, shards, &object, &job.wanted).await,
    };
    match result {
        // An absent chunk holds the fill value.
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other.map_err(ReadCause::from),
    }
}

/// Position of an inner chunk in its shard's index.
fn entry(layout: &Layout, index: &[u64]) -> usize {
    let place = index.iter().zip(ratios(layout));
    place.fold(0, |entry, (inner, ratio)| {
        entry * ratio as usize + (inner % ratio) as usize
    })
}

/// The bytes of a chunk in its shard, or `None` if it is absent.
fn range_of(index: &[u8], entry: usize) -> Result<Option<Range<u64>>, ReadCause> {
    let at = |place: usize| {
        let bytes = index[place..place + 8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes)
    };
    let (offset, len) = (at(entry * 16), at(entry * 16 + 8));
    if offset == u64::MAX && len == u64::MAX {
        return Ok(None);
    }
    let end = offset.checked_add(len);
    end.map(|end| Some(offset..end))
        .ok_or_else(|| ReadCause::Chunk("the shard's index is damaged".to_owned()))
}

/// Checks an index that was read.
fn index_of(shards: ShardIndex, bytes: &[u8]) -> Result<&[u8], ReadCause> {
    let damaged = |why: String| ReadCause::Chunk(format!("the shard's index is damaged: {why}"));
    if bytes.len() as u64 != shards.len_bytes() {
        return Err(damaged(format!(
            "{} of {} bytes are there",
            bytes.len(),
            shards.len_bytes()
        )));
    }
    if shards.has_checksum {
        checked(bytes).map_err(damaged)
    } else {
        Ok(bytes)
    }
}

/// Cuts chunks out of a shard that was read whole.
fn cut_whole(
    layout: &Layout,
    shards: ShardIndex,
    file: &Bytes,
    wanted: &[Vec<u64>],
) -> Result<Vec<Chunk>, ReadCause> {
    let len = usize::try_from(shards.len_bytes())
        .expect("the number of chunks is limited")
        .min(file.len());
    let index = if shards.is_at_end {
        &file[file.len() - len..]
    } else {
        &file[..len]
    };
    let index = index_of(shards, index)?;
    let mut chunks = Vec::with_capacity(wanted.len());
    for chunk in wanted {
        if let Some(range) = range_of(index, entry(layout, chunk))? {
            if range.end > file.len() as u64 {
                let why = format!(
                    "the shard has {} bytes, its index points to {range:?}",
                    file.len()
                );
                return Err(ReadCause::Chunk(why));
            }
            let bytes = file.slice(range.start as usize..range.end as usize);
            chunks.push(Chunk {
                index: chunk.clone(),
                bytes,
            });
        }
    }
    Ok(chunks)
}

/// Reads a shard's index, then the wanted chunks.
async fn fetch_shard(
    sources: &Sources,
    layout: &Layout,
    shards: ShardIndex,
    object: &Object,
    wanted: &[Vec<u64>],
) -> Result<Vec<Chunk>, ReadCause> {
    let Some(index) = sources.shard_index(shards, object).await? else {
        return Ok(Vec::new());
    };
    let index = index_of(shards, &index)?;
    let mut present = Vec::new();
    for chunk in wanted {
        if let Some(range) = range_of(index, entry(layout, chunk))? {
            present.push((chunk.clone(), range));
        }
    }
    let ranges: Vec<_> = present.iter().map(|(_, range)| range.clone()).collect();
    let read = object.ranges(&ranges).await?;
    Ok(present
        .into_iter()
        .zip(read)
        .map(|((index, _), bytes)| Chunk { index, bytes })
        .collect())
}

impl Sources {
    /// A shard's index, from the cache if it was read before; `None` if there is no such shard.
    async fn shard_index(&self, shards: ShardIndex, object: &Object) -> Result<Option<Bytes>, ReadCause> {
        let read = async {
            let len = shards.len_bytes();
            let index = if shards.is_at_end {
                object.suffix(len).await
            } else {
                object.range(0..len).await
            };
            match index {
                Err(error) if error.is_not_found() => Ok(None),
                other => other.map(Some).map_err(ReadCause::from),
            }
        };
        let key = object.address().href()?;
        self.shared
            .shard_indices
            .try_get_with(key, read)
            .await
            .map_err(|e: Arc<ReadCause>| (*e).clone())
    }

    /// What an array's metadata says, understood once.
    pub(super) async fn layout(
        &self,
        digest: graticule_plan::Digest,
        description: &ZarrArray,
    ) -> Result<Arc<Layout>, ReadError> {
        if let Some(found) = self.shared.layouts.get(&digest).await {
            return Ok(found);
        }
        let failed = |why: String| {
            let address = redact(&description.url);
            let place = Place {
                item: String::new(),
                asset: String::new(),
                address,
                window: Extent::File,
            };
            ReadError::new(place, ReadCause::Description(why))
        };
        let layout =
            Layout::parse(&description.metadata, description.is_v2).map_err(|error| match error {
                LayoutError::Bad(why) => failed(why),
                LayoutError::Unsupported(what) => failed(format!("{what} is not supported")),
            })?;
        if layout.dtype != description.dtype || layout.shape != description.shape {
            return Err(failed(
                "the array's metadata does not fit its description".to_owned(),
            ));
        }
        let layout = Arc::new(layout);
        self.shared.layouts.insert(digest, layout.clone()).await;
        Ok(layout)
    }
}
