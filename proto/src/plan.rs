//! The symbolic plan to and from the wire.

use std::{ops::Range, sync::Arc};

use graticule_plan::{
    AxisChunks, AxisWindow, Body, ChunkGrid, Digest, Input, InputMap, Key, Layer, LayerId, LayerKind, Output,
    Resource, Rows, Source, TaskId,
};

use crate::{ProtoError, v1};

use ProtoError::Malformed;

impl From<TaskId> for v1::TaskId {
    fn from(task: TaskId) -> Self {
        Self {
            job: task.job.0,
            layer: task.layer.0,
            block: task.block,
        }
    }
}

impl From<v1::TaskId> for TaskId {
    fn from(task: v1::TaskId) -> Self {
        Self {
            job: graticule_plan::JobId(task.job),
            layer: LayerId(task.layer),
            block: task.block,
        }
    }
}

pub(crate) fn task(task: Option<v1::TaskId>) -> Result<TaskId, ProtoError> {
    task.map(TaskId::from).ok_or(Malformed("no task"))
}

impl From<&AxisChunks> for v1::AxisChunks {
    fn from(chunks: &AxisChunks) -> Self {
        use v1::axis_chunks::Cuts;
        let cuts = match chunks {
            AxisChunks::Regular { len, chunk } => Cuts::Regular(v1::RegularChunks {
                len: *len,
                chunk: *chunk,
            }),
            AxisChunks::Irregular { offsets } => Cuts::Irregular(v1::IrregularChunks {
                offsets: offsets.to_vec(),
            }),
        };
        Self { cuts: Some(cuts) }
    }
}

impl TryFrom<v1::AxisChunks> for AxisChunks {
    type Error = ProtoError;

    fn try_from(chunks: v1::AxisChunks) -> Result<Self, ProtoError> {
        use v1::axis_chunks::Cuts;
        match chunks.cuts.ok_or(Malformed("no cuts of an axis"))? {
            // `ChunkGrid::new` checks both forms; nothing else takes them from here.
            Cuts::Regular(regular) => Ok(AxisChunks::Regular {
                len: regular.len,
                chunk: regular.chunk,
            }),
            Cuts::Irregular(irregular) => Ok(AxisChunks::Irregular {
                offsets: irregular.offsets.into(),
            }),
        }
    }
}

impl From<&ChunkGrid> for v1::ChunkGrid {
    fn from(grid: &ChunkGrid) -> Self {
        Self {
            axes: grid.axes().iter().map(Into::into).collect(),
        }
    }
}

pub(crate) fn grid(grid: Option<v1::ChunkGrid>) -> Result<ChunkGrid, ProtoError> {
    let axes = grid
        .ok_or(Malformed("no grid"))?
        .axes
        .into_iter()
        .map(AxisChunks::try_from);
    Ok(ChunkGrid::new(axes.collect::<Result<_, _>>()?)?)
}

pub(crate) fn key_bytes(key: Key) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&key.0.to_be_bytes())
}

pub(crate) fn key(bytes: &[u8]) -> Result<Key, ProtoError> {
    let bytes = bytes
        .try_into()
        .map_err(|_| Malformed("a key is not 16 bytes long"))?;
    Ok(Key(u128::from_be_bytes(bytes)))
}

pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, ProtoError> {
    Ok(Digest(
        bytes
            .try_into()
            .map_err(|_| Malformed("a digest is not 32 bytes long"))?,
    ))
}

impl From<&Resource> for v1::Resource {
    fn from(resource: &Resource) -> Self {
        Self {
            name: resource.name.to_string(),
            count: resource.count,
        }
    }
}

impl From<v1::Resource> for Resource {
    fn from(resource: v1::Resource) -> Self {
        Self {
            name: resource.name.into(),
            count: resource.count,
        }
    }
}

