"""Customers over real HTTP: they send until they are answered 202, have second thoughts, and watch."""

import hashlib
import heapq
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from chaos.api import DIE_AT
from chaos.orders import Order

_TERMINAL: Final = frozenset({"succeeded", "failed", "canceled"})
_PASSING: Final = frozenset({429, 503})
_PATIENT_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.2
_WATCH_SECONDS: Final = 0.5
_PAGE: Final = 60
_LOOKS: Final = 6  # at jobs that the page did not show, in one round


@dataclass
class Accepted:
    """What a customer knows of a job that was answered 202."""

    id: str
    order: Order
    at: float
    states: list[str] = field(default_factory=list)  # each change that was seen
    step: int = 0  # the last that was seen
    picture: str | None = None  # sha256 of the result that was fetched
    granted: set[str] = field(default_factory=set)  # wishes that were answered 202
    again: str | None = None  # the id that a second sending was answered with
    gone: bool = False  # the last look was answered 404

    @property
    def ended(self) -> bool:
        """As far as was seen."""
        return bool(self.states) and self.states[-1] in _TERMINAL


class Crowd:
    """Safe to use from many threads; each request is a connection's own."""

    def __init__(self, url: str) -> None:
        self.accepted: dict[str, Accepted] = {}
        self.odd: Counter[str] = Counter()  # answers that no one should get
        self.refused: Counter[int] = Counter()  # answers that say: later
        self.moved_at = 0.0  # when a job was last seen to do a step or to end, by time.monotonic
        self._http = httpx2.Client(base_url=url, timeout=8.0, trust_env=False)
        self._over = threading.Event()
        self._thoughts: list[tuple[float, str, str]] = []  # when, what, of which job
        self._threads = [threading.Thread(target=act, daemon=True) for act in (self._watch, self._steer)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Go home."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._http.close()

    def send(self, order: Order, *, die_at: int | None = None) -> Accepted | None:
        """Ask until it is accepted; None where the crowd goes home before.

        With `die_at` the first request takes the API down with it, at that moment.
        """
        headers = {"Idempotency-Key": order.key}
        answer = self._post(
            "/v1/jobs", headers=headers | ({DIE_AT: str(die_at)} if die_at is not None else {}), **order.form()
        )
        while not self._over.is_set():
            if answer is not None and answer.status_code == httpx2.codes.ACCEPTED:
                return self._accept(order, str(answer.json()["id"]))
            self._over.wait(_PAUSE_SECONDS)
            answer = self._post("/v1/jobs", headers=headers, **order.form())
        return None

    def refusal(self, order: Order) -> str | None:
        """The code that a single attempt is refused with; one that is accepted is remembered."""
        answer = self._post("/v1/jobs", headers={"Idempotency-Key": order.key}, **order.form())
        if answer is not None and answer.status_code == httpx2.codes.ACCEPTED:
            self._accept(order, str(answer.json()["id"]))
            return None
        return str(answer.json()["code"]) if answer is not None else None

    def waiting_for(self) -> list[Accepted]:
        """Jobs that have not been seen to end."""
        return [job for job in list(self.accepted.values()) if not job.ended and not job.gone]

    def _accept(self, order: Order, job_id: str) -> Accepted:
        if job_id in self.accepted:
            return self.accepted[job_id]
        job = self.accepted[job_id] = Accepted(job_id, order, time.time())
        if order.fate == "twice":
            self._ask_again(job)
        elif order.fate != "painted" and order.after < _PATIENT_SECONDS:
            heapq.heappush(self._thoughts, (time.time() + order.after, order.fate, job_id))
        return job

    def _ask_again(self, job: Accepted) -> None:
        answer = self._post("/v1/jobs", headers={"Idempotency-Key": job.order.key}, **job.order.form())
        if answer is not None and answer.status_code == httpx2.codes.ACCEPTED:
            job.again = str(answer.json()["id"])

    def _steer(self) -> None:
        while not self._over.wait(_PAUSE_SECONDS):
            due = []
            while self._thoughts and self._thoughts[0][0] <= time.time():
                due.append(heapq.heappop(self._thoughts))
            for at, wish, job_id in due:
                if not self._wished(self.accepted[job_id], wish):
                    heapq.heappush(self._thoughts, (at, wish, job_id))

    def _wished(self, job: Accepted, wish: str) -> bool:
        """Whether it needs no further asking."""
        answer = self._post(f"/v1/jobs/{job.id}/{wish}")
        if answer is None or answer.status_code in _PASSING:
            return False
        if answer.status_code == httpx2.codes.ACCEPTED:
            job.granted.add(wish)
        return bool(answer.json().get("code") != "not_ready")

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_SECONDS):
            page = self._get(f"/v1/jobs?limit={_PAGE}")
            shown = {view["id"]: view for view in page.json()["jobs"]} if page else {}
            for job in [job for job in self.waiting_for() if job.id not in shown][:_LOOKS] if page else ():
                found = self._ask("GET", f"/v1/jobs/{job.id}")
                job.gone = found is not None and found.status_code == httpx2.codes.NOT_FOUND
                if found is not None and found.is_success:
                    shown[job.id] = found.json()
            for job_id, view in shown.items():
                if job_id in self.accepted:
                    self._see(self.accepted[job_id], view)

    def _see(self, job: Accepted, view: dict[str, Any]) -> None:
        step = view["progress"]["current"]
        if (step, view["state"]) != (job.step, *job.states[-1:]):
            job.step, self.moved_at = step, time.monotonic()
        if job.states[-1:] != [view["state"]]:
            job.states.append(view["state"])
            self._reconsider(job)
        if job.picture is None and view["state"] == "succeeded" and (found := self._get(f"/v1/jobs/{job.id}/result")):
            job.picture = hashlib.sha256(found.content).hexdigest()

    def _reconsider(self, job: Accepted) -> None:
        """The patient have their second thoughts only when they see their job run."""
        order = job.order
        if order.fate in {"cancel", "finish"} and order.after >= _PATIENT_SECONDS and job.states.count("running") == 1:
            heapq.heappush(self._thoughts, (time.time(), order.fate, job.id))

    def _get(self, path: str) -> httpx2.Response | None:
        answer = self._ask("GET", path)
        return answer if answer is not None and answer.is_success else None

    def _post(self, path: str, **request: Any) -> httpx2.Response | None:
        return self._ask("POST", path, **request)

    def _ask(self, method: str, path: str, **request: Any) -> httpx2.Response | None:
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.HTTPError:
            return None
        status = answer.status_code
        if status in _PASSING:
            self.refused[status] += 1
        elif status >= httpx2.codes.BAD_REQUEST and status != httpx2.codes.CONFLICT:
            place = path if path.startswith("/v1/jobs?") else path.rpartition("/")[2]
            self.odd[f"{method} {place[:12]} {status} {answer.text[:200]}"] += 1
        return answer
