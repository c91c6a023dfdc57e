"""`python -m benchmarks.service.bare PORT FILE`: one Flask route that returns a file, under the API's gunicorn."""

import sys
from pathlib import Path

from flask import Flask, Response

from api.__main__ import Server
from shared.settings import Settings


class Bare(Server):
    """The API's settings, gunicorn's own threaded worker, and nothing of Easel behind them."""

    def __init__(self, settings: Settings, document: bytes) -> None:
        self._document = document
        super().__init__(settings)

    def load_config(self) -> None:
        """As the API's, but for the worker, which looks for an Easel behind it."""
        super().load_config()
        self.cfg.set("worker_class", "gthread")

    def load(self) -> Flask:
        """Called in the process that serves, after the fork."""
        app = Flask("bare", static_folder=None)
        app.get("/v1/jobs/<job_id>")(self._answer)
        return app

    def _answer(self, job_id: str) -> Response:  # noqa: ARG002 - Flask passes it by name
        return Response(self._document, mimetype="application/json")


if __name__ == "__main__":
    Bare(Settings(port=int(sys.argv[1])), Path(sys.argv[2]).read_bytes()).run()
