"""A short version of `make fuzz`."""

from fuzz.target import Fuzzer

from shared.settings import Settings


def test_generated_requests_break_nothing(settings: Settings) -> None:
    fuzzer = Fuzzer(settings, seed=20)
    for number in range(400):
        fuzzer.send(number)
    assert fuzzer.findings == []
    assert len(fuzzer.responses) > 20, "the requests reach all parts"
    assert fuzzer.close() == []
