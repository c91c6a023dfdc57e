"""The names under which clients save a job's files."""

import pytest
from flask import Response
from werkzeug.http import parse_options_header

from api.http.file_responses import name_file
from shared.jobs.job import Job, JobRequest
from shared.recipe import Recipe


def job(title: str) -> Job:
    request = JobRequest(
        id="1", tier="t", recipe=Recipe(), content="c", styles=(), created_at=0, digest="d", metadata={"title": title}
    )
    return Job.new(request)


def header(title: str, *, titled: bool = True) -> str:
    response = Response()
    name_file(response, job(title), ".png", titled=titled)
    return response.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Für Elise, 雨", "Für Elise, 雨.png"),
        ('St. "Ives"/Tide: 50 %\r\nX-Other: 1?', "St. Ives Tide 50 % X-Other 1.png"),
        ("../..\\.profile. ", "profile.png"),
        ("\N{WOMAN}\u200d\N{GIRL}", "\N{WOMAN}\u200d\N{GIRL}.png"),  # one emoji
        ("cat\u202egnp.exe", "cat gnp.exe.png"),  # it reverses what follows
        ("x" + "\N{CAT FACE}" * 99, "x" + "\N{CAT FACE}" * 49 + ".png"),
    ],
)
def test_a_file_is_named_after_the_title_of_its_job(title: str, name: str) -> None:
    text = header(title)
    assert text.startswith("inline; filename=\"easel-1.png\"; filename*=UTF-8''")
    assert text.isascii()
    assert text.isprintable()
    assert parse_options_header(text.replace('filename="easel-1.png"; ', ""))[1] == {"filename": name}


@pytest.mark.parametrize("title", ["", " . ", "\u202e", "\u200d", "///"])
def test_a_file_without_a_title_is_named_by_the_id_of_its_job(title: str) -> None:
    assert header(title) == 'inline; filename="easel-1.png"'


def test_a_file_that_anyone_may_get_does_not_show_the_title() -> None:
    assert header("For my aunt", titled=False) == 'inline; filename="easel-1.png"'
