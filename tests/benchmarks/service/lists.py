"""The list of jobs and the view of the queue, as the ledger grows a hundredfold."""

from itertools import repeat
from typing import Final

from itsdangerous import URLSafeSerializer

from benchmarks.service.fill import Filling
from benchmarks.service.finding import Chart, Finding, Say
from benchmarks.service.load_client import Load, get, talk
from benchmarks.stack import House

_SIZES: Final = (1_000, 10_000, 100_000)
_RUNNING, _WAITING = 64, 436
_TARGET_MS: Final = 50.0


def measure(say: Say, *, quick: bool) -> Finding:
    """The same ledger with ever more jobs: 64 run, 436 wait, all others have ended."""
    found: dict[int, dict[str, Load]] = {}
    with House.opened() as house:
        filling = Filling.of(house.services)
        filling.live(running=_RUNNING, waiting=_WAITING)
        _views(house, filling, 50)  # to warm it
        for size in _SIZES:
            say(f"filling the ledger to {size:,} jobs")
            filling.ended(size - filling.total)
            say(f"looking at lists of {size:,} jobs")
            found[size] = _views(house, filling, 150 if quick else 1000)
    curves = {view: {size: 1e3 * loads[view].p99 for size, loads in found.items()} for view in found[_SIZES[0]]}
    bound = dict.fromkeys(_SIZES, _TARGET_MS)
    return Finding(
        {}, [Chart("lists", "lists, p99", "jobs in the ledger", "ms", curves, target="under 50 ms", bound=bound)]
    )


def _views(house: House, filling: Filling, requests: int) -> dict[str, Load]:
    """One client that asks for each view, `requests` times in a row."""
    ids, identity = filling.ids(), house.services.ledger.identity()
    cursor = URLSafeSerializer(identity or "", salt="cursor").dumps([ids[len(ids) // 2], None])
    paths = {
        "first page": "/v1/jobs",
        "page in the middle": f"/v1/jobs?cursor={cursor}",
        "only those that succeeded": "/v1/jobs?state=succeeded",
        "queue": "/v1/queue",
    }
    return {name: talk(house.address, repeat(get(path), requests), connections=1) for name, path in paths.items()}
