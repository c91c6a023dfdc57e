"""`stylize` over a whole run: steps, stages, resumption, and what it refuses."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.small_runs import CACHE, CONTENT, RANDOM, STYLE, begin, digest, run, small

from shared.errors import Diverged, ImageTooSmall, InvalidRecipe
from shared.images import encode_png
from worker import stylize_command as alone
from worker.engine import stylize
from worker.engine.weights.sources import Weights

IN_ANOTHER_PROCESS = """
import hashlib, sys
import numpy as np
from pathlib import Path
from shared.recipe import Recipe
from worker.engine import stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import Weights
weights, content, style, *runs = sys.argv[1:]
cache = Cache()
for run in runs:
    recipe, state, path = run.split("=")
    state, recipe = dict(np.load(state)), Recipe.model_validate_json(Path(recipe).read_text())
    inputs = np.load(content), [np.load(style)], recipe
    for last in stylize(*inputs, weights=Weights("path", Path(weights), ""), state=state, cache=cache, path=path):
        pass
    print(hashlib.sha256(last.image.tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def weights(random_weights: Path) -> Weights:
    return Weights("path", random_weights, "")


def test_a_run_yields_every_step_from_the_initial_image_to_the_last_update(weights: Weights) -> None:
    iterates = run(weights, small())
    assert [iterate.step for iterate in iterates] == list(range(9))
    assert [iterate.phase for iterate in iterates] == ["64 px"] * 4 + ["80 px"] * 5
    assert iterates[0].losses.content < 1e-6 * iterates[0].losses.total
    np.testing.assert_array_equal(iterates[-1].image.shape, CONTENT.shape)


def test_the_share_of_the_work_grows_to_one_and_faster_at_larger_sizes(weights: Weights) -> None:
    shares = [iterate.fraction for iterate in run(weights, small())]
    growth = np.diff([0, *shares])
    assert shares[-1] == 1
    assert growth.min() > 0
    assert growth[-1] == pytest.approx(growth[0] * 80**2 / 64**2)


def test_the_total_is_the_sum_of_the_terms_and_falls(weights: Weights) -> None:
    iterates = run(weights, small())
    for iterate in iterates:
        parts = iterate.losses.style + iterate.losses.content + iterate.losses.total_variation
        assert iterate.losses.total == pytest.approx(parts, rel=1e-5)
    assert iterates[3].losses.total < iterates[0].losses.total
    assert iterates[8].losses.total < iterates[4].losses.total


def test_nothing_is_computed_beyond_the_iterate_asked_for(weights: Weights) -> None:
    iterates = begin(weights, small(steps=20_000))
    assert next(iterates).step == 0
    iterates.close()


def test_an_interrupted_run_ends_in_the_same_bytes_in_another_process(weights: Weights, tmp_path: Path) -> None:
    np.save(tmp_path / "content.npy", CONTENT)
    np.save(tmp_path / "style.npy", STYLE)
    expected, runs = [], []
    for kind, path in product(("adam", "lbfgs"), ("fast", "reference")):
        recipe = tmp_path / f"{kind}.json"
        recipe.write_text(small(kind).model_dump_json())
        iterates = run(weights, small(kind), path=path)
        for cut in (1, 3, 4):  # within the first stage, at its end, and after the first step of the second
            state = tmp_path / f"{kind}-{path}-{cut}.npz"
            np.savez(state, **iterates[cut].state())
            runs.append(f"{recipe}={state}={path}")
            expected.append(digest(iterates[-1].image))
    inputs = [weights.path, tmp_path / "content.npy", tmp_path / "style.npy"]
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS, *map(str, inputs), *runs]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == expected


def test_a_finished_run_has_nothing_more_to_yield(weights: Weights) -> None:
    last = run(weights, small())[-1]
    assert run(weights, small(), state=last.state()) == []


def test_an_iterate_keeps_its_picture_while_the_run_goes_on(weights: Weights) -> None:
    iterates = begin(weights, small())
    kept, first = next(iterates), None
    for iterate in iterates:
        first = first if first is not None else iterate.step
    assert first == 1
    fresh = next(begin(weights, small()))
    np.testing.assert_array_equal(kept.image, fresh.image)


def test_noise_is_the_same_for_the_same_seed_only(weights: Weights) -> None:
    one, again, other = (next(begin(weights, small(init="noise", seed=seed))).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_style_mixed_with_itself_is_that_style(weights: Weights) -> None:
    alone = next(begin(weights, small()))
    mixed = next(stylize(CONTENT, [STYLE, STYLE], small(style_mix=[3, 1]), weights=weights, cache=CACHE))
    assert mixed.losses.style == pytest.approx(alone.losses.style, rel=1e-4)


def test_a_style_of_another_scale_is_another_target(weights: Weights) -> None:
    as_is, larger = (next(begin(weights, small(style_scale=scale))).losses.style for scale in (1, 2))
    assert as_is != pytest.approx(larger, rel=1e-3)


def test_a_mix_that_does_not_fit_the_styles_is_refused(weights: Weights) -> None:
    with pytest.raises(InvalidRecipe, match="one for each"):
        begin(weights, small(style_mix=[1, 1]))


def test_a_shape_too_thin_for_the_network_is_refused(weights: Weights) -> None:
    with pytest.raises(ImageTooSmall):
        stylize(np.zeros((40, 900, 3), np.uint8), [STYLE], small(), weights=weights, cache=CACHE)


def test_a_thin_shape_is_kept_wide_enough_in_the_small_stages(weights: Weights) -> None:
    thin = RANDOM.integers(0, 256, (64, 160, 3), np.uint8)
    sizes = [
        iterate.image.shape[:2] for iterate in stylize(thin, [STYLE], small(steps=3), weights=weights, cache=CACHE)
    ]
    assert sizes == [(32, 80)] * 4


def test_weights_that_no_step_can_save_are_named_as_what_to_lower(weights: Weights) -> None:
    explosive = small("adam", style_weight=1e9, style_layers={"block1_conv1": 1e9}, content_weight=1e9, normalize=False)
    with pytest.raises(Diverged, match="lower"):
        run(weights, explosive)


def test_files_become_a_picture_and_a_trace_with_a_line_for_each_step(weights: Weights, tmp_path: Path) -> None:
    for name, pixels in (("content.png", CONTENT), ("style.png", STYLE)):
        (tmp_path / name).write_bytes(encode_png(pixels))
    out, trace = tmp_path / "new" / "out.png", tmp_path / "trace.jsonl"
    last = alone.run(
        tmp_path / "content.png",
        [tmp_path / "style.png"],
        small(),
        weights,
        out,
        trace=trace,
        console=Console(quiet=True),
    )
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(9))
    assert lines[-1]["total"] == last.losses.total
    assert set(lines[0]) == {"step", "total", "style", "content", "total_variation", "gradient_norm", "seconds"}
    assert out.read_bytes() == encode_png(last.image)
