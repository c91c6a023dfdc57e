"""Quotes: what a job would take, before it is submitted."""

from functools import partial

from api.context import Context
from api.eta.forecast import Forecast
from easel.models import JobState, Quote, SizeQuote
from shared.jobs.admission import admit
from shared.jobs.estimate import peak_memory, result_size
from shared.jobs.job import Job, JobRequest
from shared.ledger.queue_stats import WorkerInfo
from shared.presets import SIZES, with_size


def quote(context: Context, request: JobRequest) -> Quote:
    """Return the time and memory of a job, also at the usual sizes."""
    job, forecast, stats = Job.new(request), context.eta.get(), context.services.queue_stats
    run_seconds, workers = forecast.run_time(job), stats.workers()
    width, height = result_size(request.recipe, request.width, request.height)
    admission = admit(request, workers)
    return Quote(
        peak_memory_bytes=request.peak_memory_bytes,
        peak_gpu_memory_bytes=request.peak_gpu_memory_bytes,
        width=width,
        height=height,
        seconds=run_seconds.p50,
        run_seconds=run_seconds,
        eta_seconds=forecast.eta_if_submitted(job),
        queue_depth=stats.depth(request.tier),
        running_jobs=stats.count(JobState.RUNNING),
        memory_kind=admission.kind,
        fits=admission.fits,
        fitting_size=admission.fitting_size,
        tier=request.tier,
        recipe=request.recipe.model_dump(mode="json"),
        sizes={name: _at_size(request, size, forecast, workers) for name, size in SIZES.items()},
    )


def _at_size(request: JobRequest, size: int, forecast: Forecast, workers: list[WorkerInfo]) -> SizeQuote:
    recipe = with_size(request.recipe, size)
    shape = recipe, request.width, request.height, request.style_pixels
    memory = partial(peak_memory, *shape, masks=len(request.content_masks))
    peaks = {"peak_memory_bytes": memory(), "peak_gpu_memory_bytes": memory(kind="gpu")}
    resized = request.model_copy(update={"recipe": recipe, **peaks})
    return SizeQuote(size=size, seconds=forecast.run_time(Job.new(resized)).p50, fits=admit(resized, workers).fits)
