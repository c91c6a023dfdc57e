"""The saved iterations of a job: the images of every n-th step at full size (`save_every` in the recipe). No I/O."""

import hashlib
from typing import Final, Self

from pydantic import ConfigDict, Field, RootModel

from shared.storage import keys

_DIGEST_LENGTH: Final = 16  # of 64: it tells images of one step of one job apart


class SavedIterations(RootModel[dict[int, str]]):
    """The digest of each image by step, a field of the job's record: only images named there are visible.

    An image is named before there is a checkpoint of its step or a later one, so a claim that resumes misses none.
    """

    model_config = ConfigDict(frozen=True)

    root: dict[int, str] = Field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        """The steps, in order."""
        return sorted(self.root)

    def key(self, job_id: str, step: int) -> str:
        """Return the key of the image. Raises KeyError if the step is not in `steps`."""
        return keys.iteration(job_id, step, self.root[step])

    def with_image(self, step: int, png: bytes) -> Self:
        """Return these and one more, which replaces an earlier one of the same step."""
        return type(self)({**self.root, step: hashlib.sha256(png).hexdigest()[:_DIGEST_LENGTH]})
