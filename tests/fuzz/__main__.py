"""`python -m fuzz`: `make fuzz`. The last line is the result as JSON."""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from support.fixtures.valkey import Valkey

from fuzz.target import Fuzzer, memory_bytes
from shared.settings import Settings

_WARM_UP: Final = 0.2  # of the requests, after which memory must not grow
_GROWTH_BYTES: Final = 64 * 2**20
_LINES: Final = 50
_MAX_FINDINGS: Final = 20


def main(
    requests: Annotated[int, typer.Option(min=10, help="Requests to send.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Chooses the requests.")] = 0,
    out: Annotated[Path, typer.Option(help="File for the JSON line that is also printed.")] = Path("out/fuzz.json"),
) -> None:
    """Send generated recipes, forms, IDs, cursors and headers to the app, with a real Valkey."""
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([renderer], structlog.make_filtering_bound_logger(40))
    print(f"seed {seed}", flush=True)  # noqa: T201 - to repeat it
    with tempfile.TemporaryDirectory(prefix="easel-fuzz-") as folder:
        valkey = Valkey(Path(folder))
        valkey.start()
        try:
            result = _run(Fuzzer(_settings(valkey, Path(folder)), seed), requests)
        finally:
            valkey.stop()
    line = json.dumps({"seed": seed, **result})
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(line + "\n")
    print(line)  # noqa: T201 - for scripts
    if result["findings"] or result["left_behind"] or result["memory_growth_bytes"] > _GROWTH_BYTES:
        raise typer.Exit(1)


def _settings(valkey: Valkey, folder: Path) -> Settings:
    return Settings(redis_url=valkey.url, store_url=(folder / "blobs").as_uri())


def _run(fuzzer: Fuzzer, requests: int) -> dict[str, Any]:
    warm, began, warm_up = 0, time.monotonic(), int(requests * _WARM_UP)
    for number in range(requests):
        if number == warm_up:
            warm = memory_bytes()
        fuzzer.send(number)
        if (number + 1) % max(1, requests // _LINES) == 0:
            seconds, memory = time.monotonic() - began, memory_bytes() // 2**20
            line = f"{number + 1:>7} requests, {seconds:.0f} s, {memory} MiB, {len(fuzzer.findings)} findings"
            print(line, flush=True)  # noqa: T201 - progress
        if len(fuzzer.findings) >= _MAX_FINDINGS:
            break
    growth = memory_bytes() - warm
    return {
        "requests": sum(fuzzer.responses.values()),
        "responses": dict(fuzzer.responses.most_common()),
        "memory_growth_bytes": growth,
        "left_behind": fuzzer.close(),
        "findings": fuzzer.findings,
    }


if __name__ == "__main__":
    typer.run(main)
