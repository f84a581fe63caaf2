"""Polynomials fitted where values are missing: what xarray's `polyfit` asks of lazy arrays.

xarray solves for each series by itself, in Python. Here a block's series without gaps are solved together, and so are those with
gaps: the equations of all share their matrix, of which each leaves other rows out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graticule.array as ga

from .array import Array

#: So many series are looked at at once.
_TOGETHER = 4096
#: Of the rows that are left the smallest eigenvalue must be such a part of the largest, or digits would be lost.
_LEAST_PART = 1e-4
#: By how much singular values must be above those that the solver leaves out.
_ABOVE_CUT = 1e3


def least_squares(lhs: np.ndarray, rhs: Array, rcond: Any) -> tuple[Array, Array]:
    """Coefficients and residuals along the first axis, NaN left out."""
    order = lhs.shape[1]
    made = ga.apply_gufunc(
        Fit(lhs, rcond), "(i)->(j)", ga.moveaxis(rhs, 0, -1), output_dtypes=[np.float64], output_sizes={"j": order + 1},
        allow_rechunk=True,
    )
    made = ga.moveaxis(made, -1, 0)
    return made[:-1], made[-1]


class Fit:
    """Coefficients of the series along the last axis of a block, and behind them the sum of their squared residuals."""

    def __init__(self, lhs: np.ndarray, rcond: Any) -> None:
        self.lhs, self.rcond = lhs, rcond

    def __call__(self, block: np.ndarray) -> np.ndarray:
        series = block.reshape(math.prod(block.shape[:-1]), block.shape[-1])
        made = np.full((len(series), self.lhs.shape[1] + 1), np.nan)
        for first in range(0, len(series), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            self._fit(series[part].astype(np.float64, copy=False), made[part])
        return made.reshape(*block.shape[:-1], made.shape[-1])

    def _fit(self, series: np.ndarray, made: np.ndarray) -> None:
        gaps = np.isnan(series)
        counts = (~gaps).sum(axis=1)
        whole = counts == series.shape[1]
        if whole.any():
            made[whole] = self._solved(self.lhs, series[whole].T)
        together = self._fit_together(series, gaps, counts, made) if not whole.all() else whole
        for one in np.flatnonzero(~whole & ~together & (counts > 0)):
            made[one] = self._solved(self.lhs[~gaps[one]], series[one, ~gaps[one], None])[0]

    def _solved(self, lhs: np.ndarray, rhs: np.ndarray) -> np.ndarray:
        """Series without gaps, one in each column; of a rank that is too low there are no residuals."""
        coefficients, residuals, _, _ = np.linalg.lstsq(lhs, rhs, rcond=self.rcond)
        last = residuals if residuals.size else np.full(rhs.shape[1], np.nan)
        return np.column_stack([coefficients.T, last])

    def _fit_together(self, series: np.ndarray, gaps: np.ndarray, counts: np.ndarray, made: np.ndarray) -> np.ndarray:
        """Fits those series with gaps that leave enough, and tells which.

        The columns are made orthogonal first, so that the normal equations of the rows that are left lose no digits.
        """
        order = self.lhs.shape[1]
        done = (counts >= order) & (counts < series.shape[1])
        singular = np.linalg.svd(self.lhs, compute_uv=False)
        cut = np.finfo(np.float64).eps * max(self.lhs.shape) if self.rcond is None else self.rcond
        if not done.any() or singular[-1] <= _ABOVE_CUT * cut * singular[0]:
            return np.zeros_like(done)
        columns, mixed = np.linalg.qr(self.lhs)
        products = (columns[:, :, None] * columns[:, None, :]).reshape(-1, order * order)
        left = (~gaps[done]).astype(np.float64)
        filled = np.where(gaps[done], 0.0, series[done])
        matrices = (left @ products).reshape(-1, order, order)
        spread = np.linalg.eigvalsh(matrices)
        clear = spread[:, 0] > _LEAST_PART * spread[:, -1]
        done[done] = clear
        weights = np.linalg.solve(matrices[clear], (filled[clear] @ columns)[:, :, None])[:, :, 0]
        made[done, :-1] = np.linalg.solve(mixed, weights.T).T
        residuals = (filled[clear] - left[clear] * (weights @ columns.T)) ** 2
        made[done, -1] = np.where(counts[done] > order, residuals.sum(axis=1), np.nan)
        return done
