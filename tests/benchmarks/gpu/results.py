"""The results of a run of the benchmarks."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.gpu.report import MeasuredVariant, Rows

_VERSIONS: Final = ("gpu_driver", "tensorflow", "cuda", "cudnn")


class Results:
    """The rows and variants measured so far."""

    def __init__(self, machine: Mapping[str, Any], *, quick: bool) -> None:
        self.machine, self.quick, self.on_gpu = machine, quick, bool(machine["gpus"])
        self.rows, self.variants = Rows(), dict[int, dict[str, MeasuredVariant]]()
        self._began = time.monotonic()

    @property
    def title(self) -> str:
        """The GPU and the versions of driver and libraries."""
        devices = ", ".join(self.machine["gpus"]) or "no GPU, so these results mean nothing"
        return ", ".join([devices, *(f"{name} {self.machine[name]}" for name in _VERSIONS if name in self.machine)])

    def add(self, measure: Callable[[], Rows]) -> Rows:
        """Run `measure`, add its rows and return them."""
        rows = measure()
        self.rows += rows
        return rows

    def add_variants(self, width: int, measure: Callable[[], dict[str, MeasuredVariant]]) -> str:
        """Run `measure`, add its variants and return their names."""
        self.variants[width] = measure()
        return ", ".join(self.variants[width])

    def line(self) -> str:
        """Return everything measured so far as one line of JSON."""
        return json.dumps(
            {
                "gpu": self.on_gpu,
                "machine": dict(self.machine),
                "quick": self.quick,
                "seconds": round(time.monotonic() - self._began),
                "rows": {row.name: row.json(rated=self.on_gpu) for row in self.rows},
                "variants": {
                    width: {name: variant.json() for name, variant in variants.items()}
                    for width, variants in self.variants.items()
                },
            }
        )
