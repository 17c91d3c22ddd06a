"""How the service does under load: real HTTP, at several concurrencies or rates of arrival.

    python benchmarks/load.py --model base --concurrency 1,4,16 --serve "--beam-size 1" --json load.json
    python benchmarks/load.py --model callsign --mix realistic --concurrency 1,2,4,8,16,32,64,128 --svg load.svg
    python benchmarks/load.py --model callsign --mix 10 --concurrency "" --rates 1,2,4

In a closed loop each user posts the next recording once the last is answered; in an open one they come at
random moments, whatever has been answered. Recordings are the clips as they are, or clips joined to the
lengths of a mix. Every answer's words are checked: against what was said, and against what the service
heard in that recording when nothing else was asked, before the first run.
"""

import asyncio
import shlex
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.clips import Choice, choose, clips_for, read_clips, reads_callsigns
from harness.composed import distinct
from harness.load_rows import HEADER, Row, Texts, curve, fault
from harness.loop import Run, closed_loop, open_loop
from harness.metrics import Served
from harness.mixes import MIXES, Clips, Deck, write_mix
from harness.observed import Target, observed
from harness.process import ServerFailed, free_port, running
from harness.report import Setting, say, tell, write_json
from harness.table import markdown

EACH = 2
"""Requests of each user at least."""


@contextmanager
def service(server: str | None, model: str, serve: str) -> Iterator[Target]:
    """The server named, or one that is started for as long as this lasts."""
    if server:
        yield Target(server.rstrip("/"), None)
        return
    port = free_port()
    command = [sys.executable, "-m", "asr_api", "serve", "--model", model, "--port", str(port), *shlex.split(serve)]
    tell(f"starting {shlex.join(command[1:])}")
    with running(command, port) as process:
        yield Target(process.url, process.pid)


def deck_for(mix: str | None, manifest: Path, choice: Choice, folder: Path, seed: int) -> Deck:
    """The recordings: clips, or what is made of them. Raises ValueError where there are none."""
    clips = choose(read_clips(manifest), choice)
    return write_mix(MIXES[mix], distinct(clips), folder, seed) if mix else Clips(clips)


def read_alone(target: Target, deck: Deck) -> Texts:
    """What the service hears in each recording; the first call of all is slower than any other.

    Raises SystemExit where it is not answered.
    """
    run = asyncio.run(closed_loop(target.url, deck.all, 1))
    if errors := [answer.error for answer in run.answers if answer.error]:
        raise SystemExit(f"a recording alone is not transcribed: {errors[0]}")
    return {answer.clip.path: answer.text for answer in run.answers}


def measure(
    target: Target, loop: Callable[[], Coroutine[Any, Any, Run]], alone: Texts, offered: float | None = None
) -> Row:
    """One run, between two looks at the service."""
    with observed(target) as seen:
        run = asyncio.run(loop())
    load = f"{offered:g} a second" if offered else f"{run.concurrency} users"
    tell(f"{load}: {len(run.answers)} requests in {run.seconds:.1f} s")
    for error in sorted({answer.error for answer in run.answers if answer.error}):
        tell(f"  {error}")
    return Row.of(run, seen, alone, offered)


def filled(text: str) -> list[str]:
    """The parts of `1,4,16`; none of an empty text."""
    return [part for part in text.split(",") if part]


def caption(setting: Setting) -> str:
    """What the drawing says above it."""
    served = setting.served
    return f"{Path(served.model).name}, {served.compute_type}, {setting.place}; {setting.date[:10]}"


def main(
    model: Annotated[str, typer.Option(help="model to serve")] = "base",
    server: Annotated[str | None, typer.Option(help="URL of a running server, instead of starting one")] = None,
    serve: Annotated[str, typer.Option(help='more options for the server, as "--beam-size 1"')] = "",
    clips: Annotated[Path | None, typer.Option(help="manifest of the clips; default: by model")] = None,
    languages: Annotated[str | None, typer.Option(help="languages of the clips, as en,ru")] = None,
    shortest: Annotated[float | None, typer.Option(help="seconds of a clip at least")] = None,
    longest: Annotated[float | None, typer.Option(help="seconds of a clip at most")] = None,
    mix: Annotated[str | None, typer.Option(help=f"join clips to lengths: {', '.join(MIXES)}")] = None,
    concurrency: Annotated[str, typer.Option(help="users at once, one run each")] = "1,4,16",
    rates: Annotated[str, typer.Option(help="arrivals a second of open loops, one run each")] = "",
    requests: Annotated[int, typer.Option(help="requests of each run, two a user at least", min=1)] = 24,
    seed: Annotated[int, typer.Option(help="decides the order of the clips")] = 1,
    tell_language: Annotated[bool, typer.Option(help="send each clip's language, so that none is detected")] = False,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
    svg: Annotated[Path | None, typer.Option(help="file to draw the curve over the concurrencies into")] = None,
) -> None:
    """Measure the service under load."""
    with service(server, model, serve) as target, tempfile.TemporaryDirectory() as folder:
        served = Served.parse(target.scrape())
        manifest, choice = clips_for(served.model)
        choice = replace(
            choice,
            shortest=choice.shortest if shortest is None else shortest,
            longest=choice.longest if longest is None else longest,
            languages=choice.languages if languages is None else languages.split(","),
        )
        deck = deck_for(mix, clips or manifest, choice, Path(folder), seed)
        alone = read_alone(target, deck)
        rows: list[Row] = []
        for users in map(int, filled(concurrency)):
            order = deck.draw(max(requests, EACH * users), seed)
            loop = partial(closed_loop, target.url, order, users, tell_language=tell_language)
            rows.append(measure(target, loop, alone))
        for rate in map(float, filled(rates)):
            order = deck.draw(requests, seed)
            loop = partial(open_loop, target.url, order, rate, seed, tell_language=tell_language)
            rows.append(measure(target, loop, alone, rate))
    setting = Setting(served, len(deck.all), seed, ", ".join(filter(None, [mix and f"mix {mix}", serve])))
    say(f"{setting}\n\n{markdown(HEADER, [row.cells() for row in rows])}")
    if json:
        write_json(json, setting, [asdict(row) for row in rows])
    if svg:
        svg.write_text(curve(rows, caption(setting)), encoding="utf-8")
    if problem := fault(rows, exactly=mix is None and reads_callsigns(served.model)):
        raise SystemExit(problem)


if __name__ == "__main__":
    try:
        typer.run(main)
    except (ServerFailed, ValueError) as error:
        sys.exit(str(error))
