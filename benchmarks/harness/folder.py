"""Where the service finds a model, for those who load it by other means."""

import os
from pathlib import Path

from asr_api.models.resolve import resolve_model
from asr_api.settings import Settings


def folder_of(model: str) -> Path:
    """The model's folder. Raises StartupError where it cannot be had."""
    settings = Settings.load(os.environ, model=model)
    return resolve_model(
        model, model_dir=settings.model_dir, hub_endpoint=settings.hub_endpoint, offline=settings.offline
    ).path
