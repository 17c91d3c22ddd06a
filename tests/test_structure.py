"""The architecture, held to: imports point down, heavy libraries stay where they belong, documents tell the truth."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric

from asr_api.metrics import Metrics
from asr_api.settings import Settings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "asr_api"

LAYERS: list[set[str]] = [
    {"errors", "transcription", "__init__", "samples"},
    {"settings", "metrics", "frames", "children", "spectrogram", "pulse"},
    {"trace", "spool", "logs"},
    {"scheduling", "audio", "engine", "models", "gpu", "telemetry"},
    {"batching", "admission", "access"},
    {"segmenting", "fallback", "selftest", "subtitles"},
    {"hosting"},
    {"stitching"},
    {"job", "omission"},
    {"decoder"},
    {"transcriber"},
    {"joining"},
    {"service"},
    {"http", "assembly", "client"},
    {"app", "transcribing", "calibration", "conformance", "doctor"},
    {"server"},
    {"ui"},
    {"cli"},
    {"__main__"},
]
"""From the bottom up; a module or package imports only from layers below its own."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

HOMES = {
    "ctranslate2": {"engine"},
    "tokenizers": {"engine"},
    "av": {"audio", "conformance"},
    "faster_whisper": {"audio"},
    "huggingface_hub": {"models"},
    "fastapi": {"http", "app", "ui"},
    "gradio": {"ui"},
    "starlette": {"http", "server", "ui"},
    "uvicorn": {"server"},
    "httptools": {"server"},
    "prometheus_client": {"metrics", "http"},
    "pythonjsonlogger": {"logs"},
    "opentelemetry": {"telemetry"},
    "pynvml": {"gpu"},
    "typer": {"cli"},
    "httpx2": {"client", "models", "conformance"},
    "openai": {"conformance"},
    "jiwer": {"calibration"},
    "whisper_normalizer": {"calibration"},
}
"""Where a library may be imported, so that each can be changed in one place."""

SOURCES = sorted(PACKAGE.rglob("*.py"))


def unit_of(path: Path) -> str:
    """The module or package right under `asr_api` that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def id_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_imports_point_down(path: Path) -> None:
    """A module imports only from layers below its own, or from its own package."""
    unit = unit_of(path)
    own = (name.split(".")[1] for name in imports_of(path) if name.startswith("asr_api."))
    above = [name for name in own if name in RANK and name != unit and RANK[name] >= RANK[unit]]
    assert unit in RANK, f"{unit} stands in no layer"
    assert above == []


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_libraries_stay_at_home(path: Path) -> None:
    """What wraps a library is the only part that knows it."""
    roots = {name.split(".")[0] for name in imports_of(path)}
    assert {library for library in roots & HOMES.keys() if unit_of(path) not in HOMES[library]} == set()


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_functions_and_files_stay_short(path: Path) -> None:
    """No function over 60 lines, no file over 400."""
    text = path.read_text(encoding="utf-8")
    functions = (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno >= 60] == []
    assert text.count("\n") <= 400


def table_of(heading: str) -> dict[str, str]:
    """The first two cells of each row under a heading of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = (line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `"))
    return {row[0].strip().strip("`"): row[1].strip().strip("`") for row in rows}


def shown(default: object) -> str:
    """A default as the table has it: in the words of the environment."""
    if default is None or isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_table_of_settings_is_the_code() -> None:
    """Every setting with its default, and no other."""
    fields = Settings.model_fields.items()
    expected = {f"ASR_{name.upper()}": shown(field.default) for name, field in fields}
    expected["ASR_MODEL_DIR"] = "the user's cache"
    expected["ASR_SPOOL_DIR"] = "`asr-api` in the temporary folder".strip("`")
    assert table_of("Settings") == expected


def families(metrics: Metrics) -> Iterator[Metric]:
    return (family for family in metrics.registry.collect() if family.name.startswith("asr_"))


def name_of(family: Metric) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    return family.name + suffix


def test_the_table_of_metrics_is_the_code() -> None:
    """Every metric of ours with its type, and no other."""
    expected = {name_of(family): {"info": "gauge"}.get(family.type, family.type) for family in families(Metrics("1"))}
    assert table_of("Metrics") == expected
