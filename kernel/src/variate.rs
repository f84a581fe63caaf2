//! Numbers of distributions that are drawn by rejection, each from the draws of its own place.

use std::f64::consts::PI;

use graticule_ops::Variate;

use crate::random::{Draws, next_normal, poisson, positive_unit, unit};

/// Successes on average from which binomial numbers are drawn by rejection.
const BINOMIAL_REJECTION_MEAN: f64 = 10.0;
/// Concentrations below which directions are as good as equally spread.
const CONCENTRATION_MIN: f64 = 1e-8;
/// Concentrations above which directions are as good as normal.
const CONCENTRATION_MAX: f64 = 1e6;

/// Powers from which each number of Zipf's distribution is 1: 2 has a chance of 2^-1024, which is no float64.
const ZIPF_POWER_MAX: f64 = 1025.0;

/// What makes a number of its draws.
pub(crate) enum Drawn {
    Float(Box<dyn Fn(Draws) -> f64>),
    Int(Box<dyn Fn(Draws) -> i64>),
}

/// How numbers of a distribution are drawn; parameters are checked.
pub(crate) fn of(kind: Variate, a: f64, b: f64) -> Drawn {
    let float = |number: fn(&mut Draws, f64, f64) -> f64| {
        Drawn::Float(Box::new(move |mut draws| number(&mut draws, a, b)))
    };
    match kind {
        Variate::Gamma => float(|draws, a, _| gamma(draws, a)),
        Variate::Beta => float(beta),
        Variate::VonMises => float(|draws, concentration, _| von_mises(draws, concentration)),
        Variate::Wald => float(wald),
        Variate::NoncentralChisquare => {
            Drawn::Float(Box::new(move |draws| noncentral_chisquare(draws, a, b)))
        }
        Variate::Binomial => Drawn::Int(Box::new(binomial(a, b))),
        Variate::NegativeBinomial => Drawn::Int(Box::new(move |mut draws| {
            let mean = gamma(&mut draws, a) * (1.0 - b) / b;
            poisson(draws, mean)
        })),
        Variate::Zipf => Drawn::Int(Box::new(move |draws| zipf(draws, a))),
        Variate::LogSeries => Drawn::Int(Box::new(move |draws| log_series(draws, a))),
    }
}

/// Two numbers, within `(0, 1]` and `[0, 1)`.
fn two(draws: &mut Draws) -> (f64, f64) {
    let [first, second] = draws.pair();
    (positive_unit(first), unit(second))
}

/// Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
fn gamma(draws: &mut Draws, shape: f64) -> f64 {
    if shape == 0.0 {
        return 0.0;
    }
    if shape < 1.0 {
        let wider = gamma(draws, shape + 1.0);
        return wider * libm::pow(two(draws).0, 1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = next_normal(draws);
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        let (u, _) = two(draws);
        if libm::log(u) < 0.5 * x * x + d - d * v + d * libm::log(v) {
            return d * v;
        }
    }
}

/// Of two gamma numbers; of shapes of 1 or less by Jöhnk's method, whose logarithms do not vanish.
fn beta(draws: &mut Draws, a: f64, b: f64) -> f64 {
    if a > 1.0 || b > 1.0 {
        let (x, y) = (gamma(draws, a), gamma(draws, b));
        // Without a sum that may overflow.
        return 1.0 / (1.0 + y / x);
    }
    loop {
        let [first, second] = draws.pair();
        let (u, v) = (positive_unit(first), positive_unit(second));
        let (x, y) = (libm::pow(u, 1.0 / a), libm::pow(v, 1.0 / b));
        let sum = x + y;
        if sum > 1.0 {
            continue;
        }
        if sum > 0.0 {
            return x / sum;
        }
        let (x, y) = (libm::log(u) / a, libm::log(v) / b);
        let most = x.max(y);
        let (x, y) = (libm::exp(x - most), libm::exp(y - most));
        return x / (x + y);
    }
}

/// Best and Fisher, "Efficient simulation of the von Mises distribution" (1979).
fn von_mises(draws: &mut Draws, concentration: f64) -> f64 {
    if concentration < CONCENTRATION_MIN {
        return PI * (2.0 * two(draws).1 - 1.0);
    }
    if concentration > CONCENTRATION_MAX {
        return (next_normal(draws) / concentration.sqrt()).clamp(-PI, PI);
    }
    let r = 1.0 + (1.0 + 4.0 * concentration * concentration).sqrt();
    // The same as (1 + rho^2) / (2 rho) for rho = (r - sqrt(2 r)) / (2 concentration), but where rho vanishes.
    let s = if concentration < 1e-5 {
        1.0 / concentration + concentration
    } else {
        let rho = (r - (2.0 * r).sqrt()) / (2.0 * concentration);
        (1.0 + rho * rho) / (2.0 * rho)
    };
    loop {
        let (v, u) = two(draws);
        let z = libm::cos(PI * u);
        let w = (1.0 + s * z) / (s + z);
        let y = concentration * (s - w);
        if y * (2.0 - y) - v >= 0.0 || libm::log(y / v) + 1.0 - y >= 0.0 {
            let angle = libm::acos(w.clamp(-1.0, 1.0));
            return if two(draws).1 < 0.5 { -angle } else { angle };
        }
    }
}

/// Michael, Schucany and Haas, "Generating random variates using transformations with multiple roots" (1976).
fn wald(draws: &mut Draws, mean: f64, scale: f64) -> f64 {
    let normal = next_normal(draws);
    let y = mean * normal * normal;
    let x = mean + mean / (2.0 * scale) * (y - (4.0 * scale * y + y * y).sqrt());
    let (_, u) = two(draws);
    if u <= mean / (mean + x) {
        x
    } else {
        mean * mean / x
    }
}

fn noncentral_chisquare(mut draws: Draws, freedom: f64, noncentrality: f64) -> f64 {
    if freedom > 1.0 {
        let central = 2.0 * gamma(&mut draws, (freedom - 1.0) / 2.0);
        let moved = next_normal(&mut draws) + noncentrality.sqrt();
        return central + moved * moved;
    }
    // The draws of the number of Poisson's distribution lie far from those of the other.
    let mut others = draws.apart();
    let more = poisson(draws, noncentrality / 2.0);
    2.0 * gamma(&mut others, freedom / 2.0 + more as f64)
}

/// By gaps between successes where there are few, else by transformed rejection: Hörmann, "The generation of binomial
/// random variates" (1993), algorithm BTRS.
fn binomial(trials: f64, chance: f64) -> impl Fn(Draws) -> i64 {
    let p = chance.min(1.0 - chance);
    let (n, q) = (trials, 1.0 - p);
    let spread = (n * p * q).sqrt();
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let alpha = (2.83 + 5.1 / b) * spread;
    let mode = ((n + 1.0) * p).floor();
    let ways = move |k: f64| libm::lgamma(k + 1.0) + libm::lgamma(n - k + 1.0);
    let (at_mode, log_odds, log_miss) = (ways(mode), libm::log(p / q), libm::log1p(-p));
    let many = move |draws: &mut Draws| loop {
        let (v, u) = two(draws);
        let u = u - 0.5;
        let distance = 0.5 - u.abs();
        let k = ((2.0 * a / distance + b) * u + n * p + 0.5).floor();
        if distance >= 0.07 && v <= 0.92 - 4.2 / b {
            return k;
        }
        if !(0.0..=n).contains(&k) {
            continue;
        }
        let proposed = libm::log(v * alpha / (a / (distance * distance) + b));
        if proposed <= at_mode - ways(k) + (k - mode) * log_odds {
            return k;
        }
    };
    let few = move |draws: &mut Draws| {
        let (mut passed, mut count) = (0.0, 0.0);
        loop {
            passed += (libm::log(two(draws).0) / log_miss).floor() + 1.0;
            if passed > n {
                return count;
            }
            count += 1.0;
        }
    };
    move |mut draws| {
        let count = match p {
            0.0 => 0.0,
            _ if n * p < BINOMIAL_REJECTION_MEAN => few(&mut draws),
            _ => many(&mut draws),
        };
        (if chance > 0.5 { n - count } else { count }) as i64
    }
}

/// Devroye, "Non-uniform random variate generation" (1986), page 551; of draws that give numbers which an int64 holds, since
/// of powers just above 1 hardly any other would.
fn zipf(mut draws: Draws, power: f64) -> i64 {
    if power >= ZIPF_POWER_MAX {
        return 1;
    }
    let less = power - 1.0;
    let b = libm::pow(2.0, less);
    let least = libm::pow(i64::MAX as f64, -less);
    loop {
        let (u, v) = two(&mut draws);
        let u = least + (1.0 - least) * u;
        let x = libm::pow(u, -1.0 / less).floor();
        if !(1.0..i64::MAX as f64).contains(&x) {
            continue;
        }
        let t = libm::pow(1.0 + 1.0 / x, less);
        if v * x * (t - 1.0) / (b - 1.0) <= t / b {
            return x as i64;
        }
    }
}

/// Kemp, "Efficient generation of logarithmically distributed pseudo-random variables" (1981).
fn log_series(mut draws: Draws, p: f64) -> i64 {
    let r = libm::log1p(-p);
    loop {
        let (v, u) = two(&mut draws);
        if v >= p {
            return 1;
        }
        let q = -libm::expm1(r * u);
        if v <= q * q {
            let number = (1.0 + libm::log(v) / libm::log(q)).floor();
            if number >= 1.0 {
                return number as i64;
            }
            continue;
        }
        return if v >= q { 1 } else { 2 };
    }
}
