"""The script that CI runs, and `make test`, which it calls."""

import re

from support.requirements import ROOT


def test_ci_runs_the_whole_suite_and_all_linters() -> None:
    commands = re.findall(r"^make (\w+)(.*)", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert {"test", "lint"} <= {target for target, _ in commands}
    assert not any("TESTS" in options for _, options in commands)


def test_make_test_leaves_out_only_the_chaos_run_which_comes_last() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (chaos,) = re.findall(r"^CHAOS_TEST := (\S+)", makefile, re.MULTILINE)
    (command,) = re.findall(r"^\t(\$\(BIN\)/python -m pytest .*--ignore.*)", makefile, re.MULTILINE)
    assert (ROOT / chaos).is_file()
    assert re.findall(r"pytest (.*?)(?:;| &&)", command) == ["$(PARALLEL) --ignore $(CHAOS_TEST)", "$(CHAOS_TEST)"]


def test_ci_installs_what_tests_would_skip_and_starts_none_of_its_services() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert {"chromium", "prometheus"} <= {*re.findall(r"missing\+=\((\w+)", script)}
    assert "--no-install-recommends" in script
    assert script.index("policy-rc.d") < script.index("apt-get install")
