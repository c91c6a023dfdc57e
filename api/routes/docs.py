"""The OpenAPI document and a page that shows it. No script, nothing from elsewhere."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, jsonify, render_template

from api.http.openapi import codes, document
from api.http.operations import Answer, operation
from api.http.problems import title

routes = Blueprint("docs", __name__, template_folder="../templates")

STYLE: Final = (Path(__file__).parents[1] / "templates" / "docs.css").read_text()
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
    told = {"document": document(current_app), "codes": codes(), "title": title}
    response = Response(render_template("docs.html", style=STYLE, **told), mimetype="text/html")
    response.headers["Content-Security-Policy"] = _POLICY
    return response
