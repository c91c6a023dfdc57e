"""The cache that runs share: nothing is traced or computed twice, and results do not depend on it."""

from typing import Any, cast

import numpy as np
import pytest
from support.small_runs import CONTENT, STYLE, run, small

from worker.engine import Iterate, stylize
from worker.engine.cache import Cache, CountingLru, Evaluation, best_path
from worker.engine.weights.sources import Weights


def run_reference(weights: Weights, cache: Cache, **fields: Any) -> list[Iterate]:
    """Run by the reference path, because it is traced much faster."""
    return run(weights, small(**fields), cache=cache, path="reference")


def created(cache: Cache) -> tuple[int, int]:
    return cache.evaluations.created, cache.styles.created


def test_a_second_run_traces_nothing_and_does_not_evaluate_the_style_again(weights: Weights) -> None:
    cache = Cache()
    first = run_reference(weights, cache)
    assert created(cache) == (2, 2)  # of two sizes each
    second = run_reference(weights, cache)
    assert created(cache) == (2, 2)
    np.testing.assert_array_equal(first[-1].image, second[-1].image)


def test_another_photo_and_another_number_of_steps_use_the_same_cached_values(weights: Weights) -> None:
    cache = Cache()
    run_reference(weights, cache)
    recipe = small("adam", steps=4)
    list(stylize(np.flip(CONTENT), [STYLE], recipe, weights=weights, cache=cache, path="reference"))
    assert created(cache) == (2, 2)


def test_another_style_weight_needs_another_evaluation_but_not_another_style(weights: Weights) -> None:
    cache = Cache()
    lighter, heavier = (run_reference(weights, cache, style_weight=weight)[0].losses.style for weight in (1, 2))
    assert heavier == pytest.approx(2 * lighter)
    assert created(cache) == (4, 2)


def test_a_process_needs_a_restart_once_it_has_traced_more_shapes_than_are_cached() -> None:
    cache, needs_restart = Cache(), []
    for shape in (*range(6), *range(8)):
        cache.evaluations.get_or_create(shape, lambda: cast("Evaluation", None))
        needs_restart.append(cache.needs_restart)
    assert needs_restart == [False] * 12 + [True] * 2


def test_more_shapes_are_cached_on_a_gpu_where_xla_holds_no_memory_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []
    for gpus in ([], ["GPU:0"]):
        monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda _, gpus=gpus: gpus)
        limits.append(Cache().evaluations.maxsize)
    assert limits[0] < limits[1]


def test_the_least_recently_used_value_is_evicted_before_the_next_is_created() -> None:
    lru: CountingLru[str] = CountingLru(2)
    sizes = []

    def create(value: str) -> str:
        sizes.append(len(lru))
        return value

    for key in ("a", "b", "a", "c", "a", "b"):
        assert lru.get_or_create(key, lambda key=key: create(key.upper())) == key.upper()  # type: ignore[misc]  # a lambda's default
    assert lru.created == 4
    assert sizes == [0, 1, 1, 1]


@pytest.mark.parametrize(("gpus", "path"), [([], "fast"), (["GPU:0"], "reference")])
def test_the_best_path_is_the_reference_on_a_gpu_and_the_fast_one_elsewhere(
    monkeypatch: pytest.MonkeyPatch, gpus: list[str], path: str
) -> None:
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: gpus if kind == "GPU" else [])
    assert best_path() == path


def test_a_run_by_the_reference_path_ends_like_one_by_the_fast_path(weights: Weights) -> None:
    fast, reference = (run(weights, small("adam"), path=path)[-1] for path in ("fast", "reference"))
    assert fast.losses.total == pytest.approx(reference.losses.total, rel=1e-3)
    np.testing.assert_allclose(fast.image, reference.image, atol=0.02)
