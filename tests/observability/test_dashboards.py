"""The dashboards, held to the rules of Grafana's dashboard-linter."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from tools.dashboards.__main__ import files

from tests.observability.documents import ROOT, Json, Question, boards, panels, questions, read_yaml
from tests.observability.promql import selectors

BOARDS = boards()
COUNTING = {"rate", "increase"}
SUFFIXES = ("_total", "_bucket", "_count", "_sum")


@pytest.fixture(params=BOARDS.values(), ids=list(BOARDS))
def board(request: pytest.FixtureRequest) -> Json:
    found: Json = request.param
    return found


@pytest.fixture(params=list(questions()), ids=lambda question: question.place)
def question(request: pytest.FixtureRequest) -> Question:
    found: Question = request.param
    return found


def variables(board: Json) -> dict[str, Json]:
    return {variable["name"]: variable for variable in board["templating"]["list"]}


def datasources(value: Any) -> Iterator[Json]:
    """Every `datasource` at any depth."""
    if isinstance(value, dict):
        yield from (item for key, item in value.items() if key == "datasource")
        yield from (found for item in value.values() for found in datasources(item))
    elif isinstance(value, list):
        yield from (found for item in value for found in datasources(item))


def test_the_files_are_what_the_source_says() -> None:
    """`python -m tools.dashboards` would change nothing."""
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text


def test_there_are_three_with_at_least_thirty_panels() -> None:
    """Overview, engine, internals: users, machine, plumbing."""
    assert [board["uid"] for board in BOARDS.values()] == ["asr-engine", "asr-internals", "asr-overview"]
    assert sum(len(panels(board)) for board in BOARDS.values()) >= 30


def test_a_dashboard_is_of_no_one_grafana(board: Json) -> None:
    """No number or version that an installation gave it; a current schema; not to be changed by hand."""
    assert not {"id", "version", "iteration", "__inputs", "__requires"} & board.keys()
    assert board["schemaVersion"] == 42
    assert board["editable"] is False


def test_the_data_source_is_chosen_by_a_variable(board: Json) -> None:
    """`datasource` is a choice, and nothing names a source by itself."""
    chosen = variables(board)["datasource"]
    assert (chosen["type"], chosen["query"], chosen["label"]) == ("datasource", "prometheus", "Data source")
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in datasources(board))


@pytest.mark.parametrize(("name", "label"), [("job", "Job"), ("instance", "Instance")])
def test_jobs_and_instances_are_chosen_by_variables(board: Json, name: str, label: str) -> None:
    """Several at a time, or all, and read anew when the time changes."""
    chosen = variables(board)[name]
    assert (chosen["type"], chosen["label"]) == ("query", label)
    assert (chosen["multi"], chosen["includeAll"], chosen["allValue"], chosen["refresh"]) == (True, True, ".+", 2)
    assert chosen["query"]["query"].startswith("label_values(asr_ready")


def test_dashboards_lead_to_each_other(board: Json) -> None:
    """To the two others, with the chosen instances and time."""
    others = {f"/d/{other['uid']}" for other in BOARDS.values()} - {f"/d/{board['uid']}"}
    assert {link["url"] for link in board["links"]} == others
    assert all(link["includeVars"] and link["keepTime"] for link in board["links"])


def test_a_panel_says_what_it_shows_and_in_what_unit(board: Json) -> None:
    """A title of its own, a description that is a sentence, a unit, and a query."""
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


def test_panels_have_numbers_of_their_own(board: Json) -> None:
    """Links to a panel go by its number."""
    numbers = [panel["id"] for panel in board["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))


def cells(panel: Json) -> set[tuple[int, int]]:
    place = panel["gridPos"]
    columns, lines = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
    return {(x, y) for x in columns for y in lines}


def test_panels_do_not_overlap_nor_leave_the_grid(board: Json) -> None:
    """24 columns, and each cell is of one panel."""
    for one, other in combinations(board["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    assert {x for panel in board["panels"] for x, _ in cells(panel)} == set(range(24))


def test_a_query_is_promql_of_the_chosen_instances(question: Question) -> None:
    """Each selector is filtered by the chosen jobs and instances."""
    asked = selectors(question.written.replace("$__rate_interval", "1m"))
    assert asked
    for selector in asked:
        assert {("job", "=~", "$job"), ("instance", "=~", "$instance")} <= set(selector.matchers)


def test_counters_are_only_shown_as_rates(question: Question) -> None:
    """A counter's value says nothing, and falls to 0 at a restart; a gauge has no rate."""
    for selector in selectors(question.expr):
        counts = selector.name.endswith(SUFFIXES)
        assert (selector.function in COUNTING) == counts, selector


def test_rates_are_over_the_interval_that_grafana_chooses(question: Question) -> None:
    """A fixed range is blind or empty at another zoom; the promise of 30 days alone has its own."""
    promise = {"30d"} if "30 days" in question.place or "budget" in question.place else {"$__rate_interval"}
    assert set(re.findall(r"\[([^\]]+)\]", question.written)) <= promise


def test_heatmaps_get_buckets_and_others_legends(board: Json) -> None:
    """A heatmap draws `le`; a line's name is not its query."""
    for panel in panels(board):
        for target in panel["targets"]:
            if panel["type"] == "heatmap":
                assert (target["format"], "sum by (le)" in target["expr"]) == ("heatmap", True)
            elif panel["type"] in ("timeseries", "state-timeline"):
                assert target["legendFormat"] != "__auto", panel["title"]


def test_compose_provisions_them() -> None:
    """The folder and the Prometheus that docker compose mounts and names."""
    provisioning = ROOT / "grafana" / "provisioning"
    (provider,) = read_yaml(provisioning / "dashboards" / "asr-api.yaml")["providers"]
    (source,) = read_yaml(provisioning / "datasources" / "prometheus.yaml")["datasources"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
