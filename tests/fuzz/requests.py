"""Random requests, as raw WSGI environments: a server would pass on the same bytes."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from urllib.parse import quote

from support.fixtures.api import PHOTO, STYLE, image_file
from uuid_utils import uuid7

from fuzz.values import recipe, text, value

MASK: Final = image_file(255, mode="L")
_BOUNDARY: Final = b"fuzz"
_IMAGE_PARTS: Final = ("content", "style", "mask", "image")
_METHODS: Final = ("GET", "GET", "GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS", "PATCH", "TRACE", "\x00", "get")
_PARTS: Final = (
    *("content", "style", "style_mask", "content_mask", "init_image", "init_job", "recipe", "tier", "metadata"),
    *("webhook_url", "webhook_events", "other", ""),
)
_TYPES: Final = ("application/json", "multipart/form-data", "multipart/form-data; boundary=", "text/plain", "x", "")
_JOB_PATHS: Final = (
    *("", "/events", "/previews", "/previews/1", "/preview", "/iterations", "/iterations/1", "/timelapse", "/result"),
    *("/provenance", "/content", "/styles/0", "/content_masks/0", "/init_image", "/deliveries", "/nothing"),
)
_OTHER_PATHS: Final = (
    *("/", "/v1/recipes", "/docs", "/openapi.json", "/metrics", "/healthz", "/readyz", "/queue", "/gallery"),
    *("/v1/session", "/v1/keys/abcd1234", "/assets/common/base.css"),
)
_LISTS: Final = {
    "/v1/jobs": ("state", "preset", "metadata[a]", "created_after", "created_before", "limit", "cursor", "metadata"),
    "/v1/audit": ("limit", "cursor"),
    "/v1/queue": ("a",),
    "/v1/queue/standard/jobs": ("limit", "cursor", "offset"),
    "/v1/queue/events": ("a",),
}
_HEADERS: Final = (
    *("X-Request-Id", "traceparent", "Idempotency-Key", "Authorization", "Cookie", "If-None-Match", "Accept", "Range"),
    *("Content-Type", "Content-Length", "Origin", "Host", "X-CSRF-Token", "X-Forwarded-For", "X-Forwarded-Proto"),
    *(
        "Last-Event-ID",
        "Accept-Encoding",
        "If-Modified-Since",
        "Transfer-Encoding",
        "Expect",
        "Prefer",
        "Cache-Control",
    ),
)
_LIKELY: Final = {
    "X-Request-Id": ("abc-1", "a" * 128, "a" * 129),
    "traceparent": ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-0", "ff-" + "0" * 60),
    "Idempotency-Key": ("k1", "k2", "k" * 255, "k" * 256),
    "Authorization": ("Bearer", "Bearer x", "Basic eDp5", "Bearer easel_abcd1234_" + "A" * 43),
    "Cookie": ("easel_session=x.y.z", "easel_session=Zm9v.Zm9v.Zm9v", "easel_session=" + "A" * 4000, "=;=;;"),
    "If-None-Match": ("*", 'W/"1-0"', '"x"', '"', "W/"),
    "Range": ("bytes=0-", "bytes=5-1", "bytes=-1", "bytes=0-0,2-3", "bytes=" + "9" * 30 + "-"),
    "Last-Event-ID": ("0-0", "18446744073709551615-18446744073709551615", "9" * 30, "1-1-1"),
    "Content-Length": ("-1", "0", "9" * 20, "x"),
    "Host": ("localhost", "evil.example", "[::1", "a b", ""),
}


@dataclass(frozen=True)
class Known:
    """IDs of what exists."""

    jobs: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)


@dataclass
class FuzzRequest:
    """One request. Text is sent as UTF-8."""

    method: str
    path: str
    query: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def environ(self, key: str) -> dict[str, Any]:
        """Return the WSGI environment, with an API key unless the request has an Authorization header."""
        headers = {"Authorization": f"Bearer {key}", "Host": "localhost", **dict(self.headers)}
        variables = {f"HTTP_{name.upper().replace('-', '_')}": _latin(text) for name, text in headers.items()}
        for name, default in (("CONTENT_TYPE", ""), ("CONTENT_LENGTH", str(len(self.body)))):
            variables[name] = variables.pop(f"HTTP_{name}", default)
        return variables | {
            "REQUEST_METHOD": _latin(self.method),
            "SCRIPT_NAME": "",
            "PATH_INFO": _latin(self.path),
            "QUERY_STRING": _latin(self.query),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }


def _latin(text: str) -> str:
    """Return the bytes of UTF-8 as WSGI wants them; no server lets a line break through."""
    return text.encode(errors="surrogatepass").decode("latin-1").replace("\r", "").replace("\n", "")


def generate(random: Random, known: Known) -> FuzzRequest:
    """Return a random request; some are about what is known."""
    (kind,) = random.choices([*_KINDS], [*_KINDS.values()])
    request = kind(random, known)
    if random.random() < 0.3:
        request.headers += [_header(random) for _ in range(random.randrange(1, 3))]
    return request


def _submission(random: Random, known: Known) -> FuzzRequest:
    parts = [("recipe", recipe(random).encode(errors="surrogatepass"))] if random.random() < 0.95 else []
    parts += [("content", _content(random, known, PHOTO)), ("style", _content(random, known, STYLE))]
    for _ in range(random.choice((0, 0, 0, 1, 2))):
        parts.append(_part(random, known))
    if random.random() < 0.05:
        random.shuffle(parts)
        parts = parts[: random.randrange(len(parts) + 1)]
    body = _multipart(random, parts)
    if random.random() < 0.05:
        body = _damaged(random, body)
    query = random.choice(("dry_run=true",) * 6 + ("", "", f"dry_run={quote(text(random), errors='replace')}"))
    return FuzzRequest("POST", "/v1/jobs", query, [("Content-Type", "multipart/form-data; boundary=fuzz")], body)


def _part(random: Random, known: Known) -> tuple[str, bytes]:
    name = random.choice(_PARTS)
    if name.endswith(_IMAGE_PARTS):
        return name, _image(random, random.choice((MASK, PHOTO)))
    likely = {
        "init_job": _job_id(random, known),
        "tier": random.choice(("standard", "batch", "interactive", "gold")),
        "metadata": json.dumps({text(random): text(random) for _ in range(random.randrange(25))}),
        "webhook_url": random.choice(("https://example.com/x", "http://127.0.0.1/", "http://[::1]/", "http://0x7f.1/")),
        "webhook_events": random.choice(("job.started", "job.started,job.failed", "[]", '["x"]')),
    }
    chosen = likely.get(name, "") if random.random() < 0.6 else text(random)
    return name, chosen.encode(errors="surrogatepass")


def _multipart(random: Random, parts: list[tuple[str, bytes]]) -> bytes:
    body = b""
    for name, content in parts:
        is_file = (name.endswith(_IMAGE_PARTS) and not content.startswith(b"sha256:")) != (random.random() < 0.01)
        file_name = text(random)[:50] if random.random() < 0.02 else "x.png"
        header = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file_name}"' if is_file else "")
        body += b"--" + _BOUNDARY + b"\r\n" + header.encode(errors="replace") + b"\r\n\r\n" + content + b"\r\n"
    return body + b"--" + _BOUNDARY + b"--\r\n"


def _content(random: Random, known: Known, image: bytes) -> bytes:
    """Return an image, or the ID of one that was uploaded, or might have been."""
    if random.random() < 0.85:
        return _image(random, image)
    image_id = random.choice((*known.images, f"sha256:{random.randbytes(32).hex()}"))
    return (image_id if random.random() < 0.9 else image_id[:-1]).encode()


def _image(random: Random, image: bytes) -> bytes:
    return _damaged(random, image) if random.random() < 0.04 else image


def _damaged(random: Random, data: bytes) -> bytes:
    """Return the bytes with some changed, inserted or cut off."""
    changed = bytearray(data)
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(changed) + 1)
        changed[at : at + random.randrange(4)] = random.randbytes(random.randrange(4))
    return bytes(changed[: random.randrange(len(changed) + 1)] if random.random() < 0.3 else changed)


def _upload(random: Random, _known: Known) -> FuzzRequest:
    parts = [("image", _image(random, random.choice((PHOTO, STYLE, MASK))))] * random.choice((1, 1, 1, 1, 0, 2))
    body = _multipart(random, parts)
    kind = random.choice(("multipart/form-data; boundary=fuzz",) * 8 + _TYPES)
    return FuzzRequest("POST", "/v1/images", "", [("Content-Type", kind)], body)


def _job(random: Random, known: Known) -> FuzzRequest:
    path = f"/v1/jobs/{_job_id(random, known)}"
    if random.random() < 0.15:
        return FuzzRequest("POST", f"{path}/{random.choice(('cancel', 'finish'))}")
    if random.random() < 0.03:
        return FuzzRequest("DELETE", path)
    query = random.choice(
        ("", "", "", f"wait={quote(text(random), errors='replace')}", "wait=1", "format=jpeg&quality=1")
    )
    return FuzzRequest(random.choice(_METHODS), path + random.choice(_JOB_PATHS), query)


def _job_id(random: Random, known: Known) -> str:
    job_id = random.choice(known.jobs) if known.jobs else str(uuid7())
    others = (job_id.upper(), str(uuid7()), job_id[:-1], f"{job_id}\0", text(random))
    return random.choice((job_id, job_id, job_id, *others))


def _list(random: Random, known: Known) -> FuzzRequest:
    path = random.choice([*_LISTS])
    cursor = f"{random.choice((*known.jobs, 'x'))}.{text(random)}"
    pairs = [
        (random.choice(_LISTS[path]), random.choice((text(random), text(random), "1", "200", "running", cursor)))
        for _ in range(random.randrange(4))
    ]
    return FuzzRequest("GET", path, "&".join(f"{name}={quote(text, errors='replace')}" for name, text in pairs))


def _header(random: Random) -> tuple[str, str]:
    name = random.choice(_HEADERS)
    return name, random.choice(_LIKELY.get(name, ("x",))) if random.random() < 0.5 else text(random)


def _json_body(random: Random, known: Known) -> FuzzRequest:
    likely = {"key": text(random), "tenant": text(random), "scopes": value(random), "expires_in": value(random)}
    chosen = {name: likely[name] for name in random.sample([*likely], random.randrange(len(likely)))}
    body = random.choice((json.dumps(chosen), json.dumps(value(random)), text(random)))
    path = random.choice(("/v1/session", "/v1/keys", f"/v1/jobs/{_job_id(random, known)}/share"))
    kind = random.choice(("application/json",) * 4 + _TYPES)
    return FuzzRequest("POST", path, "", [("Content-Type", kind)], body.encode(errors="surrogatepass"))


def _shared(random: Random, known: Known) -> FuzzRequest:
    names = ("result.png", "preview.jpeg", "result.jpeg", quote(text(random), errors="replace"))
    query = random.choice(
        ("", "expires=1", f"expires={'9' * 12}&signature=A&key={quote(text(random), errors='replace')}")
    )
    return FuzzRequest("GET", f"/v1/shared/{_job_id(random, known)}/{random.choice(names)}", query)


def _anything(random: Random, _known: Known) -> FuzzRequest:
    path = random.choice((*_OTHER_PATHS, f"/assets/{text(random)}", f"/{text(random)}", f"/v1/{text(random)}"))
    query = random.choice(("", "", f"{quote(text(random), errors='replace')}={quote(text(random), errors='replace')}"))
    method = random.choice(_METHODS) if path != "/v1/keys" else "GET"
    return FuzzRequest(method, path, query, [], random.choice((b"", b"", random.randbytes(20))))


_KINDS: Final[dict[Callable[[Random, Known], FuzzRequest], int]] = {
    _submission: 40,
    _job: 20,
    _list: 15,
    _anything: 12,
    _json_body: 8,
    _upload: 6,
    _shared: 5,
}
"""The kinds of requests, and how frequent each is."""
