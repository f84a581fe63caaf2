//! Fetches the bytes of raster files for a block of a stack.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, stream};
use graticule_ops::{ArraySource, OnError, RasterAsset, RasterStack};
use graticule_plan::DType;

use crate::{
    error::Extent,
    redact::redact,
    store::Address,
    tiff::{Image, Tiff, Transform, Window, WindowRead},
};

use super::{
    Place, ReadCause, ReadError, Sources,
    fetched::Problem,
    place::{AxisPart, Selected},
    raster_map::{AxisMap, GridMap, grid_map, needed, pick_overview},
};

/// What was fetched for one read of a raster stack.
pub(super) struct RasterPart {
    pub(super) source: Arc<ArraySource>,
    pub(super) selected: Selected,
    pub(super) dtype: DType,
    /// For each selected time and band (time slower) the files to fuse, in order.
    pub(super) planes: Vec<Vec<FilePart>>,
    /// Items that are left out because one of their files failed.
    pub(super) skipped: BTreeSet<String>,
    pub(super) problems: Vec<Problem>,
}

/// One band of the part of a file that a block needs.
pub(super) struct FilePart {
    /// Position in the stack's slots, and in the slot.
    pub(super) slot: usize,
    pub(super) position: usize,
    pub(super) nodata: Option<f64>,
    pub(super) window: Arc<WindowPart>,
    /// Which of the window's bands.
    pub(super) band: usize,
}

/// The part of a file that a block needs, of all bands that it needs.
pub(super) struct WindowPart {
    pub(super) map: GridMap,
    pub(super) height: u64,
    pub(super) width: u64,
    pub(super) read: WindowRead,
    /// Of each block of `read`; empty for a sparse one.
    pub(super) bytes: Vec<Bytes>,
}

/// The shape of a raster stack: times, bands, rows, columns.
pub(super) fn shape(source: &ArraySource) -> [u64; 4] {
    let stack = stack(source);
    let times = (stack.slots.len() as u64)
        .checked_div(stack.band_count)
        .unwrap_or(0);
    [times, stack.band_count, stack.grid.height, stack.grid.width]
}

/// # Panics
/// If the source is of another kind.
pub(super) fn stack(source: &ArraySource) -> &RasterStack {
    match source {
        ArraySource::Raster(stack) => stack,
        _ => unreachable!("the caller has looked at the kind"),
    }
}

impl RasterPart {
    pub(super) fn stack(&self) -> &RasterStack {
        stack(&self.source)
    }

    pub(super) fn nbytes(&self) -> u64 {
        // Bands of one file share its bytes, which count with the first.
        let first = self.planes.iter().flatten().filter(|file| file.band == 0);
        first
            .flat_map(|file| &file.window.bytes)
            .map(|bytes| bytes.len() as u64)
            .sum()
    }
}

/// Where in a file an error lies, for messages.
pub(super) fn place_of(asset: &RasterAsset, window: Extent) -> Place {
    Place {
        item: asset.item.clone(),
        asset: asset.asset.clone(),
        address: redact(&asset.href),
        window,
    }
}

pub(super) fn extent_of(window: Window) -> Extent {
    let Window {
        row,
        col,
        height,
        width,
    } = window;
    Extent::Pixels {
        row: row.into(),
        col: col.into(),
        height: height.into(),
        width: width.into(),
    }
}

/// Fetches what the box needs of every file in its slots.
pub(super) async fn fetch(
    sources: &Sources,
    source: Arc<ArraySource>,
    selected: Selected,
    dtype: DType,
) -> Result<RasterPart, ReadError> {
    let on_error = stack(&source).on_error;
    check(stack(&source)).map_err(ReadError::of_task)?;
    let jobs = jobs(stack(&source), &selected);
    let plane_count = selected.axes[0].len * selected.axes[1].len;
    let mut planes: Vec<Vec<FilePart>> = (0..plane_count).map(|_| Vec::new()).collect();
    let (mut skipped, mut problems) = (BTreeSet::new(), Vec::new());
    {
        let (source, selected) = (&source, &selected);
        let fetches = jobs.into_iter().map(|job| async move {
            let fetched = fetch_file(sources, stack(source), selected, &job).await;
            (job, fetched)
        });
        let mut fetches = stream::iter(fetches).buffered(sources.shared.config.files_at_once.max(1));
        while let Some((job, fetched)) = fetches.next().await {
            match (fetched, on_error) {
                (Ok(files), _) => {
                    files
                        .into_iter()
                        .zip(&job.members)
                        .for_each(|(file, member)| planes[member.plane].push(file));
                }
                (Err(error), OnError::Raise) => return Err(error),
                (Err(error), OnError::Nodata) => problems.push(Problem::new(&error, false)),
                (Err(error), OnError::SkipItem) => {
                    skipped.insert(error.place.item.clone());
                    problems.push(Problem::new(&error, true));
                }
            }
        }
    }
    planes
        .iter_mut()
        .for_each(|files| files.sort_by_key(|file| file.position));
    Ok(RasterPart {
        source,
        selected,
        dtype,
        planes,
        skipped,
        problems,
    })
}

