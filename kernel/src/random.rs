//! Random numbers that depend on a seed and a place alone.
//!
//! The generator is Philox-4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2,
//! 3", 2011): the counter is the element's position, the number of the draw for it and the array's stream, the key is the
//! seed.

use graticule_ops::{Distribution, POISSON_MEAN_MAX, Random};
use graticule_plan::DType;

use crate::{
    Chunk, Element, KernelError, TensorMut,
    element::with_number,
    program::{Task, check_ndim},
    shape,
    tensor::advance,
    variate::{self, Drawn},
};

/// What the rounds multiply by.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the key from round to round: parts of the golden ratio and of the root of 3.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
/// From 64 random bits to a step of 2^-53.
const UNIT_SHIFT: u32 = 11;
const UNIT_STEP: f64 = 1.0 / (1u64 << 53) as f64;
const UNIT_SHIFT_32: u32 = 40;
const UNIT_STEP_32: f32 = 1.0 / (1u32 << 24) as f32;
/// The mean from which Poisson's numbers are drawn by rejection.
const POISSON_REJECTION_MEAN: f64 = 10.0;

/// 128 random bits for a counter and a key.
#[inline(always)]
fn philox([mut a, mut b, mut c, mut d]: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let x = u64::from(MULTIPLIERS[0]) * u64::from(a);
        let y = u64::from(MULTIPLIERS[1]) * u64::from(c);
        (a, b, c, d) = (
            (y >> 32) as u32 ^ b ^ key[0],
            y as u32,
            (x >> 32) as u32 ^ d ^ key[1],
            x as u32,
        );
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    [a, b, c, d]
}

/// The random bits for one element, pair after pair.
pub(crate) struct Draws {
    seed: u64,
    place: u64,
    stream: u32,
    draw: u32,
}

impl Draws {
    /// Other draws of the same place, which these do not come to.
    pub(crate) fn apart(&self) -> Self {
        Self {
            draw: self.draw ^ 1 << 31,
            ..*self
        }
    }

    #[inline(always)]
    pub(crate) fn pair(&mut self) -> [u64; 2] {
        let [low, high] = [self.place as u32, (self.place >> 32) as u32];
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let [a, b, c, d] = philox([low, high, self.draw, self.stream], key);
        self.draw = self.draw.wrapping_add(1);
        [
            u64::from(a) | u64::from(b) << 32,
            u64::from(c) | u64::from(d) << 32,
        ]
    }
}

/// Within `[0, 1)`.
#[inline(always)]
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> UNIT_SHIFT) as f64 * UNIT_STEP
}

/// Within `(0, 1]`.
#[inline(always)]
pub(crate) fn positive_unit(bits: u64) -> f64 {
    ((bits >> UNIT_SHIFT) + 1) as f64 * UNIT_STEP
}

/// By the transformation of Box and Muller.
#[inline(always)]
fn normal(mut draws: Draws) -> f64 {
    next_normal(&mut draws)
}

/// [`normal`], and draws go on.
#[inline(always)]
pub(crate) fn next_normal(draws: &mut Draws) -> f64 {
    let [radius, angle] = draws.pair();
    let radius = (-2.0 * libm::log(positive_unit(radius))).sqrt();
    radius * libm::cos(std::f64::consts::TAU * unit(angle))
}

#[inline(always)]
fn exponential(mut draws: Draws) -> f64 {
    -libm::log(positive_unit(draws.pair()[0]))
}

/// Below `count`, or any of 64 bits for 0; without a bias, by Lemire's multiplication ("Fast random integer generation in
/// an interval", 2019).
#[inline(always)]
fn below(mut draws: Draws, count: u64) -> u64 {
    if count == 0 {
        return draws.pair()[0];
    }
    loop {
        for bits in draws.pair() {
            let product = u128::from(bits) * u128::from(count);
            let low = product as u64;
            if low >= count || low >= count.wrapping_neg() % count {
                return (product >> 64) as u64;
            }
        }
    }
}