impl From<&Layer> for v1::Layer {
    fn from(layer: &Layer) -> Self {
        Self {
            name: layer.name.to_string(),
            grid: Some((&layer.grid).into()),
            item_bytes: layer.item_bytes,
            body: bytes::Bytes::copy_from_slice(&layer.body.bytes),
            inputs: layer.inputs.iter().map(Into::into).collect(),
            scratch_bytes: layer.scratch_bytes,
            source_bytes: layer.source_bytes,
            cost_ns: layer.cost_ns,
            retries: layer.retries,
            priority: layer.priority,
            resources: layer.resources.iter().map(Into::into).collect(),
            workers: layer.workers.iter().map(|name| name.to_string()).collect(),
            tables: layer
                .tables
                .iter()
                .map(|d| bytes::Bytes::copy_from_slice(&d.0))
                .collect(),
            origin: layer.origin.as_deref().unwrap_or_default().into(),
            kind: match layer.kind {
                LayerKind::Array => v1::LayerKind::Array,
                LayerKind::Calls { .. } => v1::LayerKind::Calls,
                LayerKind::Values { .. } => v1::LayerKind::Values,
            }
            .into(),
            function: layer.function().map(|name| name.to_string()).unwrap_or_default(),
            learns_size: layer.learns_size().is_some(),
            replicas: layer.replicas().unwrap_or_default(),
            functions: layer.functions.iter().map(|name| name.to_string()).collect(),
        }
    }
}

impl TryFrom<v1::Layer> for Layer {
    type Error = ProtoError;

    fn try_from(layer: v1::Layer) -> Result<Self, ProtoError> {
        let kind = v1::LayerKind::try_from(layer.kind);
        let kind = match kind.map_err(|_| Malformed("a layer of a kind that is not known"))? {
            v1::LayerKind::Array => LayerKind::Array,
            v1::LayerKind::Calls => LayerKind::Calls {
                function: layer.function.into(),
                learns_size: layer.learns_size,
            },
            v1::LayerKind::Values => LayerKind::Values {
                replicas: layer.replicas,
            },
        };
        let inputs = layer.inputs.into_iter().map(Input::try_from);
        let tables = layer.tables.iter().map(|bytes| digest(bytes));
        Ok(Self {
            name: layer.name.into(),
            grid: grid(layer.grid)?,
            item_bytes: layer.item_bytes,
            body: Body::new(layer.body.to_vec()),
            inputs: inputs.collect::<Result<_, _>>()?,
            scratch_bytes: layer.scratch_bytes,
            source_bytes: layer.source_bytes,
            cost_ns: layer.cost_ns,
            retries: layer.retries,
            priority: layer.priority,
            resources: layer.resources.into_iter().map(Into::into).collect(),
            workers: layer.workers.into_iter().map(Into::into).collect(),
            tables: tables.collect::<Result<_, _>>()?,
            functions: layer.functions.into_iter().map(Into::into).collect(),
            origin: (!layer.origin.is_empty()).then(|| layer.origin.into()),
            kind,
        })
    }
}

impl From<&Input> for v1::Input {
    fn from(input: &Input) -> Self {
        let source = match input.source {
            Source::Layer(layer) => v1::input::Source::Layer(layer.0),
            Source::Held(key) => v1::input::Source::Held(key_bytes(key)),
        };
        let map = match &input.map {
            InputMap::Product(windows) => v1::input::Map::Product(v1::Product {
                windows: windows.iter().map(Into::into).collect(),
            }),
            InputMap::Blocks(rows) => v1::input::Map::Blocks(rows.into()),
        };
        Self {
            source: Some(source),
            map: Some(map),
        }
    }
}

impl TryFrom<v1::Input> for Input {
    type Error = ProtoError;

    fn try_from(input: v1::Input) -> Result<Self, ProtoError> {
        let source = match input.source.ok_or(Malformed("an input without a source"))? {
            v1::input::Source::Layer(layer) => Source::Layer(LayerId(layer)),
            v1::input::Source::Held(bytes) => Source::Held(key(&bytes)?),
        };
        let map = match input.map.ok_or(Malformed("an input without a map"))? {
            v1::input::Map::Product(product) => {
                let windows = product.windows.into_iter().map(AxisWindow::try_from);
                InputMap::Product(windows.collect::<Result<_, _>>()?)
            }
            v1::input::Map::Blocks(blocks) => InputMap::Blocks(rows(blocks)?),
        };
        Ok(Self { source, map })
    }
}

impl From<&Rows> for v1::Rows {
    fn from(rows: &Rows) -> Self {
        Self {
            offsets: rows.offsets().to_vec(),
            blocks: rows.blocks().to_vec(),
        }
    }
}

fn rows(rows: v1::Rows) -> Result<Rows, ProtoError> {
    Rows::from_parts(rows.offsets, rows.blocks).ok_or(Malformed("rows whose offsets do not fit"))
}

fn axis(axis: usize) -> u32 {
    u32::try_from(axis).expect("a grid has at most 16 axes")
}

