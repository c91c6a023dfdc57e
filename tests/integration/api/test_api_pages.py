"""The pages, recipes and the queue."""

import gzip

from flask.testing import FlaskClient
from support.fixtures.api import Submit, claim, succeed, worker_info

from api.routes import pages
from shared.presets import PRESETS, resolve
from shared.recipe import Recipe
from shared.services import Services

# Pages.


def test_pages_have_a_strict_content_security_policy(client: FlaskClient) -> None:
    for path in ("/", "/queue", "/gallery", "/?job=0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"):
        response = client.get(path)
        assert (response.status_code, response.mimetype) == (200, "text/html")
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy


def test_every_asset_is_served_with_its_media_type(client: FlaskClient) -> None:
    stored_data = {path.relative_to(pages._FOLDER).as_posix() for path in pages._FOLDER.rglob("*") if path.is_file()}
    assert stored_data == set(pages._FILES)
    for name in stored_data:
        response = client.get(f"/assets/{name}")
        assert response.mimetype == pages._TYPES[f".{name.rpartition('.')[2]}"]
        assert response.data == (pages._FOLDER / name).read_bytes()


def test_an_unchanged_page_is_not_sent_again(client: FlaskClient) -> None:
    response = client.get("/")
    assert (response.headers["Cache-Control"], response.headers["ETag"][0]) == ("no-cache", '"')
    same = client.get("/", headers={"If-None-Match": response.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")


def test_pages_are_compressed_if_the_client_accepts_gzip(client: FlaskClient) -> None:
    plain, packed = client.get("/"), client.get("/", headers={"Accept-Encoding": "br, gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert (packed.headers["Content-Encoding"], packed.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": "gzip;q=0"}).headers
    assert packed.headers["ETag"] != plain.headers["ETag"]


def test_assets_outside_the_folder_are_not_served(client: FlaskClient) -> None:
    for name in ("../pages.py", "..%2fpages.py", "%2e%2e/pages.py", "/etc/passwd", "nothing.js", "", "."):
        assert client.get(f"/assets/{name}").status_code == 404


def test_an_unknown_url_is_a_page_for_browsers_and_a_problem_for_others(client: FlaskClient) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    for path in ("/nothing", "/v1/nothing", "/queue/"):
        page = client.get(path, headers={"Accept": browser})
        assert (page.status_code, page.mimetype, page.headers["Vary"]) == (404, "text/html", "Accept")
        assert "Page not found" in page.text
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        for accept in (None, "*/*", "application/json", "text/html;q=0.5, application/json"):
            problem = client.get(path, headers={"Accept": accept} if accept else {})
            assert (problem.status_code, problem.get_json()["code"]) == (404, "not_found")


def test_a_missing_resource_is_a_problem_also_for_browsers(client: FlaskClient) -> None:
    path = "/v1/jobs/0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88"
    assert client.get(path, headers={"Accept": "text/html"}).get_json()["code"] == "job_not_found"


# Recipes.


def test_recipes_have_every_preset_and_every_field(client: FlaskClient) -> None:
    recipes = client.get("/v1/recipes").get_json()
    assert {name: Recipe.model_validate(recipe) for name, recipe in recipes["presets"].items()} == PRESETS
    assert set(recipes["schema"]["properties"]) == set(Recipe.model_fields)
    assert set(recipes["featured"]) <= set(Recipe.model_fields)
    assert all(resolve(recipe) == PRESETS[name] for name, recipe in recipes["presets"].items())


# The queue.


def test_queued_jobs_are_paged_in_the_order_they_are_served(submit: Submit, client: FlaskClient) -> None:
    ids = [submit().get_json()["id"] for _ in range(5)]
    seen: list[str] = []
    for offset in (0, 2, 4, 6):
        page = client.get(f"/v1/queue/standard/jobs?offset={offset}&limit=2").get_json()
        assert page["total"] == 5
        assert [job["queue_position"] for job in page["jobs"]] == list(range(offset + 1, min(offset + 2, 5) + 1))
        seen += [job["id"] for job in page["jobs"]]
    assert seen == ids
    assert client.get("/v1/queue/batch/jobs").get_json() == {"jobs": [], "total": 0}
    assert client.get("/v1/queue/nothing/jobs").get_json()["code"] == "not_found"


def test_only_one_page_of_a_long_queue_is_read(submit: Submit, client: FlaskClient, services: Services) -> None:
    job_id = submit().get_json()["id"]
    redis = services.ledger._redis
    ghosts = {f"ghost-{number}": 1000 + number for number in range(10_000)}
    redis.zadd("easel:queue:standard", ghosts)
    redis.zadd("easel:tenant:default:jobs:queued", ghosts)
    redis.config_resetstat()
    page = client.get("/v1/queue/standard/jobs?limit=10").get_json()
    assert ([job["id"] for job in page["jobs"]], page["total"]) == ([job_id], 10_001)
    assert redis.info("commandstats")["cmdstat_hgetall"]["calls"] < 20


def test_the_queue_has_an_estimate_for_a_new_job(submit: Submit, client: FlaskClient, services: Services) -> None:
    assert [tier["eta_seconds"] for tier in client.get("/v1/queue").get_json()["tiers"]] == [None] * 3
    services.queue_stats.register_worker(worker_info(pixels_per_second=50_000))
    alone = client.get("/v1/queue").get_json()["tiers"][1]["eta_seconds"]
    submit()
    behind = client.get("/v1/queue").get_json()["tiers"][1]["eta_seconds"]
    assert behind["p50"] > alone["p50"]
    assert behind["p90"] >= behind["p50"]


def test_the_queue_has_the_throughput_of_the_last_hour(submit: Submit, client: FlaskClient, services: Services) -> None:
    submit()
    succeed(services, claim(services))
    buckets = client.get("/v1/queue").get_json()["throughput"]
    assert [bucket["completed"] for bucket in buckets][-2:] in ([0, 1], [1, 0])
    assert sum(bucket["completed"] for bucket in buckets) == 1
    assert len(buckets) == 12
    assert [bucket["at"] for bucket in buckets] == sorted(bucket["at"] for bucket in buckets)


def test_running_jobs_name_their_worker(job_id: str, client: FlaskClient, services: Services) -> None:
    assert client.get(f"/v1/jobs/{job_id}").get_json()["worker"] is None
    claim(services)
    assert [job["worker"] for job in client.get("/v1/queue").get_json()["running"]] == ["tester"]
