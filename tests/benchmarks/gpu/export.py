"""`python -m benchmarks.gpu.export FOLDER`: the step's program as StableHLO, its arguments, and what PyTorch needs.

On a GPU a step is compiled as a whole; the program is lowered for a processor here, and taken to be the same.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.engine.scene import Scene, best_weights
from benchmarks.engine.step import flop, named_kernels
from worker.engine.kept import Kept, Step
from worker.engine.vgg import Layers

Array = NDArray[Any]
_WIDTHS: Final = (256, 512, 1024)


def main(folder: Path) -> None:
    """Three sizes of the tutorial's objective."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = best_weights()
    layers, arrays = Layers(weights.path), dict[str, Array]()
    kernels = _kept(named_kernels(weights.path), arrays)
    for width in _WIDTHS:
        scene = Scene(width, weights)
        program, arguments, loss = _program(scene, layers)
        names = [*_kept({str(place): array for place, array in enumerate(arguments)}, arrays).values()]
        images = _kept(dict(zip(("content", "style"), scene.floats(), strict=True)), arrays)
        about = {"loss": loss, "flop": flop(scene), "arguments": names, "kernels": kernels, "images": images}
        (folder / f"{width}.mlir").write_text(program)
        (folder / f"{width}.json").write_text(json.dumps(about))
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]  # its second parameter is no array


def _kept(named: dict[str, Array], arrays: dict[str, Array]) -> dict[str, str]:
    """Each array once, by its digest, since the programs share the kernels; the digests by name."""
    digests = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in named.items()}
    arrays |= {digests[name]: array for name, array in named.items()}
    return digests


def _program(scene: Scene, layers: Layers) -> tuple[str, list[Array], float]:
    """The program, its arguments, the image first, and the loss that it gives for them here."""
    content, style = scene.floats()
    grams = Kept().grams(scene.weights, scene.recipe, style, scene.width)
    evaluate = Step(scene.recipe, layers, content.shape, whole=True).towards(grams, tf.constant(content))
    whole, image = tf.function(evaluate, autograph=False, jit_compile=True), tf.constant(content)
    program = whole.experimental_get_compiler_ir(image)(stage="stablehlo")
    captured = whole.get_concrete_function(image).captured_inputs
    loss = float(tf.function(evaluate, autograph=False)(image)[0][0])
    return str(program), [content, *(array.numpy() for array in captured)], loss


if __name__ == "__main__":
    main(Path(sys.argv[1]))
