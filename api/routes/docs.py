"""The OpenAPI document, and a page that renders it without scripts or external files."""

import base64
import hashlib
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, jsonify, render_template

from api.http.openapi import document, error_classes
from api.http.operations import ResponseDoc, operation

routes = Blueprint("docs", __name__, template_folder="../templates")

_CSS: Final = (Path(__file__).parents[1] / "templates" / "docs.css").read_text()
_CSS_HASH: Final = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
_CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@routes.get("/openapi.json")
@operation(ResponseDoc(200, "OpenAPI 3.1.", media="application/json"))
def openapi() -> Response:
    """Get the OpenAPI document."""
    return jsonify(document(current_app))


@routes.get("/docs")
@operation(ResponseDoc(200, "A page.", media="text/html"))
def docs() -> Response:
    """Read the reference of all operations and error codes."""
    page = render_template("docs.html", css=_CSS, document=document(current_app), errors=error_classes())
    return Response(page, mimetype="text/html", headers={"Content-Security-Policy": _CONTENT_SECURITY_POLICY})
