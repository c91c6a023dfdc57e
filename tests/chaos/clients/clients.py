"""Simulated clients of several tenants over real HTTP.

They retry submissions until 202, send control requests, poll their jobs, and ask for jobs of other tenants.
"""

import hashlib
import heapq
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from chaos.clients.receiver import Receiver
from chaos.clients.requests import JobRequest
from chaos.stack.api import CRASH_AT

_TERMINAL: Final = frozenset({"succeeded", "failed", "canceled"})
_TEMPORARY: Final = frozenset({429, 503})
_PATIENT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2
_POLL_SECONDS: Final = 0.5
_PAGE: Final = 60
_SINGLE_POLLS: Final = 6  # of jobs that are not on the page, in one round


@dataclass
class AcceptedJob:
    """A job that the API accepted (202), as its client sees it."""

    id: str
    request: JobRequest
    at: float
    states: list[str] = field(default_factory=list)  # each state seen, in order
    step: int = 0  # the last one seen
    result_digest: str | None = None  # sha256 of the result, once downloaded
    repeated_id: str | None = None  # the id in the response to the repeated submission
    not_found: bool = False  # the last poll returned 404

    @property
    def ended(self) -> bool:
        """Whether the last state seen is terminal."""
        return bool(self.states) and self.states[-1] in _TERMINAL


