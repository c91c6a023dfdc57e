"""OpenStack Swift with its S3 API, in one process, on loopback or another address.

Runs with `.venv-s3`, not with `.venv`.

Usage: s3_server.py DIR SECRET_KEY [ADDRESS]. Prints "ready PORT" when it serves, and ends with its parent.
The access key is `test:easel`, the region us-east-1. Unlike lighter substitutes for S3 it checks signatures.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from socket import socket as Socket  # noqa: N812 - a class
from typing import Any

import eventlet
import eventlet.wsgi

eventlet.monkey_patch()

from swift.common import utils, wsgi  # noqa: E402 - only after the patch
from swift.common.ring import RingBuilder  # noqa: E402 - the same
from swift.common.storage_policy import reload_storage_policies  # noqa: E402 - the same

REQUESTS_PATH = "/.requests"
"""A GET returns, as JSON, how many requests there were by method, and how many bytes of bodies in and out."""

KINDS = ("account", "container", "object")

PROXY = """
[DEFAULT]
swift_dir = {home}
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
dns_compliant_bucket_names = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_easel = {secret} .admin
"""

BACKEND = """
[DEFAULT]
swift_dir = {home}
devices = {home}/devices
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""


def main(home: Path, secret: str, address: str = "127.0.0.1") -> None:
    (home / "devices" / "disk").mkdir(parents=True)
    (home / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = loopback\n[storage-policy:0]\nname = only\n"
    )
    utils.set_swift_dir(str(home))
    reload_storage_policies()
    sockets = {kind: listen() for kind in KINDS}
    for kind, socket in sockets.items():
        build_ring(home, kind, socket.getsockname()[1])
    for kind, socket in sockets.items():
        serve(socket, home / f"{kind}.conf", BACKEND.format(home=home, kind=kind))
    proxy = PROXY.format(home=home, secret=secret)
    front = listen(address)
    serve(front, home / "proxy.conf", proxy)
    print("ready", front.getsockname()[1], flush=True)  # noqa: T201 - the line that the tests wait for
    parent = os.getppid()
    while os.getppid() == parent:  # tests that are killed must not leave it behind
        eventlet.sleep(1)


class Counting:
    """A WSGI app that counts the requests to another one."""

    def __init__(self, app: Any) -> None:
        self._app, self._counts = app, Counter()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        if environ["PATH_INFO"] == REQUESTS_PATH:
            start_response("200 OK", [("Content-Type", "application/json")])
            yield json.dumps(self._counts).encode()
            return
        self._counts[environ["REQUEST_METHOD"]] += 1
        self._counts["bytes_in"] += int(environ.get("CONTENT_LENGTH") or 0)
        for chunk in self._app(environ, start_response):
            self._counts["bytes_out"] += len(chunk)
            yield chunk


def build_ring(home: Path, kind: str, port: int) -> None:
    """Write the smallest possible ring: one partition, one replica, one device."""
    builder = RingBuilder(part_power=0, replicas=1, min_part_hours=0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "disk", "weight": 1})
    builder.rebalance()
    builder.get_ring().save(str(home / f"{kind}.ring.gz"))


def listen(address: str = "127.0.0.1") -> Socket:
    listening = eventlet.listen((address, 0))
    listening.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)  # inherited by connections; without it an upload waits 80 ms
    return listening


def serve(socket: Socket, conf: Path, text: str) -> eventlet.greenthread.GreenThread:
    conf.write_text(text)
    return eventlet.spawn(eventlet.wsgi.server, socket, Counting(wsgi.loadapp(str(conf))), log_output=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), *sys.argv[2:])
