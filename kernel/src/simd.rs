//! One function, compiled for more than one instruction set and chosen when it runs.

/// A computation that the compiler should vectorise.
///
/// `run` must be `#[inline(always)]`, and so must what it calls in its loops: only inlined code is compiled for the wider
/// instruction set. No variant may give other bytes: nothing here enables fused multiply-add.
pub(crate) trait Kernel {
    type Output;

    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest instruction set of this host that it is compiled for.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the host has the feature that the function is compiled for.
        #[allow(unsafe_code)]
        return unsafe { run_avx2(kernel) };
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}
