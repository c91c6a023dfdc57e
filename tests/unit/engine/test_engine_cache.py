"""What is kept from run to run: nothing is traced or computed twice, and nothing differs for it."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from support.small_runs import CONTENT, STYLE, run, small

from worker.engine import stylize
from worker.engine.cache import Cache, Evaluation, Lru, best_path
from worker.engine.weights.sources import Weights


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


def test_a_second_run_traces_nothing_and_does_not_read_the_style_again(weights: Weights) -> None:
    cache = Cache()
    first = run(weights, small(), cache=cache)
    made = cache.evaluations.made, cache.styles.made
    second = run(weights, small(), cache=cache)
    assert made == (cache.evaluations.made, cache.styles.made) == (2, 2)  # of two sizes each
    np.testing.assert_array_equal(first[-1].image, second[-1].image)


def test_another_photo_and_another_length_change_nothing_of_what_is_kept(weights: Weights) -> None:
    cache = Cache()
    run(weights, small(), cache=cache)
    list(stylize(np.flip(CONTENT), [STYLE], small("adam", steps=4), weights=weights, cache=cache))
    assert (cache.evaluations.made, cache.styles.made) == (2, 2)


def test_another_style_weight_is_another_evaluation_and_the_same_style(weights: Weights) -> None:
    cache = Cache()
    lighter, heavier = (run(weights, small(style_weight=weight), cache=cache)[0].losses.style for weight in (1, 2))
    assert heavier == pytest.approx(2 * lighter)
    assert (cache.evaluations.made, cache.styles.made) == (4, 2)


def test_a_process_needs_a_restart_once_it_traced_more_shapes_than_are_kept() -> None:
    cache, restart = Cache(), []
    for shape in (*range(6), *range(8)):
        cache.evaluations.get(shape, lambda: cast("Evaluation", None))
        restart.append(cache.needs_restart)
    assert restart == [False] * 12 + [True] * 2


def test_on_a_gpu_more_shapes_are_kept_for_xla_keeps_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    for gpus in ([], ["GPU:0"]):
        monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda _, gpus=gpus: gpus)
        limits.append(Cache().evaluations.limit)
    assert limits[0] < limits[1]


def test_what_was_not_asked_for_in_a_while_goes_first() -> None:
    lru: Lru[str] = Lru(2)
    for key in ("a", "b", "a", "c", "a", "b"):
        assert lru.get(key, lambda key=key: key.upper()) == key.upper()  # type: ignore[misc]  # a lambda's default
    assert lru.made == 4


@pytest.mark.parametrize(("gpus", "path"), [([], "fast"), (["GPU:0"], "reference")])
def test_where_there_is_a_gpu_the_model_itself_is_evaluated(
    monkeypatch: pytest.MonkeyPatch, gpus: list[str], path: str
) -> None:
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: gpus if kind == "GPU" else [])
    assert best_path() == path


def test_a_run_by_the_reference_model_ends_like_one_by_the_fast_path(weights: Weights) -> None:
    fast, reference = (run(weights, small("adam"), path=path)[-1] for path in ("fast", "reference"))
    assert fast.losses.total == pytest.approx(reference.losses.total, rel=1e-3)
    np.testing.assert_allclose(fast.image, reference.image, atol=0.02)
