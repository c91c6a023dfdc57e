"""`python -m benchmarks.engine.initial_hessian WIDTH [EVALUATIONS]`: the gain of the initial inverse Hessian.

L-BFGS minimizes the tutorial's objective twice, each time in its own process: with the engine's H_0
(docs/explanation/initial-hessian.md) and with the usual gamma I. Prints the losses after some evaluations, and the
number of evaluations that the engine needs to reach the last loss of gamma I.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.engine.peers.engine_peer import create_step
from benchmarks.engine.workload import Workload, best_weights
from benchmarks.processes import module, peer_process, serve
from worker.engine.optimizers import lbfgs
from worker.engine.optimizers.tensor_ops import inner_product

_SHOWN: Final = (25, 50, 100, 160, 200, 300, 400)
_NAME: Final = "benchmarks.engine.initial_hessian"


def scaled_identity(
    q: tf.Tensor, s_latest: Sequence[tf.Tensor], y_latest: Sequence[tf.Tensor], _: tf.Tensor
) -> tf.Tensor:
    """Return H_0 q = gamma q, gamma = s_k^T y_k / y_k^T y_k: Nocedal and Wright, equation 7.20."""
    y = y_latest[-1]
    return q * (inner_product(s_latest[-1], y) / inner_product(y, y))


def main(width: int, evaluations: int) -> None:
    """Print one table."""
    engine_losses: list[float] = []
    baseline_losses: list[float] = []
    with (
        peer_process(*Workload(width, best_weights()).engine_command("lbfgs")) as engine,
        peer_process(*module(_NAME, str(width), "peer")) as baseline,
    ):
        for _ in track(range(evaluations), "evaluations", console=Console(stderr=True)):
            engine_losses.append(engine())
            baseline_losses.append(baseline())
    table = Table("evaluations", "H_0", "gamma I", "ratio", title=f"{width} px, total loss")
    for number in (*(shown for shown in _SHOWN if shown < evaluations), evaluations):
        loss, baseline_loss = engine_losses[number - 1], baseline_losses[number - 1]
        table.add_row(str(number), f"{loss:.4g}", f"{baseline_loss:.4g}", f"{loss / baseline_loss:.3f}")
    console = Console()
    console.print(table)
    needed = 1 + sum(1 for _ in takewhile(lambda loss: loss > baseline_losses[-1], engine_losses))
    console.print(f"gamma I reaches {baseline_losses[-1]:.4g} after {evaluations} evaluations, H_0 after {needed}")


if __name__ == "__main__":
    if sys.argv[2:] == ["peer"]:
        vars(lbfgs)["apply_initial_hessian"] = scaled_identity
        serve(lambda: create_step(int(sys.argv[1]), "lbfgs"))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 200)
