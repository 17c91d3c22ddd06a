"""The filter of system calls, run as the kernel runs it. What it keeps from a worker is in test_pool.py."""

import struct

import pytest

from asr_api.audio.confinement import (
    ALLOW,
    ARCHITECTURES,
    EPERM,
    FIRST_X32_CALL,
    FORBIDDEN,
    KILL,
    REFUSE,
    filter_program,
)

READ = {"x86_64": 0, "aarch64": 63}


def verdict(program: bytes, architecture: int, call: int) -> int:
    """What a classic BPF program returns (of its instructions, those that are used here)."""
    steps = list(struct.iter_unpack("HBBI", program))
    position = accumulator = 0
    while True:
        code, if_true, if_false, operand = steps[position]
        position += 1
        match code:
            case 0x20:
                accumulator = {0: call, 4: architecture}[operand]
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(hex(code))


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_only_what_is_forbidden_is_refused(machine: str) -> None:
    """Each forbidden call gets EPERM, every other passes, and another architecture ends the process."""
    architecture, calls = ARCHITECTURES[machine], FORBIDDEN[machine].values()
    program = filter_program(architecture, sorted(calls))
    for call in range(500):
        expected = REFUSE | EPERM if call in calls else ALLOW
        assert verdict(program, architecture, call) == expected, call
    assert verdict(program, architecture, READ[machine]) == ALLOW
    assert verdict(program, architecture, FIRST_X32_CALL + 41) == REFUSE | EPERM
    assert verdict(program, architecture ^ 1, READ[machine]) == KILL
