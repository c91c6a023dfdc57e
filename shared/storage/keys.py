"""Where everything lies in the blob store. Readers go through the record, never through a listing."""


def input_image(sha256: str) -> str:
    """A content or style image, shared between jobs: canonical PNG, upright, sRGB."""
    return f"inputs/{sha256}"


def request(job_id: str) -> str:
    """shared.jobs.job.Request, written once, before the record exists."""
    return f"jobs/{job_id}/request.json"


def requested(job_id: str) -> str:
    """A cancel or finish, written before its flag: the wish survives the loss of Redis."""
    return f"jobs/{job_id}/requested.json"


def final(job_id: str) -> str:
    """The terminal state and its result's key: the end survives the loss of Redis."""
    return f"jobs/{job_id}/final.json"


def checkpoints(job_id: str) -> str:
    """The prefix of a job's checkpoints."""
    return f"jobs/{job_id}/checkpoints/"


def checkpoint(job_id: str, token: str, step: int) -> str:
    """The optimisation's whole state after `step` evaluations."""
    return f"{checkpoints(job_id)}{token}-{step:06d}"


def step_of(checkpoint_key: str | None) -> int:
    """Evaluations that were done when it was taken; -1 of none."""
    return int(checkpoint_key.rpartition("-")[2]) if checkpoint_key else -1


def claims(job_id: str) -> str:
    """The prefix of what holders leave for the case that Redis does not hear them."""
    return f"jobs/{job_id}/claims/"


def verdict(job_id: str, epoch: int, token: str) -> str:
    """How the holder of this claim is about to end the job; counts where Redis forgot whether it did."""
    return f"{claims(job_id)}{epoch:06d}-{token}.verdict.json"


def parting(job_id: str, token: str) -> str:
    """The checkpoint of a worker that had to leave while Redis was away."""
    return f"{claims(job_id)}{token}.parting.json"


def preview(job_id: str, token: str, step: int) -> str:
    """A small JPEG of the picture after `step` evaluations."""
    return f"jobs/{job_id}/previews/{token}-{step:06d}.jpg"


def results(job_id: str) -> str:
    """The prefix of a job's results, of which the record names one at most."""
    return f"jobs/{job_id}/results/"


def result(job_id: str, token: str) -> str:
    """The final picture, PNG. Its provenance lies beside it with `.json` for `.png`."""
    return f"{results(job_id)}{token}.png"


def provenance(result_key: str) -> str:
    """The provenance that belongs to a result."""
    return result_key.removesuffix(".png") + ".json"


def everything(job_id: str) -> str:
    """The prefix under which a job keeps all but its inputs."""
    return f"jobs/{job_id}/"
