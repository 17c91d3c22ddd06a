"""Everything that is to be known of a GPU, as commands that run one after another."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

LARGE, TURBO = "large-v3", "large-v3-turbo"

ALLOCATORS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "pool": {"CT2_CUDA_ALLOCATOR": "cuda_malloc_async"},
        "pool-kept": {"CT2_CUDA_ALLOCATOR": "cuda_malloc_async"},
        "caching": {"CT2_CUDA_ALLOCATOR": "cub_caching"},
        "caching-large": {
            "CT2_CUDA_ALLOCATOR": "cub_caching",
            "CT2_CUDA_CACHING_ALLOCATOR_CONFIG": f"2,3,31,{8 << 30}",
        },
    }
)
"""CTranslate2's allocators, by its variables: the driver's pool, which forgets what is freed at each wait unless
`--keep-pool` says otherwise, and its own, whose bins end at 17 MB unless they are set (growth, least and greatest
exponent of a bin, bytes that are kept; CTranslate2, cuda/allocator.cc)."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured, and of what: model names by shape, and lists as the scripts take them."""

    models: Mapping[str, str]
    batches: str
    few: str
    contexts: str
    encode_batches: str
    workers: tuple[int, ...]
    rounds: int
    floating: str
    quantized: str
    users: str
    crowd: str
    rates: str
    requests: int
    mixes: tuple[str, ...]
    batch_limits: tuple[int, ...]
    encode_limits: tuple[int, ...]


def full(models: Mapping[str, str]) -> Scale:
    """On a GPU, with models in the shapes of the real ones."""
    return Scale(
        models=models,
        batches="1,2,4,8,16,32",
        few="8,16",
        contexts="5,10,13,20,30",
        encode_batches="0,1,2,4,8",
        workers=(1, 2, 3),
        rounds=5,
        floating="float16",
        quantized="int8_float16",
        users="1,2,4,8,16,32,64,128",
        crowd="64",
        rates="5,10,20",
        requests=256,
        mixes=("10", "5", "30", "realistic"),
        batch_limits=(8, 16, 32),
        encode_limits=(1, 4, 8, 16),
    )


def rehearsal(model: str) -> Scale:
    """Every kind of step once, as small as it gets, on a CPU."""
    return Scale(
        models={LARGE: model, TURBO: model},
        batches="1,2",
        few="2",
        contexts="10",
        encode_batches="0,1",
        workers=(1, 2),
        rounds=1,
        floating="float32",
        quantized="int8_float32",
        users="1,2",
        crowd="2",
        rates="4",
        requests=2,
        mixes=("5",),
        batch_limits=(2,),
        encode_limits=(1,),
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One script with its options, and the environment that it gets besides."""

    name: str
    script: str
    options: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        variables = (f"{name}={value}" for name, value in self.environ.items())
        return " ".join([*variables, "python", f"benchmarks/{self.script}", shlex.join(self.options)])


def steps(scale: Scale) -> list[Step]:
    """The engine alone first, then the service."""
    return [*_engine(scale), *_allocators(scale), *_load(scale)]


def _engine(scale: Scale) -> Iterator[Step]:
    several = ",".join(map(str, scale.workers[1:]))
    calls = "encode,detect,decode,timestamps,align,whole"
    yield _calls("engine-calls", scale, LARGE, "30", scale.batches, "1,5", f"--stages={calls}")
    yield _calls("engine-contexts", scale, LARGE, scale.contexts, scale.few, "1,5", "--stages=encode,decode,align")
    yield _calls(
        "engine-waves",
        scale,
        LARGE,
        "30",
        scale.few,
        "1",
        "--stages=whole,separate",
        f"--workers={several}",
        f"--encode-batches={scale.encode_batches}",
    )
    workers = ",".join(map(str, scale.workers))
    yield _calls("engine-workers", scale, LARGE, "30", scale.few, "1,5", "--stages=whole", f"--workers={workers}")
    yield _calls("engine-turbo", scale, TURBO, "30", scale.batches, "1,5", f"--stages={calls}")
    for name, model in (("engine-int8", LARGE), ("engine-turbo-int8", TURBO)):
        yield _calls(name, scale, model, "30", scale.batches, "1,5", f"--stages={calls}", types=scale.quantized)


def _calls(
    name: str, scale: Scale, model: str, lengths: str, batches: str, beams: str, *more: str, types: str = ""
) -> Step:
    """A run of engine.py."""
    options = [
        f"--model={scale.models[model]}",
        f"--compute-types={types or scale.floating}",
        f"--lengths={lengths}",
        f"--batches={batches}",
        f"--beams={beams}",
        f"--rounds={scale.rounds}",
        *more,
    ]
    return Step(name, "engine.py", options)


def _allocators(scale: Scale) -> Iterator[Step]:
    workers = f"--workers={','.join(map(str, scale.workers[:2]))}"
    for name, environ in ALLOCATORS.items():
        keep = ["--keep-pool"] if name == "pool-kept" else []
        stages = "--stages=encode,decode,whole"
        step = _calls(f"allocator-{name}", scale, LARGE, "30", scale.few, "1", stages, workers, *keep)
        yield Step(step.name, step.script, step.options, environ)


def _load(scale: Scale) -> Iterator[Step]:
    for mix in scale.mixes:
        yield _served(f"load-mix-{mix}", scale, LARGE, mix, scale.users, "")
    usual = scale.mixes[0]
    yield _served("load-open", scale, LARGE, usual, "", "", f"--rates={scale.rates}")
    yield _served("load-int8", scale, LARGE, usual, scale.crowd, "", types=scale.quantized)
    yield _served("load-turbo", scale, TURBO, usual, scale.users, "")
    yield _served("load-greedy", scale, LARGE, usual, scale.crowd, "--beam-size 1")
    for option, values in (
        ("num-workers", scale.workers),
        ("max-batch-size", scale.batch_limits),
        ("max-encode-batch", scale.encode_limits),
    ):
        for value in values:
            yield _served(f"load-{option}-{value}", scale, LARGE, usual, scale.crowd, f"--{option} {value}")


def _served(name: str, scale: Scale, model: str, mix: str, users: str, serve: str, *more: str, types: str = "") -> Step:
    """A run of load.py."""
    options = [
        f"--model={scale.models[model]}",
        f"--mix={mix}",
        f"--concurrency={users}",
        f"--requests={scale.requests}",
        f"--serve=--compute-type {types or scale.floating} --no-verify-model {serve}".rstrip(),
        *more,
    ]
    return Step(name, "load.py", options)
