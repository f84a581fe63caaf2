//! The same elements, in C order, in another shape.

use std::ops::Range;

use graticule_ops::AxisSelection;
use graticule_plan::{AxisChunks, ChunkGrid};

use crate::{
    Array, ArrayError,
    chunking::{AUTO_CHUNK_BYTES, shrink},
    concatenate,
    creation::small,
    expression::Op,
    infer::{from_lengths, tidy},
};

/// The most parts that an array is taken apart into where its smallest blocks would be too large.
const PARTS_MAX: u64 = 1 << 10;

impl Array {
    /// Gives the array another shape, with the elements in C order. One length may be -1: it follows from the others.
    ///
    /// Neighbouring axes that become others are regrouped block by block: they are cut along the first of them alone,
    /// where whole rows of the old and of the new axes end together, so that no element moves from one chunk to another.
    /// An array that is cut otherwise is rechunked first, into chunks of about as many elements; the axes that stay are cut
    /// finer where chunks would become too large by it. Where one row alone takes more than [`AUTO_CHUNK_BYTES`](crate::AUTO_CHUNK_BYTES), the array is put together from slices along the first axis.
    ///
    /// # Errors
    /// [`ArrayError::Reshape`] if the shape has another number of elements, [`ArrayError::UnknownLength`],
    /// [`ArrayError::Plan`] above the largest number of axes.
    pub fn reshape(&self, shape: &[i64]) -> Result<Array, ArrayError> {
        let shape = self.known_shape(shape)?;
        if shape == self.shape() {
            return Ok(self.clone());
        }
        if self.size() == 0 {
            let axes = shape.iter().map(|&len| AxisChunks::whole(len)).collect();
            return Ok(Array::full_grid(&ChunkGrid::new(axes)?, small(0, self.dtype())));
        }
        // Checks the number of axes before anything is made.
        ChunkGrid::new(shape.iter().map(|&len| AxisChunks::whole(len)).collect())?;
        let long: Vec<u64> = shape.iter().copied().filter(|&len| len != 1).collect();
        let mut result = self.squeeze(None)?.regrouped(&long)?;
        for (axis, &len) in shape.iter().enumerate() {
            if len == 1 {
                result = result.expand_dims(axis as i64)?;
            }
        }
        Ok(result)
    }

    /// The array as one axis.
    ///
    /// # Errors
    /// As [`Array::reshape`].
    pub fn ravel(&self) -> Result<Array, ArrayError> {
        self.reshape(&[-1])
    }

    /// The array as one axis: [`Array::ravel`] by NumPy's other name, since arrays do not change.
    ///
    /// # Errors
    /// As [`Array::reshape`].
    pub fn flatten(&self) -> Result<Array, ArrayError> {
        self.ravel()
    }

    /// The shape with the length that was left open, if it holds all elements.
    fn known_shape(&self, shape: &[i64]) -> Result<Vec<u64>, ArrayError> {
        let size = self.size();
        let misfit = || ArrayError::Reshape {
            size,
            shape: shape.to_vec(),
        };
        let is_open = |len: &&i64| **len < 0;
        if shape.iter().filter(is_open).count() > 1 || shape.iter().any(|&len| len < -1) {
            return Err(ArrayError::UnknownLength {
                shape: shape.to_vec(),
            });
        }
        let mut given = shape.iter().filter(|&&len| len >= 0);
        let product = given.try_fold(1u64, |product, &len| product.checked_mul(len as u64));
        let product = product.ok_or_else(misfit)?;
        let has_open = shape.contains(&-1);
        let open = size.checked_div(product).unwrap_or(0);
        let fits = if has_open {
            product != 0 && open * product == size
        } else {
            product == size
        };
        if !fits {
            return Err(misfit());
        }
        let known = |&len: &i64| if len < 0 { open } else { len as u64 };
        Ok(shape.iter().map(known).collect())
    }

    /// Reshapes an array without axes of length 1 to such a shape.
    fn regrouped(&self, shape: &[u64]) -> Result<Array, ArrayError> {
        let own = self.shape();
        if own == shape {
            return Ok(self.clone());
        }
        let groups = groups(&own, shape);
        let large = |group: &&Group| {
            group.unit(&own, shape).saturating_mul(self.dtype().size_bytes()) > AUTO_CHUNK_BYTES
        };
        let large = groups.iter().filter(|group| group.changes()).find(large);
        if let Some(parts) = large.and_then(|group| self.in_parts(group, shape)) {
            return parts?.regrouped(shape);
        }
        let mut cuts = self.chunks().axes().to_vec();
        let mut axes: Vec<AxisChunks> = shape.iter().map(|&len| AxisChunks::whole(len)).collect();
        let mut followed = vec![None; own.len()];
        for group in &groups {
            let (from, to) = (group.from.start, group.to.start);
            if from < own.len() {
                followed[from] = Some(to);
            }
            if group.changes() {
                let (before, after) = group.cuts(&cuts, &own, shape);
                cuts[group.from.clone()]
                    .iter_mut()
                    .for_each(|cut| *cut = AxisChunks::whole(cut.len()));
                (cuts[from], axes[to]) = (before, after);
            } else {
                axes[to] = cuts[from].clone();
            }
        }
        self.shrink_others(&groups, &mut cuts, &mut axes);
        let x = self.with_grid(&ChunkGrid::new(cuts)?);
        Ok(Array::new(
            Op::Reshape(followed),
            vec![x],
            self.dtype(),
            ChunkGrid::new(axes)?,
        ))
    }

