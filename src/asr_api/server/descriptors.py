"""File descriptors: how many the process may have, and how many of them connections may take."""

import resource

WANTED = 65_536
"""Descriptors that are asked for: a connection each, and more than this process can serve."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit towards the hard one, which every process may; returns what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def connections_within(descriptors: int) -> int:
    """Four fifths: what is left is for files, pipes and workers."""
    return max(1, descriptors * 4 // 5)
