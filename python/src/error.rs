//! Errors, as the classes that users of NumPy expect.

use graticule_array::ArrayError;
use graticule_client::ClientError;
use graticule_data::DataError;
use graticule_kernel::KernelError;
use graticule_ops::OpsError;
use pyo3::{prelude::*, sync::PyOnceLock, types::PyType};

use crate::functions;

/// What a method of this module fails with.
pub(crate) struct Failure(PyErr);

impl Failure {
    /// One of the classes of `graticule.errors`.
    pub(crate) fn new(class: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Python::attach(|py| match errors(py).and_then(|module| module.getattr(class)) {
            Ok(class) => match class.cast_into::<PyType>() {
                Ok(class) => Self(PyErr::from_type(class, message)),
                Err(error) => Self(error.into()),
            },
            Err(error) => Self(error),
        })
    }

    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new("InvalidValue", message)
    }
}

fn errors(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("graticule.errors")?.unbind()))?;
    Ok(module.bind(py).clone())
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<ArrayError> for Failure {
    fn from(error: ArrayError) -> Self {
        Self::new(class_of(&error), error.to_string())
    }
}

/// The class that NumPy's error of the same cause has.
fn class_of(error: &ArrayError) -> &'static str {
    match error {
        ArrayError::Ops(OpsError::OutOfBounds { .. }) => "OutOfBounds",
        ArrayError::Ops(OpsError::Promotion { .. } | OpsError::DType { .. }) => "InvalidType",
        ArrayError::UnsafeCast { .. } | ArrayError::PositionDType { .. } => "InvalidType",
        ArrayError::IndexOutOfRange { .. }
        | ArrayError::TooManyIndices { .. }
        | ArrayError::SeveralEllipses
        | ArrayError::MaskShape { .. } => "InvalidIndex",
        ArrayError::AxisOutOfRange { .. } => "InvalidAxis",
        _ => "InvalidValue",
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match &error {
            ClientError::Array(error) => Self::new(class_of(error), message),
            ClientError::UnknownFunction { name, .. } if functions::is_own(name) => no_python(),
            ClientError::Failed { message: told } if functions::is_unknown(told) => no_python(),
            ClientError::Failed { message: told } => {
                crate::calls::raised::told(told).map_or_else(|| Self::new("TaskFailed", message), Self)
            }
            ClientError::ResultTooLarge { .. } => Self::new("ResultTooLarge", message),
            ClientError::Unknown { .. } | ClientError::NameTaken { .. } => Self::new("InvalidName", message),
            ClientError::Cancelled => Self::new("Cancelled", message),
            ClientError::OtherClient { .. } => Self::new("InvalidValue", message),
            _ => Self::new("ClusterError", message),
        }
    }
}

fn no_python() -> Failure {
    Failure::new(
        "Unsupported",
        "workers of this cluster are not Python, and run no Python functions; start some by `python -m graticule.worker` and the \
         scheduler's address, or compute this with graticule.Client(), without an address",
    )
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        Self::new("SourceError", error.to_string())
    }
}

impl From<KernelError> for Failure {
    fn from(error: KernelError) -> Self {
        Self::value(error.to_string())
    }
}
