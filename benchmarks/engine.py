"""What CTranslate2's Whisper takes for each call, without the service: by batch, workers, context and compute type.

    python benchmarks/engine.py --model base --batches 1,4 --lengths 10,30 --json engine.json
    python benchmarks/engine.py --widen large-v3 --compute-types float16,int8_float16 --workers 1,2

Each chunk is speech that fills its context, whose words are known; the transcripts of each batch are held
against them, and against what the model hears in each chunk alone. Beside the seconds stands what the call
must compute and move at least (harness/roofline.py has the formulas), and the share of the roofline: the
least time in which this card could do it, of the time it took. A GPU's peaks are its data sheet's, or
`--peak-tflops` and `--peak-gbs`; a processor's are measured in the same run, in float32.

CTranslate2's allocator is chosen by its own variables, CT2_CUDA_ALLOCATOR and
CT2_CUDA_CACHING_ALLOCATOR_CONFIG, which are written down with the figures.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from asr_api.engine.abilities import available_cores, choose_compute_type, choose_device
from asr_api.errors import ModelUnavailable
from harness.calls import Placement
from harness.circumstances import Circumstances
from harness.clips import CALLSIGN, reads_callsigns
from harness.engine_rows import HEADER, LOADED, fault
from harness.engine_run import Plan, Subject, cells_of, measure
from harness.folder import folder_of
from harness.native import with_native_threads
from harness.peaks import Peak, peak_of_card, peak_of_processor
from harness.pool import PoolFailed, keep_freed_memory
from harness.report import say
from harness.stages import Stage
from harness.table import markdown
from harness.vram import first_gpu
from harness.widened import WideningFailed, widened

EVERY_STAGE = ",".join(stage.value for stage in Stage)


def subject(model: str, shape: str | None, models: Path, python: str) -> Subject:
    """The model that is measured. Raises ModelUnavailable or WideningFailed."""
    if shape:
        folder = widened(shape, models, python)
        return Subject.of(folder.name, folder)
    return Subject.of(model, folder_of(model))


def peak_of(device: str, compute_type: str, tflops: float | None, gbs: float | None) -> Peak | None:
    """As it was told, or else the card's, or the processor's; None for a card that is not known."""
    if tflops and gbs:
        return Peak(tflops * 1e12, tflops * 1e12, gbs * 1e9, "as told")
    if device == "cpu":
        return peak_of_processor(available_cores())
    gpu = first_gpu()
    return peak_of_card(gpu.name, compute_type) if gpu else None


def report(subject: Subject, plan: Plan, device: str, peaks: Sequence[Peak | None]) -> Circumstances:
    """What the figures depend on."""
    options = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("CT2_")]
    told = [str(peak) for peak in dict.fromkeys(peaks) if peak]
    return Circumstances(
        "; ".join([f"{subject.name} ({subject.dimensions}) on {device}", f"{plan.rounds} rounds", *options, *told])
    )


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(
    model: Annotated[str, typer.Option(help="model name or folder")] = CALLSIGN,
    widen: Annotated[str | None, typer.Option(help="instead: the bundled model in this shape, as large-v3")] = None,
    widen_python: Annotated[str, typer.Option(help="a Python with torch, for --widen")] = sys.executable,
    models: Annotated[Path, typer.Option(help="folder of the widened models")] = Path("results/models"),
    device: Annotated[str, typer.Option(help="auto, cuda or cpu")] = "auto",
    compute_types: Annotated[str, typer.Option(help="CTranslate2's, as float16,int8_float16")] = "auto",
    workers: Annotated[str, typer.Option(help="calls at a time")] = "1",
    batches: Annotated[str, typer.Option(help="chunks a call")] = "1,2,4,8,16",
    lengths: Annotated[str, typer.Option(help="seconds of context")] = "5,10,13,20,30",
    beams: Annotated[str, typer.Option(help="beams of the search")] = "1,5",
    encode_batches: Annotated[str, typer.Option(help="chunks encoded at a time in whole and separate; 0: all")] = "0",
    stages: Annotated[str, typer.Option(help="what is measured")] = EVERY_STAGE,
    rounds: Annotated[int, typer.Option(help="calls of each worker", min=1)] = 3,
    keep_pool: Annotated[bool, typer.Option(help="let the GPU driver's memory pool keep what is freed")] = False,
    peak_tflops: Annotated[float | None, typer.Option(help="the card's, with --peak-gbs")] = None,
    peak_gbs: Annotated[float | None, typer.Option(help="the card's, with --peak-tflops")] = None,
    seed: Annotated[int, typer.Option(help="decides what the chunks are made of")] = 1,
    json: Annotated[Path | None, typer.Option(help="file to write the figures to")] = None,
) -> None:
    """Measure the engine alone."""
    device = choose_device(device)
    measured = subject(model, widen, models, widen_python)
    cells = cells_of([Stage(stage) for stage in stages.split(",")], numbers(beams), numbers(encode_batches))
    plan = Plan(numbers(batches), [float(length) for length in lengths.split(",")], cells, rounds, seed)
    keep_pool = keep_pool and device == "cuda"
    if keep_pool:
        keep_freed_memory()
    types = {choose_compute_type(each, device): None for each in compute_types.split(",")}
    peaks = {each: peak_of(device, each, peak_tflops, peak_gbs) for each in types}
    done = [
        measure(measured, Placement(device, compute_type, count), plan, peak)
        for compute_type, peak in peaks.items()
        for count in numbers(workers)
    ]
    rows = [row for each in done for row in each.rows]
    failures = [failure for each in done for failure in each.failures]
    circumstances = report(measured, plan, device, list(peaks.values()))
    say(f"{circumstances}\n\n{markdown(LOADED, [each.loaded.cells() for each in done])}")
    say(markdown(HEADER, [row.cells() for row in rows]))
    if failures:
        say("\n".join(["Failed:", "", *(f"- {failure}" for failure in failures)]))
    if json:
        facts = {"keep_pool": keep_pool, "peaks": {each: peak and asdict(peak) for each, peak in peaks.items()}}
        facts |= {"dimensions": asdict(measured.dimensions), "loads": [asdict(each.loaded) for each in done]}
        facts |= {"failures": failures}
        circumstances.write_json(json, [asdict(row) for row in rows], **facts)
    if problem := fault(rows, callsigns=reads_callsigns(measured.name)):
        raise SystemExit(problem)


if __name__ == "__main__":
    with_native_threads()
    try:
        typer.run(main)
    except (ModelUnavailable, WideningFailed, PoolFailed) as error:
        sys.exit(str(error))