    /// Cuts the axes that stay as they are finer where regrouping made the chunks larger than they were and than
    /// [`AUTO_CHUNK_BYTES`].
    fn shrink_others(&self, groups: &[Group], cuts: &mut [AxisChunks], axes: &mut [AxisChunks]) {
        let item_bytes = self.dtype().size_bytes();
        let bytes = |cuts: &[AxisChunks]| {
            let chunk = cuts.iter().map(AxisChunks::chunk_max);
            chunk.fold(item_bytes, u64::saturating_mul)
        };
        let limit = AUTO_CHUNK_BYTES.max(bytes(self.chunks().axes()));
        if bytes(cuts) <= limit {
            return;
        }
        let kept: Vec<&Group> = groups.iter().filter(|group| !group.changes()).collect();
        let free: Vec<usize> = kept.iter().map(|group| group.from.start).collect();
        shrink(cuts, &free, &self.0.origin.tile, item_bytes, limit);
        for group in kept {
            axes[group.to.start] = cuts[group.from.start].clone();
        }
    }

    /// The array with the axes of one group regrouped, put together from slices along the first of them; `None` where
    /// those would be too many.
    fn in_parts(&self, group: &Group, shape: &[u64]) -> Option<Result<Array, ArrayError>> {
        let own = self.shape();
        let (from, to) = (&group.from, &group.to);
        let wanted = match (from.len(), to.len()) {
            (1, _) => shape[to.clone()].to_vec(),
            // By way of one axis.
            _ => vec![own[from.clone()].iter().product()],
        };
        let count = if from.len() == 1 {
            wanted[0]
        } else {
            own[from.start]
        };
        if count > PARTS_MAX {
            return None;
        }
        let len = own[from.start] / count;
        let mut inner = own.clone();
        let rest = if from.len() == 1 {
            [&[1], &wanted[1..]].concat()
        } else {
            vec![wanted[0] / count]
        };
        inner.splice(from.clone(), rest);
        let inner: Vec<i64> = inner.iter().map(|&len| len as i64).collect();
        let part = |k: u64| {
            let mut selections: Vec<_> = own.iter().map(|&len| AxisSelection::whole(len)).collect();
            selections[from.start] = AxisSelection {
                start: k * len,
                step: 1,
                len,
            };
            self.select(&selections).reshape(&inner)
        };
        let parts: Result<Vec<Array>, _> = (0..count).map(part).collect();
        Some(parts.and_then(|parts| concatenate(&parts, from.start as i64)))
    }
}

/// Neighbouring axes of one shape that hold the same elements as neighbouring axes of another.
struct Group {
    from: Range<usize>,
    to: Range<usize>,
}

/// The smallest groups of two shapes of equally many elements, without lengths 0 and 1.
fn groups(from: &[u64], to: &[u64]) -> Vec<Group> {
    let (mut groups, mut i, mut j) = (Vec::new(), 0, 0);
    while i < from.len() && j < to.len() {
        let (first, second) = (i, j);
        let (mut a, mut b) = (from[i], to[j]);
        (i, j) = (i + 1, j + 1);
        while a != b {
            if a < b {
                a *= from[i];
                i += 1;
            } else {
                b *= to[j];
                j += 1;
            }
        }
        groups.push(Group {
            from: first..i,
            to: second..j,
        });
    }
    groups
}

impl Group {
    fn changes(&self) -> bool {
        self.from.len() != 1 || self.to.len() != 1
    }

    /// Elements of a row of the old axes, and of the new ones: what lies behind one step along the first axis.
    fn rows(&self, from: &[u64], to: &[u64]) -> (u64, u64) {
        let row = |shape: &[u64], axes: &Range<usize>| shape[axes.start + 1..axes.end].iter().product();
        (row(from, &self.from), row(to, &self.to))
    }

    /// The fewest elements after which rows of both end.
    fn unit(&self, from: &[u64], to: &[u64]) -> u64 {
        let (a, b) = self.rows(from, to);
        let all: u64 = from[self.from.clone()].iter().product();
        (a / gcd(a, b)).checked_mul(b).map_or(all, |unit| unit.min(all))
    }

    /// How the first axis of the old ones and of the new ones is cut, the others being whole.
    fn cuts(&self, cuts: &[AxisChunks], from: &[u64], to: &[u64]) -> (AxisChunks, AxisChunks) {
        let ((a, b), unit) = (self.rows(from, to), self.unit(from, to));
        let (first, others) = (&cuts[self.from.start], &cuts[self.from.start + 1..self.from.end]);
        let len = first.len() * a;
        let is_cut_so = others.iter().all(|cut| cut.count() == 1);
        let units = if is_cut_so && let AxisChunks::Irregular { offsets } = first {
            let mut ends: Vec<u64> = offsets.iter().map(|&offset| offset * a / unit * unit).collect();
            *ends.last_mut().expect("an axis has an end") = len;
            ends.dedup();
            let lengths: Vec<u64> = ends.windows(2).map(|pair| pair[1] - pair[0]).collect();
            return (scaled(&lengths, a), scaled(&lengths, b));
        } else {
            let chunk = others
                .iter()
                .map(AxisChunks::chunk_max)
                .fold(first.chunk_max(), u64::saturating_mul);
            (chunk / unit).max(1)
        };
        let regular = |row: u64| {
            tidy(&AxisChunks::Regular {
                len: len / row,
                chunk: units * unit / row,
            })
        };
        (regular(a), regular(b))
    }
}

fn scaled(lengths: &[u64], row: u64) -> AxisChunks {
    tidy(&from_lengths(
        &lengths.iter().map(|len| len / row).collect::<Vec<_>>(),
    ))
}

pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
