"""The command `asr-api calibrate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from asr_api.cli.options import read_settings, with_settings
from asr_api.logs import configure_logging


@with_settings
def calibrate(
    audio: Annotated[Path, typer.Option(exists=True, file_okay=False, help="folder of recordings, with .txt beside")],
    language: Annotated[str | None, typer.Option(help="language spoken, as `en`; detected where absent")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    **flags: Any,  # noqa: ANN401 - one for each setting
) -> None:
    """Hear recordings on 30 s and on short audio contexts, and let the service know which the model may have.

    Where the words are the same within a point, ASR_AUDIO_CONTEXT=auto means short for these weights from the next
    start on; the exit code is then 0.
    """
    from asr_api.calibration.command import Wishes
    from asr_api.calibration.command import calibrate as compare

    given = {name: value for name, value in flags.items() if value is not None}
    settings = read_settings({"log_level": "warning"} | given)
    configure_logging(settings.log_level, settings.log_format)
    raise typer.Exit(compare(settings, audio, Wishes(language, as_json)))
