"""What Celery's own tools show of jobs and do to them, with a real worker."""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from celery.events.state import State
from kombu import Exchange, Queue
from support.fixtures.worker import LONG, WorkerRig, children
from support.requirements import ROOT, part_missing

from deploy.local.stack import free_port
from easel.models import JobState
from shared.dispatch import STYLIZE_TASK, WAKE_UP_TASK, own_queue, queue_name
from shared.ledger.ledger import connect


def celery(rig: WorkerRig, *command: str) -> dict[str, Any]:
    """Run `celery -A worker.celery_app COMMAND --json` as an operator does; return the replies by worker."""
    options = ["--json", "--destination", "one@test", "--timeout", "30"]  # it returns at the first reply
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "celery", "-A", "worker.celery_app", *command, *options],
        env={**os.environ, "EASEL_REDIS_URL": rig.settings.redis_url},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    replies: dict[str, Any] = json.loads(done.stdout)
    return replies


@pytest.fixture
def running_job(sleep_engine_rig: WorkerRig) -> str:
    """The ID of a job that runs until a test ends it."""
    rig = sleep_engine_rig
    rig.start_worker()
    job_id = rig.submit(**LONG)
    rig.wait(job_id, lambda job: job.progress.current > 0)
    return job_id


def test_inspect_active_names_the_running_job(sleep_engine_rig: WorkerRig, running_job: str) -> None:
    replies = celery(sleep_engine_rig, "inspect", "active")
    ((task,),) = replies.values()
    assert (task["id"], task["name"], task["args"]) == (running_job, STYLIZE_TASK, [running_job])
    claim = sleep_engine_rig.services.ledger.get(running_job).claim
    assert claim
    assert claim not in json.dumps(replies)


@pytest.fixture
def flower(sleep_engine_rig: WorkerRig) -> Iterator[str]:
    """The URL of a Flower that watches the rig."""
    if not (ROOT / ".venv-flower/ready").exists():
        part_missing("Flower is not installed: run `make .venv-flower/ready`")
    port, broker = free_port(), sleep_engine_rig.settings.redis_url
    command = [ROOT / ".venv-flower/bin/python", "-m", "celery", "--broker", broker, "flower"]
    with (sleep_engine_rig.folder / "flower.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--address=127.0.0.1", f"--port={port}"],
            env={**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=log,
            stderr=log,
        )
    yield f"http://127.0.0.1:{port}"
    server.kill()
    server.wait()


def test_flower_lists_a_running_job_by_its_id(sleep_engine_rig: WorkerRig, flower: str) -> None:
    rig, shown = sleep_engine_rig, dict[str, Any]()
    rig.start_worker()
    while not shown:  # Flower knows what has happened since it began to listen
        ended = rig.done(rig.submit()).id
        shown = flower_tasks(flower)
    running = rig.submit(**LONG)
    while (shown := flower_tasks(flower)).get(running, {}).get("state") != "STARTED":
        rig.services.events.wait({"none": "0-0"}, seconds=0.1)
    assert shown[running]["name"] == STYLIZE_TASK
    assert shown[ended]["state"] == "SUCCESS"
    assert not any(task["name"] == WAKE_UP_TASK for task in shown.values())


def flower_tasks(url: str) -> dict[str, Any]:
    """Return what Flower shows, by task ID; nothing while it starts."""
    try:
        tasks: dict[str, Any] = httpx2.get(f"{url}/api/tasks", timeout=10).json()
    except httpx2.TransportError:
        return {}
    return tasks


def test_revoking_a_running_job_cancels_it_and_keeps_its_process(sleep_engine_rig: WorkerRig, running_job: str) -> None:
    rig = sleep_engine_rig
    before = children(rig.workers["one"].pid)
    celery(rig, "control", "terminate", "SIGTERM", running_job)
    rig.done(running_job, JobState.CANCELED)
    rig.done(rig.submit())
    assert children(rig.workers["one"].pid) == before


def test_a_job_that_was_revoked_while_queued_is_canceled_when_its_turn_comes(
    sleep_engine_rig: WorkerRig, running_job: str
) -> None:
    rig = sleep_engine_rig
    queued = rig.submit()
    celery(rig, "control", "revoke", queued)
    rig.services.ledger.request_control(running_job, "cancel")
    job = rig.done(queued, JobState.CANCELED)
    assert job.progress.current == 0
    rig.done(rig.submit())


