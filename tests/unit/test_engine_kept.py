"""What is kept from run to run: nothing is traced or looked at twice, and nothing differs for it."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from small_runs import CONTENT, STYLE, run, small

from worker.engine import kept as kept_module
from worker.engine import stylize
from worker.engine.kept import Kept, Recent, Step
from worker.engine.weights import Weights


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


def test_a_second_run_traces_nothing_and_does_not_look_at_the_style_again(weights: Weights) -> None:
    kept = Kept()
    first = run(weights, small(), kept=kept)
    made = kept.steps.made, kept.styles.made
    second = run(weights, small(), kept=kept)
    assert made == (kept.steps.made, kept.styles.made) == (2, 2)  # of two sizes each
    np.testing.assert_array_equal(first[-1].image, second[-1].image)


def test_another_photo_and_another_length_change_nothing_of_what_is_kept(weights: Weights) -> None:
    kept = Kept()
    run(weights, small(), kept=kept)
    list(stylize(np.flip(CONTENT), [STYLE], small("adam", steps=4), weights=weights, kept=kept))
    assert (kept.steps.made, kept.styles.made) == (2, 2)


def test_another_style_weight_is_another_step_and_the_same_style(weights: Weights) -> None:
    kept = Kept()
    lighter, heavier = (run(weights, small(style_weight=weight), kept=kept)[0].losses.style for weight in (1, 2))
    assert heavier == pytest.approx(2 * lighter)
    assert (kept.steps.made, kept.styles.made) == (4, 2)


def test_a_process_is_worn_once_it_traced_more_shapes_than_are_kept() -> None:
    kept, worn = Kept(), []
    for shape in (*range(6), *range(8)):
        kept.steps.get(shape, lambda: cast("Step", None))
        worn.append(kept.worn)
    assert worn == [False] * 12 + [True] * 2


def test_what_was_not_asked_for_in_a_while_goes_first() -> None:
    recent: Recent[str] = Recent(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert recent.get(key, lambda key=key: key.upper()) == key.upper()  # type: ignore[misc]  # a lambda's default
    assert recent.made == 4


@pytest.mark.parametrize("gpus", [[], ["GPU:0"]])
def test_where_there_is_a_gpu_a_step_is_compiled_as_a_whole(
    weights: Weights, monkeypatch: pytest.MonkeyPatch, gpus: list[str]
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(kept_module, "Step", lambda *_, whole: asked.append(whole))
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: gpus if kind == "GPU" else [])
    Kept().step(weights, small(), (64, 64, 3))
    assert asked == [bool(gpus)]
