//! Where a child process has NumPy lay its large arrays: in memory with a descriptor, so that one that a function gives back goes
//! to the worker where it lies, without a copy. NumPy asks whoever is set as its handler of data memory (NEP 49).

use std::{
    collections::BTreeMap,
    ffi::{c_char, c_void},
    ptr,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use graticule_kernel::TensorMut;
use graticule_plan::DType;
use pyo3::{ffi, prelude::*, types::PyCapsule};

/// Smaller arrays are copied on their way, and larger ones may be meant to be used in part: their pages come as they are touched.
const BYTES_MIN: usize = 1 << 20;
const BYTES_MAX: usize = 1 << 30;
/// Where `PyDataMem_SetHandler` and `PyDataMem_GetHandler` stand in NumPy's table of functions.
const SET_HANDLER: usize = 304;
const GET_HANDLER: usize = 305;
const CAPSULE_NAME: &std::ffi::CStr = c"mem_handler";

type Malloc = unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
type Calloc = unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void;
type Realloc = unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void, *mut c_void, usize);

/// NumPy's `PyDataMem_Handler`.
#[repr(C)]
struct Handler {
    name: [c_char; 127],
    version: u8,
    context: *mut c_void,
    malloc: Malloc,
    calloc: Calloc,
    realloc: Realloc,
    free: Free,
}

// SAFETY: it is never written once it is made, and NumPy's own has no context.
#[allow(unsafe_code)]
unsafe impl Send for Handler {}
// SAFETY: as above.
#[allow(unsafe_code)]
unsafe impl Sync for Handler {}

/// The handler that was there before, for all other arrays.
static USUAL: OnceLock<Handler> = OnceLock::new();
static OURS: OnceLock<Handler> = OnceLock::new();
/// Arrays' memory, by where it begins.
static ARRAYS: Mutex<BTreeMap<usize, TensorMut>> = Mutex::new(BTreeMap::new());
/// How many there are, to be asked without the lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn arrays() -> MutexGuard<'static, BTreeMap<usize, TensorMut>> {
    ARRAYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether these bytes are most of an array's memory that can be handed over as it is.
pub(crate) fn is_handed_over(address: usize, len: usize) -> bool {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let mut arrays = arrays();
    let found = arrays.range_mut(..=address).next_back();
    found.is_some_and(|(start, memory)| {
        let held = memory.bytes_mut().len();
        address + len <= start + held && len >= held / 2
    })
}

/// Has NumPy lay the large arrays of this thread in memory that can be handed over.
///
/// # Errors
/// If this NumPy has no such table; then results are copied.
#[allow(unsafe_code)]
pub(super) fn lay_large_arrays(py: Python<'_>) -> PyResult<()> {
    let table = py
        .import("numpy._core._multiarray_umath")?
        .getattr("_ARRAY_API")?
        .cast_into::<PyCapsule>()?;
    // SAFETY: the capsule has NumPy's table of functions, which has these two at these places since version 1.22; the package
    // asks for 2.0. The thread is attached.
    let (set, usual) = unsafe {
        let table = ffi::PyCapsule_GetPointer(table.as_ptr(), ptr::null()).cast::<*mut c_void>();
        if table.is_null() {
            return Err(PyErr::fetch(py));
        }
        let set: unsafe extern "C" fn(*mut ffi::PyObject) -> *mut ffi::PyObject =
            std::mem::transmute(*table.add(SET_HANDLER));
        let get: unsafe extern "C" fn() -> *mut ffi::PyObject = std::mem::transmute(*table.add(GET_HANDLER));
        (set, Bound::from_owned_ptr_or_err(py, get())?)
    };
    // SAFETY: the capsule has a handler, which NumPy never frees: it is its own.
    let usual = unsafe {
        let handler = ffi::PyCapsule_GetPointer(usual.as_ptr(), CAPSULE_NAME.as_ptr()).cast::<Handler>();
        if handler.is_null() {
            return Err(PyErr::fetch(py));
        }
        USUAL.get_or_init(|| ptr::read(handler))
    };
    let mut name: [c_char; 127] = [0; 127];
    for (place, byte) in name.iter_mut().zip(b"graticule") {
        *place = byte.cast_signed();
    }
    let ours = OURS.get_or_init(|| Handler {
        name,
        version: usual.version,
        context: ptr::null_mut(),
        malloc,
        calloc,
        realloc,
        free,
    });
    // SAFETY: the handler lives as long as the process; NumPy does not write it.
    unsafe {
        let capsule = ffi::PyCapsule_New(ptr::from_ref(ours).cast_mut().cast(), CAPSULE_NAME.as_ptr(), None);
        let capsule = Bound::from_owned_ptr_or_err(py, capsule)?;
        let before = set(capsule.as_ptr());
        Bound::from_owned_ptr_or_err(py, before).map(drop)
    }
}

