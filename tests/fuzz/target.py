"""The app that is fuzzed, and what must hold for each response and at the end."""

import gc
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from flask import Response, request
from pydantic import SecretStr
from support.fixtures.api import add_preview, claim, submit_job, succeed
from support.retention import age_blobs, redis_client, run_garbage_collection, stored_blobs
from werkzeug.test import run_wsgi_app

from api.app import create_app
from api.http.openapi import document, error_classes
from fuzz.requests import FuzzRequest, Known, generate
from shared.errors import EaselError
from shared.services import ensure_paired, open_services
from shared.settings import Settings
from shared.storage import keys

KEY: Final = "the-key-of-the-fuzz-run"
_QUEUE_LIMIT: Final = 40
_IMAGES: Final = 20
_PROBLEM: Final = "application/problem+json"
_OF_UNKNOWN_URLS: Final = {"not_found", "method_not_allowed", "unauthorized", "malformed_request"}


@dataclass
class Fuzzer:
    """Sends generated requests, and collects what is wrong."""

    settings: Settings
    seed: int
    findings: list[str] = field(default_factory=list)
    responses: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        changes = {"queue_limit": _QUEUE_LIMIT, "api_keys": (SecretStr(KEY),), "max_body_bytes": 400_000}
        self.services = open_services(self.settings.model_copy(update=changes))
        ensure_paired(self.services)
        self.app = create_app(self.services.settings, self.services)
        self.app.extensions["easel"].stopping.set()  # streams and long polls end at once
        self.client = self.app.test_client()
        self.client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
        self.known = Known()
        self._statuses = {kind.code: kind.status for kind in error_classes()}
        self._documented = dict(_documented_codes(document(self.app)))
        self._rule = ""
        self.app.after_request(self._note_rule)
        for _ in range(3):
            self._add_finished_job()

    def send(self, number: int) -> None:
        """Send the request with this number, and check its response."""
        random = Random(f"{self.seed} {number}")  # noqa: S311 - repeatable
        if number % 50 == 0:
            self._make_room()
        sent = generate(random, self.known)
        self._rule = ""
        body, status, headers = run_wsgi_app(self.app, sent.environ(KEY), buffered=True)
        text, code = b"".join(body), int(status.split()[0])
        problem = self._problem(sent, code, text, headers)
        self.responses[f"{code} {problem.get('code', '')}".strip()] += 1
        if problem.get("wrong"):
            self._report(f"request {number}: {problem['wrong']}: {sent!r:.700} -> {code} {text[:300]!r}")
        if sent.path == "/v1/jobs" and code == 202 and not headers.get("Idempotency-Replayed"):
            self.known.jobs.append(json.loads(text)["id"])
        if sent.path == "/v1/images" and code == 201 and len(self.known.images) < _IMAGES:
            self.known.images.append(json.loads(text)["id"])
        if sent.method == "DELETE" and code == 204 and sent.path.startswith("/v1/jobs/"):
            self.known.jobs.remove(sent.path.rpartition("/")[2].lower())

    def close(self) -> list[str]:
        """Delete all jobs, and return what is left of them in Redis and the store."""
        created = set(self.known.jobs)
        listed = {job.id for job in self.services.ledger.list(limit=10_000)}
        wrong = [f"{job_id} is only in the ledger" for job_id in listed - created]
        wrong += [f"{job_id} is not in the ledger" for job_id in created - listed]
        self._delete(self.known.jobs)
        client = redis_client(self.services)
        patterns = ("easel:job:*", "easel:events:*", "easel:previews:*", "easel:deliveries:*", "easel:queue:*")
        wrong += [f"{key} is left in Redis" for pattern in patterns for key in client.scan_iter(pattern)]
        for blob in [*self.services.blobs.list(keys.IMAGES_PREFIX)]:
            self.services.blobs.delete(blob.key)  # they would expire after a day
        age_blobs(self.services)
        run_garbage_collection(self.services)
        left = [key for prefix in ("jobs/", "inputs/") for key in stored_blobs(self.services, prefix)]
        return wrong + [f"{key} is left in the store" for key in left]

    def _problem(self, sent: FuzzRequest, status: int, body: bytes, headers: Any) -> dict[str, Any]:
        """Return the problem in the response, with what is `wrong` with it."""
        if any("\r" in value or "\n" in value for value in headers.values()):
            return {"wrong": "a header has several lines"}
        if status < 400:
            return {}
        if sent.method == "HEAD":
            return {"wrong": "an undeclared 5xx"} if status >= 500 else {}
        if headers.get("Content-Type") != _PROBLEM:
            page = headers.get("Content-Type", "").startswith("text/html") and status == 404
            return {} if page else {"wrong": "the error is no problem document"}
        problem: dict[str, Any] = json.loads(body)
        code = problem["code"]
        known = self._documented.get(self._rule, _OF_UNKNOWN_URLS)
        if self._statuses.get(code) != status:
            problem["wrong"] = "the code is not documented with this status"
        elif code not in known or code == EaselError.code:
            problem["wrong"] = f"{code} is not declared for {self._rule or 'unknown URLs'}"
        return problem

    def _note_rule(self, response: Response) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        rule = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", request.url_rule.rule) if request.url_rule else ""
        self._rule = f"{method} {rule}" if rule else ""
        return response

    def _add_finished_job(self) -> None:
        self.known.jobs.append(submit_job(self.client).get_json()["id"])
        claimed = claim(self.services)
        add_preview(self.services, claimed, 1)
        succeed(self.services, claimed)

    def _make_room(self) -> None:
        """Keep the queue from staying full, and some finished jobs."""
        self._delete(self.known.jobs[:-_QUEUE_LIMIT])
        if self.services.queue_stats.depth("standard") >= _QUEUE_LIMIT // 2:
            for job_id in self.known.jobs:
                self.client.post(f"/v1/jobs/{job_id}/cancel")
        if not self.services.queue_stats.depth("standard"):
            self._add_finished_job()

    def _delete(self, job_ids: list[str]) -> None:
        for job_id in [*job_ids]:
            self.client.post(f"/v1/jobs/{job_id}/cancel")
            response = self.client.delete(f"/v1/jobs/{job_id}")
            if response.status_code == 204:
                self.known.jobs.remove(job_id)
            else:
                self._report(f"{job_id} cannot be deleted: {response.text}")

    def _report(self, finding: str) -> None:
        self.findings.append(finding)
        print(finding, flush=True)  # noqa: T201 - a long run shows at once what it finds


def memory_bytes() -> int:
    """Return the resident memory of this process after a garbage collection."""
    gc.collect()
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def _documented_codes(described: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            codes = set(re.findall(r"\(`(\w+)`\)", str(call["responses"])))
            yield f"{method.upper()} {path}", codes
