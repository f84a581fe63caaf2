use crate::{ProtoError, v1};

const PROTOCOL: u32 = 11;
const PLAN_FORMAT: u32 = 4;
const OPERATIONS: u32 = 10;

/// What this build speaks.
pub fn version() -> v1::Version {
    v1::Version {
        protocol: PROTOCOL,
        plan_format: PLAN_FORMAT,
        operations: OPERATIONS,
        release: env!("CARGO_PKG_VERSION").into(),
    }
}

/// Checks what the other end speaks: before 1.0 every number must be equal.
///
/// # Errors
/// [`ProtoError::Version`]; [`ProtoError::Malformed`] if it did not say.
pub fn check_version(theirs: Option<v1::Version>) -> Result<(), ProtoError> {
    let theirs = theirs.ok_or(ProtoError::Malformed("the first message names no version"))?;
    let numbers = |v: &v1::Version| format!("{}.{}.{}", v.protocol, v.plan_format, v.operations);
    let ours = version();
    if numbers(&ours) == numbers(&theirs) {
        return Ok(());
    }
    Err(ProtoError::Version {
        our_numbers: numbers(&ours),
        their_numbers: numbers(&theirs),
        ours: ours.release,
        theirs: theirs.release,
    })
}
