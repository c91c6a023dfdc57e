"""One real stack with a real Prometheus: what it exports is documented and right, and its alerts fire.

The tests run in this order: the last ones break the stack.
"""

import re
import signal
from collections.abc import Iterator, Mapping

import pytest
from chaos.stack.engine import JobKind
from support.monitored_stack import MonitoredStack, running_stack
from support.prometheus import Prometheus, dashboard_queries, running_prometheus
from support.requirements import ROOT
from support.scripted_server import reply, serve

LONG = {"steps": 3000}
"""A recipe that runs until a test ends it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoredStack]:
    yield from running_stack(tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def prometheus(stack: MonitoredStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    yield from running_prometheus(tmp_path_factory.mktemp("prometheus"), stack)


@pytest.fixture(scope="module")
def after_some_jobs(stack: MonitoredStack, prometheus: Prometheus) -> MonitoredStack:  # noqa: ARG001 - it scrapes
    """Two jobs succeed, one fails, two are canceled, and of one the worker's child is killed."""
    stack.run()
    stack.run(state="failed", seed=JobKind.OUT_OF_MEMORY.seed(1))
    running = stack.submit(**LONG)
    stack.wait_for_state(running, "running")
    queued = stack.submit()
    stack.cancel(queued)
    stack.cancel(running)
    stack.wait_for_state(running, "canceled")
    survivor = stack.submit(steps=150)
    stack.wait(lambda: stack.value("worker", "easel_checkpoint_seconds_count") > 0)
    stack.wait(lambda: stack.job(survivor)["progress"]["current"] > 60)
    stack.kill_child()
    stack.wait_for_state(survivor, "succeeded")
    stack.wait(lambda: stack.value("reaper", "easel_reaper_last_round_timestamp_seconds", round="maintenance") > 0)
    return stack


