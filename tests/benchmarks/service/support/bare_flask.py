"""`python -m benchmarks.service.support.bare_flask PORT FILE`: a Flask route that returns a file.

It runs under the API's gunicorn.
"""

import sys
from pathlib import Path

from flask import Flask, Response

from api.__main__ import Server
from shared.settings import Settings


class Bare(Server):
    """Gunicorn's threaded worker with the API's settings, and none of Easel's code in a request."""

    def __init__(self, settings: Settings, document: bytes) -> None:
        self._document = document
        super().__init__(settings)

    def load_config(self) -> None:
        """Load the API's configuration except its worker class, which needs Easel's application."""
        super().load_config()
        self.cfg.set("worker_class", "gthread")

    def load(self) -> Flask:
        """Create the application; gunicorn calls it in the serving process, after the fork."""
        app = Flask("bare", static_folder=None)
        app.get("/v1/jobs/<job_id>")(self._answer)
        return app

    def _answer(self, job_id: str) -> Response:  # noqa: ARG002 - Flask passes it by name
        return Response(self._document, mimetype="application/json")


if __name__ == "__main__":
    Bare(Settings(port=int(sys.argv[1])), Path(sys.argv[2]).read_bytes()).run()