/// A description that came over the wire may be anything.
fn check(stack: &RasterStack) -> Result<(), ReadCause> {
    let bands = stack.band_count as usize;
    let whole = bands > 0 && stack.slots.len().is_multiple_of(bands) && stack.fill.len() == bands;
    if whole {
        return Ok(());
    }
    let (slots, fills) = (stack.slots.len(), stack.fill.len());
    Err(ReadCause::Description(format!(
        "a stack of {bands} bands has {slots} slots and {fills} fill values"
    )))
}

/// One file, and what it is wanted for.
struct Job {
    /// At least one; all of one time and with one address.
    members: Vec<Member>,
}

/// One band of a file for one plane of the box.
#[derive(Clone, Copy)]
struct Member {
    plane: usize,
    slot: usize,
    position: usize,
}

impl Member {
    fn asset<'a>(&self, stack: &'a RasterStack) -> &'a RasterAsset {
        &stack.slots[self.slot][self.position]
    }
}

/// The files of the box; bands of one file come together, so that it is fetched once.
fn jobs(stack: &RasterStack, selected: &Selected) -> Vec<Job> {
    let [times, bands, rows, cols] = &selected.axes[..] else {
        unreachable!("a stack has four axes")
    };
    if rows.len == 0 || cols.len == 0 {
        return Vec::new();
    }
    let mut jobs: Vec<Job> = Vec::new();
    for time in 0..times.len {
        let mut by_address: HashMap<&str, usize> = HashMap::new();
        for band in 0..bands.len {
            let slot = (times.element(time) * stack.band_count + bands.element(band)) as usize;
            let plane = time * bands.len + band;
            for position in 0..stack.slots[slot].len() {
                let member = Member {
                    plane,
                    slot,
                    position,
                };
                let job = *by_address.entry(&member.asset(stack).href).or_insert(jobs.len());
                match jobs.get_mut(job) {
                    Some(job) => job.members.push(member),
                    None => jobs.push(Job {
                        members: vec![member],
                    }),
                }
            }
        }
    }
    jobs
}

/// The file's part for each of the job's members; none if the file has no pixel for the box.
async fn fetch_file(
    sources: &Sources,
    stack: &RasterStack,
    selected: &Selected,
    job: &Job,
) -> Result<Vec<FilePart>, ReadError> {
    let asset = job.members[0].asset(stack);
    let (rows, cols) = (&selected.axes[2], &selected.axes[3]);
    if misses(stack, asset, rows, cols) {
        return Ok(Vec::new());
    }
    let of_file = |cause: ReadCause| ReadError::new(place_of(asset, Extent::File), cause);
    let object = Address::parse(&asset.href).and_then(|address| sources.stores().object(&address));
    let object = object.map_err(|e| of_file(e.into()))?;
    let tiff = sources.header(&asset.href, &object).await.map_err(of_file)?;
    let chosen = Chosen::new(stack, asset, &tiff).map_err(of_file)?;
    let Some(window) = chosen.window(rows, cols) else {
        return Ok(Vec::new());
    };
    let of_window = |cause: ReadCause| ReadError::new(place_of(asset, extent_of(window)), cause);
    let bands: Vec<usize> = job
        .members
        .iter()
        .map(|member| member.asset(stack).band as usize)
        .collect();
    let read = chosen
        .image
        .window(window, &bands)
        .map_err(|e| of_window(e.into()))?;
    let ranges: Vec<_> = read
        .blocks()
        .iter()
        .filter_map(|block| block.range.clone())
        .collect();
    let mut fetched = object
        .ranges(&ranges)
        .await
        .map_err(|e| of_window(e.into()))?
        .into_iter();
    let bytes = read.blocks().iter().map(|block| match block.range {
        Some(_) => fetched.next().expect("one answer for each range"),
        None => Bytes::new(),
    });
    let bytes = bytes.collect();
    let window = WindowPart {
        map: chosen.map,
        height: chosen.height,
        width: chosen.width,
        bytes,
        read,
    };
    let window = Arc::new(window);
    let part = |(band, member): (usize, &Member)| FilePart {
        slot: member.slot,
        position: member.position,
        // What the item says goes before what the file says.
        nodata: member.asset(stack).nodata.or(chosen.image.info().nodata),
        window: window.clone(),
        band,
    };
    Ok(job.members.iter().enumerate().map(part).collect())
}