/// Memory that can be handed over, if the system gives some.
fn allocate(len: usize) -> Option<*mut c_void> {
    if !(BYTES_MIN..=BYTES_MAX).contains(&len) {
        return None;
    }
    let mut memory = TensorMut::for_overwrite(DType::UInt8, &[len]).ok()?;
    let start = memory.bytes_mut().as_mut_ptr();
    arrays().insert(start.expose_provenance(), memory);
    COUNT.fetch_add(1, Ordering::Relaxed);
    Some(start.cast())
}

fn take(start: *mut c_void) -> Option<TensorMut> {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return None;
    }
    let memory = arrays().remove(&start.addr())?;
    COUNT.fetch_sub(1, Ordering::Relaxed);
    Some(memory)
}

fn usual() -> &'static Handler {
    USUAL.get().expect("set before NumPy knows these functions")
}

// SAFETY: as C's malloc, called by NumPy.
#[allow(unsafe_code)]
unsafe extern "C" fn malloc(_: *mut c_void, len: usize) -> *mut c_void {
    allocate(len).unwrap_or_else(|| {
        let usual = usual();
        // SAFETY: this is what NumPy would have called.
        unsafe { (usual.malloc)(usual.context, len) }
    })
}

// SAFETY: as C's calloc. Its pages are zero until they are touched, which is worth more than to hand them over.
#[allow(unsafe_code)]
unsafe extern "C" fn calloc(_: *mut c_void, count: usize, len: usize) -> *mut c_void {
    let usual = usual();
    // SAFETY: this is what NumPy would have called.
    unsafe { (usual.calloc)(usual.context, count, len) }
}

// SAFETY: as C's realloc.
#[allow(unsafe_code)]
unsafe extern "C" fn realloc(_: *mut c_void, start: *mut c_void, len: usize) -> *mut c_void {
    let usual = usual();
    let Some(mut memory) = take(start) else {
        // SAFETY: this is what NumPy would have called, on memory that its function gave.
        return unsafe { (usual.realloc)(usual.context, start, len) };
    };
    let before = memory.bytes_mut();
    let made = allocate(len).unwrap_or_else(|| {
        // SAFETY: this is what NumPy would have called.
        unsafe { (usual.malloc)(usual.context, len) }
    });
    if !made.is_null() {
        // SAFETY: both are there, apart from each other, and as long as what is copied.
        unsafe { ptr::copy_nonoverlapping(before.as_ptr(), made.cast(), before.len().min(len)) };
        return made;
    }
    // What could not be moved stays where it is.
    arrays().insert(start.addr(), memory);
    COUNT.fetch_add(1, Ordering::Relaxed);
    made
}

// SAFETY: as C's free, of memory that one of these gave.
#[allow(unsafe_code)]
unsafe extern "C" fn free(_: *mut c_void, start: *mut c_void, len: usize) {
    if take(start).is_none() {
        let usual = usual();
        // SAFETY: this is what NumPy would have called, on memory that its function gave.
        unsafe { (usual.free)(usual.context, start, len) };
    }
}
