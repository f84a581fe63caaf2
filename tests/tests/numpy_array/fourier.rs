//! Fourier transforms against NumPy, in random chunks.

use graticule_array::{Array, ArrayError, Axes, Chunks, FourierNorm, fftfreq, rfftfreq};
use graticule_kernel::Tensor;
use graticule_plan::DType;
use graticule_tests::numpy::Numpy;
use proptest::prelude::*;

use crate::{
    compare::{Near, check},
    compose::config,
    inputs::{Random, Values, array, chunks, tensor},
    operations::check_built,
};

/// An array of up to three axes, of random chunks, as NumPy knows it by `x`.
struct Case {
    x: Array,
    inputs: Vec<(String, Tensor)>,
    near: Near,
    norm: FourierNorm,
    norm_text: &'static str,
    random: Random,
}

impl Case {
    fn new(seed: u64, is_real: bool) -> Self {
        let mut random = Random::new(seed);
        let real = [DType::Float32, DType::Float64, DType::Int16, DType::Bool];
        let complex = [DType::Complex64, DType::Complex128];
        let is_real = is_real || random.one_in(2);
        let dtype = *random.pick(if is_real { &real } else { &complex });
        let mut shape: Vec<usize> = (0..1 + random.below(3)).map(|_| random.len()).collect();
        if shape.len() == 1 {
            shape[0] = length(&mut random);
        }
        let input = tensor(&mut random, dtype, &shape, Values::Tame);
        let x = array(&mut random, &input);
        let part = match dtype {
            DType::Float32 | DType::Complex64 => 3e-6,
            _ => 1e-14,
        };
        let (norm, norm_text) = *random.pick(&[
            (FourierNorm::Backward, "backward"),
            (FourierNorm::Ortho, "ortho"),
            (FourierNorm::Forward, "forward"),
        ]);
        // No element of a transform is greater than the sum of all magnitudes.
        let near = Near::Part(
            part,
            "np.sum(np.abs(x.astype(complex))) + 0 * (PYTHON).real".into(),
        );
        let inputs = vec![("x".to_owned(), input)];
        Self {
            x,
            inputs,
            near,
            norm,
            norm_text,
            random,
        }
    }

    fn axis(&mut self) -> i64 {
        let ndim = self.x.ndim() as i64;
        match self.random.one_in(20) {
            true => self.random.within(-ndim - 1, ndim),
            false => self.random.within(-ndim, ndim - 1),
        }
    }

    fn n(&mut self) -> Option<u64> {
        match self.random.below(8) {
            0..3 => None,
            3 if self.random.one_in(3) => Some(0),
            3 | 4 => Some(length(&mut self.random) as u64),
            _ => Some(1 + self.random.below(20) as u64),
        }
    }

    /// Axes, some of them twice, and a length for each, or not.
    fn axes(&mut self) -> (Axes, Option<Vec<i64>>, String) {
        let ndim = self.x.ndim();
        let (axes, count, text) = if self.random.one_in(3) {
            let count = if self.random.one_in(3) { 1 } else { ndim };
            (Axes::all(), count, "None".to_owned())
        } else {
            let axes: Vec<i64> = (0..1 + self.random.below(3)).map(|_| self.axis()).collect();
            (Axes::from(axes.clone()), axes.len(), format!("tuple({axes:?})"))
        };
        let count = if self.random.one_in(20) { count + 1 } else { count };
        let s = self.random.one_in(2).then(|| {
            let lengths = (0..count).map(|_| match self.random.below(4) {
                0 => -1,
                _ if self.random.one_in(20) => 0,
                _ => self.random.within(1, 9),
            });
            lengths.collect::<Vec<i64>>()
        });
        let s_text = s.as_ref().map_or("None".to_owned(), |s| format!("tuple({s:?})"));
        (axes, s, format!("s={s_text}, axes={text}"))
    }

    /// What is transformed twice along one axis grows in between.
    fn grow_in_between(&mut self) {
        if let Near::Part(_, scale) = &mut self.near {
            *scale = scale.replace("np.sum", "1e4 * np.sum");
        }
    }

    fn check(&self, built: Result<Array, ArrayError>, call: &str) -> Result<(), TestCaseError> {
        let python = format!("np.fft.{call}, norm='{}')", self.norm_text);
        let Near::Part(part, scale) = &self.near else {
            unreachable!("made above")
        };
        let near = Near::Part(*part, scale.replace("PYTHON", &python));
        check_built(built, &python, &self.inputs, &near).map_err(TestCaseError::fail)
    }
}

/// Short, at times long enough for each sort of algorithm: powers of two, products, primes.
fn length(random: &mut Random) -> usize {
    match random.below(8) {
        0..3 => *random.pick(&[16, 31, 60, 64, 101, 97, 128]),
        _ => random.len(),
    }
}

