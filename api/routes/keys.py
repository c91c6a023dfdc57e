"""The keys of all tenants, for operators. They are in the blob store and need no Redis."""

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from api.context import Context
from api.http.json_body import json_body, parse_model
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from api.routes.audit import audit
from shared import errors
from shared.tenants.keys import Key, NewKey, create_key, list_keys, revoke_key

routes = Blueprint("keys", __name__)


class CreatedKey(Key):
    """A new key."""

    key: str = Field(description="The whole key. It is shown only once.")


class KeyList(BaseModel):
    """All keys, by prefix."""

    keys: list[Key] = Field(description="By prefix.")


@routes.get("/v1/keys")
@operation(ResponseDoc(200, "The keys, without their secrets.", KeyList), scope="admin")
def get_keys() -> Response:
    """List the keys of all tenants, also revoked and expired ones."""
    stored = list_keys(Context.current().services.blobs)
    return json_response(KeyList(keys=[Key.model_validate(key.model_dump()) for key in stored]))


@routes.post("/v1/keys")
@operation(
    ResponseDoc(201, "The key, which is shown only here.", CreatedKey),
    body=json_body(NewKey),
    errors=(errors.UnsupportedMediaType, errors.BodyTooLarge),
    scope="admin",
)
def post_key() -> Response:
    """Create a key."""
    new = parse_model(NewKey, example='{"tenant": "acme", "scopes": ["jobs"]}')
    stored, text = create_key(Context.current().services.blobs, new)
    audit("key.created", key=stored.prefix)
    return json_response(CreatedKey.model_validate({**stored.model_dump(), "key": text}), 201)


@routes.delete("/v1/keys/<prefix>")
@operation(ResponseDoc(204, "Revoked."), errors=(errors.KeyNotFound,), scope="admin")
def delete_key(prefix: str) -> Response:
    """Revoke a key. It ends within five seconds, with its sessions and open streams, and stays in the list."""
    revoke_key(Context.current().services.blobs, prefix)
    audit("key.revoked", key=prefix)
    return Response(status=204)
