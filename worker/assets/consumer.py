"""Runs the tasks of the queue `easel.assets` in threads of this process: a Celery worker without processes."""

import os
import socket
import threading
from typing import Any, Final

from celery import Celery
from celery.worker import state

from shared.dispatch import ASSETS_QUEUE, CONTACT_SHEET_TASK, FETCH_TASK, create_celery_app
from shared.services import Services
from worker.assets.contact_sheets import ContactSheetMaker
from worker.assets.input_fetcher import InputFetcher

_THREADS: Final = 4
_STOP_SECONDS: Final = 5.0


class AssetWorker:
    """Serves the queue. One at a time in a process: Celery's state is global."""

    def __init__(self, services: Services) -> None:
        self._app: Celery = create_celery_app(services.settings)
        self._app.conf.update(worker_send_task_events=False, task_default_queue=ASSETS_QUEUE)
        self._app.set_default()  # the one that threads of the pool look tasks up in
        tasks = {FETCH_TASK: InputFetcher(services).fetch, CONTACT_SHEET_TASK: ContactSheetMaker(services).make}
        for name, function in tasks.items():
            self._app.task(name=name, shared=False, lazy=False)(function)  # not for other apps in this process

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then wait a little for tasks in progress."""
        worker: Any = self._app.WorkController(
            app=self._app,
            hostname=f"assets-{os.getpid()}@{socket.gethostname()}",
            pool="threads",
            concurrency=_THREADS,
            queues=[ASSETS_QUEUE],
            without_heartbeat=True,
            without_gossip=True,
            without_mingle=True,
        )
        thread = threading.Thread(target=worker.start, name="celery", daemon=True)
        thread.start()
        while thread.is_alive() and not stop.wait(1):
            pass
        state.should_stop = os.EX_OK  # type: ignore[assignment]  # its stub knows the first value only
        thread.join(_STOP_SECONDS)
        if not thread.is_alive():
            state.should_stop = None
