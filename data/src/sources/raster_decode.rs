//! Decodes fetched raster files and puts their pixels on the target grid. Pure computation.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use graticule_kernel::{Element, Tensor, TensorMut};
use graticule_ops::{OnError, RasterAsset, Read, Scalar};
use graticule_plan::DType;

use crate::tiff::Decoder;

use super::{
    ReadCause, ReadError,
    fetched::Problem,
    place::{AxisPart, Selected},
    raster::{FilePart, RasterPart, WindowPart, extent_of, place_of, shape},
    raster_map::AxisMap,
};

/// Marks a row or column without a pixel in the file.
const NOWHERE: u32 = u32::MAX;

impl RasterPart {
    /// The elements of `extents`, which must lie within those fetched, and what was left out.
    pub(super) fn decode(
        &self,
        read: &Read,
        extents: &[Range<u64>],
    ) -> Result<(Tensor, Vec<Problem>), ReadError> {
        let is_within = extents.len() == 4
            && extents
                .iter()
                .zip(&self.selected.extents)
                .all(|(want, have)| want.is_empty() || (have.start <= want.start && want.end <= have.end));
        if !is_within || read.dtype != self.dtype {
            let have = &self.selected.extents;
            return Err(description(format!(
                "{extents:?} does not lie in {have:?}, for which bytes were fetched"
            )));
        }
        let selected = Selected::new(read, extents, &shape(&self.source)).map_err(ReadError::of_task)?;
        let mut skipped = self.skipped.clone();
        let mut problems = Vec::new();
        loop {
            let mut pass = Pass {
                part: self,
                selected: &selected,
                skipped: &skipped,
                problems: &mut problems,
                decoder: Decoder::new(),
                scratch: Vec::new(),
                decoded: None,
            };
            match pass.run(extents) {
                Ok(tensor) => return Ok((tensor, problems)),
                // The item's other bands may be placed already: once more, without it.
                Err(error) if self.stack().on_error == OnError::SkipItem && !error.place.item.is_empty() => {
                    problems.push(Problem::new(&error, true));
                    if !skipped.insert(error.place.item.clone()) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn description(why: String) -> ReadError {
    ReadError::of_task(ReadCause::Description(why))
}

/// One go over all planes of a box.
struct Pass<'a> {
    part: &'a RasterPart,
    selected: &'a Selected,
    skipped: &'a BTreeSet<String>,
    problems: &'a mut Vec<Problem>,
    decoder: Decoder,
    /// Words, so that pixels of any type are aligned in it.
    scratch: Vec<u64>,
    /// Which window's bands are in it.
    decoded: Option<Arc<WindowPart>>,
}

impl Pass<'_> {
    fn run(&mut self, extents: &[Range<u64>]) -> Result<Tensor, ReadError> {
        let shape = self.selected.shape();
        let made = TensorMut::for_overwrite(self.part.dtype, &shape);
        let mut out = made.map_err(|e| description(e.to_string()))?;
        let plane_len = shape[2] * shape[3];
        if plane_len > 0 {
            match self.part.dtype {
                DType::Int8 => self.planes::<i8>(&mut out, extents, plane_len)?,
                DType::Int16 => self.planes::<i16>(&mut out, extents, plane_len)?,
                DType::Int32 => self.planes::<i32>(&mut out, extents, plane_len)?,
                DType::Int64 => self.planes::<i64>(&mut out, extents, plane_len)?,
                DType::UInt8 => self.planes::<u8>(&mut out, extents, plane_len)?,
                DType::UInt16 => self.planes::<u16>(&mut out, extents, plane_len)?,
                DType::UInt32 => self.planes::<u32>(&mut out, extents, plane_len)?,
                DType::UInt64 => self.planes::<u64>(&mut out, extents, plane_len)?,
                DType::Float32 => self.planes::<f32>(&mut out, extents, plane_len)?,
                DType::Float64 => self.planes::<f64>(&mut out, extents, plane_len)?,
                DType::Bool => self.planes::<bool>(&mut out, extents, plane_len)?,
                DType::Float16
                | DType::Complex64
                | DType::Complex128
                | DType::DateTime64(_)
                | DType::TimeDelta64(_) => {
                    return Err(description(format!("a raster as {}", self.part.dtype)));
                }
            }
        }
        Ok(out.freeze())
    }

    fn planes<D: Target>(
        &mut self,
        out: &mut TensorMut,
        extents: &[Range<u64>],
        plane_len: usize,
    ) -> Result<(), ReadError> {
        let out: &mut [D] = out.as_mut_slice().expect("made with this dtype");
        // Planes were fetched for a box around this one.
        let fetched = &self.part.selected;
        let first = |axis: usize| (extents[axis].start.saturating_sub(fetched.extents[axis].start)) as usize;
        let (first_time, first_band) = (first(0), first(1));
        let bands = self.selected.axes[1];
        for (plane, target) in out.chunks_exact_mut(plane_len).enumerate() {
            let (time, band) = (plane / bands.len, plane % bands.len);
            let files = &self.part.planes[(first_time + time) * fetched.axes[1].len + first_band + band];
            let fill = self.part.stack().fill[bands.element(band) as usize];
            self.plane(files, target, D::of_f64(fill))?;
        }
        Ok(())
    }

    /// Fuses the files of one plane: the first valid pixel wins.
    fn plane<D: Target>(&mut self, files: &[FilePart], target: &mut [D], fill: D) -> Result<(), ReadError> {
        let part = self.part;
        let asset = |file: &FilePart| &part.stack().slots[file.slot][file.position];
        let files: Vec<&FilePart> = files
            .iter()
            .filter(|file| !self.skipped.contains(&asset(file).item))
            .collect();
        target.fill(fill);
        let mut done = if files.len() > 1 {
            vec![false; target.len()]
        } else {
            Vec::new()
        };
        let mut left = target.len();
        for file in files {
            if left == 0 {
                break;
            }
            let placed = self.file(file, asset(file), target, fill, &mut done);
            match placed {
                Ok(count) => left = left.saturating_sub(count),
                Err(error) if part.stack().on_error == OnError::Nodata => {
                    // What it has placed in one go before it failed is not to be trusted.
                    if done.is_empty() {
                        target.fill(fill);
                    }
                    self.problems.push(Problem::new(&error, false));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Places one file's pixels; returns how many were valid, if it is one of several.
    fn file<D: Target>(
        &mut self,
        file: &FilePart,
        asset: &RasterAsset,
        target: &mut [D],
        fill: D,
        done: &mut [bool],
    ) -> Result<usize, ReadError> {
        let part = &file.window;
        let window = part.read.window();
        let error = |cause: ReadCause| ReadError::new(place_of(asset, extent_of(window)), cause);
        let rows = pixels(
            &self.selected.axes[2],
            &part.map.rows,
            part.height,
            window.row,
            window.height,
        );
        let cols = pixels(
            &self.selected.axes[3],
            &part.map.cols,
            part.width,
            window.col,
            window.width,
        );
        let layout = Layout {
            rows,
            cols,
            width: window.width as usize,
        };
        let is_plain = asset.scale == 1.0 && asset.offset == 0.0 && part.read.dtype() == D::DTYPE;
        let is_alone = done.is_empty() && part.read.bands().len() == 1;
        if is_plain
            && is_alone
            && layout.is_identity(window.height)
            && let Some(bytes) = D::bytes_of(target)
        {
            decode(&mut self.decoder, part, bytes).map_err(error)?;
            D::fill_gaps(target, file.nodata, fill);
            return Ok(0);
        }
        self.decode_window(part).map_err(error)?;
        let band_bytes = part.read.out_bytes() / part.read.bands().len();
        let scratch = &bytemuck::cast_slice::<u64, u8>(&self.scratch)[file.band * band_bytes..][..band_bytes];
        let how = How {
            nodata: file.nodata,
            scale: asset.scale,
            offset: asset.offset,
        };
        macro_rules! from {
            ($($dtype:ident => $type:ty),*) => {
                match part.read.dtype() {
                    $(DType::$dtype => Ok(place::<$type, D>(bytemuck::cast_slice(scratch), &layout, &how, target, done)),)*
                    DType::Bool
                    | DType::Float16
                    | DType::Complex64
                    | DType::Complex128
                    | DType::DateTime64(_)
                    | DType::TimeDelta64(_) => {
                        Err(error(ReadCause::Description(format!("a raster of {}", part.read.dtype()))))
                    }
                }
            };
        }
        from!(
            Int8 => i8, Int16 => i16, Int32 => i32, Int64 => i64,
            UInt8 => u8, UInt16 => u16, UInt32 => u32, UInt64 => u64,
            Float32 => f32, Float64 => f64
        )
    }
}

impl Pass<'_> {
    /// Decodes all bands of a window to the scratch memory, unless they are there from the plane before.
    fn decode_window(&mut self, part: &Arc<WindowPart>) -> Result<(), ReadCause> {
        if self
            .decoded
            .as_ref()
            .is_some_and(|decoded| Arc::ptr_eq(decoded, part))
        {
            return Ok(());
        }
        self.decoded = None;
        let len = part.read.out_bytes();
        self.scratch.resize(len.div_ceil(8), 0);
        let scratch = &mut bytemuck::cast_slice_mut(&mut self.scratch)[..len];
        decode(&mut self.decoder, part, scratch)?;
        self.decoded = Some(part.clone());
        Ok(())
    }
}

fn decode(decoder: &mut Decoder, part: &WindowPart, out: &mut [u8]) -> Result<(), ReadCause> {
    for (index, bytes) in part.bytes.iter().enumerate() {
        part.read.decode_block(decoder, index, bytes, out)?;
    }
    Ok(())
}

/// For each element of the box the pixel of the window, or [`NOWHERE`].
fn pixels(part: &AxisPart, map: &AxisMap, len: u64, first: u32, count: u32) -> Vec<u32> {
    let pixel = |k: usize| {
        let pixel = map.pixel(part.element(k), len)?.checked_sub(first.into())?;
        u32::try_from(pixel).ok().filter(|pixel| *pixel < count)
    };
    (0..part.len).map(|k| pixel(k).unwrap_or(NOWHERE)).collect()
}

/// Which pixel of a window each pixel of a plane takes.
struct Layout {
    rows: Vec<u32>,
    cols: Vec<u32>,
    /// The window's.
    width: usize,
}

impl Layout {
    /// Whether plane and window are the same, pixel by pixel.
    fn is_identity(&self, height: u32) -> bool {
        let in_order = |pixels: &[u32]| pixels.iter().zip(0..).all(|(pixel, place)| *pixel == place);
        self.cols.len() == self.width
            && self.rows.len() == height as usize
            && in_order(&self.rows)
            && in_order(&self.cols)
    }

    /// The part of a row that lies in the window without gap and in order, and the window's pixel of its first.
    fn run(&self) -> Option<(Range<usize>, usize)> {
        let first = self.cols.iter().position(|pixel| *pixel != NOWHERE)?;
        let last = self.cols.iter().rposition(|pixel| *pixel != NOWHERE)?;
        let is_run = self.cols[first..=last]
            .windows(2)
            .all(|pair| pair[0] < NOWHERE && pair[1] == pair[0] + 1);
        is_run.then(|| (first..last + 1, self.cols[first] as usize))
    }
}

/// From stored to real values.
struct How {
    nodata: Option<f64>,
    scale: f64,
    offset: f64,
}

/// Puts the window's valid pixels where the plane has none yet; returns how many.
fn place<S: Pixel, D: Target + CastFrom<S>>(
    window: &[S],
    layout: &Layout,
    how: &How,
    target: &mut [D],
    done: &mut [bool],
) -> usize {
    let nodata = how.nodata.and_then(S::exactly);
    if how.scale == 1.0 && how.offset == 0.0 {
        place_with(
            window,
            layout,
            |pixel: S| (pixel.is_valid(nodata), D::cast_from(pixel)),
            target,
            done,
        )
    } else {
        let real = |pixel: S| D::of_real(pixel.to_f64() * how.scale + how.offset);
        place_with(
            window,
            layout,
            |pixel: S| (pixel.is_valid(nodata), real(pixel)),
            target,
            done,
        )
    }
}

fn place_with<S: Pixel, D: Target>(
    window: &[S],
    layout: &Layout,
    convert: impl Fn(S) -> (bool, D),
    target: &mut [D],
    done: &mut [bool],
) -> usize {
    let width = layout.cols.len();
    let run = layout.run();
    let mut placed = 0;
    for (place, &row) in layout.rows.iter().enumerate() {
        if row == NOWHERE {
            continue;
        }
        let source = &window[row as usize * layout.width..][..layout.width];
        let line = place * width..(place + 1) * width;
        let out = &mut target[line.clone()];
        let mut one = |out: &mut D, done: Option<&mut bool>, pixel: S| {
            let (is_valid, value) = convert(pixel);
            match done {
                None => *out = if is_valid { value } else { *out },
                Some(done) if is_valid && !*done => {
                    (*out, *done) = (value, true);
                    placed += 1;
                }
                Some(_) => {}
            }
        };
        match (&run, done.is_empty()) {
            (Some((span, first)), true) => {
                let pixels = &source[*first..];
                out[span.clone()]
                    .iter_mut()
                    .zip(pixels)
                    .for_each(|(out, pixel)| one(out, None, *pixel));
            }
            (Some((span, first)), false) => {
                let done = &mut done[line][span.clone()];
                let places = out[span.clone()].iter_mut().zip(done);
                places
                    .zip(&source[*first..])
                    .for_each(|((out, done), pixel)| one(out, Some(done), *pixel));
            }
            (None, is_only) => {
                for (col, pixel) in layout
                    .cols
                    .iter()
                    .enumerate()
                    .filter(|(_, pixel)| **pixel != NOWHERE)
                {
                    let done = if is_only {
                        None
                    } else {
                        Some(&mut done[line.start + col])
                    };
                    one(&mut out[col], done, source[*pixel as usize]);
                }
            }
        }
    }
    placed
}

/// An element of the result: a pixel's value, or as `bool` whether there is one.
trait Target:
    Element
    + Copy
    + CastFrom<i8>
    + CastFrom<i16>
    + CastFrom<i32>
    + CastFrom<i64>
    + CastFrom<u8>
    + CastFrom<u16>
    + CastFrom<u32>
    + CastFrom<u64>
    + CastFrom<f32>
    + CastFrom<f64>
{
    /// What a pixel without a valid value gets; integers saturate.
    fn of_f64(fill: f64) -> Self;

    /// What a valid pixel of this value gets; integers saturate.
    fn of_real(value: f64) -> Self;

    /// The elements as memory into which a file's pixels can be decoded, if they are of one form.
    fn bytes_of(elements: &mut [Self]) -> Option<&mut [u8]>;

    /// Puts the fill where decoded pixels are not valid.
    fn fill_gaps(elements: &mut [Self], nodata: Option<f64>, fill: Self);
}

/// A stored element.
trait Pixel: Target + bytemuck::Pod {
    fn to_f64(self) -> f64;

    /// The element of just this value, if there is one; floats round to their type as the file's writer did.
    fn exactly(value: f64) -> Option<Self>;

    /// Whether the pixel is neither nodata nor NaN.
    fn is_valid(self, nodata: Option<Self>) -> bool;
}

macro_rules! number_targets {
    ($($type:ty),*) => {
        $(impl Target for $type {
            fn of_f64(fill: f64) -> Self {
                fill as $type
            }

            #[inline]
            fn of_real(value: f64) -> Self {
                value as $type
            }

            fn bytes_of(elements: &mut [Self]) -> Option<&mut [u8]> {
                Some(bytemuck::cast_slice_mut(elements))
            }

            fn fill_gaps(elements: &mut [Self], nodata: Option<f64>, fill: Self) {
                let nodata = nodata.and_then(Self::exactly);
                for element in elements.iter_mut().filter(|element| !element.is_valid(nodata)) {
                    *element = fill;
                }
            }
        })*
    };
}

number_targets!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

impl Target for bool {
    fn of_f64(_: f64) -> Self {
        false
    }

    #[inline]
    fn of_real(_: f64) -> Self {
        true
    }

    fn bytes_of(_: &mut [Self]) -> Option<&mut [u8]> {
        None
    }

    fn fill_gaps(_: &mut [Self], _: Option<f64>, _: Self) {}
}

/// Conversion as Rust's `as` and NumPy's `astype` do it; to `bool` of a valid pixel, whatever its value.
trait CastFrom<S> {
    fn cast_from(value: S) -> Self;
}

macro_rules! casts {
    ($($from:ty),*) => { $(casts!(@ $from => i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);)* };
    (@ $from:ty => $($to:ty),*) => {
        $(impl CastFrom<$from> for $to {
            #[inline]
            fn cast_from(value: $from) -> Self {
                value as $to
            }
        })*

        impl CastFrom<$from> for bool {
            #[inline]
            fn cast_from(_: $from) -> Self {
                true
            }
        }
    };
}

casts!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

macro_rules! integer_pixels {
    ($($type:ty),*) => {
        $(impl Pixel for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }

            fn exactly(value: f64) -> Option<Self> {
                Scalar::from_float(value, Self::DTYPE).and_then(Self::from_scalar)
            }

            #[inline]
            fn is_valid(self, nodata: Option<Self>) -> bool {
                nodata != Some(self)
            }
        })*
    };
}

integer_pixels!(i8, i16, i32, i64, u8, u16, u32, u64);

macro_rules! float_pixels {
    ($($type:ty),*) => {
        $(impl Pixel for $type {
            #[inline]
            fn to_f64(self) -> f64 {
                self.into()
            }

            fn exactly(value: f64) -> Option<Self> {
                Some(value as $type)
            }

            #[inline]
            fn is_valid(self, nodata: Option<Self>) -> bool {
                !self.is_nan() && nodata != Some(self)
            }
        })*
    };
}

float_pixels!(f32, f64);
