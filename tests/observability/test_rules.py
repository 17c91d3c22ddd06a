"""Recording rules and alerts: they are valid, tested in both directions, and lead to what to do."""

import re
import shutil
import subprocess

import pytest

from asr_api.settings import PREFIX, Settings
from tests.observability.documents import (
    PROMETHEUS,
    ROOT,
    RULES,
    RULES_TEST,
    alerts,
    boards,
    read_yaml,
    recorded,
    runbooks,
    shown_queries,
)
from tests.observability.promql import selectors

PROMTOOL = shutil.which("promtool")
ALERTS, RECORDED, TESTS = alerts(), recorded(), read_yaml(RULES_TEST)["tests"]

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")


def promtool(*arguments: str) -> None:
    """Run promtool; what it finds wrong is the assertion's message."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_configuration_and_its_rules_are_valid() -> None:
    """Prometheus would take the files as they are."""
    promtool("check", "config", str(PROMETHEUS))


@needs_promtool
def test_rules_do_what_their_tests_say() -> None:
    """Every value, and every alert that should and should not fire, with its labels and annotations."""
    promtool("test", "rules", str(RULES_TEST))


def expectations() -> dict[str, set[bool]]:
    """For each alert, whether tests of it expect that it fires."""
    found: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for test in TESTS:
        for case in test.get("alert_rule_test", []):
            found[case["alertname"]].add(bool(case["exp_alerts"]))
    return found


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_tested_in_both_directions(name: str) -> None:
    """One case in which it fires, and one, with its series there, in which it is quiet."""
    assert expectations()[name] == {True, False}


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_rule_is_tested(name: str) -> None:
    """Its value is compared with one worked out by hand."""
    cases = (case for test in TESTS for case in test.get("promql_expr_test", []))
    assert any(name in case["expr"] for case in cases)


@pytest.mark.parametrize(("name", "query"), RECORDED.items(), ids=list(RECORDED))
def test_a_recording_rule_says_its_level_and_range(name: str, query: str) -> None:
    """`level:metric:operation`, as Prometheus' documentation wants it, with the range that is in the query."""
    level, _, operation = name.split(":")
    assert f"sum by ({level}) (" in query
    assert set(re.findall(r"\[(\w+)\]", query)) == {operation.rpartition("rate")[2]}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_who_is_woken_what_happened_and_where_to_look(name: str) -> None:
    """Severity, one line, a sentence with the number or the place, a runbook and a dashboard."""
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url", "dashboard"}
    assert alert["annotations"]["dashboard"] in {board["uid"] for board in boards().values()}


def test_every_runbook_is_led_to_and_is_there() -> None:
    """No alert without instructions, no instructions that nobody is sent to."""
    assert {alert["annotations"]["runbook_url"] for alert in ALERTS.values()} == set(runbooks())


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_speaks_of_the_alerts_that_lead_to_it(name: str) -> None:
    """Who was woken finds the alert's name in the runbook, and the runbook in the index."""
    path = ALERTS[name]["annotations"]["runbook_url"]
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in runbooks()[path]
    assert f"`{name}`" in index
    assert f"]({path.rpartition('/')[2]})" in index


@pytest.mark.parametrize("path", [*runbooks(), "docs/runbooks/README.md"])
def test_a_runbook_names_settings_that_exist(path: str) -> None:
    """What one is told to set at night can be set."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"\bASR_[A-Z_]+\b", (ROOT / path).read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("path", runbooks())
def test_a_runbook_names_panels_that_exist(path: str) -> None:
    """`Dashboard: Panel` in bold is a panel of that dashboard."""
    titles = {f"{name}: {panel['title']}" for name, board in boards().items() for panel in board["panels"]}
    named = set(re.findall(r"\*\*((?:overview|engine|internals): [^*]+)\*\*", runbooks()[path]))
    assert named
    assert named <= titles


def test_queries_in_runbooks_are_promql() -> None:
    """What is there to be pasted can be pasted."""
    queries = list(shown_queries())
    assert queries
    for question in queries:
        assert selectors(question.expr), question


def test_rules_name_the_job_wherever_a_metric_is_everybodys() -> None:
    """`up` and `process_*` exist for every job of the Prometheus; `asr_*` for ours alone."""
    for alert in ALERTS.values():
        for selector in selectors(alert["expr"]):
            ours = selector.name.startswith(("asr_", "job:asr_"))
            assert ours or ("job", "=", "asr-api") in selector.matchers, selector


def test_rules_are_read_by_the_configuration() -> None:
    """The rule file lies beside the configuration, under the name that it is read by."""
    assert read_yaml(PROMETHEUS)["rule_files"] == [RULES.name]