def test_the_job_of_a_dead_process_is_queued_again_before_its_lease_expires(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker(lease_seconds=3600)
    job_id = rig.submit(steps=200)
    rig.wait(job_id, lambda job: job.checkpoint is not None, reap=False)
    rig.kill_child()
    job = rig.wait(job_id, lambda job: job.claims == 2 and job.resumed_from_step is not None, reap=False)
    assert [event.kind for event in rig.services.events.since(job.id)].count("lease_lost") == 1


def test_a_worker_whose_task_for_a_claimed_job_is_lost_claims_the_job_again(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.command = ("support.lost_task_worker",)
    rig.start_worker()
    lost, other = rig.submit(), rig.submit()  # which keeps wake-ups coming
    job = rig.done(lost)
    assert (job.claims, job.leases_lost) == (2, 0)
    assert rig.done(other).claims == 1


def test_a_job_whose_process_died_while_its_parent_was_suspended_is_queued_again(
    sleep_engine_rig: WorkerRig, running_job: str
) -> None:
    rig = sleep_engine_rig
    rig.workers["one"].send_signal(signal.SIGSTOP)
    rig.kill_child()
    rig.workers["one"].send_signal(signal.SIGCONT)
    rig.wait(running_job, lambda job: job.claims == 2, reap=False)


def test_events_tell_when_a_job_starts_and_ends(sleep_engine_rig: WorkerRig) -> None:
    """Flower and `celery events` read these."""
    rig, seen = sleep_engine_rig, dict[str, list[str]]()
    rig.start_worker()
    rig.wait_for_worker(lambda worker: worker.name == "one@test")
    with rig.services.dispatcher._app.connection_for_read() as connection:
        receiver = rig.services.dispatcher._app.events.Receiver(
            connection, handlers={"*": lambda event: seen.setdefault(event.get("uuid", ""), []).append(event["type"])}
        )
        events = receiver.itercapture(limit=None, timeout=60, wakeup=False)
        job_id = rig.submit()
        while "task-succeeded" not in seen.get(job_id, []):
            next(events)
    assert seen[job_id] == ["task-received", "task-started", "task-succeeded"]
    assert {uuid for uuid, types in seen.items() if "task-started" in types} == {job_id}, "wake-ups send none"


@contextmanager
def event_state(rig: WorkerRig) -> Iterator[Callable[[str, str], list[str]]]:
    """Return a function that waits for a state of a job, and returns its states until then, as Flower shows them."""
    state, seen, app = State(), dict[str, list[str]](), rig.services.dispatcher._app

    def on_event(event: dict[str, Any]) -> None:
        state.event(event)
        if (task := state.tasks.get(event.get("uuid"))) and task.state not in seen.setdefault(task.uuid, [])[-1:]:
            seen[task.uuid].append(task.state)

    with app.connection_for_read() as connection:
        events = app.events.Receiver(connection, handlers={"*": on_event}).itercapture(timeout=60, wakeup=False)

        def wait_for(job_id: str, shown: str) -> list[str]:
            while shown not in seen.get(job_id, []):
                next(events)
            return seen.pop(job_id)

        yield wait_for


def test_a_job_that_continues_after_a_time_slice_is_shown_as_started_again(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker(slice_seconds=0.5)
    rig.wait_for_worker(lambda worker: worker.name == "one@test")
    with event_state(rig) as wait_for:
        job_id = rig.submit(steps=200)
        wait_for(job_id, "STARTED")
        rig.submit()
        assert wait_for(job_id, "RETRY") == ["RETRY"], "it has not ended"
        assert wait_for(job_id, "SUCCESS")[-2:] == ["STARTED", "SUCCESS"]


def test_a_job_whose_process_died_is_shown_as_retried_and_started_again(sleep_engine_rig: WorkerRig) -> None:
    rig = sleep_engine_rig
    rig.start_worker()
    rig.wait_for_worker(lambda worker: worker.name == "one@test")
    with event_state(rig) as wait_for:
        job_id = rig.submit(**LONG)
        wait_for(job_id, "STARTED")
        rig.kill_child()
        assert wait_for(job_id, "RETRY") == ["RETRY"], "it has not failed"
        assert "FAILURE" not in wait_for(job_id, "STARTED")


def test_the_queue_of_a_worker_expires(sleep_engine_rig: WorkerRig) -> None:
    client, queue = connect(sleep_engine_rig.settings.redis_url), own_queue("gone@test")
    sleep_engine_rig.services.dispatcher.run_here(queue, "job", "token", 1)
    assert 0 < int(client.pttl(queue.name)) <= 60_000  # type: ignore[arg-type]


class Pickled:
    """Creates a file when it is unpickled, as an attacker's object would run a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_message_is_refused_and_the_worker_goes_on(sleep_engine_rig: WorkerRig, tmp_path: Path) -> None:
    rig, tier, proof = sleep_engine_rig, queue_name("standard"), tmp_path / "unpickled"
    queue, client = Queue(tier, Exchange(tier), routing_key=tier), connect(rig.settings.redis_url)
    body = pickle.dumps(((Pickled(proof),), {}, {}))
    with rig.services.dispatcher._app.connection_for_write() as connection, connection.Producer() as producer:
        for task in (WAKE_UP_TASK, STYLIZE_TASK):
            for content_type in ("application/x-python-serialize", "application/json"):
                producer.publish(
                    body,
                    routing_key=tier,
                    exchange=queue.exchange,
                    declare=[queue],
                    content_type=content_type,
                    content_encoding="binary",
                    headers={"task": task, "id": "0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"},
                )
    assert client.llen(tier) == 4
    worker = rig.start_worker()
    rig.done(rig.submit())
    assert not proof.exists()
    assert (worker.poll(), client.llen(tier)) == (None, 0)
    assert "ContentDisallowed" in (rig.folder / "one.log").read_text()