impl From<&AxisWindow> for v1::AxisWindow {
    fn from(window: &AxisWindow) -> Self {
        use v1::axis_window::Window;
        let window = match window {
            AxisWindow::Aligned { out_axis } => Window::Aligned(v1::Aligned {
                out_axis: axis(*out_axis),
            }),
            AxisWindow::All => Window::All(v1::All {}),
            AxisWindow::Block { block } => Window::Block(v1::Block { block: *block }),
            AxisWindow::Affine {
                out_axis,
                start,
                step,
            } => Window::Affine(v1::Affine {
                out_axis: axis(*out_axis),
                start: *start,
                step: *step,
            }),
            AxisWindow::Group { out_axis, fan_in } => Window::Group(v1::Group {
                out_axis: axis(*out_axis),
                fan_in: *fan_in,
            }),
            AxisWindow::Intervals { out_axis, intervals } => Window::Intervals(v1::Intervals {
                out_axis: axis(*out_axis),
                starts: intervals.iter().map(|i| i.0).collect(),
                ends: intervals.iter().map(|i| i.1).collect(),
            }),
            AxisWindow::Rows { out_axis, rows } => Window::Rows(v1::RowWindow {
                out_axis: axis(*out_axis),
                rows: Some(rows.into()),
            }),
        };
        Self { window: Some(window) }
    }
}

impl TryFrom<v1::AxisWindow> for AxisWindow {
    type Error = ProtoError;

    fn try_from(window: v1::AxisWindow) -> Result<Self, ProtoError> {
        use v1::axis_window::Window;
        Ok(match window.window.ok_or(Malformed("an empty window"))? {
            Window::Aligned(w) => AxisWindow::Aligned {
                out_axis: w.out_axis as usize,
            },
            Window::All(_) => AxisWindow::All,
            Window::Block(w) => AxisWindow::Block { block: w.block },
            Window::Affine(w) => AxisWindow::Affine {
                out_axis: w.out_axis as usize,
                start: w.start,
                step: w.step,
            },
            Window::Group(w) => AxisWindow::Group {
                out_axis: w.out_axis as usize,
                fan_in: w.fan_in,
            },
            Window::Intervals(w) => {
                if w.starts.len() != w.ends.len() {
                    return Err(Malformed("intervals without an end"));
                }
                let intervals: Vec<(u64, u64)> = w.starts.into_iter().zip(w.ends).collect();
                AxisWindow::Intervals {
                    out_axis: w.out_axis as usize,
                    intervals: intervals.into(),
                }
            }
            Window::Rows(w) => AxisWindow::Rows {
                out_axis: w.out_axis as usize,
                rows: rows(w.rows.ok_or(Malformed("a window without rows"))?)?,
            },
        })
    }
}

impl From<&Output> for v1::Output {
    fn from(output: &Output) -> Self {
        Self {
            layer: output.layer.0,
            keep: output.keep.map(key_bytes).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::Output> for Output {
    type Error = ProtoError;

    fn try_from(output: v1::Output) -> Result<Self, ProtoError> {
        let keep = if output.keep.is_empty() {
            None
        } else {
            Some(key(&output.keep)?)
        };
        Ok(Self {
            layer: LayerId(output.layer),
            keep,
        })
    }
}

/// A side table as a message.
pub(crate) fn table(digest: Digest, content: &Arc<[u8]>) -> v1::Table {
    v1::Table {
        digest: bytes::Bytes::copy_from_slice(&digest.0),
        content: bytes::Bytes::copy_from_slice(content),
    }
}

/// Some blocks of a kept result, as ranges.
pub(crate) fn kept_blocks(key: Key, blocks: &[Range<u64>]) -> v1::KeptBlocks {
    v1::KeptBlocks {
        key: key_bytes(key),
        starts: blocks.iter().map(|range| range.start).collect(),
        ends: blocks.iter().map(|range| range.end).collect(),
    }
}

pub(crate) fn from_kept_blocks(kept: v1::KeptBlocks) -> Result<(Key, Vec<Range<u64>>), ProtoError> {
    if kept.starts.len() != kept.ends.len() {
        return Err(Malformed("ranges without an end"));
    }
    let ranges = kept.starts.into_iter().zip(kept.ends);
    Ok((key(&kept.key)?, ranges.map(|(start, end)| start..end).collect()))
}
