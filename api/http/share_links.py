"""Signed links to a job's pictures, which need no key: `/v1/shared/<job>/<picture>?expires=...&signature=...`.

The signature is an HMAC over path, expiry and the prefix of the key that made the link (`Caller.signing_key`). It is
in the query, which is not logged. A link names no tenant: it is the key's, and must be the job's.
"""

import base64
import hmac
import time
from urllib.parse import urlencode

from flask import g

from api.context import Context, parse_job_id
from api.http.auth import keys_required
from api.http.callers import Caller
from shared.errors import InvalidShareLink, JobNotFound, ShareLinkExpired
from shared.jobs.job import Job

Parameters = dict[str, str | int]


def share_path(job: Job, picture: str, expires: int) -> str:
    """Return path and query of a link to a picture of the caller's job. Raises LedgerUnavailable, LedgerReadOnly."""
    salt = Context.current().services.signing_secret.get()
    parameters: Parameters = {"expires": expires}
    if g.caller.key_prefix:
        parameters["key"] = g.caller.key_prefix
    parameters["signature"] = _signature(job.id, picture, parameters, g.caller, salt)
    return f"{_path(job.id, picture)}?{urlencode(parameters)}"


def find_shared_job(job_id: str, picture: str, *, expires: int, key: str | None, signature: str) -> Job:
    """Return the job of a link. Raises InvalidShareLink, ShareLinkExpired; errors of `SigningSecret`."""
    context, job_id = Context.current(), parse_job_id(job_id)
    parameters: Parameters = {"expires": expires} | ({"key": key} if key is not None else {})
    salt = context.services.signing_secret.get()
    signers = [
        caller
        for caller in _possible_signers(context, key)
        if hmac.compare_digest(_signature(job_id, picture, parameters, caller, salt).encode(), signature.encode())
    ]
    if not signers:
        raise InvalidShareLink
    if time.time() >= expires:
        raise ShareLinkExpired
    try:
        job = context.services.ledger.get(job_id)
    except JobNotFound as error:
        raise InvalidShareLink from error
    if job.tenant != signers[0].tenant:
        raise InvalidShareLink
    return job


def _possible_signers(context: Context, key: str | None) -> list[Caller]:
    if key is None and not keys_required(context):
        return [Caller("without keys")]
    return context.callers.possible_signers(key)


def _signature(job_id: str, picture: str, parameters: Parameters, caller: Caller, salt: bytes) -> str:
    signed = f"{_path(job_id, picture)}?{urlencode(parameters)}"
    digest = hmac.digest(caller.signing_key(salt, "share link"), signed.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _path(job_id: str, picture: str) -> str:
    return f"/v1/shared/{job_id}/{picture}"
