//! Random arrays: dtypes, shapes, chunks, and values that bite.

use graticule_array::{Array, Chunks};
use graticule_kernel::Tensor;
use graticule_ops::half;
use graticule_plan::DType;

/// A small generator (splitmix64): the same seed gives the same case.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A number within `low..=high`.
    pub(crate) fn within(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    /// A short axis, at times empty or of one element.
    pub(crate) fn len(&mut self) -> usize {
        match self.below(8) {
            0 => 1,
            1 if self.one_in(3) => 0,
            _ => 1 + self.below(7),
        }
    }

    pub(crate) fn dtype(&mut self) -> DType {
        *self.pick(&DType::REAL)
    }
}

/// Whether floats are whole numbers of moderate size, so that they convert to any integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Values {
    Wild,
    Tame,
}

fn float(random: &mut Random, values: Values) -> f64 {
    if values == Values::Tame {
        return random.within(0, 100) as f64;
    }
    match random.below(20) {
        0..3 => f64::NAN,
        3 => f64::INFINITY,
        4 => f64::NEG_INFINITY,
        5 => 0.0,
        6..10 => random.within(-9, 9) as f64,
        _ => random.within(-1_000_000, 1_000_000) as f64 / 1024.0,
    }
}

fn bits(random: &mut Random, values: Values) -> u64 {
    match random.below(6) {
        _ if values == Values::Tame => random.below(100) as u64,
        0 => random.next(),
        1 => u64::MAX << random.below(64),
        _ => random.within(-5, 5) as u64,
    }
}

/// A tensor of the given dtype and shape.
pub(crate) fn tensor(random: &mut Random, dtype: DType, shape: &[usize], values: Values) -> Tensor {
    let count: usize = shape.iter().product();
    let mut bytes = Vec::new();
    for _ in 0..count {
        match dtype {
            DType::Bool => bytes.push(random.below(2) as u8),
            DType::Float16 => bytes.extend(half::from_f64(float(random, values)).to_le_bytes()),
            DType::Float32 => bytes.extend((float(random, values) as f32).to_le_bytes()),
            DType::Float64 => bytes.extend(float(random, values).to_le_bytes()),
            DType::Complex64 => {
                (0..2).for_each(|_| bytes.extend((float(random, values) as f32).to_le_bytes()))
            }
            DType::Complex128 => (0..2).for_each(|_| bytes.extend(float(random, values).to_le_bytes())),
            _ => bytes.extend(&bits(random, values).to_le_bytes()[..dtype.size_bytes() as usize]),
        }
    }
    Tensor::from_bytes(dtype, shape, bytes.into()).expect("as many bytes as the shape says")
}

/// How an axis of `len` elements is cut.
pub(crate) fn chunks(random: &mut Random, len: u64) -> Chunks {
    match random.below(5) {
        0 => Chunks::Whole,
        1 => Chunks::Size(1),
        2 => Chunks::Size(1 + random.below(4) as u64),
        _ => {
            let (mut left, mut lengths) = (len, Vec::new());
            while left > 0 {
                let part = random.below(4).min(left as usize) as u64;
                lengths.push(part);
                left -= part;
            }
            Chunks::Lengths(lengths)
        }
    }
}

/// The array of a tensor, cut at random.
pub(crate) fn array(random: &mut Random, tensor: &Tensor) -> Array {
    let shape: Vec<u64> = tensor.shape().iter().map(|&len| len as u64).collect();
    let chunks: Vec<Chunks> = shape.iter().map(|&len| chunks(random, len)).collect();
    Array::from_bytes(tensor.dtype(), &shape, &chunks, tensor.bytes().to_vec())
        .expect("the shape is the tensor's")
}

/// A random shape of up to three axes.
pub(crate) fn shape(random: &mut Random) -> Vec<usize> {
    (0..random.below(4)).map(|_| random.len()).collect()
}
