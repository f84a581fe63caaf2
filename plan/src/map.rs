use std::ops::Range;

use smallvec::{SmallVec, smallvec};

use crate::{AxisChunks, AxisWindow, ChunkGrid, InputMap, Inverse, Rows};

/// A part of one source block along one axis, and where it lies in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The source block along the axis.
    pub block: u64,
    /// First element of the part, counted within the block.
    pub start: u64,
    /// Elements of the part.
    pub len: u64,
    /// Where the part begins in the window.
    pub at: u64,
    /// First element of the part, counted along the whole source axis.
    pub element: u64,
}

/// An input's map made ready for questions: it knows both grids.
///
/// [`sources`](Self::sources) and [`dependents`](Self::dependents) are each other's inverse: source block `s` is
/// among the sources of block `b` exactly if `b` is among the dependents of `s`.
#[derive(Debug, Clone)]
pub struct BlockMap {
    out: ChunkGrid,
    source: ChunkGrid,
    kind: MapKind,
    /// Block `i` needs source block `i`: the usual case, and the quick one.
    is_same: bool,
    fan_in: Option<u64>,
}

#[derive(Debug, Clone)]
enum MapKind {
    Product(Vec<AxisMap>),
    Blocks { rows: Rows, inverse: Inverse },
}

#[derive(Debug, Clone)]
struct AxisMap {
    window: AxisWindow,
    source: AxisChunks,
    /// Cuts of the deciding axis, where one decides.
    out: Option<AxisChunks>,
    inverse: Option<Inverse>,
}

