"""`stylize` over a whole run: steps, stages, resuming, and rejected inputs."""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.small_runs import CACHE, CONTENT, RANDOM, STYLE, digest, run, small, start

from shared.errors import Diverged, ImageTooSmall, InvalidRecipe
from shared.imaging.encoding import encode_png
from worker import stylize_command
from worker.engine import stylize
from worker.engine.image_ops import as_tensor, resize
from worker.engine.weights.sources import Weights

RESUME_SCRIPT = """
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


def test_a_run_yields_every_step_from_the_initial_image_to_the_last_update(weights: Weights) -> None:
    iterates = run(weights, small())
    assert [iterate.step for iterate in iterates] == list(range(9))
    assert [iterate.phase for iterate in iterates] == ["64 px"] * 4 + ["80 px"] * 5
    assert iterates[0].losses.content < 1e-6 * iterates[0].losses.total
    np.testing.assert_array_equal(iterates[-1].image.shape, CONTENT.shape)


def test_the_fraction_grows_to_one_and_faster_at_larger_sizes(weights: Weights) -> None:
    fractions = [iterate.fraction for iterate in run(weights, small())]
    growth = np.diff([0, *fractions])
    assert fractions[-1] == 1
    assert growth.min() > 0
    assert growth[-1] == pytest.approx(growth[0] * 80**2 / 64**2)


def test_the_total_loss_is_the_sum_of_its_terms_and_decreases(weights: Weights) -> None:
    iterates = run(weights, small())
    for iterate in iterates:
        parts = iterate.losses.style + iterate.losses.content + iterate.losses.total_variation
        assert iterate.losses.total == pytest.approx(parts, rel=1e-5)
    assert iterates[3].losses.total < iterates[0].losses.total
    assert iterates[8].losses.total < iterates[4].losses.total


def test_nothing_is_computed_after_the_requested_iterate(weights: Weights) -> None:
    iterates = start(weights, small(steps=20_000))
    assert next(iterates).step == 0
    iterates.close()


@pytest.mark.slow
def test_a_run_resumed_in_another_process_ends_in_the_same_bytes(weights: Weights, tmp_path: Path) -> None:
    np.save(tmp_path / "content.npy", CONTENT)
    np.save(tmp_path / "style.npy", STYLE)
    expected, runs = [], []
    recipes = {"adam": small("adam", averaging=0.5), "lbfgs": small("lbfgs")}
    for kind, path in product(recipes, ("fast", "reference")):
        recipe = tmp_path / f"{kind}.json"
        recipe.write_text(recipes[kind].model_dump_json())
        iterates = run(weights, recipes[kind], path=path)
        for cut in (1, 3, 4):  # within the first stage, at its end, and after the first step of the second
            state = tmp_path / f"{kind}-{path}-{cut}.npz"
            np.savez(state, **iterates[cut].state())
            runs.append(f"{recipe}={state}={path}")
            expected.append(digest(iterates[-1].image))
    inputs = [weights.path, tmp_path / "content.npy", tmp_path / "style.npy"]
    command = [sys.executable, "-c", RESUME_SCRIPT, *map(str, inputs), *runs]
    resumed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert resumed.stdout.split() == expected


def test_a_finished_run_yields_nothing_when_resumed(weights: Weights) -> None:
    last = run(weights, small())[-1]
    assert run(weights, small(), state=last.state()) == []


def test_with_averaging_people_see_a_moving_average_of_the_stages_images(weights: Weights) -> None:
    plain, averaged = (run(weights, small("adam", averaging=decay)) for decay in (0, 0.6))
    average = plain[0].image
    for number, (image, seen) in enumerate(zip(plain[1:4], averaged[1:4], strict=True), start=2):
        average = average + max(0.4, 1 / number) * (image.image - average)
        np.testing.assert_allclose(seen.image, average, atol=1e-6)
    assert not np.allclose(averaged[3].image, plain[3].image, atol=1e-5)
    np.testing.assert_array_equal(averaged[3].losses.total, plain[3].losses.total)


def test_an_iterate_keeps_its_image_while_the_run_continues(weights: Weights) -> None:
    iterates = start(weights, small())
    first = next(iterates)
    assert len(list(iterates)) == 8
    np.testing.assert_array_equal(first.image, next(start(weights, small())).image)


def test_noise_depends_on_the_seed_only(weights: Weights) -> None:
    one, again, other = (next(start(weights, small(init="noise", seed=seed))).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_style_blended_with_itself_is_that_style(weights: Weights) -> None:
    single = next(start(weights, small()))
    blend = next(stylize(CONTENT, [STYLE, STYLE], small(style_mix=[3, 1]), weights=weights, cache=CACHE))
    assert blend.losses.style == pytest.approx(single.losses.style, rel=1e-4)


def test_the_scale_of_a_style_changes_its_loss(weights: Weights) -> None:
    original, larger = (next(start(weights, small(style_scale=scale))).losses.style for scale in (1, 2))
    assert original != pytest.approx(larger, rel=1e-3)


def test_a_mix_with_another_number_of_shares_than_styles_is_rejected(weights: Weights) -> None:
    with pytest.raises(InvalidRecipe, match="one for each"):
        start(weights, small(style_mix=[1, 1]))


def test_an_image_too_thin_for_the_network_is_rejected(weights: Weights) -> None:
    with pytest.raises(ImageTooSmall):
        stylize(np.zeros((40, 900, 3), np.uint8), [STYLE], small(), weights=weights, cache=CACHE)


def test_a_thin_image_stays_wide_enough_in_the_small_stages(weights: Weights) -> None:
    thin = RANDOM.integers(0, 256, (64, 160, 3), np.uint8)
    iterates = stylize(thin, [STYLE], small(steps=3), weights=weights, cache=CACHE, path="reference")
    sizes = [iterate.image.shape[:2] for iterate in iterates]
    assert sizes == [(32, 80)] * 4


def test_the_error_of_a_run_that_diverges_at_every_step_advises_lower_weights(weights: Weights) -> None:
    explosive = small("adam", style_weight=1e9, style_layers={"block1_conv1": 1e9}, content_weight=1e9, normalize=False)
    with pytest.raises(Diverged, match="Lower"):
        run(weights, explosive, path="reference")


def test_the_command_writes_an_image_and_a_trace_with_a_line_for_each_step(weights: Weights, tmp_path: Path) -> None:
    for name, pixels in (("content.png", CONTENT), ("style.png", STYLE)):
        (tmp_path / name).write_bytes(encode_png(pixels))
    out, trace = tmp_path / "out.png", tmp_path / "trace.jsonl"
    last = stylize_command.run(
        tmp_path / "content.png",
        [tmp_path / "style.png"],
        small(steps=2, stages=[{"scale": 1, "share": 1}]),
        weights,
        out,
        path="reference",
        trace=trace,
        console=Console(quiet=True),
    )
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert lines[-1]["total"] == last.losses.total
    assert set(lines[0]) == {"step", "total", "style", "content", "total_variation", "gradient_norm", "seconds"}
    assert out.read_bytes() == encode_png(last.image)


@pytest.mark.parametrize("fields", [{"color": "match"}, {"color": "content"}, {"init": "patches"}])
def test_images_of_16_bits_are_rendered_like_floats(weights: Weights, fields: dict[str, Any]) -> None:
    images = [RANDOM.integers(0, 65536, shape, np.uint16) for shape in ((60, 80, 3), (70, 64, 3))]
    recipe = small(steps=1, stages=[{"scale": 1, "share": 1}], **fields)
    deep, floats = (
        list(stylize(photo, [style], recipe, weights=weights, cache=CACHE, path="reference"))[-1].image
        for photo, style in (images, [image / np.float32(65535) for image in images])
    )
    np.testing.assert_allclose(deep, floats, atol=1e-4)


def test_the_command_gives_the_result_the_photos_alpha(weights: Weights, tmp_path: Path) -> None:
    photo = Image.fromarray(CONTENT)
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    photo.save(tmp_path / "content.png")
    (tmp_path / "style.png").write_bytes(encode_png(STYLE))
    recipe = small(steps=1, stages=[{"scale": 1, "share": 1}])
    files = tmp_path / "content.png", [tmp_path / "style.png"]
    stylize_command.run(*files, recipe, weights, tmp_path / "out.png", path="reference", console=Console(quiet=True))
    with Image.open(tmp_path / "out.png") as out:
        np.testing.assert_array_equal(np.asarray(out)[..., 3], np.asarray(photo)[..., 3])


def test_a_run_starts_from_the_init_image_at_the_contents_size(weights: Weights) -> None:
    start_image = np.random.default_rng(9).integers(0, 256, (30, 40, 3), np.uint8)
    recipe, options = small(init="image"), {"init_image": start_image}
    iterates = run(weights, recipe, **options)
    expected = resize(as_tensor(start_image), iterates[0].image.shape[:2]).numpy()
    np.testing.assert_allclose(iterates[0].image, expected, atol=1e-6)
    for cut in (1, 5):
        resumed = run(weights, recipe, state=iterates[cut].state(), **options)
        assert digest(resumed[-1].image) == digest(iterates[-1].image)


def test_an_init_image_is_refused_where_it_has_no_effect_and_required_where_it_has(weights: Weights) -> None:
    with pytest.raises(InvalidRecipe, match="does not use the init_image"):
        start(weights, small(), init_image=CONTENT)
    with pytest.raises(InvalidRecipe, match="needs an init_image"):
        start(weights, small(init="image"))


def test_each_style_has_its_own_scale(weights: Weights) -> None:
    one, other = (run(weights, small(style_scales=[scale]))[0].losses for scale in (0.5, 2))
    doubled = run(weights, small(style_scale=2))[0].losses
    assert one != other
    assert other == doubled