/// Whether the file lies so clearly beside the box, by its item's word, that it need not be opened.
fn misses(stack: &RasterStack, asset: &RasterAsset, rows: &AxisPart, cols: &AxisPart) -> bool {
    const MARGIN: f64 = 2.0;
    let Some(map) = grid_map(&stack.grid, &asset.grid.transform) else {
        return false;
    };
    let beside = |map: &AxisMap, part: &AxisPart, len: u64| {
        let at = |target: u64| match *map {
            AxisMap::Shift(shift) => target as f64 + shift as f64,
            AxisMap::Linear { offset, scale } => offset + scale * (target as f64 + 0.5),
        };
        let span = part.span();
        let (a, b) = (at(span.start), at(span.end - 1));
        a.max(b) < -MARGIN || a.min(b) > len as f64 + MARGIN
    };
    beside(&map.rows, rows, asset.grid.height) || beside(&map.cols, cols, asset.grid.width)
}

/// The image of a file to read from, and how the target's pixels lie in it.
struct Chosen {
    image: Arc<Image>,
    map: GridMap,
    height: u64,
    width: u64,
}

impl Chosen {
    fn new(stack: &RasterStack, asset: &RasterAsset, tiff: &Tiff) -> Result<Self, ReadCause> {
        let info = tiff.main().info();
        if let (Some(have), Some(want)) = (info.epsg, stack.grid.epsg)
            && have != want
        {
            return Err(ReadCause::Mismatch(format!(
                "the file is in EPSG:{have}, but its item says EPSG:{want}"
            )));
        }
        let size = (u64::from(info.height), u64::from(info.width));
        let transform = match info.transform {
            Some(transform) => transform,
            None if size == (asset.grid.height, asset.grid.width) => asset.grid.transform,
            None => {
                return Err(ReadCause::Mismatch(format!(
                    "the file has no transform, and its {} x {} pixels are not the {} x {} of its item",
                    size.0, size.1, asset.grid.height, asset.grid.width
                )));
            }
        };
        let overview = pick_overview(&stack.grid, &transform, tiff);
        let image = match overview.and_then(|index| tiff.overviews().nth(index)) {
            Some(overview) => overview,
            None => tiff.main(),
        };
        let (height, width) = (u64::from(image.info().height), u64::from(image.info().width));
        let transform = scaled(transform, size, (height, width));
        let map = grid_map(&stack.grid, &transform).ok_or_else(|| {
            ReadCause::Mismatch("the file's grid is rotated against the output's".to_owned())
        })?;
        Ok(Self {
            image: image.clone(),
            map,
            height,
            width,
        })
    }

    /// The smallest window that has all the pixels that the box takes.
    fn window(&self, rows: &AxisPart, cols: &AxisPart) -> Option<Window> {
        let all = |part: &AxisPart| {
            let part = *part;
            (0..part.len).map(move |k| part.element(k))
        };
        let rows = needed(&self.map.rows, all(rows), self.height);
        let cols = needed(&self.map.cols, all(cols), self.width);
        let fits = |value: u64| u32::try_from(value).ok();
        (!rows.is_empty() && !cols.is_empty()).then_some(())?;
        Some(Window {
            row: fits(rows.start)?,
            col: fits(cols.start)?,
            height: fits(rows.end - rows.start)?,
            width: fits(cols.end - cols.start)?,
        })
    }
}

/// A transform for an image of the same extent with fewer pixels.
fn scaled(transform: Transform, full: (u64, u64), image: (u64, u64)) -> Transform {
    let (down, across) = (full.0 as f64 / image.0 as f64, full.1 as f64 / image.1 as f64);
    let [a, b, c, d, e, f] = transform;
    [a * across, b * down, c, d * across, e * down, f]
}

impl Sources {
    /// A file's header, from the cache if it was read before; asked for several times at once it is read once.
    async fn header(&self, href: &str, object: &crate::store::Object) -> Result<Arc<Tiff>, ReadCause> {
        let open = async {
            let tiff = Tiff::open(object).await.map_err(ReadCause::from)?;
            Ok(Arc::new(tiff))
        };
        self.shared
            .headers
            .try_get_with(href.to_owned(), open)
            .await
            .map_err(|e: Arc<ReadCause>| (*e).clone())
    }
}
