"""Keys of all blobs. Readers follow the keys in a job's record; only maintenance lists the store."""

from typing import Final

LEDGER_IDENTITY: Final = "ledger.json"
"""The ID of the ledger that this blob store belongs to."""
API_KEYS_PREFIX: Final = "keys/"
"""The prefix of the keys of tenants."""
TENANTS_PREFIX: Final = "tenants/"
"""The prefix of what was set for tenants."""
IMAGES_PREFIX: Final = "images/"
"""The prefix of the records of uploaded images."""
BATCHES_PREFIX: Final = "batches/"
"""The prefix of what batches store."""


def api_key(prefix: str) -> str:
    """Return the key of the shared.tenants.keys.StoredKey with this prefix."""
    return f"{API_KEYS_PREFIX}{prefix}.json"


def tenant(name: str) -> str:
    """Return the key of the shared.tenants.quotas.Quotas that were set for a tenant."""
    return f"{TENANTS_PREFIX}{name}.json"


def webhook_secrets(tenant: str) -> str:
    """Return the key of what shared.tenants.webhook_secrets stores of a tenant that rotated its secret."""
    return f"webhook_secrets/{tenant}.json"


def input_image(sha256: str) -> str:
    """Return the key of an image, shared between jobs: canonical PNG, upright, sRGB or Display P3.

    It may have alpha.
    """
    return f"inputs/{sha256}"


def image(tenant: str, sha256: str) -> str:
    """Return the key of the shared.inputs.uploaded.ImageRecord of an image that a tenant uploaded."""
    return f"{IMAGES_PREFIX}{tenant}/{sha256}.json"


def image_of(key: str) -> str:
    """Return the key of the pixels that such a record is about."""
    return input_image(key.rpartition("/")[2].removesuffix(".json"))


def tenant_of_image(key: str) -> str:
    """Return the tenant that such a record belongs to."""
    return key.split("/")[1]


def batch_prefix(batch_id: str) -> str:
    """Return the prefix of everything a batch stores, besides its jobs."""
    return f"{BATCHES_PREFIX}{batch_id}/"


def batch(batch_id: str) -> str:
    """Return the key of the IDs of a batch's jobs, written after their requests, before their records exist."""
    return f"{batch_prefix(batch_id)}batch.json"


def contact_sheets_prefix(batch_id: str) -> str:
    """Return the prefix of a batch's contact sheets, of which all but the newest are out of date."""
    return f"{batch_prefix(batch_id)}contact-sheets/"


def contact_sheet(batch_id: str, digest: str) -> str:
    """Return the key of a contact sheet, a PNG. `digest` is of the results that it shows."""
    return f"{contact_sheets_prefix(batch_id)}{digest}.png"


def contact_sheet_attempts(sheet_key: str) -> str:
    """Return the key of the shared.jobs.batch.SheetAttempts at a contact sheet, which has none once it is made."""
    return sheet_key.removesuffix(".png") + ".json"


def job_prefix(job_id: str) -> str:
    """Return the prefix of everything a job stores, except its inputs."""
    return f"jobs/{job_id}/"


def request(job_id: str) -> str:
    """Return the key of the shared.jobs.job.JobRequest, written once, before the record exists."""
    return f"jobs/{job_id}/request.json"


def fetched_inputs(job_id: str) -> str:
    """Return the key of the complete shared.jobs.job.JobRequest of a job whose images were fetched from URLs."""
    return f"jobs/{job_id}/inputs.json"


def control_request(job_id: str) -> str:
    """Return the key of a cancel or finish request, written before its flag so that it survives the loss of Redis."""
    return f"jobs/{job_id}/control_request.json"


def final(job_id: str) -> str:
    """Return the key of the final record, which survives the loss of Redis."""
    return f"jobs/{job_id}/final.json"


def checkpoints_prefix(job_id: str) -> str:
    """Return the prefix of a job's checkpoints."""
    return f"jobs/{job_id}/checkpoints/"


def checkpoint(job_id: str, token: str, step: int) -> str:
    """Return the key of the optimizer's full state after `step` evaluations."""
    return f"{checkpoints_prefix(job_id)}{token}-{step:06d}"


def checkpoint_step(key: str | None) -> int:
    """Return the number of evaluations done at a checkpoint; -1 for None."""
    return int(key.rpartition("-")[2]) if key else -1


def claims_prefix(job_id: str) -> str:
    """Return the prefix of what the holders of claims leave in case Redis is lost or unavailable."""
    return f"jobs/{job_id}/claims/"


def pending_outcome(job_id: str, claims: int, token: str) -> str:
    """Return the key of the outcome that a claim's holder is about to record.

    Used by a rebuild, which cannot see in Redis whether it was recorded.
    """
    return f"{claims_prefix(job_id)}{claims:06d}-{token}.outcome.json"


def is_pending_outcome(key: str) -> bool:
    """Return whether a key under `claims_prefix` is that of a pending outcome."""
    return key.endswith(".outcome.json")


def handoff_note(job_id: str, token: str) -> str:
    """Return the key of a note that names the last checkpoint of a worker that stopped while Redis was unavailable."""
    return f"{claims_prefix(job_id)}{token}.handoff.json"


def preview(job_id: str, token: str, step: int) -> str:
    """Return the key of a small JPEG of the image after `step` evaluations."""
    return f"jobs/{job_id}/previews/{token}-{step:06d}.jpg"


def iterations_prefix(job_id: str) -> str:
    """Return the prefix of a job's saved iterations."""
    return f"jobs/{job_id}/iterations/"


def iteration(job_id: str, step: int, digest: str) -> str:
    """Return the key of the image after `step` steps, a PNG at full size.

    `digest` is of the image, in place of a claim's token: a claim that repeats a step writes the same bytes under the
    same key, and one that lost its job cannot replace the image, even if it renders another one.
    """
    return f"{iterations_prefix(job_id)}{step:06d}-{digest}.png"


def parse_iteration(key: str) -> tuple[int, str]:
    """Return step and digest of a saved iteration."""
    step, _, digest = key.rpartition("/")[2].removesuffix(".png").partition("-")
    return int(step), digest


def results_prefix(job_id: str) -> str:
    """Return the prefix of a job's results, of which the record names at most one."""
    return f"jobs/{job_id}/results/"


def result(job_id: str, token: str) -> str:
    """Return the key of the result, a PNG."""
    return f"{results_prefix(job_id)}{token}.png"


def provenance(result_key: str) -> str:
    """Return the key of a result's provenance, next to it with suffix `.json`."""
    return result_key.removesuffix(".png") + ".json"
