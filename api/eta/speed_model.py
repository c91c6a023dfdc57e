"""The speed model: how long a run on a device may take, from similar past runs.

A past run counts for less the more it differs: a quarter for each doubling of the image, as much for another algorithm,
and almost nothing on another device. So a size without runs is predicted from its neighbors, and a device without runs
from the others. The cost per step that does not depend on pixels makes small images slow; it is removed first, or one
small job would mislead about large ones. Until there are enough runs, assumed errors are added.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import RunRecord

Z90: Final = NormalDist().inv_cdf(0.9)
_FIXED_COST_PIXELS: Final = 13_000  # the fixed cost of a step in pixels: for 60 to 400 pixels a side, on two cores
_WEIGHT_PER_DOUBLING: Final = 4.0  # each doubling of the pixels divides the weight by this
_OTHER_ALGORITHM, _OTHER_DEVICE = 1, 20  # count as this many doublings
_ASSUMED_ERRORS: Final = np.array([NormalDist().inv_cdf(quantile) for quantile in (0.1, 0.3, 0.5, 0.7, 0.9)])
_KNOWN_DEVICE_SIGMA: Final = 0.3  # assumed standard deviation of the log speed on a device with runs
_NEW_DEVICE_SIGMA: Final = 1.1  # and on one without: a GPU is many times faster than the two cores assumed
_DEFAULT_LOG_PACE: Final = -math.log(DEFAULT_PIXELS_PER_SECOND)
_DRIFT_SIGMA: Final = 0.15  # and of a job's pace in its second half, relative to the first

_Floats = np.ndarray[Any, np.dtype[np.float64]]


class SpeedModel:
    """Predictions from run records; without any, from assumed values."""

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        self._devices = np.array([run.device for run in runs] or [""])
        self._algorithms = np.array([run.algorithm for run in runs] or [""])
        self._log2_pixels = np.log2([run.pixels for run in runs] or [1])
        # Seconds per pixel evaluation, without the fixed cost per step.
        self._log_paces = np.array(
            [-math.log(run.pixels_per_second) - _log_fixed_cost(run.pixels) for run in runs] or [_DEFAULT_LOG_PACE]
        )
        self._starts = np.array([run.start_seconds + run.end_seconds for run in runs] or [START_SECONDS])
        self.mean_fraction = float(np.mean([run.fraction for run in runs] or [1]))
        drifts = [run.drift for run in runs if run.drift is not None]
        squares = len(_ASSUMED_ERRORS) * _DRIFT_SIGMA**2 + sum(drift**2 for drift in drifts)
        self._drift_sigma = math.sqrt(squares / (len(_ASSUMED_ERRORS) + len(drifts)))
        self.predict = lru_cache(maxsize=1000)(self._predict)

    def _predict(self, device: str, algorithm: str, pixels: float) -> tuple[float, float, float]:
        """Return what to expect of a run at `pixels` per evaluation on average.

        These are the median of the logarithm of its seconds per pixel evaluation, the standard deviation of that, and
        the seconds before and after the loop. Tracing at the start of later stages is outside of the loop.
        """
        known = self._devices == device
        distance = np.abs(self._log2_pixels - math.log2(pixels)) + _OTHER_ALGORITHM * (self._algorithms != algorithm)
        weights = _WEIGHT_PER_DOUBLING ** -(distance + _OTHER_DEVICE * ~known)
        center, start = (_quantiles(values, weights)[0] for values in (self._log_paces, self._starts))
        assumed = center + _ASSUMED_ERRORS * (_KNOWN_DEVICE_SIGMA if known.any() else _NEW_DEVICE_SIGMA)
        weights = np.append(weights, np.full_like(assumed, weights.max()))
        p50, p90 = _quantiles(np.append(self._log_paces, assumed), weights)
        return p50 + _log_fixed_cost(pixels), (p90 - p50) / Z90, start

    def at_own_pace(self, log_seconds: float, sigma: float, own: float, done: float) -> tuple[float, float]:
        """Return log seconds for a whole job and their deviation, given `own` at its pace over the `done` share of it.

        The own pace counts for more as more is done: it varies like a random walk, with half the drift's deviation
        halfway. It also counts for more if it differs by much from the prediction: then the history does not describe
        this job.
        """
        step, spread = self._drift_sigma / 2, max(sigma, abs(own - log_seconds), 1e-6)
        weight = 1 / (1 + (step / spread) ** 2 / done)
        return (1 - weight) * log_seconds + weight * own, step * math.sqrt(1 / (1 - done) + weight / done)


def _quantiles(values: _Floats, weights: _Floats) -> tuple[float, float]:
    """Return p50 and p90 of values with these weights."""
    order = np.argsort(values)
    totals = np.cumsum(weights[order])
    p50, p90 = values[order][np.searchsorted(totals, totals[-1] * np.array([0.5, 0.9]))]
    return float(p50), float(p90)


def _log_fixed_cost(pixels: float) -> float:
    return math.log1p(_FIXED_COST_PIXELS / pixels)
