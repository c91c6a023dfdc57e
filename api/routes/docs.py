"""The OpenAPI document, and a page that renders it, with a form to try each operation."""

import re

from flask import Blueprint, Response, current_app, jsonify, render_template
from markupsafe import Markup, escape

from api.http.openapi import document, error_classes
from api.http.operations import ResponseDoc, operation
from api.routes.pages import PAGE_HEADERS

routes = Blueprint("docs", __name__, template_folder="../templates")


@routes.app_template_filter("code")
def code(text: str) -> Markup:
    """Return a description as HTML, with what is between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


@routes.get("/openapi.json")
@operation(ResponseDoc(200, "OpenAPI 3.1.", media="application/json"))
def openapi() -> Response:
    """Get the OpenAPI document."""
    return jsonify(document(current_app))


@routes.get("/docs")
@operation(ResponseDoc(200, "A page.", media="text/html"))
def docs() -> Response:
    """Read the reference of all operations and error codes."""
    page = render_template("docs.html", document=document(current_app), errors=error_classes())
    return Response(page, mimetype="text/html", headers=PAGE_HEADERS)