/// A number of Poisson's distribution.
pub(crate) fn poisson(draws: Draws, mean: f64) -> i64 {
    if mean < POISSON_REJECTION_MEAN {
        poisson_few(draws, libm::exp(-mean))
    } else {
        poisson_many(draws, mean)
    }
}

/// By multiplying until the product is below `e^-mean`, which `limit` is.
fn poisson_few(mut draws: Draws, limit: f64) -> i64 {
    let (mut product, mut count) = (1.0, 0);
    loop {
        for bits in draws.pair() {
            product *= positive_unit(bits);
            if product < limit {
                return count;
            }
            count += 1;
        }
    }
}

/// By transformed rejection with a squeeze: Hörmann, "The transformed rejection method for generating Poisson random
/// variables" (1993), algorithm PTRS.
fn poisson_many(mut draws: Draws, mean: f64) -> i64 {
    let b = 0.931 + 2.53 * mean.sqrt();
    let a = -0.059 + 0.02483 * b;
    let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    let squeeze = 0.9277 - 3.6224 / (b - 2.0);
    loop {
        let [first, second] = draws.pair();
        let (u, v) = (unit(first) - 0.5, positive_unit(second));
        let distance = 0.5 - u.abs();
        let number = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
        if distance >= 0.07 && v <= squeeze {
            return number as i64;
        }
        if number < 0.0 || (distance < 0.013 && v > distance) {
            continue;
        }
        let proposed = libm::log(v * inverse_alpha / (a / (distance * distance) + b));
        if proposed <= number * libm::log(mean) - mean - libm::lgamma(number + 1.0) {
            return number as i64;
        }
    }
}

/// The value of a `Random` node.
pub(crate) fn node(task: &Task<'_>, node: usize, step: &Random) -> Result<Chunk, KernelError> {
    let misfit = |why: String| task.misfit(node, why);
    let mean = check(step).map_err(misfit)?;
    let extents = shape::extents(&step.axes, task.block_index).map_err(misfit)?;
    let shape = shape::shape_of(&extents).map_err(misfit)?;
    let starts: Vec<u64> = extents.iter().map(|extent| extent.start).collect();
    let mut out = TensorMut::for_overwrite(step.dtype, &shape)?;
    let block = Block {
        step,
        shape: &shape,
        starts: &starts,
    };
    match (step.distribution, step.dtype) {
        (Distribution::Unit, DType::Float32) => {
            block.fill(&mut out, |mut draws| {
                (draws.pair()[0] >> UNIT_SHIFT_32) as f32 * UNIT_STEP_32
            });
        }
        (Distribution::Unit, _) => block.fill(&mut out, |mut draws| unit(draws.pair()[0])),
        (Distribution::Normal, DType::Float32) => block.fill(&mut out, |draws| normal(draws) as f32),
        (Distribution::Normal, _) => block.fill(&mut out, normal),
        (Distribution::Exponential, DType::Float32) => {
            block.fill(&mut out, |draws| exponential(draws) as f32)
        }
        (Distribution::Exponential, _) => block.fill(&mut out, exponential),
        (Distribution::Integers { low, count }, dtype) => with_number!(
            dtype,
            T => block.fill(&mut out, |draws| low.wrapping_add(below(draws, count)) as T),
            unreachable!("checked above")
        ),
        (Distribution::Poisson { .. }, _) if mean < POISSON_REJECTION_MEAN => {
            let limit = libm::exp(-mean);
            block.fill(&mut out, |draws| poisson_few(draws, limit));
        }
        (Distribution::Poisson { .. }, _) => block.fill(&mut out, |draws| poisson_many(draws, mean)),
        (Distribution::Variate { kind, a, b }, _) => {
            let (a, b) = (a.as_f64(), b.as_f64());
            match variate::of(kind, a, b) {
                Drawn::Float(number) => block.fill(&mut out, number),
                Drawn::Int(number) => block.fill(&mut out, number),
            }
        }
    }
    Ok(out.freeze().into())
}

