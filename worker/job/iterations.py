"""Saved iterations: the images of every n-th step, at full size."""

from functools import partial

from shared.imaging.transparency import Alpha, encode_rendered_png
from worker.job.session import JobSession
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable


class IterationSaver:
    """Saves the iterates that the job's recipe asks for, in the loop's thread."""

    def __init__(self, session: JobSession, retry: RetryUntilAvailable) -> None:
        self._session, self._retry = session, retry
        self.saved = session.job.iterations

    def save_if_due(self, iterate: Iterate, alpha: Alpha | None) -> None:
        """Save the image as the result would be, with its photo's alpha, and name it in the record.

        Raises ClaimLost, Unavailable.

        Call it before a checkpoint of this step can exist: a claim that resumes there does not see the step again.
        """
        session, job, step = self._session, self._session.job, iterate.step
        recipe = job.request.recipe
        if not recipe.saves(step):
            return
        png = encode_rendered_png(iterate.image, alpha, recipe.bit_depth)
        saved = self.saved.with_image(step, png)
        self._retry(partial(session.blobs.put, saved.key(job.id, step), png, content_type="image/png"))
        self._retry(partial(session.renew, iterations=saved))
        self.saved = saved
