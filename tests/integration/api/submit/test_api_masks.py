"""Masks and start images of a submission, as they are stored."""

import io
import json

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageDraw
from support.fixtures.api import PHOTO, STYLE, Submit, image_file
from support.image_files import encode

from shared.jobs.job import JobRequest
from shared.services import Services
from shared.storage import keys

WHITE = image_file((255, 255, 255))


def request_of(services: Services, response_json: dict[str, str]) -> JobRequest:
    return services.ledger.get(response_json["id"]).request


def stored(services: Services, sha256: str) -> Image.Image:
    return Image.open(io.BytesIO(services.blobs.get(keys.input_image(sha256)))).convert("RGB")


def label_image(*colors: str) -> bytes:
    """Return a mask of vertical stripes."""
    image = Image.new("RGB", (192, 128))
    width = image.width // len(colors)
    for number, color in enumerate(colors):
        ImageDraw.Draw(image).rectangle((number * width, 0, (number + 1) * width, 128), fill=color)
    return encode(image, "PNG")


def test_a_label_image_becomes_one_mask_for_each_style_from_dark_to_bright(submit: Submit, services: Services) -> None:
    response = submit(style=[STYLE, STYLE, PHOTO], content_mask=label_image("yellow", "black", "blue"))
    masks = [stored(services, sha256) for sha256 in request_of(services, response.get_json()).content_masks]
    assert [mask.size for mask in masks] == [(96, 64)] * 3
    columns = [int(np.asarray(mask)[32, :, 0].argmax()) // 32 for mask in masks]
    assert columns == [1, 2, 0]


def test_gray_masks_keep_their_soft_edges(submit: Submit, services: Services) -> None:
    gradient = encode(Image.linear_gradient("L").resize((96, 64)), "PNG")
    response = submit(style=[STYLE, PHOTO], content_mask=[gradient, WHITE])
    soft, full = (stored(services, sha256) for sha256 in request_of(services, response.get_json()).content_masks)
    assert len(set(np.asarray(soft)[:, 40, 0].tolist())) > 30
    assert full.getextrema() == ((255, 255),) * 3


@pytest.mark.parametrize(
    ("colors", "words"),
    [(("red",), "has 1 color for 2 styles"), (("red", "lime", "blue"), "has 3 colors for 2 styles")],
)
def test_a_label_image_of_other_colors_than_styles_says_how_many(
    submit: Submit, colors: tuple[str, ...], words: str
) -> None:
    problem = submit(style=[STYLE, PHOTO], content_mask=label_image(*colors)).get_json()
    assert words in problem["detail"]
    assert (problem["field"], problem["number"]) == ("content_mask", 0)


def test_labels_are_ordered_by_brightness_as_people_see_it(submit: Submit, services: Services) -> None:
    response = submit(style=[STYLE, STYLE, PHOTO], content_mask=label_image("lime", "red", "blue"))
    masks = [stored(services, sha256) for sha256 in request_of(services, response.get_json()).content_masks]
    assert [int(np.asarray(mask)[32, :, 0].argmax()) // 32 for mask in masks] == [2, 1, 0]


def test_a_transparent_part_of_a_mask_is_black(submit: Submit, services: Services) -> None:
    painted = Image.new("RGBA", (96, 64))
    ImageDraw.Draw(painted).rectangle((0, 0, 47, 63), fill="white")
    [sha256] = request_of(services, submit(content_mask=encode(painted, "PNG")).get_json()).content_masks
    np.testing.assert_array_equal(
        np.asarray(stored(services, sha256))[:, :, 0] > 127, np.arange(96) < 48 + np.zeros((64, 1))
    )


def test_a_mask_that_vanishes_at_the_photos_size_is_refused(submit: Submit) -> None:
    mask = Image.new("L", (3840, 2560))
    mask.putpixel((7, 7), 255)
    assert submit(content_mask=encode(mask, "PNG")).get_json()["code"] == "invalid_mask"


def test_a_large_label_image_is_refused_if_it_has_to_wait_for_other_images(submit: Submit) -> None:
    large = encode(Image.new("RGB", (4128, 64)), "PNG")
    parts = {"content": "https://example.com/photo.jpg", "style": [STYLE, PHOTO]}
    problem = submit(**parts, content_mask=large).get_json()
    assert (problem["code"], problem["field"], problem["number"]) == ("invalid_mask", "content_mask", 0)
    assert "4096 per side" in problem["detail"]
    assert submit(**parts, content_mask=[large, large]).status_code == 202


def test_a_start_image_sets_init_and_is_stored_as_it_was_sent(submit: Submit, services: Services) -> None:
    response = submit(init_image=image_file((9, 9, 9), (300, 200)))
    request = request_of(services, response.get_json())
    assert request.recipe.init == "image"
    assert request.init_image is not None
    assert stored(services, request.init_image).size == (300, 200)
    assert request.style_pixels == (96 * 64, 300 * 200)


def test_masks_and_start_images_belong_to_what_an_idempotency_key_stands_for(submit: Submit) -> None:
    headers = {"Idempotency-Key": "key"}
    assert submit(headers=headers, content_mask=WHITE).status_code == 202
    assert submit(headers=headers, content_mask=WHITE).headers["Idempotency-Replayed"] == "true"
    assert submit(headers=headers).get_json()["code"] == "idempotency_key_reused"
    assert submit(headers=headers, init_image=PHOTO).get_json()["code"] == "idempotency_key_reused"


def test_a_dry_run_checks_masks(submit: Submit) -> None:
    assert submit(query="?dry_run=true", content_mask=WHITE).status_code == 200
    response = submit(query="?dry_run=true", content_mask=[WHITE, WHITE], recipe=json.dumps({}))
    assert response.get_json()["code"] == "invalid_mask"


def test_masks_and_the_start_image_of_a_job_can_be_fetched(submit: Submit, client: FlaskClient) -> None:
    left, right = label_image("white", "black"), label_image("black", "white")
    urls = submit(style=[STYLE, PHOTO], content_mask=[left, right], init_image=WHITE).get_json()["urls"]
    assert len(urls["content_masks"]) == 2
    images = [np.asarray(Image.open(io.BytesIO(client.get(url).data))) for url in urls["content_masks"]]
    assert [image[32, 0, 0] for image in images] == [255, 0]
    assert client.get(f"{urls['content_masks'][0]}?longest=48").mimetype == "image/jpeg"
    assert Image.open(io.BytesIO(client.get(urls["init_image"]).data)).getextrema() == ((255, 255),) * 3


def test_a_job_without_masks_has_none_to_fetch(submit: Submit, client: FlaskClient) -> None:
    urls = submit().get_json()["urls"]
    assert (urls["content_masks"], urls["init_image"]) == ([], None)
    for part in ("content_masks/0", "init_image"):
        response = client.get(f"{urls['self']}/{part}")
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


def test_a_style_mask_becomes_the_alpha_of_its_style(submit: Submit, services: Services) -> None:
    half = Image.new("L", (192, 128))
    half.paste(255, (96, 0, 192, 128))
    response = submit(style=[PHOTO, STYLE], style_mask=[WHITE, encode(half, "PNG")])
    whole, masked = (_pixels(services, sha256) for sha256 in request_of(services, response.get_json()).styles)
    assert whole.mode == "RGB"
    assert masked.mode == "RGBA"
    alpha = np.asarray(masked.getchannel("A"))
    assert alpha[:, :46].max() == 0
    assert alpha[:, 50:].min() == 255


def test_transparent_parts_of_a_style_are_not_used(submit: Submit, services: Services) -> None:
    style = Image.open(io.BytesIO(STYLE)).convert("RGBA")
    style.putalpha(Image.linear_gradient("L").resize(style.size))
    response = submit(style=encode(style, "PNG"))
    [sha256] = request_of(services, response.get_json()).styles
    np.testing.assert_array_equal(_pixels(services, sha256).getchannel("A"), style.getchannel("A"))


@pytest.mark.parametrize(
    ("masks", "number", "words"),
    [
        ([WHITE], None, "1 style masks for 2 styles"),
        ([WHITE, image_file((0, 0, 0))], 1, "Less than 1% of the style image is used"),
        ([WHITE, encode(Image.new("L", (300, 100), 255), "PNG")], 1, "the style image"),
    ],
)
def test_a_style_mask_that_cannot_be_used_is_refused(
    submit: Submit, masks: list[bytes], number: int | None, words: str
) -> None:
    response = submit(style=[STYLE, STYLE], style_mask=masks)
    problem = response.get_json()
    assert response.status_code == 422
    assert words in problem["detail"]
    assert problem["field"] == "style_mask"
    assert problem.get("number") == number


def _pixels(services: Services, sha256: str) -> Image.Image:
    return Image.open(io.BytesIO(services.blobs.get(keys.input_image(sha256))))
