"""faster-whisper behind FastAPI, as most people write it: one call of the library a request, in a sync endpoint.

python benchmarks/rival.py FOLDER --style batched --port 9000
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from fastapi import FastAPI, UploadFile
from faster_whisper import BatchedInferencePipeline, WhisperModel


class Style(StrEnum):
    """Which of the library's two ways to transcribe is called."""

    BATCHED = "batched"
    SEQUENTIAL = "sequential"


def create_app(transcriber: Any, options: dict[str, int]) -> FastAPI:  # noqa: ANN401 - the library is untyped
    """An app that hands each upload to `transcriber.transcribe`."""
    app = FastAPI()

    @app.get("/readyz")
    def readyz() -> str:
        return "ready"

    @app.post("/transcribe")
    def transcribe(file: UploadFile) -> dict[str, str]:
        segments, info = transcriber.transcribe(file.file, **options)
        return {"text": "".join(segment.text for segment in segments).strip(), "language": info.language}

    return app


def main(
    folder: Annotated[Path, typer.Argument(help="model folder")],
    port: Annotated[int, typer.Option()],
    style: Annotated[Style, typer.Option()] = Style.BATCHED,
    device: Annotated[str, typer.Option()] = "cpu",
    compute_type: Annotated[str, typer.Option()] = "int8",
    cpu_threads: Annotated[int, typer.Option()] = 0,
    beam_size: Annotated[int, typer.Option()] = 5,
) -> None:
    """Serve one of the library's two ways to transcribe."""
    model = WhisperModel(str(folder), device=device, compute_type=compute_type, cpu_threads=cpu_threads)
    if style is Style.BATCHED:
        app = create_app(BatchedInferencePipeline(model), {"beam_size": beam_size, "batch_size": 16})
    else:
        app = create_app(model, {"beam_size": beam_size})
    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
