"""A batch of submissions as JSON: its schema, its jobs in the current request, and errors that name a job."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.http.submission import SubmissionParts
from api.http.submission_json import JobFields, decode_file, parse_body, recipe_object, to_parts
from shared.errors import BadInput, BodyTooLarge, InvalidRecipe, NotFound, NotReady, TooManyImages, WrongState
from shared.inputs.reader import MAX_DECODED

MAX_JOBS: Final = 200
_MAX_COMMON_TEXT: Final = 16 * 1024  # as JSON; each job has a copy
_LISTS: Final = {"style": "styles", "style_mask": "style_masks", "content_mask": "content_masks"}
_PHOTO: Final = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_STYLE: Final = "https://example.com/wave.jpg"
_EXAMPLE: Final[dict[str, JsonValue]] = {
    "defaults": {"content": _PHOTO, "styles": [_STYLE], "recipe": {"preset": "fast", "size": 384}},
    "jobs": [{}, {"recipe": "gentle"}, {"styles": [_PHOTO]}],
}


class BatchSubmission(BaseModel):
    """A batch as JSON. Each job has the fields of `defaults` that it does not set itself."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [_EXAMPLE], "required": ["jobs"]}
    )

    defaults: JobFields = Field(
        default_factory=JobFields,
        description="What all jobs have in common. A job's `recipe` and `metadata` add to these.",
    )
    jobs: Annotated[list[JobFields], Field(min_length=1, max_length=MAX_JOBS)] = Field(
        description="Each is a job, with what it does not have in common."
    )


def parse_batch() -> list[SubmissionParts]:
    """Return the parts of each job in the body. Raises BodyTooLarge, MalformedRequest, TooManyImages, MissingImage."""
    return parse_body(BatchSubmission, _jobs)


@contextmanager
def naming_job(number: int) -> Iterator[None]:
    """Have errors say which job of the batch they are about, as in `jobs[3].recipe.size`."""
    try:
        yield
    except (BadInput, NotFound, NotReady, WrongState) as error:
        name, field = f"jobs[{number}]", error.extra.get("field")
        if field:
            index = f"[{error.extra.get('number', 0)}]" if field in _LISTS else ""
            error.detail = f"{name}.{_LISTS.get(field, field)}{index}: {error.detail}"
        else:
            error.detail = f"{name}: {error.detail}"
        parent = f"{name}.recipe" if isinstance(error, InvalidRecipe) else name
        error.extra["job"] = number
        if problems := error.extra.get("errors"):
            error.extra["errors"] = [{**one, "field": f"{parent}.{one['field']}"} for one in problems]
        raise


@dataclass(eq=False)
class _File:
    """A file that several jobs may have."""

    file: IO[bytes]

    def read(self) -> bytes:
        """Return the whole file."""
        self.file.seek(0)
        return self.file.read()


def _jobs(batch: BatchSubmission) -> list[SubmissionParts]:
    files, common = dict[str, _File](), _common_fields(batch.defaults)

    def open_file(text: str) -> _File:
        if text not in files:
            if len(files) >= MAX_DECODED:
                raise TooManyImages(f"A batch has at most {MAX_DECODED} files. Upload images with POST /v1/images.")
            files[text] = _File(decode_file(text))
        return files[text]

    def parts(number: int, job: JobFields) -> SubmissionParts:
        with naming_job(number):
            return to_parts(_merge(common, job), open_file)

    return [parts(number, job) for number, job in enumerate(batch.jobs)]


def _common_fields(defaults: JobFields) -> dict[str, Any]:
    """Return the fields that all jobs have, whose texts are merged with those of each. Raises BodyTooLarge."""
    common = _sent(defaults)
    for name in ("recipe", "metadata"):
        if len(json.dumps(common.get(name), ensure_ascii=False)) > _MAX_COMMON_TEXT:
            raise BodyTooLarge(f"defaults.{name} has more than {_MAX_COMMON_TEXT:,} characters.")
    return common


def _merge(common: dict[str, Any], job: JobFields) -> JobFields:
    own = _sent(job)
    for name in ("recipe", "metadata"):
        if isinstance(common.get(name), dict) and isinstance(own.get(name), dict):
            own[name] = common[name] | own[name]
    return JobFields.model_construct(**{**common, **own})


def _sent(job: JobFields) -> dict[str, Any]:
    fields = {name: getattr(job, name) for name in job.model_fields_set}
    return fields | ({"recipe": recipe_object(fields["recipe"])} if "recipe" in fields else {})