impl BlockMap {
    /// Checks `map` against both grids and makes it ready.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn new(map: &InputMap, out: &ChunkGrid, source: &ChunkGrid) -> Result<Self, String> {
        let kind = match map {
            InputMap::Blocks(rows) => {
                if let Some(why) = rows.misfit(out.block_count(), source.block_count()) {
                    return Err(why);
                }
                MapKind::Blocks {
                    rows: rows.clone(),
                    inverse: rows.inverse(source.block_count()),
                }
            }
            InputMap::Product(windows) => {
                if windows.len() != source.ndim() {
                    return Err(format!(
                        "{} windows for {} source axes",
                        windows.len(),
                        source.ndim()
                    ));
                }
                let axes = windows.iter().zip(source.axes()).enumerate();
                let axes = axes.map(|(axis, (window, chunks))| {
                    AxisMap::new(window, chunks, out).map_err(|why| format!("source axis {axis}: {why}"))
                });
                MapKind::Product(axes.collect::<Result<_, _>>()?)
            }
        };
        let is_same = matches!(map, InputMap::Product(windows) if windows.len() == out.ndim()
            && (0..).zip(windows).all(|(axis, window)| *window == AxisWindow::Aligned { out_axis: axis }));
        let fan_in = match map {
            _ if is_same => Some(1),
            InputMap::Product(windows) if out.ndim() == 1 => match windows.as_slice() {
                [AxisWindow::Group { fan_in, .. }] => Some(*fan_in),
                _ => None,
            },
            InputMap::Product(_) | InputMap::Blocks(_) => None,
        };
        Ok(Self {
            out: out.clone(),
            source: source.clone(),
            kind,
            is_same,
            fan_in,
        })
    }

    /// If neighbouring blocks need neighbouring source blocks, so many each: block `i` needs those from `i * fan_in` on,
    /// the last one what is left.
    #[inline]
    pub fn fan_in(&self) -> Option<u64> {
        self.fan_in
    }

    /// The grid of the array that is read.
    pub fn source_grid(&self) -> &ChunkGrid {
        &self.source
    }

    /// The grid of the layer that reads.
    pub(crate) fn out_grid(&self) -> &ChunkGrid {
        &self.out
    }

    /// For each source axis the axis of the layer that decides what a block needs along it; `None` for maps that are no
    /// product.
    pub(crate) fn deciders(&self) -> Option<Vec<Option<usize>>> {
        match &self.kind {
            MapKind::Blocks { .. } => None,
            MapKind::Product(axes) => Some(axes.iter().map(|axis| axis.window.out_axis()).collect()),
        }
    }

    /// The run of blocks along a source axis that covers what a block at index `i` of the deciding axis needs, and how
    /// many of the run it needs. For products.
    pub(crate) fn reach(&self, axis: usize, i: u64) -> (Range<u64>, u64) {
        let MapKind::Product(axes) = &self.kind else {
            unreachable!("the caller asked for deciders")
        };
        let axis = &axes[axis];
        let mut index: SmallVec<[u64; AXES]> = SmallVec::from_elem(0, self.out.ndim());
        if let Some(decider) = axis.window.out_axis() {
            index[decider] = i;
        }
        match axis.sources(&index) {
            Blocks::Range(run) => (run.clone(), run.end - run.start),
            Blocks::List(list) => {
                let start = list.iter().min().copied().unwrap_or(0);
                let end = list.iter().max().map_or(start, |last| last + 1);
                (start..end, list.len() as u64)
            }
        }
    }

    /// Whether blocks that differ along the deciding axis are known to need different blocks along a source axis.
    pub(crate) fn is_disjoint(&self, axis: usize) -> bool {
        match &self.kind {
            MapKind::Blocks { .. } => false,
            MapKind::Product(axes) => matches!(
                axes[axis].window,
                AxisWindow::Aligned { .. } | AxisWindow::Group { .. }
            ),
        }
    }

    /// The source blocks that block `block` needs, in the order in which the kernel sees them.
    pub fn sources(&self, block: u64) -> Vec<u64> {
        let mut found = Vec::new();
        self.each_source(block, |source| found.push(source));
        found
    }

    /// Calls `see` with what [`sources`](Self::sources) gives, one by one.
    pub fn each_source(&self, block: u64, mut see: impl FnMut(u64)) {
        match &self.kind {
            _ if self.is_same => see(block),
            MapKind::Blocks { rows, .. } => rows.row(block).iter().copied().for_each(see),
            MapKind::Product(axes) => {
                let index = index_of(&self.out, block);
                let choices: SmallVec<[Blocks<'_>; AXES]> =
                    axes.iter().map(|axis| axis.sources(&index)).collect();
                each_product(&self.source, &choices, 0, &mut see);
            }
        }
    }

    /// Number `place` of [`sources`](Self::sources), if there are so many.
    pub fn source_at(&self, block: u64, place: u64) -> Option<u64> {
        match &self.kind {
            _ if self.is_same => (place == 0).then_some(block),
            MapKind::Blocks { rows, .. } => rows.row(block).get(place as usize).copied(),
            MapKind::Product(axes) => {
                let index = index_of(&self.out, block);
                let (mut source, mut stride, mut rest) = (0, 1, place);
                for (axis, chunks) in axes.iter().zip(self.source.axes()).rev() {
                    let blocks = axis.sources(&index);
                    let len = blocks.len() as u64;
                    source += stride * blocks.get(rest.checked_rem(len)?);
                    stride *= chunks.count();
                    rest /= len;
                }
                (rest == 0).then_some(source)
            }
        }
    }

    /// How many source blocks block `block` needs.
    pub fn source_count(&self, block: u64) -> u64 {
        match &self.kind {
            _ if self.is_same => 1,
            MapKind::Blocks { rows, .. } => rows.row(block).len() as u64,
            MapKind::Product(axes) => {
                let index = index_of(&self.out, block);
                axes.iter()
                    .map(|axis| axis.sources(&index).len() as u64)
                    .product()
            }
        }
    }

    /// The blocks that need source block `source`, rising.
    pub fn dependents(&self, source: u64) -> Vec<u64> {
        let mut found = Vec::new();
        self.each_dependent(source, |block| found.push(block));
        found
    }

    /// Calls `see` with what [`dependents`](Self::dependents) gives, one by one.
    pub fn each_dependent(&self, source: u64, mut see: impl FnMut(u64)) {
        match &self.kind {
            _ if self.is_same => see(source),
            MapKind::Blocks { inverse, .. } => inverse.row(source).iter().copied().for_each(see),
            MapKind::Product(axes) => {
                let Some(choices) = self.dependent_choices(axes, source) else {
                    return;
                };
                let choices: SmallVec<[Blocks<'_>; AXES]> = choices
                    .iter()
                    .zip(self.out.axes())
                    .map(|(choice, axis)| match choice {
                        None => Blocks::Range(0..axis.count()),
                        Some(blocks) => Blocks::List(blocks),
                    })
                    .collect();
                each_product(&self.out, &choices, 0, &mut see);
            }
        }
    }

    /// How many blocks need source block `source`.
    pub fn dependents_count(&self, source: u64) -> u64 {
        match &self.kind {
            _ if self.is_same => 1,
            MapKind::Blocks { inverse, .. } => inverse.row(source).len() as u64,
            MapKind::Product(axes) => {
                let Some(choices) = self.dependent_choices(axes, source) else {
                    return 0;
                };
                let counts = choices.iter().zip(self.out.axes());
                counts
                    .map(|(choice, axis)| choice.as_ref().map_or(axis.count(), |blocks| blocks.len() as u64))
                    .product()
            }
        }
    }

    /// The window of block `block` along each source axis, as parts of source blocks in order.
    ///
    /// `None` for maps that are no product: there the kernel gets whole chunks, one by one.
    pub fn window(&self, block: u64) -> Option<Vec<Vec<Piece>>> {
        match &self.kind {
            MapKind::Blocks { .. } => None,
            MapKind::Product(axes) => {
                let index = self.out.unravel(block);
                Some(axes.iter().map(|axis| axis.pieces(&index)).collect())
            }
        }
    }

    /// The elements that block `block` needs of source block `source` (one of its [`sources`](Self::sources)).
    pub fn region(&self, block: u64, source: u64) -> Vec<Range<u64>> {
        let whole = || {
            self.source
                .block_shape(source)
                .into_iter()
                .map(|len| 0..len)
                .collect()
        };
        let Some(window) = self.window(block) else {
            return whole();
        };
        let index = self.source.unravel(source);
        let part = |(pieces, i): (&Vec<Piece>, &u64)| {
            let piece = pieces
                .iter()
                .find(|p| p.block == *i)
                .expect("a source of the block");
            piece.start..piece.start + piece.len
        };
        window.iter().zip(&index).map(part).collect()
    }

    /// For each axis of the layer the blocks that may need source block `source`, `None` for all of them; `None` at all
    /// if no block does.
    fn dependent_choices(&self, axes: &[AxisMap], source: u64) -> Option<SmallVec<[Option<Choice>; AXES]>> {
        let index = index_of(&self.source, source);
        let mut choices: SmallVec<[Option<Choice>; AXES]> = SmallVec::new();
        choices.resize(self.out.ndim(), None);
        for (axis, &i) in axes.iter().zip(&index) {
            match axis.dependents(i) {
                Dependents::Every => {}
                Dependents::None => return None,
                Dependents::Along(out_axis, blocks) => match &mut choices[out_axis] {
                    Some(before) => before.retain(|b| blocks.contains(b)),
                    empty => *empty = Some(blocks),
                },
            }
        }
        Some(choices)
    }
}

/// Axes up to which nothing is put on the heap.
const AXES: usize = 6;

/// Blocks along one axis.
type Choice = SmallVec<[u64; 4]>;

/// [`ChunkGrid::unravel`] without an allocation.
fn index_of(grid: &ChunkGrid, mut block: u64) -> SmallVec<[u64; AXES]> {
    let mut index = SmallVec::from_elem(0, grid.ndim());
    for (place, axis) in index.iter_mut().zip(grid.axes()).rev() {
        *place = block % axis.count();
        block /= axis.count();
    }
    index
}

enum Dependents {
    /// Any block: this source axis restricts nothing.
    Every,
    /// No block needs it.
    None,
    /// The blocks at these indices along one axis of the layer.
    Along(usize, Choice),
}

impl AxisMap {
    fn new(window: &AxisWindow, source: &AxisChunks, out: &ChunkGrid) -> Result<Self, String> {
        let deciding = |out_axis: usize| {
            let chunks = out.axes().get(out_axis);
            chunks.ok_or_else(|| format!("axis {out_axis} decides, but the layer has {} axes", out.ndim()))
        };
        let (mut decider, mut inverse) = (None, None);
        match window {
            AxisWindow::All => {}
            AxisWindow::Block { block } if *block < source.count() => {}
            AxisWindow::Block { block } => return Err(format!("names block {block} of {}", source.count())),
            AxisWindow::Aligned { out_axis } => {
                let chunks = deciding(*out_axis)?;
                if chunks.count() != source.count() {
                    return Err(format!(
                        "{} blocks aligned with {}",
                        chunks.count(),
                        source.count()
                    ));
                }
                decider = Some(chunks.clone());
            }
            AxisWindow::Affine { out_axis, step, .. } => {
                if *step == 0 {
                    return Err("step is 0".into());
                }
                decider = Some(deciding(*out_axis)?.clone());
            }
            AxisWindow::Group { out_axis, fan_in } => {
                let chunks = deciding(*out_axis)?;
                if *fan_in == 0 || chunks.count() != source.count().div_ceil(*fan_in) {
                    let (n, m) = (source.count(), chunks.count());
                    return Err(format!("{n} blocks in groups of {fan_in} do not make {m}"));
                }
                decider = Some(chunks.clone());
            }
            AxisWindow::Intervals { out_axis, intervals } => {
                let chunks = deciding(*out_axis)?;
                if intervals.len() as u64 != chunks.count() {
                    return Err(format!(
                        "{} intervals for {} blocks",
                        intervals.len(),
                        chunks.count()
                    ));
                }
                if let Some((start, end)) = intervals.iter().find(|(s, e)| s > e || *e > source.len()) {
                    return Err(format!(
                        "interval {start}..{end} is not within 0..{}",
                        source.len()
                    ));
                }
                let covered = intervals.iter().map(|&(start, end)| covering(source, start..end));
                inverse = Some(Rows::new(covered.map(|r| r.collect::<Vec<_>>())).inverse(source.count()));
                decider = Some(chunks.clone());
            }
            AxisWindow::Rows { out_axis, rows } => {
                let chunks = deciding(*out_axis)?;
                if let Some(why) = rows.misfit(chunks.count(), source.count()) {
                    return Err(why);
                }
                inverse = Some(rows.inverse(source.count()));
                decider = Some(chunks.clone());
            }
        }
        Ok(Self {
            window: window.clone(),
            source: source.clone(),
            out: decider,
            inverse,
        })
    }

    /// The elements an affine window covers for a block of `extent`.
    fn affine(&self, extent: Range<u64>, start: i64, step: i64) -> Range<u64> {
        if extent.is_empty() {
            return 0..0;
        }
        let (start, step) = (i128::from(start), i128::from(step));
        let first = start + step * i128::from(extent.start);
        let last = start + step * i128::from(extent.end - 1);
        // Elements outside the source are not there; inside it the step's phase must be kept.
        let len = i128::from(self.source.len());
        let (mut low, mut high, size) = (first.min(last), first.max(last), step.abs());
        if low < 0 {
            low += (-low + size - 1) / size * size;
        }
        if high >= len {
            high -= (high - len + 1 + size - 1) / size * size;
        }
        if low > high {
            0..0
        } else {
            low as u64..high as u64 + 1
        }
    }

    /// The interval of elements for windows that are one, `None` for lists of whole blocks.
    fn interval(&self, index: &[u64]) -> Option<Range<u64>> {
        match &self.window {
            AxisWindow::All => Some(0..self.source.len()),
            AxisWindow::Block { block } => Some(self.source.extent(*block)),
            AxisWindow::Aligned { out_axis } => Some(self.source.extent(index[*out_axis])),
            AxisWindow::Affine {
                out_axis,
                start,
                step,
            } => {
                let extent = self.decider().extent(index[*out_axis]);
                Some(self.affine(extent, *start, *step))
            }
            AxisWindow::Group { out_axis, fan_in } => {
                let blocks = self.group(index[*out_axis], *fan_in);
                Some(self.source.extent(blocks.start).start..self.source.extent(blocks.end - 1).end)
            }
            AxisWindow::Intervals { out_axis, intervals } => {
                let (start, end) = intervals[index[*out_axis] as usize];
                Some(start..end)
            }
            AxisWindow::Rows { .. } => None,
        }
    }

    fn decider(&self) -> &AxisChunks {
        self.out.as_ref().expect("set for every window with an out_axis")
    }

    fn group(&self, i: u64, fan_in: u64) -> Range<u64> {
        i * fan_in..((i + 1) * fan_in).min(self.source.count())
    }

    fn sources(&self, index: &[u64]) -> Blocks<'_> {
        match &self.window {
            AxisWindow::All => Blocks::Range(0..self.source.count()),
            AxisWindow::Block { block } => Blocks::Range(*block..block + 1),
            AxisWindow::Aligned { out_axis } => Blocks::Range(index[*out_axis]..index[*out_axis] + 1),
            AxisWindow::Group { out_axis, fan_in } => Blocks::Range(self.group(index[*out_axis], *fan_in)),
            AxisWindow::Affine { .. } | AxisWindow::Intervals { .. } => {
                let interval = self.interval(index).expect("an interval window");
                Blocks::Range(covering(&self.source, interval))
            }
            AxisWindow::Rows { out_axis, rows } => Blocks::List(rows.row(index[*out_axis])),
        }
    }

    fn pieces(&self, index: &[u64]) -> Vec<Piece> {
        let interval = self.interval(index);
        let mut at = 0;
        let piece = |block| {
            let extent = self.source.extent(block);
            let wanted = interval.as_ref().unwrap_or(&extent);
            let (start, end) = (extent.start.max(wanted.start), extent.end.min(wanted.end));
            let piece = Piece {
                block,
                start: start - extent.start,
                len: end.saturating_sub(start),
                at,
                element: start,
            };
            at += piece.len;
            piece
        };
        self.sources(index).iter().map(piece).collect()
    }

    fn dependents(&self, source: u64) -> Dependents {
        match &self.window {
            AxisWindow::All => Dependents::Every,
            AxisWindow::Block { block } if *block == source => Dependents::Every,
            AxisWindow::Block { .. } => Dependents::None,
            AxisWindow::Aligned { out_axis } => Dependents::Along(*out_axis, smallvec![source]),
            AxisWindow::Group { out_axis, fan_in } => {
                Dependents::Along(*out_axis, smallvec![source / fan_in])
            }
            AxisWindow::Affine {
                out_axis,
                start,
                step,
            } => Dependents::Along(*out_axis, self.affine_dependents(source, *start, *step)),
            AxisWindow::Intervals { out_axis, .. } | AxisWindow::Rows { out_axis, .. } => {
                let inverse = self.inverse.as_ref().expect("made for tables");
                Dependents::Along(*out_axis, inverse.row(source).into())
            }
        }
    }

    /// The blocks whose affine window reaches into source block `source`.
    ///
    /// Windows of neighbouring blocks rise or fall, so the candidates are one run; it is widened by a block on each
    /// side and then filtered by the forward map, which is the definition.
    fn affine_dependents(&self, source: u64, start: i64, step: i64) -> Choice {
        let out = self.decider();
        if out.is_empty() {
            return Choice::new();
        }
        let extent = self.source.extent(source);
        let element = |target: u64| {
            let k = (i128::from(target) - i128::from(start)).div_euclid(i128::from(step));
            k.clamp(0, i128::from(out.len()) - 1) as u64
        };
        let (a, b) = (element(extent.start), element(extent.end));
        let first = out.block_of(a.min(b).saturating_sub(1));
        let last = out.block_of((a.max(b) + 1).min(out.len() - 1));
        let reaches = |i: &u64| {
            let window = self.affine(out.extent(*i), start, step);
            covering(&self.source, window).contains(&source)
        };
        (first..=last).filter(reaches).collect()
    }
}

