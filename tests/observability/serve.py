"""The real service on a free port, on a machine that seems to have a GPU.

ASR_MODEL=callsign python -m tests.observability.serve
"""

import os
import sys

from asr_api.cli import NATIVE_THREADS
from asr_api.settings import Settings


def main() -> int:
    for name, value in NATIVE_THREADS.items():
        os.environ.setdefault(name, value)
    from asr_api.logs import configure_logging
    from asr_api.server import Server, listen
    from tests.observability.fake_nvml import FakeNvml

    settings = Settings.load(os.environ)
    log = configure_logging(settings.log_level, settings.log_format)
    server = Server(settings, listen(settings.host, 0), nvml=FakeNvml())
    log.count_with(server.metrics.process)
    return server.run()


if __name__ == "__main__":
    sys.exit(main())