/// Checks a node and gives the mean of Poisson's distribution, else 0; a sentence if something does not fit.
fn check(step: &Random) -> Result<f64, String> {
    let Random {
        distribution,
        dtype,
        shape,
        selection,
        axes,
        ..
    } = step;
    check_ndim(axes.len())?;
    if !distribution.gives(*dtype) {
        return Err(format!("{} gives no {dtype}", distribution.name()));
    }
    if selection.len() != axes.len() || shape.len() != axes.len() {
        let (shape, selection) = (shape.len(), selection.len());
        return Err(format!(
            "{} axes of a shape of {shape} and a selection of {selection}",
            axes.len()
        ));
    }
    match distribution {
        Distribution::Poisson { mean } => {
            let mean = mean.as_f64();
            if (0.0..=POISSON_MEAN_MAX).contains(&mean) {
                Ok(mean)
            } else {
                Err(format!("mean {mean}"))
            }
        }
        Distribution::Variate { kind, a, b } => kind.check(a.as_f64(), b.as_f64()).map(|()| 0.0),
        _ => Ok(0.0),
    }
}

/// The elements that a block makes.
struct Block<'a> {
    step: &'a Random,
    shape: &'a [usize],
    starts: &'a [u64],
}

impl Block<'_> {
    /// Writes what `number` makes of each element's bits.
    fn fill<T: Element>(&self, out: &mut TensorMut, number: impl Fn(Draws) -> T) {
        let Random {
            seed,
            stream,
            shape: whole,
            selection,
            ..
        } = self.step;
        // From one element to the next along each axis, in places of the whole array.
        let mut strides = vec![1u64; whole.len()];
        for axis in (1..whole.len()).rev() {
            strides[axis - 1] = strides[axis].wrapping_mul(whole[axis]);
        }
        let place = |axis: usize, k: usize| {
            let element = self.starts[axis]
                .wrapping_add(k as u64)
                .wrapping_mul(selection[axis].step as u64);
            selection[axis]
                .start
                .wrapping_add(element)
                .wrapping_mul(strides[axis])
        };
        let (run, outer) = self
            .shape
            .split_last()
            .map_or((1, &[][..]), |(last, outer)| (*last, outer));
        let mut index = vec![0; outer.len()];
        for row in out.slice_mut::<T>().chunks_exact_mut(run.max(1)) {
            let base = index
                .iter()
                .enumerate()
                .map(|(axis, &k)| place(axis, k))
                .fold(0, u64::wrapping_add);
            for (k, out) in row.iter_mut().enumerate() {
                let last = if self.shape.is_empty() {
                    0
                } else {
                    place(outer.len(), k)
                };
                *out = number(Draws {
                    seed: *seed,
                    place: base.wrapping_add(last),
                    stream: *stream,
                    draw: 0,
                });
            }
            advance(&mut index, outer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors that the authors of the generator published with it.
    #[test]
    fn the_generator_gives_the_published_numbers() {
        for (counter, key, want) in [
            (
                [0; 4],
                [0; 2],
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                [u32::MAX; 4],
                [u32::MAX; 2],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(philox(counter, key), want);
        }
    }

    #[test]
    fn numbers_below_a_bound_are_spread_without_a_gap() {
        let draws = |place| Draws {
            seed: 3,
            place,
            stream: 0,
            draw: 0,
        };
        let mut counts = [0; 7];
        (0..70_000).for_each(|place| counts[below(draws(place), 7) as usize] += 1);
        assert!(
            counts.iter().all(|count| (9_600..10_400).contains(count)),
            "{counts:?}"
        );
        // A count just above half of all numbers throws nearly every second draw away.
        let count = (1 << 63) + 1;
        assert!((0..1000).all(|place| below(draws(place), count) < count));
    }
}
