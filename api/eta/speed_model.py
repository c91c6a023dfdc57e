"""What ended jobs let one expect of the next: its speed on a device, and how far off that may be.

A job's speed is the median of all remembered ones, each of which counts the less, the less alike it is: a quarter for
each doubling of the picture, for another optimiser, and next to nothing on another device. So a size that nobody has
painted yet is judged by its neighbours, and a device that nobody has met by the others. What a step does besides its
pixels, which makes small pictures slow, is taken out before: else one small job would mislead about large ones. How far
off all this may be is read from the same jobs, each predicted from all others; a few invented ones stand in until there
are enough.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, median
from typing import Any, Final, Self

import numpy as np

from shared.jobs.estimate import DEFAULT_PIXELS_PER_SECOND, START_SECONDS
from shared.jobs.run_history import Trial

DRAWS: Final = 200
"""Futures that are played."""
Draws = np.ndarray[Any, np.dtype[np.float64]]
"""(DRAWS,): one value for each future."""

_PIXELS_BESIDE: Final = 13_000  # that what a step does besides is worth: of 60 to 400 pixels a side, on two cores
_DOUBLING: Final = 4.0  # what each doubling of the pixels divides a job's weight by
_OTHER_OPTIMIZER: Final = 1  # counts as so many doublings
_OTHER_DEVICE: Final = 20
_INVENTED: Final = [NormalDist().inv_cdf(0.1 + 0.2 * number) for number in range(5)]
_MET: Final = 0.3  # standard deviation of the logarithm, supposed of a device that was met
_UNMET: Final = 1.1  # and of one that was not: a GPU is many times faster than the two cores assumed
_DRIFT: Final = 0.15  # and of a job's pace after half-way against that before


@dataclass(frozen=True, eq=False)
class Chances:
    """What may befall a job on one device, in each of DRAWS futures; all but the drift go together."""

    error: Draws  # logarithm of the seconds in the loop by those predicted
    start: Draws  # seconds from the claim to the first frame, and to begin the later stages; about as long for each
    ending: Draws  # seconds from the last frame to the end
    fraction: Draws  # of the arithmetic that is done before somebody ends the job
    drift: Draws  # as in Trial

    def shuffled(self, random: np.random.Generator) -> Self:
        """For one job: what befalls it has nothing to do with what befalls others."""
        order = random.permutation(DRAWS)
        together = {name: getattr(self, name)[order] for name in ("error", "start", "ending", "fraction")}
        return replace(self, **together, drift=random.permutation(self.drift))

    def by_its_own_pace(self, usual: float, own: float, done: float) -> Draws:
        """Seconds in the loop that the rest of a job would mean for the whole of it, after `done` of it, in ]0, 1[.

        Jobs like it would take `usual` seconds in all, at its own pace it were `own`. The more is done, the more the
        own pace counts: a pace wanders as a sum of independent steps does, and half-way by as much as the drifts say.
        It also counts the more, the less it is like the others': then something is the matter that they do not know.
        """
        step = self.drift.std() / 2
        spread = max(self.error.std(), abs(math.log(own / usual)))
        trust = 1 / (1 + (step / spread) ** 2 / done)
        doubt = math.sqrt(1 / (1 - done) + trust / done) / 2
        seconds: Draws = usual ** (1 - trust) * own**trust * np.exp(-doubt * self.drift)
        return seconds


class Odds:
    """Of any number of trials, none included."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self._trials = sorted(trials, key=_at_large)
        self._speeds = np.log([_at_large(trial) for trial in self._trials])
        self._doublings = np.log2([trial.pixels for trial in self._trials])
        self._optimizers = np.array([trial.optimizer for trial in self._trials])
        self._devices = np.array([trial.device for trial in self._trials])
        self._known: dict[tuple[str, str, float], float] = {}
        self._chances: dict[str, Chances] = {}

    def speed(self, device: str, optimizer: str, pixels: float) -> float:
        """Pixels evaluated in a second of the loop, as likely more as less, at so many pixels an evaluation."""
        if not self._trials:
            return DEFAULT_PIXELS_PER_SECOND
        key = device, optimizer, pixels
        if key not in self._known:
            self._known[key] = float(np.exp(self._median(self._weights(*key)))) / _slower_by(pixels)
        return self._known[key]

    def chances(self, device: str) -> Chances:
        """How far off a prediction for this device may be."""
        if device not in self._chances:
            self._chances[device] = self._drawn(device)
        return self._chances[device]

    def _weights(self, device: str, optimizer: str, pixels: float) -> Draws:
        distance = np.abs(self._doublings - np.log2(pixels))
        distance += _OTHER_OPTIMIZER * (self._optimizers != optimizer)
        distance += _OTHER_DEVICE * (self._devices != device)
        weights: Draws = _DOUBLING**-distance
        return weights

    def _median(self, weights: Draws) -> float:
        """Of the speeds' logarithms, which are in order; what lies between the two in the middle."""
        middles = np.cumsum(weights) - weights / 2
        return float(np.interp(weights.sum() / 2, middles, self._speeds))

    def _error(self, number: int) -> float:
        """By how much this trial was slower than all others would have it."""
        trial = self._trials[number]
        weights = self._weights(trial.device, trial.optimizer, trial.pixels)
        weights[number] = 0
        return self._median(weights) - float(self._speeds[number])

    def _drawn(self, device: str) -> Chances:
        met = [number for number, trial in enumerate(self._trials) if trial.device == device]
        trials = [self._trials[number] for number in met]
        start = median([trial.start for trial in trials] or [START_SECONDS])
        ending = median([trial.ending for trial in trials] or [0.0])
        wide = _MET if met else _UNMET
        rows = [(wide * deviation, start, ending, 1.0) for deviation in _INVENTED]
        for number, trial in zip(met, trials, strict=True) if len(met) > 1 else ():
            rows.append((self._error(number), trial.start, trial.ending, trial.fraction))
        drifts = [(_DRIFT * deviation,) for deviation in _INVENTED]
        drifts += [(trial.drift,) for trial in trials if trial.drift is not None]
        return Chances(*_spread(rows), *_spread(drifts))


def _at_large(trial: Trial) -> float:
    """The speed that it would have had with pictures so large that only pixels count."""
    return trial.pixels_per_second * _slower_by(trial.pixels)


def _slower_by(pixels: float) -> float:
    return 1 + _PIXELS_BESIDE / pixels


def _spread(rows: Sequence[tuple[float, ...]]) -> Iterable[Draws]:
    """The columns of DRAWS of these rows, taken evenly from the least to the greatest."""
    picked = (np.arange(DRAWS) + 0.5) / DRAWS * len(rows)
    columns: Draws = np.array(sorted(rows))[picked.astype(int)].T
    return columns