class Clients:
    """All clients of one run. Safe to use from many threads."""

    def __init__(self, url: str, api_keys: Mapping[str, str], receiver: Receiver) -> None:
        self.receiver = receiver
        self._api_keys = api_keys  # by tenant
        self.accepted: dict[str, AcceptedJob] = {}
        self.foreign_jobs: list[str] = []  # a message for each job of another tenant that was seen
        self.last_progress_at = 0.0  # when a job was last seen to do a step or to end, by time.monotonic
        self._http = httpx2.Client(base_url=url, timeout=8.0, trust_env=False)
        self._stopping = threading.Event()
        self._planned_controls: list[tuple[float, str, str]] = []  # when, "cancel" or "finish", job id
        self._threads = [threading.Thread(target=loop, daemon=True) for loop in (self._poll, self._send_controls)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop polling and close all connections."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._http.close()

    def send(self, request: JobRequest, *, crash_at: int | None = None) -> AcceptedJob | None:
        """Submit until it is accepted; return None if the clients are stopped first.

        With `crash_at` the first attempt makes the API crash at that point of the submission.
        """
        response = self._until_accepted(lambda crash: self._submit(request, crash), crash_at)
        return self._accept(request, str(response.json()["id"])) if response else None

    def send_batch(self, requests: Sequence[JobRequest], *, crash_at: int | None = None) -> list[AcceptedJob] | None:
        """Submit as one batch until it is accepted, as `send` does."""
        first = requests[0]
        body = {"jobs": [request.json_fields(self.receiver.url(request.tenant)) for request in requests]}

        def submit(crash: Mapping[str, str]) -> httpx2.Response | None:
            headers = {"Idempotency-Key": first.key, **crash}
            return self._request("POST", "/v1/batches", first.tenant, headers=headers, json=body)

        response = self._until_accepted(submit, crash_at)
        ids = response.json()["jobs"] if response else []
        return [self._accept(request, job_id) for request, job_id in zip(requests, ids, strict=True)] if ids else None

    def try_once(self, request: JobRequest) -> str | None:
        """Submit once and return the error code; None if it was accepted (and recorded) or there was no response."""
        response = self._submit(request)
        if response is not None and response.status_code == httpx2.codes.ACCEPTED:
            self._accept(request, str(response.json()["id"]))
            return None
        return str(response.json()["code"]) if response is not None else None

    def unfinished(self) -> list[AcceptedJob]:
        """Return the jobs that were not seen to end."""
        return [job for job in list(self.accepted.values()) if not job.ended and not job.not_found]

    def undelivered(self) -> list[AcceptedJob]:
        """Return the jobs that were seen to end, and whose webhook does not know it yet."""
        acknowledged = self.receiver.acknowledged()
        ended = [job for job in list(self.accepted.values()) if job.ended]
        return [job for job in ended if (job.id, f"job.{job.states[-1]}") not in acknowledged]

    def _until_accepted(
        self, submit: Callable[[Mapping[str, str]], httpx2.Response | None], crash_at: int | None
    ) -> httpx2.Response | None:
        """Return the 202; None if the clients are stopped first."""
        response = submit({CRASH_AT: str(crash_at)} if crash_at is not None else {})
        while not self._stopping.is_set():
            if response is not None and response.status_code == httpx2.codes.ACCEPTED:
                return response
            if response is not None and response.status_code == httpx2.codes.UNPROCESSABLE_ENTITY:
                raise AssertionError(response.text)  # it would be refused again and again
            self._stopping.wait(_PAUSE_SECONDS)
            response = submit({})
        return None

    def _accept(self, request: JobRequest, job_id: str) -> AcceptedJob:
        if job_id in self.accepted:
            return self.accepted[job_id]
        job = self.accepted[job_id] = AcceptedJob(job_id, request, time.time())
        if request.behavior == "submit_twice":
            self._repeat(job)
        elif request.behavior != "wait" and request.delay_seconds < _PATIENT_SECONDS:
            heapq.heappush(self._planned_controls, (time.time() + request.delay_seconds, request.behavior, job_id))
        return job

    def _repeat(self, job: AcceptedJob) -> None:
        response = self._submit(job.request)
        if response is not None and response.status_code == httpx2.codes.ACCEPTED:
            job.repeated_id = str(response.json()["id"])

    def _send_controls(self) -> None:
        while not self._stopping.wait(_PAUSE_SECONDS):
            due = []
            while self._planned_controls and self._planned_controls[0][0] <= time.time():
                due.append(heapq.heappop(self._planned_controls))
            for at, control, job_id in due:
                if not self._send_control(job_id, control):
                    heapq.heappush(self._planned_controls, (at, control, job_id))

    def _send_control(self, job_id: str, control: str) -> bool:
        """Return whether the response is final."""
        response = self._request("POST", f"/v1/jobs/{job_id}/{control}", self.accepted[job_id].request.tenant)
        if response is None or response.status_code in _TEMPORARY:
            return False
        return bool(response.json().get("code") != "not_ready")

    def _poll(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            for tenant in self._api_keys:
                self._poll_jobs_of(tenant)
            self._look_at_a_foreign_job()

    def _poll_jobs_of(self, tenant: str) -> None:
        page = self._get(f"/v1/jobs?limit={_PAGE}", tenant)
        if page is None:
            return
        views = {view["id"]: view for view in page.json()["jobs"]}
        own = [job for job in self.unfinished() if job.request.tenant == tenant]
        for job in [job for job in own if job.id not in views][:_SINGLE_POLLS]:
            response = self._request("GET", f"/v1/jobs/{job.id}", tenant)
            job.not_found = response is not None and response.status_code == httpx2.codes.NOT_FOUND
            if response is not None and response.is_success:
                views[job.id] = response.json()
        for job_id, view in views.items():
            accepted = self.accepted.get(job_id)
            if accepted and accepted.request.tenant != tenant:
                self.foreign_jobs.append(f"the list of {tenant} had {job_id} of {accepted.request.tenant}")
            elif accepted:
                self._update(accepted, view)

    def _look_at_a_foreign_job(self) -> None:
        """Ask for the newest job with the key of another tenant."""
        for job in list(self.accepted.values())[-1:]:
            stranger = next(tenant for tenant in self._api_keys if tenant != job.request.tenant)
            if self._get(f"/v1/jobs/{job.id}", stranger):
                self.foreign_jobs.append(f"{stranger} could read {job.id} of {job.request.tenant}")

    def _update(self, job: AcceptedJob, view: dict[str, Any]) -> None:
        step = view["progress"]["current"]
        if (step, view["state"]) != (job.step, *job.states[-1:]):
            job.step, self.last_progress_at = step, time.monotonic()
        if job.states[-1:] != [view["state"]]:
            job.states.append(view["state"])
            self._plan_control(job)
        if job.result_digest is None and view["state"] == "succeeded":
            result = self._get(f"/v1/jobs/{job.id}/result?metadata=false", job.request.tenant)
            job.result_digest = hashlib.sha256(result.content).hexdigest() if result else None

    def _plan_control(self, job: AcceptedJob) -> None:
        """Patient clients send their control request as soon as they see their job run."""
        request = job.request
        patient = request.behavior in {"cancel", "finish"} and request.delay_seconds >= _PATIENT_SECONDS
        if patient and job.states.count("running") == 1:
            heapq.heappush(self._planned_controls, (time.time(), request.behavior, job.id))

    def _submit(self, request: JobRequest, crash: Mapping[str, str] | None = None) -> httpx2.Response | None:
        headers, form = (
            {"Idempotency-Key": request.key, **(crash or {})},
            request.form(self.receiver.url(request.tenant)),
        )
        return self._request("POST", "/v1/jobs", request.tenant, headers=headers, **form)

    def _get(self, path: str, tenant: str) -> httpx2.Response | None:
        response = self._request("GET", path, tenant)
        return response if response is not None and response.is_success else None

    def _request(
        self, method: str, path: str, tenant: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> httpx2.Response | None:
        """Return the response; None if there is none."""
        authorization = {"Authorization": f"Bearer {self._api_keys[tenant]}"}
        try:
            return self._http.request(method, path, headers={**authorization, **(headers or {})}, **options)
        except httpx2.HTTPError:
            return None
