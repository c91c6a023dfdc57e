"""The parts of a run: workers join, leave under load, are cut off, and render with TensorFlow."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from chaos.audit.replay import read_histories
from chaos.clients.images import REFERENCE_DIGESTS, TENSORFLOW_RECIPES, WEIGHTS

from benchmarks.service.results import Report
from benchmarks.service.scale.accounts import Accounts, account, fairness, overtakings
from benchmarks.service.scale.load import Load
from benchmarks.service.scale.stack import ScaleStack
from easel.models import TERMINAL, JobState

_REAL_TIER: Final = "batch"
_SETTLE_SECONDS: Final = 180.0


@dataclass
class Run:
    """One run on one stack."""

    stack: ScaleStack
    load: Load
    report: Report
    result: dict[str, Any] = field(default_factory=dict)
    _references: dict[str, str] = field(default_factory=dict)
    _left_after: list[float] = field(default_factory=list)  # seconds of each worker

    def join_in_levels(self, levels: list[int]) -> None:
        """Measure the throughput at each number of workers, which join while the others work."""
        throughput = {}
        for workers in levels:
            self.report(f"{workers} workers: joining under load")
            self.stack.join([f"simulated-{number}" for number in range(len(self.stack.running), workers)])
            self.report(f"{workers} workers: measuring two rounds of jobs")
            began = time.time()
            throughput[workers] = 60 * workers / self.load.seconds_per_round(workers)
            self.report(f"{workers} workers: {throughput[workers]:.1f} jobs a minute")
        alone = throughput[levels[0]] / levels[0]
        self.result |= {
            "jobs_per_minute": {n: round(rate, 1) for n, rate in throughput.items()},
            "of_linear": {n: round(rate / (n * alone), 3) for n, rate in throughput.items()},
        }
        self._last_level = (began, time.time())

    def leave(self, count: int) -> None:
        """Scale down: SIGTERM to many workers at the same time."""
        self.report(f"{count} of {len(self.stack.running)} workers: leaving under load")
        self._left_after += self.stack.leave(self.stack.running[-count:])
        self.result["seconds_from_sigterm_to_gone"] = {
            "workers": len(self._left_after),
            "median": round(median(self._left_after), 2),
            "max": round(max(self._left_after), 2),
        }
        self.report(f"{count} workers: gone {self.result['seconds_from_sigterm_to_gone']}")

    def cut_off(self, count: int, seconds: float) -> None:
        """Cut workers off from Redis and S3 for longer than their leases, then connect them again."""
        names, ledger = self.stack.running[:count], self.stack.services.ledger
        holding = [job.id for job in ledger.list(state=JobState.RUNNING, limit=200) if job.worker in names]
        self.report(f"{count} of {len(self.stack.running)} workers: cut off for {seconds:.0f} s")
        self.stack.network.partition(names)
        began = time.monotonic()

        def taken_over() -> bool:
            return not any(job.state is JobState.RUNNING and job.worker in names for job in ledger.get_many(holding))

        self.stack.wait(taken_over, "the jobs of the workers that are cut off")
        recovered = time.monotonic() - began
        time.sleep(max(0.0, seconds - recovered))
        self.stack.network.heal(names)
        healed, healed_at = time.monotonic(), time.time()
        self.report(f"{count} workers: connected again")
        self.stack.wait(lambda: {*names} <= self.stack.registered(since=healed_at), "the workers to return")
        self.result["partition"] = {
            "workers": count,
            "seconds": round(healed - began, 1),
            "jobs": len(holding),
            "seconds_until_their_jobs_were_free": round(recovered, 1),
            "seconds_until_all_workers_were_back": round(time.monotonic() - healed, 1),
        }
        self.report(f"cut off: {self.result['partition']}")

    def render_with_tensorflow(self) -> None:
        """Two real workers render; one leaves in the middle of a job, which the other one continues."""
        self.report("TensorFlow: reference images without faults")
        subprocess.run(
            [sys.executable, "-m", "chaos.clients.images", self.stack.folder], check=True, capture_output=True
        )
        digests = json.loads((self.stack.folder / REFERENCE_DIGESTS).read_text())
        settings = {"tiers": _REAL_TIER, "threads": 1, "weights": self.stack.folder / WEIGHTS, "checkpoint_seconds": 1}
        self.report("TensorFlow: two workers join")
        first, second = (self.stack.start_real_worker(f"tensorflow-{number}", **settings) for number in (1, 2))
        for name in TENSORFLOW_RECIPES:
            job_id = self.load.submit(_REAL_TIER, TENSORFLOW_RECIPES[name])
            self._references[job_id] = digests[name][-1]
        self.report("TensorFlow: rendering; one worker leaves")
        ledger, names = self.stack.services.ledger, {"tensorflow-1"}

        def in_the_middle() -> bool:
            jobs = ledger.get_many(list(self._references))
            return any(job.worker in names and job.progress.current > job.progress.total // 3 for job in jobs)

        self.stack.wait(in_the_middle, "a job of TensorFlow")
        began = time.monotonic()
        first.stop()
        gone = time.monotonic() - began
        self.stack.wait(lambda: self._ended(list(self._references)), "TensorFlow's jobs")
        second.stop()
        self.result["tensorflow"] = {
            "workers": 2,
            "jobs": len(self._references),
            "seconds_from_sigterm_to_gone": round(gone, 2),
        }

    def return_and_settle(self, count: int) -> None:
        """Let new workers join, and wait until no job is left, as long as some still end."""
        self.report(f"{count} workers: joining for the rest of the jobs")
        self.stack.join([f"returning-{number}" for number in range(count)])
        left, deadline = self._left(), time.monotonic() + _SETTLE_SECONDS
        while left and time.monotonic() < deadline:
            time.sleep(1)
            self.report(f"{left} jobs left")
            if (now := self._left()) < left:
                left, deadline = now, time.monotonic() + _SETTLE_SECONDS

    def close_accounts(self) -> Accounts:
        """Account for every job, and for the share of each worker."""
        self.report("comparing every result with that of an undisturbed run")
        histories = read_histories(self.stack.folder / "valkey")
        accounts = account(self.stack.services, [*self.load.job_ids, *self._references], histories, self._references)
        claims = [claim for job_id in self.load.job_ids for claim in histories[job_id].claims]
        began, ended = self._last_level
        last_level = [claim.worker for claim in claims if began <= claim.at <= ended]
        starts = [histories[job_id].claims[0].at for job_id in self.load.job_ids if histories[job_id].claims]
        self.result |= {
            "fairness": {
                "jain_index_of_jobs_by_worker": round(fairness(last_level), 3),
                "jobs_that_overtook": overtakings(starts),
            },
            "leases_lost": sum(claim.outcome == "lost" for claim in claims),
            "handed_over": sum(claim.outcome == "queued" for claim in claims),
            **accounts.row(),
        }
        return accounts

    def _left(self) -> int:
        services = self.stack.services
        return services.queue_stats.count(JobState.QUEUED) + services.queue_stats.count(JobState.RUNNING)

    def _ended(self, job_ids: list[str]) -> bool:
        return all(job.state in TERMINAL for job in self.stack.services.ledger.get_many(job_ids))
