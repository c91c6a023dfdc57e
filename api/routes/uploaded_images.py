"""`/v1/images`: images that are uploaded once, and that quotes and jobs refer to."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from flask import Blueprint, Response, g

from api.context import Context
from api.http.multipart import parse_image
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response, to_datetime
from api.http.submission_openapi import FILE, IMAGE_TYPES
from api.routes.audit import audit
from easel.models import UploadedImage
from shared import errors
from shared.inputs.input_images import InputImage, positioned
from shared.inputs.reader import InputReader, StoringReader
from shared.inputs.sources import ImageId
from shared.inputs.uploaded import UploadedImages

routes = Blueprint("uploaded_images", __name__)

_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "additionalProperties": False,
                "properties": {"image": FILE | {"description": "As for the parts of a job."}},
            },
            "encoding": {"image": {"contentType": IMAGE_TYPES}},
        }
    },
}


@routes.post("/v1/images")
@operation(
    ResponseDoc(201, "The image is stored.", UploadedImage),
    body=_BODY,
    errors=(
        *(errors.MissingImage, errors.TooManyImages, errors.NotAnImage, errors.BrokenImage, errors.AnimatedImage),
        *(errors.ImageTooSlow, errors.ImageTooLarge, errors.ImageTooSmall),
        *(errors.BodyTooLarge, errors.UnsupportedMediaType, errors.ServerBusy, errors.StorageQuotaExceeded),
    ),
)
def post_image() -> Response:
    """Upload an image once.

    It is decoded and stored like an image of a job. The ID in the response takes the place of a file in quotes and
    jobs of the same tenant, in any role. EASEL_IMAGE_SECONDS (a day) after its last use the ID becomes unknown; jobs
    keep the image.
    """
    context, tenant = Context.current(), g.caller.tenant
    stored_bytes, limit = context.services.stored_bytes, context.quotas.get(tenant).stored_bytes
    stored_bytes.check(tenant, limit)
    with positioned(field="image"):
        image = input_reader(context).read_image(parse_image())
    if limit:
        stored_bytes.add_inputs(tenant, context.services.blobs, [image])
    record = uploaded_images(context).add(image)
    return json_response(
        UploadedImage(
            id=str(ImageId(image.sha256)),
            width=image.width,
            height=image.height,
            bit_depth=image.bit_depth,
            expires_at=to_datetime(record.expires_at),
        ),
        201,
    )


@routes.delete("/v1/images/<image_id>")
@operation(ResponseDoc(204, "Deleted."), errors=(errors.ImageNotFound,))
def delete_image(image_id: str) -> Response:
    """Delete an uploaded image: its ID becomes unknown.

    Jobs keep the image, and while there is one, it counts for the quota of stored bytes. Otherwise it no longer counts
    after up to ten minutes, and is gone after a day.
    """
    image = ImageId.parse(image_id)
    if image is None:
        raise errors.ImageNotFound("The ID of an uploaded image is sha256: and 64 hexadecimal digits in lower case.")
    uploaded_images(Context.current()).delete(image)
    audit("image.deleted", image=image_id)
    return Response(status=204)


def input_reader(context: Context) -> InputReader:
    """Return the reader of the caller's images."""
    return InputReader(context.decoder, uploaded_images(context), g.caller.name)


def storing_reader(context: Context, store: Callable[[Sequence[InputImage]], None]) -> StoringReader:
    """Return a reader of the caller's images for one batch."""
    return StoringReader(context.decoder, uploaded_images(context), g.caller.name, store)


def uploaded_images(context: Context) -> UploadedImages:
    """Return the uploaded images of the caller's tenant."""
    return UploadedImages(context.services.blobs, g.caller.tenant, context.settings.image_seconds)