fn text(n: Option<u64>) -> String {
    n.map_or("None".to_owned(), |n| n.to_string())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn transforms_of_lines_are_numpys(seed in any::<u64>(), is_inverse in any::<bool>()) {
        let mut case = Case::new(seed, false);
        let (n, axis, norm) = (case.n(), case.axis(), case.norm);
        let (built, name) = match is_inverse {
            true => (case.x.ifft(n, axis, norm), "ifft"),
            false => (case.x.fft(n, axis, norm), "fft"),
        };
        case.check(built, &format!("{name}(x, n={}, axis={axis}", text(n)))?;
    }

    #[test]
    fn transforms_of_real_lines_are_numpys(seed in any::<u64>(), which in 0..4) {
        let mut case = Case::new(seed, false);
        let (n, axis, norm) = (case.n(), case.axis(), case.norm);
        // Of no elements NumPy gives what lies in its memory.
        if case.x.size() == 0 && n.is_some() {
            return Ok(());
        }
        let (built, name) = match which {
            0 => (case.x.rfft(n, axis, norm), "rfft"),
            1 => (case.x.irfft(n, axis, norm), "irfft"),
            2 => (case.x.hfft(n, axis, norm), "hfft"),
            _ => (case.x.ihfft(n, axis, norm), "ihfft"),
        };
        // NumPy's conjugate of booleans is refused.
        let x = if case.x.dtype() == DType::Bool && name == "hfft" { "x.astype(float)" } else { "x" };
        case.check(built, &format!("{name}({x}, n={}, axis={axis}", text(n)))?;
    }

    #[test]
    fn transforms_along_several_axes_are_numpys(seed in any::<u64>(), which in 0..4) {
        let mut case = Case::new(seed, which == 2);
        let ((axes, s, arguments), norm) = (case.axes(), case.norm);
        let s = s.as_deref();
        // Of no elements NumPy gives what lies in its memory.
        if case.x.size() == 0 && s.is_some() {
            return Ok(());
        }
        let (built, name) = match which {
            0 => (case.x.fftn(s, axes, norm), "fftn"),
            1 => (case.x.ifftn(s, axes, norm), "ifftn"),
            2 => (case.x.rfftn(s, axes, norm), "rfftn"),
            _ => (case.x.irfftn(s, axes, norm), "irfftn"),
        };
        case.grow_in_between();
        case.check(built, &format!("{name}(x, {arguments}"))?;
    }

    #[test]
    fn transforms_of_planes_are_numpys(seed in any::<u64>(), which in 0..4) {
        let mut case = Case::new(seed, which == 2);
        let (axes, norm) = ([case.axis(), case.axis()], case.norm);
        let (built, name) = match which {
            0 => (case.x.fft2(None, axes, norm), "fft2"),
            1 => (case.x.ifft2(None, axes, norm), "ifft2"),
            2 => (case.x.rfft2(None, axes, norm), "rfft2"),
            _ => (case.x.irfft2(None, axes, norm), "irfft2"),
        };
        let ndim = case.x.ndim() as i64;
        if (axes[0] - axes[1]) % ndim == 0 {
            case.grow_in_between();
        }
        case.check(built, &format!("{name}(x, axes=tuple({axes:?})"))?;
    }

    #[test]
    fn frequencies_are_numpys(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let n = random.below(40) as u64;
        let least = i64::from(!random.one_in(9));
        let d = random.within(least, 9) as f64 / 8.0;
        let is_real = random.one_in(2);
        let count = if is_real { n / 2 + 1 } else { n };
        let cut = |random: &mut Random| if n == 0 { Chunks::Whole } else { chunks(random, count) };
        let (full, name) = match is_real {
            true => (rfftfreq(n, d, DType::Float64, cut(&mut random)), "rfftfreq"),
            false => (fftfreq(n, d, DType::Float64, cut(&mut random)), "fftfreq"),
        };
        let python = format!("np.fft.{name}({n}, {d})");
        check_built(full, &python, &[], &Near::Same).map_err(TestCaseError::fail)?;
        if n > 0 && d > 0.0 {
            let narrow = fftfreq(n, d, DType::Float32, Chunks::Size(3)).unwrap();
            let python = format!("np.fft.fftfreq({n}, {d}).astype('float32')");
            check(&narrow, &python, &[], &Near::Same).map_err(TestCaseError::fail)?;
        }
    }

    #[test]
    fn shifts_are_numpys(seed in any::<u64>(), is_inverse in any::<bool>()) {
        let mut case = Case::new(seed, false);
        let (axes, _, arguments) = case.axes();
        let axes_text = arguments.split("axes=").nth(1).unwrap();
        let (built, name) = match is_inverse {
            true => (case.x.ifftshift(axes), "ifftshift"),
            false => (case.x.fftshift(axes), "fftshift"),
        };
        let python = format!("np.fft.{name}(x, axes={axes_text})");
        check_built(built, &python, &case.inputs, &Near::Same).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn parts_of_transforms_are_parts_of_numpys(seed in any::<u64>()) {
        let mut case = Case::new(seed, false);
        let ndim = case.x.ndim() as i64;
        let axis = case.random.within(0, ndim - 1);
        if case.x.shape()[axis as usize] == 0 {
            return Ok(());
        }
        let made = case.x.fft(None, axis, case.norm).unwrap();
        let along = case.random.within(0, ndim - 1);
        let last = made.shape()[along as usize] as i64;
        let start = case.random.within(0, last);
        let part = made.take(&(start..last).collect::<Vec<_>>(), along);
        let python = format!("take(np.fft.fft(x, axis={axis}, norm='{}'), np.arange({start}, {last}), {along})", case.norm_text);
        let python = format!("np.{python}");
        let Near::Part(close, scale) = &case.near else { unreachable!("made above") };
        let near = Near::Part(*close, scale.replace("PYTHON", &python));
        check_built(part, &python, &case.inputs, &near).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn what_goes_there_and_back_is_what_it_was() {
    let mut random = Random::new(3);
    for dtype in [DType::Float32, DType::Float64, DType::Complex128] {
        let input = tensor(&mut random, dtype, &[6, 1000], Values::Tame);
        let x = Array::from_bytes(
            dtype,
            &[6, 1000],
            &[Chunks::Size(4), Chunks::Size(300)],
            input.bytes().to_vec(),
        )
        .unwrap();
        let made = x.fft(None, -1, FourierNorm::Ortho).unwrap();
        let back = made.ifft(None, -1, FourierNorm::Ortho).unwrap();
        let part = if dtype == DType::Float32 { 1e-5 } else { 1e-13 };
        let near = Near::Part(part, "1000.0 + np.zeros(x.shape)".into());
        let python = "x.astype(np.fft.fft(x).dtype)";
        check(&back, python, &[("x".to_owned(), input)], &near).unwrap();
    }
}

#[test]
fn what_cannot_be_transformed_is_refused() {
    let x = Array::ones(&[3, 1], &[Chunks::Whole, Chunks::Whole], DType::Float64).unwrap();
    let complex = x.astype(DType::Complex128).unwrap();
    let norm = FourierNorm::Backward;
    let cases: Vec<(Result<Array, ArrayError>, &str)> = vec![
        (x.fft(Some(0), 0, norm), "np.fft.fft(np.ones((3, 1)), 0)"),
        (x.irfft(None, 1, norm), "np.fft.irfft(np.ones((3, 1)))"),
        (x.fft(None, 2, norm), "np.fft.fft(np.ones((3, 1)), axis=2)"),
        (
            complex.rfft(None, 0, norm),
            "np.fft.rfft(np.ones((3, 1)) + 0j, axis=0)",
        ),
        (
            complex.ihfft(None, 0, norm),
            "np.fft.ihfft(np.ones((3, 1)) + 0j, axis=0)",
        ),
        (
            complex.rfftn(None, Axes::all(), norm),
            "np.fft.rfftn(np.ones((3, 1)) + 0j)",
        ),
        (
            x.fftn(Some(&[2]), [0, 1], norm),
            "np.fft.fftn(np.ones((3, 1)), s=(2,), axes=(0, 1))",
        ),
        (
            x.fftn(Some(&[-2, 1]), [0, 1], norm),
            "np.fft.fftn(np.ones((3, 1)), s=(-2, 1), axes=(0, 1))",
        ),
        (
            x.rfftn(None, Vec::new(), norm),
            "np.fft.rfftn(np.ones((3, 1)), axes=())",
        ),
        (
            fftfreq(0, 1.0, DType::Float64, Chunks::Whole),
            "np.fft.fftfreq(0)",
        ),
        (
            rfftfreq(3, 0.0, DType::Float64, Chunks::Whole),
            "np.fft.rfftfreq(3, 0.0)",
        ),
    ];
    for (built, python) in cases {
        let why = built.expect_err(python);
        assert!(!why.to_string().is_empty());
        assert!(
            Numpy::shared().eval(python, &[]).is_err(),
            "NumPy allows {python}"
        );
    }
}

#[test]
fn a_line_is_transformed_by_one_task_and_planes_fuse() {
    let x = Array::ones(
        &[8, 64, 64],
        &[Chunks::Size(2), Chunks::Whole, Chunks::Whole],
        DType::Float64,
    )
    .unwrap();
    let norm = FourierNorm::Backward;
    let made = x.rfft2(None, [-2, -1], norm).unwrap();
    assert_eq!(made.chunks().block_count(), 4);
    let text = made.absolute().unwrap().explain().unwrap();
    assert!(text.contains("rfft+fft+absolute"), "{text}");
}
