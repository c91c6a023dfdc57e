"""`python -m benchmarks.engine.initial_hessian WIDTH [EVALUATIONS]`: what the first guess of the inverse Hessian gains.

L-BFGS minimizes the tutorial's objective twice, each time in a process of its own: with the engine's H_0
(docs/initial-hessian.md), and with the usual gamma I. Prints the losses after some evaluations, and how many of them
the engine needs to reach the last loss of gamma I.
"""

import sys
from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import tensorflow as tf
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.engine.ours import steps_of
from benchmarks.engine.scene import Scene, best_weights
from benchmarks.processes import beside, module, serve
from worker.engine.optimizers import lbfgs
from worker.engine.optimizers.tensor_ops import inner

_SHOWN: Final = (25, 50, 100, 160, 200, 300, 400)
_NAME: Final = "benchmarks.engine.initial_hessian"


def scaled_identity(
    q: tf.Tensor, s_latest: Sequence[tf.Tensor], y_latest: Sequence[tf.Tensor], _: tf.Tensor
) -> tf.Tensor:
    """H_0 q = gamma q, gamma = s_k^T y_k / y_k^T y_k: Nocedal and Wright, equation 7.20."""
    y = y_latest[-1]
    return q * (inner(s_latest[-1], y) / inner(y, y))


def main(width: int, evaluations: int) -> None:
    """Print one table."""
    ours: list[float] = []
    usual: list[float] = []
    with beside(*Scene(width, best_weights()).ours("lbfgs")) as one, beside(*module(_NAME, str(width), "peer")) as two:
        for _ in track(range(evaluations), "evaluations", console=Console(stderr=True)):
            ours.append(one())
            usual.append(two())
    table = Table("evaluations", "H_0", "gamma I", "ratio", title=f"{width} px, total loss")
    for number in (*(shown for shown in _SHOWN if shown < evaluations), evaluations):
        mine, other = ours[number - 1], usual[number - 1]
        table.add_row(str(number), f"{mine:.4g}", f"{other:.4g}", f"{mine / other:.3f}")
    console = Console()
    console.print(table)
    needed = 1 + sum(1 for _ in takewhile(lambda loss: loss > usual[-1], ours))
    console.print(f"H_0 reaches the {usual[-1]:.4g} of {evaluations} evaluations after {needed}")


if __name__ == "__main__":
    if sys.argv[2:] == ["peer"]:
        vars(lbfgs)["apply_initial_hessian"] = scaled_identity
        serve(lambda: steps_of(int(sys.argv[1]), "lbfgs"))
    else:
        main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 200)
