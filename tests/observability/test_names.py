"""Every metric and label value that rules, dashboards and documents speak of is one that the service has."""

import re
from collections.abc import Iterator

import pytest

from asr_api.metrics import Metrics
from tests.observability.documents import alerts, prose, questions, recorded, shown_queries
from tests.observability.promql import OPERATORS, Selector, selectors

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",), "gauge": ("",)}
PROMETHEUS_OWN = {"up", "ALERTS"}
TARGET_LABELS = {"job", "instance"}


def known() -> dict[str, dict[str, set[str]]]:
    """Each series' name with the values that its labels have from the start; an open label has none."""
    found: dict[str, dict[str, set[str]]] = {}
    for family in Metrics("1").registry.collect():
        for suffix in SUFFIXES[family.type]:
            found.setdefault(family.name + suffix, {})
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    return found


KNOWN = known()


def all_selectors() -> Iterator[Selector]:
    """Of rules, dashboards and the queries in runbooks."""
    queries = [*recorded().values(), *(alert["expr"] for alert in alerts().values())]
    for query in [*queries, *(question.expr for question in [*questions(), *shown_queries()])]:
        yield from selectors(query)


def test_queries_ask_for_metrics_that_exist() -> None:
    """Of the service, of recording rules, or Prometheus' own."""
    asked = {selector.name for selector in all_selectors()}
    assert asked - KNOWN.keys() - recorded().keys() - PROMETHEUS_OWN == set()


def wrong(name: str, label: str, operator: str, value: str) -> bool:
    """Whether a matcher of a closed label can match nothing that the service says."""
    values = KNOWN.get(name, {}).get(label, set())
    if label in TARGET_LABELS or not values:
        return False
    if operator in ("=", "!="):
        return value not in values
    return not all(any(re.fullmatch(part, one) for one in values) for part in value.split("|"))


def test_matchers_ask_for_values_that_exist() -> None:
    """Each alternative of a matcher is a value of a closed set, such as `outcome` or an edge of a histogram."""
    asked = [(selector.name, *matcher) for selector in all_selectors() for matcher in selector.matchers]
    assert [matcher for matcher in asked if wrong(*matcher)] == []


def test_a_matcher_that_matches_nothing_would_be_found() -> None:
    """The test above can fail."""
    assert wrong("asr_requests_total", "outcome", "=~", "ok|okay")
    assert wrong("asr_request_duration_seconds_bucket", "le", "=", "2.2")
    assert not wrong("asr_request_duration_seconds_bucket", "le", "=~", "2(\\.0)?")


WORD = re.compile(r"\basr_(?!api\b)[a-z0-9_]+\*?")
MATCHED = re.compile(r"\b(asr_[a-z0-9_]+)\{([^}]*)\}")
MATCHER = re.compile(r"(\w+)(=~|!=|!~|=)\"([^\"]*)\"")


def exists(word: str) -> bool:
    """A name, or the beginning of names: `asr_gpu_*`; a histogram may be named without its suffix."""
    if word.endswith("*"):
        return any(name.startswith(word[:-1]) for name in KNOWN)
    return bool({word, word + "_bucket"} & KNOWN.keys())


@pytest.mark.parametrize("path", prose())
def test_documents_name_metrics_that_exist(path: str) -> None:
    """What an operator reads can be asked for."""
    assert {word for word in WORD.findall(prose()[path]) if not exists(word)} == set()


@pytest.mark.parametrize("path", prose())
def test_documents_name_label_values_that_exist(path: str) -> None:
    """In whatever is written as `asr_metric{label="value"}`."""
    text = prose()[path]
    named = [(name, *matcher) for name, inside in MATCHED.findall(text) for matcher in MATCHER.findall(inside)]
    assert [matcher for matcher in named if wrong(*matcher)] == []
    assert {operator for _, _, operator, _ in named} <= set(OPERATORS.values())


def test_no_alert_or_panel_is_missing_for_a_metric() -> None:
    """Whatever the service tells is shown or watched somewhere."""
    asked = {re.sub(r"_(bucket|sum|count)$", "", selector.name) for selector in all_selectors()}
    families = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in KNOWN if name.startswith("asr_")}
    silent = {name for name in families if {name, name + "_total"} & asked == set()}
    assert silent == set()
