"""What fetching images may take: attempts, time, bytes, threads, and addresses."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PHOTO, STYLE, submit_job, upload
from support.image_files import encode
from support.retention import redis_client
from support.scripted_server import Handler, ScriptedServer, reply, serve

from shared.dispatch import ASSETS_QUEUE
from shared.errors import ImageFetchFailed
from shared.inputs.decoder_pool import Decode
from shared.ledger.ledger import NAMESPACE
from shared.services import Services
from shared.settings import Settings
from worker.assets.image_download import ImageDownload
from worker.assets.input_fetcher import InputFetcher


def submit(client: FlaskClient, **parts: Any) -> str:
    return str(submit_job(client, **parts).get_json()["id"])


def waiting_for(services: Services, job_id: str) -> str | None:
    job = services.ledger.get(job_id)
    assert job.error is None
    return job.waiting_for


def make_due(services: Services, job_id: str) -> None:
    redis_client(services).zadd(f"{NAMESPACE}:fetches", {job_id: 0})


def test_attempts_are_not_used_up_while_no_process_is_free_to_decode(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    job_id = submit(client, content=web.url)
    fetcher._decoder._max_waiting, enough = 0, fetcher._decoder._max_waiting
    for _ in range(12):
        make_due(services, job_id)
        fetcher.fetch(job_id)
        assert (waiting_for(services, job_id), services.fetches.due()) == ("inputs", [])
    fetcher._decoder._max_waiting = enough
    make_due(services, job_id)
    fetcher.fetch(job_id)
    assert waiting_for(services, job_id) is None


def test_the_lease_is_renewed_for_each_image_that_is_decoded_or_stored(
    client: FlaskClient,
    services: Services,
    web: ScriptedServer,
    fetcher: InputFetcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = submit(client, content=web.url, style=upload(client, STYLE).get_json()["id"], content_mask=web.url)
    slot, put, due = fetcher._decoder.slot, services.blobs.put, []

    @contextmanager
    def slow_slot(name: str) -> Iterator[Decode]:
        with slot(name) as decode:
            make_due(services, job_id)  # as after a long wait
            yield decode
            due.append(services.fetches.due())

    def slow_put(key: str, data: bytes, **options: Any) -> None:
        if key.startswith("inputs/"):
            due.append(services.fetches.due())
        put(key, data, **options)
        make_due(services, job_id)

    monkeypatch.setattr(fetcher._decoder, "slot", slow_slot)
    monkeypatch.setattr(services.blobs, "put", slow_put)
    fetcher.fetch(job_id)
    assert waiting_for(services, job_id) is None
    assert due == [[]] * 6, "three are decoded, three are stored"


def test_the_redirects_of_an_image_share_its_time(
    web: ScriptedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    download, deadlines = ImageDownload(settings), []
    send = download._client.send

    def spy(*args: Any, deadline: float, **options: Any) -> Any:
        deadlines.append(deadline)
        return send(*args, deadline=deadline, **options)

    monkeypatch.setattr(download._client, "send", spy)
    with serve(reply(b"", 302, location=web.url)) as server:
        assert download.get(server.url, 10_000) == PHOTO
    assert (len(deadlines), len(set(deadlines))) == (2, 1)
    with pytest.raises(ImageFetchFailed, match="did not respond within 20 seconds"):
        download._send(httpx2.URL(web.url), 10_000, time.monotonic())
    assert len(web.requests) == 1


def test_files_that_are_stored_already_do_not_count_for_the_bytes_to_fetch(
    client: FlaskClient, services: Services, web: ScriptedServer, fetcher: InputFetcher
) -> None:
    noise = encode(Image.effect_noise((400, 400), 90), "JPEG")
    job_id = submit(client, content=upload(client, noise).get_json()["id"], style=web.url)
    stored = sum(len(services.blobs.get(blob.key)) for blob in services.blobs.list("inputs/"))
    assert stored + len(PHOTO) > services.settings.max_body_bytes
    fetcher.fetch(job_id)
    assert waiting_for(services, job_id) is None


def test_a_tenant_has_two_jobs_fetched_at_a_time_and_the_next_one_then(
    client: FlaskClient, services: Services, fetcher: InputFetcher
) -> None:
    arrived, go, redis = threading.Semaphore(0), threading.Event(), redis_client(services)

    def respond(handler: Handler) -> None:
        arrived.release()
        assert go.wait(60)
        reply(PHOTO)(handler)

    with serve(respond) as server, ThreadPoolExecutor(2) as threads:
        *running, third = (submit(client, content=server.url) for _ in range(3))
        redis.delete(ASSETS_QUEUE)
        fetches = [threads.submit(fetcher.fetch, job_id) for job_id in running]
        assert all(arrived.acquire(timeout=60) for _ in running)
        fetcher.fetch(third)
        assert services.fetches.due() == [third]
        assert redis.llen(ASSETS_QUEUE) == 0
        go.set()
        for fetch in fetches:
            fetch.result(60)
        assert redis.llen(ASSETS_QUEUE) == 1
        fetcher.fetch(third)
    assert [waiting_for(services, job_id) for job_id in (*running, third)] == [None] * 3


def test_many_jobs_of_a_tenant_do_not_hide_those_of_another(services: Services) -> None:
    redis = redis_client(services)
    for number in range(150):
        redis.hset(f"{NAMESPACE}:job:{number}", "tenant", "acme" if number < 149 else "other")
    redis.zadd(f"{NAMESPACE}:fetches", {str(number): number for number in range(150)})
    assert services.fetches.due() == [*map(str, range(100)), "149"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("https://127.0.0.1:{port}/", "not a public address"),
        ("http://example.com/", "https://"),
        ("https://intranet.example:{port}/", "intranet.example has no public address"),
    ],
)
def test_a_redirect_to_a_private_address_is_not_followed(
    target: str, reason: str, web: ScriptedServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = ImageDownload(settings.model_copy(update={"fetch_private": False}))
    getaddrinfo = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        return getaddrinfo("127.0.0.1" if host == "intranet.example" else host, *args, **options)

    def redirect(handler: Handler) -> None:
        download._client._private = False
        reply(b"", 302, location=target.format(port=web.port))(handler)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with serve(redirect) as server:
        download._client._private = True  # for the server that redirects
        with pytest.raises(ImageFetchFailed, match=reason):
            download.get(server.url, 10_000)
    assert len(server.requests) == 1
    assert web.requests == []
