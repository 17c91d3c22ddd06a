"""`python -m tests.faults`: the real server under load while something is broken, a campaign for each kind of fault."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping

from tests.faults.disconnects import disconnects
from tests.faults.endurance import endurance
from tests.faults.engine_faults import crash_loop, hangs, kills
from tests.faults.ledger import Verdict
from tests.faults.mixed import mixed
from tests.faults.overload import overload
from tests.faults.poison import poison
from tests.faults.service_faults import service_kill
from tests.faults.slow_clients import slow_clients
from tests.faults.wire import wire

Arguments = Mapping[str, int | str]

SIEGE = {"requests": 8, "crawlers": 40, "bodies": 40, "idlers": 150, "seconds": 8}
LONG_SIEGE = {
    **{"requests": 150, "crawlers": 500, "bodies": 500, "idlers": 2_000, "seconds": 80, "strict": True},
    **{"header_timeout": 10, "upload_timeout": 10},  # by default heads have 10 s, and slow bodies end after 5 s
    "cpu_threads": 1,  # as with a GPU, the engine leaves cores to whoever serves connections
}

CAMPAIGNS: dict[str, tuple[Callable[..., Verdict], Arguments, Arguments]] = {
    "kills": (kills, {"count": 6}, {"count": 200, "strict": True}),
    "hangs": (hangs, {"count": 2}, {"count": 50, "strict": True}),
    "service-kill": (service_kill, {"count": 1}, {"count": 10}),
    "crash-loop": (crash_loop, {}, {}),
    "disconnects": (disconnects, {"count": 5}, {"count": 200}),
    "poison": (poison, {"count": 100}, {"count": 1_000}),
    "overload": (overload, {"seconds": 3, "times": 5, "places": 16}, {"seconds": 60, "times": 10, "strict": True}),
    "overload-base": (
        overload,
        {"seconds": 12, "times": 5, "places": 16, "model": "base"},
        {"seconds": 60, "times": 10, "model": "base", "strict": True},
    ),
    "slow-clients": (slow_clients, SIEGE, LONG_SIEGE),
    "endurance": (endurance, {"count": 32, "warm_up": 32}, {"count": 10_000, "warm_up": 1_000}),
    "wire": (wire, {"count": 300}, {"count": 20_000}),
    "mixed": (mixed, {"minutes": 1}, {"minutes": 60}),
}
"""By name: what is called with a `seed` and these arguments, for a short run and for a long one."""


def main() -> int:
    """Exit code 1 where something was found."""
    options = _arguments()
    found = 0
    for name in options.campaigns or CAMPAIGNS:
        campaign, short, long = CAMPAIGNS[name]
        chosen = long if options.long else short
        sys.stdout.write(f"{name}: seed {options.seed}, {chosen}\n")
        sys.stdout.flush()
        began = time.monotonic()
        verdict = campaign(seed=options.seed, **chosen)
        sys.stdout.write(f"{verdict.text}{name}: {len(verdict.findings)} findings, {time.monotonic() - began:.0f} s\n")
        sys.stdout.writelines(f"  {finding}\n" for finding in verdict.findings)
        sys.stdout.flush()
        found += len(verdict.findings)
    return 1 if found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("campaigns", nargs="*", help=f"any of {', '.join(CAMPAIGNS)}; none: all")
    parser.add_argument("--seed", type=int, default=1, help="decides all that is left to chance")
    parser.add_argument("--long", action="store_true", help="the full counts")
    options = parser.parse_args()
    if unknown := set(options.campaigns) - CAMPAIGNS.keys():
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
