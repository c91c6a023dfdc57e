"""`python -m deploy.local.weights`: find, download or learn the weights that the workers use, with progress.

It is a separate process, because it imports TensorFlow, which takes seconds and memory.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from rich.console import Console

from shared.errors import EaselError
from shared.process import end_with_parent
from shared.settings import Settings

console = Console(stderr=True, soft_wrap=True, highlight=False)


@contextmanager
def loading(environment: Mapping[str, str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run the process, which exits with 0 when the weights are on disk, and end it with the block.

    Its progress goes to our stderr. It has its own session, so that Ctrl-C reaches it through us alone.
    """
    command, quiet = [sys.executable, "-m", "deploy.local.weights"], {"TF_CPP_MIN_LOG_LEVEL": "2"}
    process = subprocess.Popen(  # noqa: S603 - our own module
        command,
        env={**environment, **quiet},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509 - one prctl, loaded before the fork
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Resolve EASEL_WEIGHTS as a worker does, and describe them. Exits with 1 if there are none."""
    from worker.engine.weights.sources import resolve_weights  # noqa: PLC0415 - it imports TensorFlow

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # shows the cursor again
    settings, announced = Settings(), set[str]()
    with console.status("Loading the weights") as status:

        def show(activity: str, fraction: float) -> None:
            if activity not in announced:
                announced.add(activity)
                console.print(f"{activity[:1].upper()}{activity[1:]}; this happens once …")
            status.update(f"{activity}: {fraction:.0%}")

        try:
            weights = resolve_weights(settings.weights, cache=settings.cache, progress=show)
        except EaselError as error:
            console.print(f"[red]{error.detail}[/red]")
            sys.exit(1)
    console.print(weights.describe(), markup=False)


if __name__ == "__main__":
    main()
