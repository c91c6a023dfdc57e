"""The metrics of a worker. Its child process counts (shared/metrics/pipe.py), its parent observes and serves them all.

What is measured of the processes and the GPU is read at each scrape: after a child's death it is gone.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.errors import BlobMissing, BrokenImage, EaselError, GpuUnavailable, JobFailure, WeightsUnavailable
from shared.jobs.job import Job
from shared.metrics import jobs
from shared.metrics.instruments import REGISTRY, Counter, Histogram, ScrapedGauge
from shared.presets import PRESETS
from worker.devices.gpus import Gpu, gpu_usage, visible_gpus
from worker.devices.memory import machine_memory
from worker.protocols import Iterate

log = structlog.get_logger(__name__)

STATES: Final = ("starting", "idle", "running", "draining")
_SIZES: Final = (256, 512, 1024, 2048, 4096)  # pixels

CHILDREN: Final = Counter(
    "easel_worker_children_started_total",
    "Child processes started: the first, and one for each that died or was replaced to free memory.",
)
RESUMES: Final = Counter("easel_resumes_total", "Claims that continued from a checkpoint.")
STEPS_REDONE: Final = Counter(
    "easel_steps_redone_total",
    "Steps that an earlier claim had reported and a later one repeated. Steps after the last heartbeat are not known.",
)
STEP_SECONDS: Final = Histogram(
    "easel_step_seconds",
    "Seconds of one step of the engine. `kind` is `evaluation` or `patches`, `size` the smallest of "
    f"{', '.join(map(str, _SIZES))} pixels that the image's longest side at this step fits into, else `larger`.",
    ("kind", "size", "device"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CHECKPOINT_SECONDS: Final = Histogram(
    "easel_checkpoint_seconds",
    "Seconds to write a checkpoint and name it in the job's record.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
CHECKPOINT_BYTES: Final = Counter("easel_checkpoint_bytes_total", "Bytes of the checkpoints written.")

STATE: Final = ScrapedGauge(
    "easel_worker_state", "1 for the worker's state, 0 for the others: " + ", ".join(STATES) + ".", ("state",)
)
MEMORY: Final = ScrapedGauge(
    "easel_worker_memory_bytes",
    "Resident memory of the `parent` and of the `child`, the process that renders. Without a child there is none.",
    ("process",),
)
MEMORY_LIMIT: Final = ScrapedGauge(
    "easel_worker_memory_limit_bytes", "Memory of the machine, or of the container if that is less."
)
GPU_USED: Final = ScrapedGauge("easel_gpu_memory_used_bytes", "GPU memory in use, by all processes.", ("gpu", "name"))
GPU_TOTAL: Final = ScrapedGauge("easel_gpu_memory_bytes", "GPU memory in total.", ("gpu", "name"))
GPU_UTILIZATION: Final = ScrapedGauge(
    "easel_gpu_utilization_ratio", "Share of the last moments in which the GPU computed, 0 to 1.", ("gpu", "name")
)


def show_zeros(tiers: Sequence[str]) -> None:
    """Export 0 for what the alerts and the dashboard watch, before it happens for the first time."""
    causes = (EaselError, BlobMissing, BrokenImage, WeightsUnavailable)
    failures: tuple[type[EaselError], ...] = (*causes, *JobFailure.__subclasses__())
    for preset in PRESETS:
        jobs.ENDED.show_zero(state="succeeded", code="", preset=preset)
        for failure in failures:
            jobs.ENDED.show_zero(state="failed", code=failure.code, preset=preset)
        jobs.RUN_SECONDS.show_zero(preset=preset)
    for tier in tiers:
        jobs.CLAIMS.show_zero(tier=tier)
        jobs.WAIT_SECONDS.show_zero(tier=tier)
    jobs.LEASES_LOST.show_zero(reason="child_died")


def record_start(job: Job, resumed_from_step: int | None) -> None:
    """Count the start of the loop under a claim: from a checkpoint, or None for the beginning."""
    if resumed_from_step is not None:
        RESUMES.inc()
    STEPS_REDONE.inc(max(0, job.progress.current - (resumed_from_step or 0)))


def record_step(iterate: Iterate, seconds: float, device: str) -> None:
    """Count a step that the engine did in that time."""
    kind = "evaluation" if iterate.losses else "patches"
    STEP_SECONDS.observe(seconds, kind=kind, size=_size_class(iterate.phase), device=device)


def record_checkpoint(seconds: float, parts: Sequence[bytes | memoryview]) -> None:
    """Count a checkpoint that was written in these parts."""
    CHECKPOINT_SECONDS.observe(seconds)
    CHECKPOINT_BYTES.inc(sum(memoryview(part).nbytes for part in parts))


class WorkerCollector(Collector):
    """Reads the state and the memory of a worker's processes and the usage of its GPUs."""

    def __init__(self, state: Callable[[], str], child_pids: Callable[[], Sequence[int]]) -> None:
        self._state, self._child_pids = state, child_pids
        self._gpus = _gpus()

    def register(self) -> None:
        """Export what this reads."""
        REGISTRY.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metrics of this moment."""
        state = self._state()
        yield STATE.family(*((float(name == state), name) for name in STATES))
        memory = {"parent": _resident_bytes("self"), "child": sum(map(_resident_bytes, self._child_pids()))}
        yield MEMORY.family(*((size, process) for process, size in memory.items() if size))
        yield MEMORY_LIMIT.family((machine_memory(),))
        if self._gpus:
            yield from self._collect_gpus()

    def _collect_gpus(self) -> Iterator[GaugeMetricFamily]:
        usages = gpu_usage(self._gpus)
        values: tuple[tuple[ScrapedGauge, Callable[[Any], float | None]], ...] = (
            (GPU_USED, lambda usage: usage.used_bytes),
            (GPU_TOTAL, lambda usage: usage.gpu.memory_bytes or None),
            (GPU_UTILIZATION, lambda usage: usage.utilization),
        )
        for gauge, read in values:
            samples = [
                (value, usage.gpu.label, usage.gpu.name) for usage in usages if (value := read(usage)) is not None
            ]
            yield gauge.family(*samples)


def _size_class(phase: str) -> str:
    """Return the label for a phase such as "patches, 96 px"."""
    found = re.search(r"(\d+) px", phase)
    return next((str(size) for size in _SIZES if found and int(found[1]) <= size), "larger" if found else "unknown")


def _gpus() -> Sequence[Gpu]:
    try:
        return visible_gpus()
    except GpuUnavailable:
        return ()


def _resident_bytes(pid: int | str) -> int:
    """Return the memory of a process; 0 if it has ended, or on a system without /proc."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
