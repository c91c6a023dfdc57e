"""The tags by which the OpenAPI document groups operations."""

from typing import Any, Final

_TAGS: Final = {
    **dict.fromkeys(("submit", "jobs"), "Jobs"),
    **dict.fromkeys(("inputs", "images", "uploaded_images", "styles"), "Images"),
    **dict.fromkeys(("health", "metrics"), "Monitoring"),
    **dict.fromkeys(("docs", "pages"), "Pages"),
    "stream": "Events",
    "shares": "Share links",
    "audit": "Audit log",
}
"""By blueprint; others have its name."""


def tag_of(endpoint: str) -> str:
    """Return the tag of Flask's endpoint BLUEPRINT.VIEW."""
    blueprint = endpoint.partition(".")[0]
    return _TAGS.get(blueprint, blueprint.capitalize())


def tags_in(paths: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """Return all tags that the operations have, in their order."""
    used = [operation["tags"][0] for methods in paths.values() for operation in methods.values()]
    return [{"name": name} for name in dict.fromkeys([*used, "Webhooks"])]