/// The run of blocks that `interval` touches; empty for an empty interval.
fn covering(chunks: &AxisChunks, interval: Range<u64>) -> Range<u64> {
    if interval.is_empty() {
        return 0..0;
    }
    chunks.block_of(interval.start)..chunks.block_of(interval.end - 1) + 1
}

enum Blocks<'a> {
    Range(Range<u64>),
    List(&'a [u64]),
}

impl Blocks<'_> {
    fn len(&self) -> usize {
        match self {
            Blocks::Range(range) => (range.end - range.start) as usize,
            Blocks::List(list) => list.len(),
        }
    }

    /// Number `place` of them, which there must be.
    fn get(&self, place: u64) -> u64 {
        match self {
            Blocks::Range(range) => range.start + place,
            Blocks::List(list) => list[place as usize],
        }
    }

    fn iter(&self) -> impl Iterator<Item = u64> {
        (0..self.len() as u64).map(|place| self.get(place))
    }
}

/// Calls `see` with the position in `grid` of every combination of the given block indices, in C order; `base` is the
/// position among the axes before.
fn each_product(grid: &ChunkGrid, choices: &[Blocks<'_>], base: u64, see: &mut impl FnMut(u64)) {
    let Some((choice, rest)) = choices.split_first() else {
        return see(base);
    };
    let axis = &grid.axes()[grid.ndim() - choices.len()];
    choice
        .iter()
        .for_each(|block| each_product(grid, rest, base * axis.count() + block, see));
}
