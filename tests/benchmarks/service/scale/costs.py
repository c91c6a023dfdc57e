"""`python -m benchmarks.service.scale.costs`: what a job and an idle worker cost Redis and S3.

Jobs are submitted, watched and fetched through the API by the Python client. The last line is the result as JSON.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import structlog
import typer
from chaos.clients.images import photo
from rich.console import Console

from benchmarks.service.scale.network import HUB_ADDRESS, HUB_VARIABLE, missing_requirement, run_in_hub
from benchmarks.service.scale.pool import STEP_SECONDS
from benchmarks.service.scale.stack import ScaleStack
from easel import Easel
from shared.redis_client import connect

_API: Final = f"http://{HUB_ADDRESS}:8080"
_KEY: Final = "key-of-the-benchmark"
_WORKERS: Final = 4
_IDLE_SECONDS: Final = 20.0
_MEASURED: Final = (
    *("total_commands_processed", "total_net_input_bytes", "total_net_output_bytes"),
    *("used_cpu_sys_main_thread", "used_cpu_user_main_thread", "aof_current_size"),
)
console = Console(stderr=True)


def main(
    jobs: Annotated[int, typer.Option(help="Number of jobs.")] = 12,
    steps: Annotated[int, typer.Option(help="Steps of a job, of 0.4 s each.")] = 75,
) -> None:
    """Measure idle workers, then jobs."""
    if HUB_VARIABLE not in os.environ:
        if missing := missing_requirement():
            console.print(missing, soft_wrap=True)
            raise typer.Exit(2)
        raise typer.Exit(run_in_hub([sys.executable, "-m", "benchmarks.service.scale.costs", *sys.argv[1:]]))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(prefix="easel-costs-") as folder:
        (Path(folder) / "log").mkdir()
        with console.status("starting") as status, ScaleStack(Path(folder)) as stack:
            os.environ |= {"EASEL_HOST": HUB_ADDRESS, "EASEL_API_KEYS": _KEY}
            stack.start("api", sys.executable, "-m", "api")
            stack.wait(_ready, "the API")
            alone = _connections(stack)
            stack.join([f"simulated-{number}" for number in range(_WORKERS)])
            status.update("idle workers")
            connections = (_connections(stack) - alone) / _WORKERS
            idle, began = _counters(stack), time.monotonic()
            time.sleep(_IDLE_SECONDS)
            idle_seconds = time.monotonic() - began
            before, began = _counters(stack), time.monotonic()
            status.update(f"{jobs} jobs")
            with ThreadPoolExecutor(jobs) as pool:
                list(pool.map(lambda number: _run_job(number, steps), range(jobs)))
            seconds = time.monotonic() - began
            after = _counters(stack)
    per_second = {name: (before[name] - idle[name]) / idle_seconds for name in _MEASURED}
    per_job = {name: (after[name] - before[name] - per_second.get(name, 0) * seconds) / jobs for name in after}
    result = {
        "seconds_of_a_job": steps * STEP_SECONDS,
        "jobs": jobs,
        "connections_per_worker": connections,
        "idle_workers": _WORKERS,
        "idle_per_second": _rounded(per_second),
        "per_job": _rounded(per_job),
    }
    console.print_json(json.dumps(result))
    print(json.dumps(result))  # noqa: T201 - for scripts


def _run_job(number: int, steps: int) -> None:
    """Submit a job, follow its events to the end, and fetch the result."""
    with Easel(_API, api_key=_KEY) as easel:
        recipe = {"preset": "fast", "init": "content", "size": 64, "steps": steps, "seed": number}
        job = easel.submit(photo(0), photo(1), recipe)
        job.wait()
        job.result()


def _counters(stack: ScaleStack) -> Counter[str]:
    """Return Redis' own counters and those of the S3 server, since its start."""
    client: Any = connect(stack.services.settings.redis_url)
    info = client.info()
    stored = sum(client.memory_usage(key, samples=0) or 0 for key in client.scan_iter())
    requests = httpx2.get(f"{stack.s3_endpoint}/.requests", trust_env=False).json()
    return Counter(
        {
            **{name: info[name] for name in _MEASURED},
            "memory_of_keys": stored,
            **{f"s3_{key}": count for key, count in requests.items()},
        }
    )


def _connections(stack: ScaleStack) -> int:
    """Return the number of Redis' clients."""
    info: Any = connect(stack.services.settings.redis_url).info("clients")
    return int(info["connected_clients"])


def _ready() -> bool:
    try:
        return httpx2.get(f"{_API}/readyz", trust_env=False).is_success
    except httpx2.TransportError:
        return False


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.3g}") for name, value in values.items()}


if __name__ == "__main__":
    typer.run(main)
