"""The speed model: how fast a job will run on a device, and how far off that prediction may be.

The predicted speed is a weighted median over the run history. A run's weight falls to a quarter with each doubling of
the image, with another algorithm, and to almost nothing on another device. A size without runs is therefore predicted
from its neighbors, and a device without runs from the others. The cost per step that does not depend on pixels makes
small images slow; it is removed first, or one small job would mislead about large ones. The errors come from
the same runs, each predicted from all others; until there are enough, assumed errors are added.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, median
from typing import Any, Final, Self

import numpy as np

from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import RunRecord

SAMPLES: Final = 200
"""Futures in which the queue is simulated."""
Samples = np.ndarray[Any, np.dtype[np.float64]]
"""(SAMPLES,): one value per future."""

_FIXED_COST_PIXELS: Final = 13_000  # the fixed cost of a step in pixels: for 60 to 400 pixels a side, on two cores
_WEIGHT_PER_DOUBLING: Final = 4.0  # each doubling of the pixels divides the weight by this
_OTHER_ALGORITHM: Final = 1  # counts as this many doublings
_OTHER_DEVICE: Final = 20
_NORMAL_QUANTILES: Final = [NormalDist().inv_cdf(0.1 + 0.2 * number) for number in range(5)]
_KNOWN_DEVICE_SIGMA: Final = 0.3  # assumed standard deviation of the log speed on a device with runs
_NEW_DEVICE_SIGMA: Final = 1.1  # and on one without: a GPU is many times faster than the two cores assumed
_DRIFT_SIGMA: Final = 0.15  # and of a job's pace in its second half, relative to the first


@dataclass(frozen=True, eq=False)
class RunSamples:
    """Samples of how one run on a device may go. Index i of all fields but `drift` comes from the same past run."""

    error: Samples  # log of actual seconds in the loop over predicted seconds
    start_seconds: Samples  # seconds from the claim to the first step, tracing of later stages included
    end_seconds: Samples  # seconds from the last step to the end
    fraction: Samples  # of the arithmetic that is done before the job ends; below 1 if it is ended early
    drift: Samples  # as in RunRecord

    def shuffled(self, random: np.random.Generator) -> Self:
        """Return the samples in another order, since jobs are independent of each other."""
        order = random.permutation(SAMPLES)
        joint = {name: getattr(self, name)[order] for name in ("error", "start_seconds", "end_seconds", "fraction")}
        return replace(self, **joint, drift=random.permutation(self.drift))

    def loop_seconds_at_pace(self, predicted: float, at_own_pace: float, done: float) -> Samples:
        """Return seconds in the loop for a whole job, given its own pace over the `done` share of it, in (0, 1).

        `predicted` comes from the history, `at_own_pace` extrapolates the job's pace. The pace counts for more as
        more is done: it varies like a random walk, with half the drift's deviation halfway. It also counts for
        more if the two differ by much: a large difference means that the history does not describe this job.
        """
        step = self.drift.std() / 2
        spread = max(self.error.std(), abs(math.log(at_own_pace / predicted)))
        pace_weight = 1 / (1 + (step / spread) ** 2 / done)
        drift_scale = math.sqrt(1 / (1 - done) + pace_weight / done) / 2
        seconds: Samples = predicted ** (1 - pace_weight) * at_own_pace**pace_weight * np.exp(-drift_scale * self.drift)
        return seconds


class SpeedModel:
    """Predictions from run records; without any, from assumed values."""

    def __init__(self, runs: Sequence[RunRecord]) -> None:
        self._runs = sorted(runs, key=_asymptotic_speed)
        self._log_speeds = np.log([_asymptotic_speed(run) for run in self._runs])
        self._log2_pixels = np.log2([run.pixels for run in self._runs])
        self._algorithms = np.array([run.algorithm for run in self._runs])
        self._devices = np.array([run.device for run in self._runs])
        self._speed_cache: dict[tuple[str, str, float], float] = {}
        self._samples_cache: dict[str, RunSamples] = {}

    def speed(self, device: str, algorithm: str, pixels: float) -> float:
        """Return the median pixels per second in the loop, at `pixels` per evaluation."""
        if not self._runs:
            return DEFAULT_PIXELS_PER_SECOND
        key = device, algorithm, pixels
        if key not in self._speed_cache:
            self._speed_cache[key] = float(np.exp(self._median(self._weights(*key)))) / _fixed_cost_factor(pixels)
        return self._speed_cache[key]

    def samples(self, device: str) -> RunSamples:
        """Return samples of a run on this device."""
        if device not in self._samples_cache:
            self._samples_cache[device] = self._draw_samples(device)
        return self._samples_cache[device]

    def _weights(self, device: str, algorithm: str, pixels: float) -> Samples:
        distance = np.abs(self._log2_pixels - np.log2(pixels))
        distance += _OTHER_ALGORITHM * (self._algorithms != algorithm)
        distance += _OTHER_DEVICE * (self._devices != device)
        weights: Samples = _WEIGHT_PER_DOUBLING**-distance
        return weights

    def _median(self, weights: Samples) -> float:
        """Return the weighted median of the sorted log speeds, interpolated between the two in the middle."""
        centers = np.cumsum(weights) - weights / 2
        return float(np.interp(weights.sum() / 2, centers, self._log_speeds))

    def _leave_one_out_error(self, index: int) -> float:
        """Return how much slower this run was than the others predict, as a logarithm."""
        run = self._runs[index]
        weights = self._weights(run.device, run.algorithm, run.pixels)
        weights[index] = 0
        return self._median(weights) - float(self._log_speeds[index])

    def _draw_samples(self, device: str) -> RunSamples:
        indices = [index for index, run in enumerate(self._runs) if run.device == device]
        runs = [self._runs[index] for index in indices]
        start = median([run.start_seconds for run in runs] or [START_SECONDS])
        ending = median([run.end_seconds for run in runs] or [0.0])
        sigma = _KNOWN_DEVICE_SIGMA if runs else _NEW_DEVICE_SIGMA
        rows = [(sigma * quantile, start, ending, 1.0) for quantile in _NORMAL_QUANTILES]
        if len(runs) > 1:
            errors = map(self._leave_one_out_error, indices)
            rows += [(error, r.start_seconds, r.end_seconds, r.fraction) for error, r in zip(errors, runs, strict=True)]
        drifts = [(_DRIFT_SIGMA * quantile,) for quantile in _NORMAL_QUANTILES]
        drifts += [(run.drift,) for run in runs if run.drift is not None]
        return RunSamples(*_resample(rows), *_resample(drifts))


def _asymptotic_speed(run: RunRecord) -> float:
    """Return the speed of this run without the fixed cost per step, as for a very large image."""
    return run.pixels_per_second * _fixed_cost_factor(run.pixels)


def _fixed_cost_factor(pixels: float) -> float:
    return 1 + _FIXED_COST_PIXELS / pixels


def _resample(rows: Sequence[tuple[float, ...]]) -> Samples:
    """Return SAMPLES of the rows, evenly spaced in sorted order, as one array per column."""
    picks = (np.arange(SAMPLES) + 0.5) / SAMPLES * len(rows)
    columns: Samples = np.array(sorted(rows))[picks.astype(int)].T
    return columns
