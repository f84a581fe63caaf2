use std::{cell::RefCell, sync::Arc};

use graticule_plan::Annotations;

thread_local! {
    /// What the scopes around the present place say together.
    static CURRENT: RefCell<Option<Arc<Annotations>>> = const { RefCell::new(None) };
}

/// Annotates all operations that `make` writes down, on this thread: priority, retries, resources, workers. Scopes may
/// stand in each other. Operations that end up in one task share what is said of each.
///
/// As Dask's `with dask.annotate(...)`.
///
/// ```
/// use graticule_array::{Annotations, Array, ArrayError, Chunks, annotate};
/// use graticule_plan::DType;
///
/// let x = Array::ones(&[8], &[Chunks::Size(4)], DType::Float64)?;
/// let y = annotate(&Annotations::new().resource("GPU", 1), || x.sin())?;
/// assert_eq!(y.shape(), [8]);
/// # Ok::<(), ArrayError>(())
/// ```
pub fn annotate<T>(annotations: &Annotations, make: impl FnOnce() -> T) -> T {
    /// Ends the scope also when `make` panics.
    struct Restore(Option<Arc<Annotations>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let before = current();
    let mut inner = annotations.clone();
    if let Some(outer) = &before {
        // The inner scope's own word goes first where only one can hold.
        let own = (inner.priority, inner.retries);
        inner.join(outer);
        inner.priority = own.0.or(inner.priority);
        inner.retries = own.1.or(inner.retries);
    }
    let _restore = Restore(before);
    CURRENT.set(Some(Arc::new(inner)));
    make()
}

/// What holds for operations written down here and now.
pub(crate) fn current() -> Option<Arc<Annotations>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Both together.
pub(crate) fn joined(a: Option<Arc<Annotations>>, b: Option<&Arc<Annotations>>) -> Option<Arc<Annotations>> {
    match (a, b) {
        (a, None) => a,
        (None, Some(b)) => Some(b.clone()),
        (Some(a), Some(b)) if a == *b => Some(a),
        (Some(mut a), Some(b)) => {
            Arc::make_mut(&mut a).join(b);
            Some(a)
        }
    }
}
