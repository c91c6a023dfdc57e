"""The latency of job lists and of the queue's view, while the ledger grows a hundredfold."""

from datetime import UTC, datetime
from itertools import repeat
from typing import Final
from uuid import UUID

from benchmarks.service.results import Chart, Measurement, Report
from benchmarks.service.support.ledger_filler import LedgerFiller
from benchmarks.service.support.load_client import Load, get, send_requests
from benchmarks.stack import BenchmarkStack

_SIZES: Final = (1_000, 10_000, 100_000)
_RUNNING, _WAITING = 64, 436
_TARGET_MS: Final = 50.0


def measure(report: Report, *, quick: bool) -> Measurement:
    """Measure a ledger with more and more jobs: 64 run, 436 wait, all others have ended."""
    loads: dict[int, dict[str, Load]] = {}
    with BenchmarkStack.run_temporarily() as stack:
        filler = LedgerFiller.for_services(stack.services)
        filler.add_live_jobs(running=_RUNNING, waiting=_WAITING)
        _views(stack, filler, 50)  # warm-up
        for size in _SIZES:
            report(f"filling the ledger to {size:,} jobs")
            filler.add_ended_jobs(size - filler.total)
            report(f"requesting lists of {size:,} jobs")
            loads[size] = _views(stack, filler, 150 if quick else 1000)
    curves = {view: {size: 1e3 * by_view[view].p99 for size, by_view in loads.items()} for view in loads[_SIZES[0]]}
    bound = dict.fromkeys(_SIZES, _TARGET_MS)
    return Measurement(
        {}, [Chart("lists", "lists, p99", "jobs in the ledger", "ms", curves, target="under 50 ms", bound=bound)]
    )


def _views(stack: BenchmarkStack, filler: LedgerFiller, requests: int) -> dict[str, Load]:
    """Request each view `requests` times in a row, from one client."""
    ids = filler.ids()
    middle = datetime.fromtimestamp((UUID(ids[len(ids) // 2]).int >> 80) / 1000, UTC)
    paths = {
        "first page": "/v1/jobs",
        "page in the middle": f"/v1/jobs?created_before={middle:%Y-%m-%dT%H:%M:%S.%fZ}",
        "succeeded jobs only": "/v1/jobs?state=succeeded",
        "queue": "/v1/queue",
    }
    address = stack.address
    return {name: send_requests(address, repeat(get(path), requests), connections=1) for name, path in paths.items()}