def documented() -> Mapping[str, tuple[str, set[str]]]:
    """Return type and labels of each metric in the documentation."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|(.*?)\|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


@pytest.mark.parametrize("process", ["api", "worker", "reaper"])
def test_all_that_is_exported_is_documented(after_some_jobs: MonitoredStack, process: str) -> None:
    for family in after_some_jobs.metrics(process).values():
        kind, labels = documented()[family.name + ("_total" if family.type == "counter" else "")]
        assert (family.type, family.documentation != "") == (kind, True)
        assert {label for sample in family.samples for label in sample.labels} - {"le"} <= labels


def test_all_that_is_documented_is_exported(after_some_jobs: MonitoredStack) -> None:
    exported = {
        sample.name
        for process in ("api", "worker", "reaper")
        for family in after_some_jobs.metrics(process).values()
        for sample in family.samples
    }
    names = {name + ("_count" if kind == "histogram" else "") for name, (kind, _) in documented().items()}
    assert {name for name in names - exported if not name.startswith("easel_gpu_")} == set()


def test_no_label_names_a_job_or_a_worker(after_some_jobs: MonitoredStack) -> None:
    text = str([after_some_jobs.metrics(process) for process in ("api", "worker", "reaper")])
    assert not re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}|one@test", text)


def test_jobs_are_counted_by_those_who_change_their_state(after_some_jobs: MonitoredStack) -> None:
    value = after_some_jobs.value
    assert value("api", "easel_jobs_submitted_total", tier="standard", preset="fast") == 5
    assert value("worker", "easel_jobs_ended_total", state="succeeded", preset="fast") == 2
    assert value("worker", "easel_jobs_ended_total", state="failed", code="out_of_memory") == 1
    assert value("worker", "easel_jobs_ended_total", state="failed") == 1
    assert value("worker", "easel_jobs_ended_total", state="canceled") == 1
    assert value("api", "easel_jobs_ended_total", state="canceled") == 1
    assert value("worker", "easel_job_wait_seconds_count", tier="standard") == 4  # one was canceled in the queue
    assert value("worker", "easel_job_run_seconds_count", preset="fast") == 4


def test_claims_and_lost_leases_are_counted(after_some_jobs: MonitoredStack) -> None:
    value = after_some_jobs.value
    assert value("worker", "easel_claims_total", tier="standard") == 6  # one again for lack of memory, one after a kill
    assert value("worker", "easel_leases_lost_total", reason="child_died") == 1
    assert value("reaper", "easel_leases_lost_total") == 0
    assert value("worker", "easel_resumes_total") >= 1


def test_what_a_dead_child_counted_remains_and_only_a_living_one_has_memory(after_some_jobs: MonitoredStack) -> None:
    stack = after_some_jobs
    names = ("easel_worker_children_started_total", "easel_step_seconds_count", "easel_claims_total")
    children, steps, claims = (stack.value("worker", name) for name in names)
    stack.kill_child()
    stack.wait(lambda: stack.value("worker", "easel_worker_children_started_total") == children + 1)
    stack.wait(lambda: stack.value("worker", "easel_worker_memory_bytes", process="child") > 0)
    assert 0.5 < stack.value("worker", "easel_worker_memory_bytes", process="child") / stack.child_memory() < 2
    assert stack.value("worker", "easel_step_seconds_count") == steps >= 190
    assert stack.value("worker", "easel_claims_total") == claims


def test_a_worker_shows_its_state(after_some_jobs: MonitoredStack) -> None:
    stack = after_some_jobs
    stack.wait(lambda: stack.value("worker", "easel_worker_state", state="idle") == 1)
    job_id = stack.submit(**LONG)
    stack.wait(lambda: stack.value("worker", "easel_worker_state", state="running") == 1)
    assert stack.value("worker", "easel_worker_state") == 1
    stack.cancel(job_id)
    stack.wait_for_state(job_id, "canceled")


def test_every_query_of_the_dashboard_has_a_result(after_some_jobs: MonitoredStack, prometheus: Prometheus) -> None:
    """But those of GPUs, as docs/how-to/monitoring.md says."""
    queries = [query for query in dashboard_queries() if "easel_gpu_" not in query]
    assert len(queries) > 40
    after_some_jobs.run()  # since Prometheus began, so that rates are known
    empty = [query for query in queries if not prometheus.query(query)]
    after_some_jobs.wait(lambda: [query for query in empty if not prometheus.query(query)] == [], seconds=20)


def test_no_alert_fires_while_all_is_well(after_some_jobs: MonitoredStack, prometheus: Prometheus) -> None:
    after_some_jobs.wait(lambda: prometheus.query("max(easel_workers) == 1") != [])
    after_some_jobs.wait(lambda: prometheus.alerts() == set())


def test_alerts_fire_when_the_process_of_a_job_dies_again_and_again(
    stack: MonitoredStack, prometheus: Prometheus
) -> None:
    job_id = stack.submit(**LONG)
    for _ in range(3):
        stack.wait_for_state(job_id, "running")
        stack.wait(lambda: stack.value("worker", "easel_worker_state", state="running") == 1)
        lost = stack.value("worker", "easel_leases_lost_total")
        stack.kill_child()
        stack.wait(lambda lost=lost: stack.value("worker", "easel_leases_lost_total") > lost)  # type: ignore[misc]
    prometheus.wait_for_alerts("EaselLeasesLost")
    stack.cancel(job_id)
    stack.wait_for_state(job_id, "canceled")


def test_alerts_fire_when_jobs_fail(stack: MonitoredStack, prometheus: Prometheus) -> None:
    def fail_a_job() -> None:
        running, queued = stack.submit(**LONG), stack.submit()
        stack.wait(lambda: stack.job(running)["progress"]["current"] > 0)
        stack.remove_inputs()
        stack.cancel(running)
        stack.wait_for_state(queued, "failed")

    prometheus.wait_for_alerts("EaselJobsFailing", meanwhile=fail_a_job)


def test_alerts_fire_when_a_receiver_of_webhooks_is_gone(stack: MonitoredStack, prometheus: Prometheus) -> None:
    with serve(reply(b"", 410)) as receiver:
        stack.submit(webhook=f"{receiver.url}/hook")
        prometheus.wait_for_alerts("EaselWebhookDeadLetters")


def test_alerts_fire_when_redis_is_slow(stack: MonitoredStack, prometheus: Prometheus) -> None:
    with stack.slow_redis():
        prometheus.wait_for_alerts("EaselRedisSlow")


def test_alerts_fire_when_redis_is_full(stack: MonitoredStack, prometheus: Prometheus) -> None:
    with stack.full_redis():
        prometheus.wait_for_alerts("EaselRedisFull", "EaselRedisErrors")


def test_alerts_fire_when_the_blob_store_fails(stack: MonitoredStack, prometheus: Prometheus) -> None:
    with stack.broken_store():
        prometheus.wait_for_alerts("EaselStorageErrors", "EaselHttpErrors", meanwhile=stack.try_to_submit)


def test_alerts_fire_when_processes_end(stack: MonitoredStack, prometheus: Prometheus) -> None:
    stack.stop("worker", number=signal.SIGTERM)
    with serve(reply(b"", 204)) as receiver:
        job_id = stack.submit(webhook=f"{receiver.url}/hook")
        prometheus.wait_for_alerts("EaselNoWorkers", "EaselQueueOld")
        stack.stop("reaper")
        stack.cancel(job_id)
        prometheus.wait_for_alerts("EaselReaperStalled", "EaselWebhooksLate")
    stack.valkey.stop()
    prometheus.wait_for_alerts("EaselRedisDown")
    stack.stop("api")
    prometheus.wait_for_alerts("EaselApiDown")
