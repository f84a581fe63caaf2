//! Kernels against NumPy.

use graticule_kernel::Tensor;
use graticule_tests::numpy::Numpy;

#[test]
fn oracle_answers_with_arrays_and_exceptions() {
    let x = Tensor::from_vec(&[2, 2], vec![1u16, 2, 3, 4]).unwrap();
    let y = Tensor::from_vec(&[], vec![true]).unwrap();
    let sum = Numpy::shared().eval("(x + y).sum(axis=0)", &[("x", &x), ("y", &y)]).unwrap();
    assert_eq!(sum, Tensor::from_vec(&[2], vec![6u64, 8]).unwrap());
    let raised = Numpy::shared().eval("np.min(x[:0])", &[("x", &x)]).unwrap_err();
    assert_eq!(raised.kind, "ValueError");
    let raised = Numpy::shared().eval("np.sqrt(y)", &[("y", &y)]).unwrap_err();
    assert_eq!(raised.kind, "DType");
}
