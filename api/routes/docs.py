"""The OpenAPI document, and a page that renders it, with a form to try each operation."""

import json
import re

from flask import Blueprint, Response, current_app, render_template
from markupsafe import Markup, escape

from api.http.openapi import document, error_classes
from api.http.operations import ResponseDoc, operation
from api.routes.pages import PageFile, make_file, serve

routes = Blueprint("docs", __name__, template_folder="../templates")


@routes.app_template_filter("code")
def code(text: str) -> Markup:
    """Return a description as HTML, with what is between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - it is escaped


@routes.get("/openapi.json")
@operation(ResponseDoc(200, "OpenAPI 3.1.", media="application/json", headers=("ETag",)))
def openapi() -> Response:
    """Get the OpenAPI document."""
    return serve(_files()[0])


@routes.get("/docs")
@operation(ResponseDoc(200, "A page.", media="text/html", headers=("ETag",)))
def docs() -> Response:
    """Read the reference of all operations and error codes."""
    return serve(_files()[1])


def _files() -> tuple[PageFile, PageFile]:
    """Return the document and the page, which never change while the app lives."""
    if "reference" not in current_app.extensions:
        described = document(current_app)
        page = render_template("docs.html", document=described, errors=error_classes())
        current_app.extensions["reference"] = (
            make_file(json.dumps(described).encode(), "application/json"),
            make_file(page.encode(), "text/html"),
        )
    files: tuple[PageFile, PageFile] = current_app.extensions["reference"]
    return files
