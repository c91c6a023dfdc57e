"""The OpenAPI document, a page that shows it, and the front door. No script, nothing from elsewhere."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, jsonify, render_template

from api.openapi import codes, document
from api.problems import title
from api.schema import Answer, operation

routes = Blueprint("docs", __name__, template_folder="templates")

STYLE: Final = (Path(__file__).parent / "templates" / "docs.css").read_text()
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"


@routes.get("/openapi.json")
@operation(Answer(200, "OpenAPI 3.1.", media="application/json"))
def openapi() -> Response:
    """Fetch the OpenAPI document."""
    return jsonify(document(current_app))


@routes.get("/docs")
@operation(Answer(200, "A page.", media="text/html"))
def docs() -> Response:
    """Read the documentation of every call and every error code."""
    return _page("docs.html", document=document(current_app), codes=codes(), title=title)


@routes.get("/")
@operation(Answer(200, "A page.", media="text/html"))
def landing() -> Response:
    """Arrive."""
    return _page("landing.html")


def _page(template: str, **values: object) -> Response:
    response = Response(render_template(template, style=STYLE, **values), mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response
