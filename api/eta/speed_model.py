"""The speed model: samples of how a run on a device may go, drawn from past runs.

A past run counts for less the more it differs: a quarter for each doubling of the image, as much for another algorithm,
and almost nothing on another device. So a size without runs is predicted from its neighbors, and a device without runs
from the others. The cost per step that does not depend on pixels makes small images slow; it is removed first, or one
small job would mislead about large ones. Until there are enough runs, assumed errors are added.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from cachetools import LRUCache

from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import RunRecord

SAMPLES: Final = 200
"""Futures in which the queue is simulated."""
Samples = np.ndarray[Any, np.dtype[np.float64]]
"""(SAMPLES,): one value per future."""

_FIXED_COST_PIXELS: Final = 13_000  # the fixed cost of a step in pixels: for 60 to 400 pixels a side, on two cores
_ASSUMED_PIXELS: Final = 256 * 192  # of runs whose speed is known, but not their size
_WEIGHT_PER_DOUBLING: Final = 4.0  # each doubling of the pixels divides the weight by this
_OTHER_ALGORITHM: Final = 1  # counts as this many doublings
_OTHER_DEVICE: Final = 20
_ASSUMED_RUNS: Final = 5
_KNOWN_DEVICE_SIGMA: Final = 0.3  # assumed standard deviation of the log speed on a device with runs
_NEW_DEVICE_SIGMA: Final = 1.1  # and on one without: a GPU is many times faster than the two cores assumed
_MAX_CACHED: Final = 1_000  # of 6 KB each
_DRIFT_SIGMA: Final = 0.15  # and of a job's pace in its second half, relative to the first


def _evenly_spaced(count: int) -> Samples:
    return (np.arange(count) + 0.5) / count


_NORMAL, _ASSUMED_ERRORS = (
    np.array([NormalDist().inv_cdf(quantile) for quantile in _evenly_spaced(count)])
    for count in (SAMPLES, _ASSUMED_RUNS)
)


class SpeedModel:
    """Predictions from run records; without any, from assumed values."""

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        runs = sorted(runs or [assumed_run("", DEFAULT_PIXELS_PER_SECOND)], key=_log_pace, reverse=True)
        self._log_paces = np.array([_log_pace(run) for run in runs])
        self._devices = np.array([run.device for run in runs])
        self._algorithms = np.array([run.algorithm for run in runs])
        self._log2_pixels = np.log2([run.pixels for run in runs])
        self._others = np.array([[run.start_seconds, run.end_seconds, run.fraction] for run in runs])
        drifts = [run.drift for run in runs if run.drift is not None]
        squares = _ASSUMED_RUNS * _DRIFT_SIGMA**2 + sum(drift**2 for drift in drifts)
        self._drift_sigma = math.sqrt(squares / (_ASSUMED_RUNS + len(drifts)))
        self._cache: LRUCache[tuple[str, str, float], Samples] = LRUCache(_MAX_CACHED)

    def samples(self, device: str, algorithm: str, pixels: float) -> Samples:
        """Return samples of a run at `pixels` per evaluation on average, (4, SAMPLES).

        The rows are seconds per pixel evaluation in the loop, seconds from the claim to the first step (tracing of
        later stages included), seconds from the last step to the end, and the fraction of the arithmetic that is done
        before the job ends (below 1 if it is ended early). Each column comes from one past run.
        """
        key = device, algorithm, pixels
        samples = self._cache.get(key)
        if samples is None:
            samples = self._cache[key] = self._draw(*key)
        return samples

    def at_own_pace(self, predicted: Samples, own_pace: float, done: float, random: np.random.Generator) -> Samples:
        """Return seconds in the loop for a whole job, given its own pace over the `done` share of it, in (0, 1).

        The own pace counts for more as more is done: it varies like a random walk, with half the drift's deviation
        halfway. It also counts for more if it differs by much from the prediction: then the history does not describe
        this job.
        """
        center, step = float(np.median(np.log(predicted))), self._drift_sigma / 2
        spread = max(float(np.log(predicted).std()), abs(math.log(own_pace) - center), 1e-6)
        weight = 1 / (1 + (step / spread) ** 2 / done)
        errors = step * math.sqrt(1 / (1 - done) + weight / done) * random.permutation(_NORMAL)
        seconds: Samples = np.exp((1 - weight) * center + weight * math.log(own_pace) + errors)
        return seconds

    def _draw(self, device: str, algorithm: str, pixels: float) -> Samples:
        known = self._devices == device
        distance = np.abs(self._log2_pixels - math.log2(pixels)) + _OTHER_ALGORITHM * (self._algorithms != algorithm)
        weights = _WEIGHT_PER_DOUBLING ** -(distance + _OTHER_DEVICE * ~known)
        center = self._log_paces[_at_quantiles(weights, np.array([0.5]))]
        sigma = _KNOWN_DEVICE_SIGMA if known.any() else _NEW_DEVICE_SIGMA
        start, end = np.median(self._others[known] if known.any() else self._others, axis=0)[:2]
        log_paces = np.append(self._log_paces, center + sigma * _ASSUMED_ERRORS)
        weights = np.append(weights, np.repeat(weights.max(), _ASSUMED_RUNS))
        order = np.argsort(log_paces)
        picks = order[_at_quantiles(weights[order], _evenly_spaced(SAMPLES))]
        others = np.vstack([self._others, [[start, end, 1.0]] * _ASSUMED_RUNS])
        return np.vstack([np.exp(log_paces[picks]) * _fixed_cost_factor(pixels), others[picks].T])


def assumed_run(device: str, pixels_per_second: float) -> RunRecord:
    """Return a run at this speed, for a device without runs."""
    times = {"start_seconds": START_SECONDS, "end_seconds": 0, "fraction": 1, "drift": None}
    fields = {"device": device, "algorithm": "", "pixels": _ASSUMED_PIXELS, "pixels_per_second": pixels_per_second}
    return RunRecord.model_validate({**fields, **times})


def _at_quantiles(weights: Samples, quantiles: Samples) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the indices of sorted values with these weights at these quantiles."""
    totals = np.cumsum(weights)
    indices: np.ndarray[Any, np.dtype[np.int64]] = np.searchsorted(totals, quantiles * totals[-1])
    return indices


def _log_pace(run: RunRecord) -> float:
    """Return the logarithm of the seconds per pixel evaluation of this run without the fixed cost per step."""
    return -math.log(run.pixels_per_second * _fixed_cost_factor(run.pixels))


def _fixed_cost_factor(pixels: float) -> float:
    return 1 + _FIXED_COST_PIXELS / pixels
