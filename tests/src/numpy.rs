//! NumPy as the oracle: one long-lived Python process for each test binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use graticule_kernel::Tensor;
use graticule_plan::DType;
use serde_json::{Value, json};

/// A Python process that evaluates NumPy expressions, one at a time.
///
/// ```no_run
/// use graticule_kernel::Tensor;
/// use graticule_tests::numpy::Numpy;
///
/// let x = Tensor::from_vec(&[3], vec![1.0_f64, 2.0, 4.0])?;
/// let sum = Numpy::shared().eval("np.add.reduce(x)", &[("x", &x)]).expect("a float");
/// assert_eq!(sum.as_slice::<f64>(), Some(&[7.0][..]));
/// # Ok::<(), graticule_kernel::KernelError>(())
/// ```
pub struct Numpy {
    process: Mutex<Process>,
}

/// Why there is no array: Python raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// The exception's type, such as `ValueError`; `DType` for a result whose dtype Graticule lacks.
    pub kind: String,
    /// Its message.
    pub message: String,
}

struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Numpy {
    /// The process of this test binary, started at first use.
    ///
    /// Python is `$GRATICULE_PYTHON`, or else the environment in `target/python-env` that `cargo xtask test` makes.
    ///
    /// # Panics
    /// If there is neither.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Numpy> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let python = python();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/numpy_oracle.py");
        let child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{} does not start: {e}", python.display()));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self {
            process: Mutex::new(Process { child, stdin, stdout }),
        }
    }

    /// Evaluates a Python expression in which `np` is NumPy and each array has its name.
    ///
    /// # Errors
    /// [`Raised`] if the expression raises or its result has a dtype that Graticule lacks.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn eval(&self, expression: &str, arrays: &[(&str, &Tensor)]) -> Result<Tensor, Raised> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.ask(expression, arrays).unwrap_or_else(|e| {
            let status = process.child.try_wait();
            panic!(
                "the NumPy process does not answer ({e}; exit status {status:?}): is NumPy installed there?"
            )
        })
    }
}

impl Process {
    fn ask(
        &mut self,
        expression: &str,
        arrays: &[(&str, &Tensor)],
    ) -> std::io::Result<Result<Tensor, Raised>> {
        let head = |(name, array): &(&str, &Tensor)| json!({ "name": name, "dtype": array.dtype().name(), "shape": array.shape() });
        let heads: Vec<Value> = arrays.iter().map(head).collect();
        let mut request = json!({ "expression": expression, "arrays": heads })
            .to_string()
            .into_bytes();
        request.push(b'\n');
        arrays
            .iter()
            .for_each(|(_, array)| request.extend_from_slice(array.bytes()));
        self.stdin.write_all(&request)?;
        self.stdin.flush()?;

        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let answer: Value = serde_json::from_str(&line)?;
        if let Some(kind) = answer["error"].as_str() {
            let message = answer["message"].as_str().unwrap_or_default().to_owned();
            return Ok(Err(Raised {
                kind: kind.to_owned(),
                message,
            }));
        }
        let mut data = vec![0; answer["nbytes"].as_u64().unwrap_or(0) as usize];
        self.stdout.read_exact(&mut data)?;
        Ok(array_of(&answer, data))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its stdin closes with this, which ends the loop; nothing is left to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn array_of(answer: &Value, data: Vec<u8>) -> Result<Tensor, Raised> {
    let name = answer["dtype"].as_str().unwrap_or_default();
    let dtype: DType = name.parse().map_err(|message| Raised {
        kind: "DType".into(),
        message,
    })?;
    let axes = answer["shape"].as_array().expect("an answer has a shape");
    let shape: Vec<usize> = axes
        .iter()
        .map(|len| len.as_u64().expect("a length") as usize)
        .collect();
    Ok(Tensor::from_bytes(dtype, &shape, data.into()).expect("NumPy sends as many bytes as the shape says"))
}

fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("GRATICULE_PYTHON") {
        return python.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let python = root.join("target/python-env/bin/python");
    assert!(
        python.exists(),
        "no Python with NumPy: set GRATICULE_PYTHON, or run `cargo xtask test`, which makes {}",
        python.display()
    );
    python
}
