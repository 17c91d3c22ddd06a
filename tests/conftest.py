"""What all tests share."""

import gc

import pytest
from hypothesis import settings

settings.register_profile("any-machine", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("any-machine")


def pytest_collection_finish() -> None:
    """What five thousand tests are made of stays: whoever collects garbage, as faster-whisper does with every file,
    need not look through it.
    """
    gc.freeze()


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"
