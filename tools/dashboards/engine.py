"""`asr-engine`: is the engine well, and is it well used?"""

from tools.dashboards.board import Board, Row
from tools.dashboards.panel import Panel, Target, mean, quantiles

STATES = (
    (1, "loading", "blue"),
    (2, "ready", "green"),
    (3, "restarting", "orange"),
    (4, "draining", "purple"),
    (5, "failed", "red"),
)

STATE = " + ".join(
    f'{number} * sum by (instance) (asr_engine_state{{@here,state="{name}"}})' for number, name, _ in STATES
)

HEALTH = Row(
    "Is it well?",
    (
        Panel(
            "State",
            "What each instance's engine was doing.",
            "none",
            (Target(STATE, "{{instance}}"),),
            kind="state-timeline",
            width=12,
            names=STATES,
        ),
        Panel(
            "Seconds since the last batch",
            "High is harmless while nobody asks; with requests running (Internals: Queue) it hangs.",
            "s",
            (Target("time() - asr_engine_last_progress_timestamp_seconds{@here}", "{{instance}}"),),
            width=12,
        ),
        Panel(
            "Engine calls by outcome",
            "oom: ran out of memory and was halved. error: failed, and was halved until the guilty chunk stood alone.",
            "cps",
            (Target("sum by (outcome) (rate(asr_batches_total{@here}[@window]))", "{{outcome}}"),),
            stacked=True,
        ),
        Panel(
            "Calls tried again",
            "By why: oom, a chunk that breaks its batch (poison), a wrong number of answers, a restart.",
            "cps",
            (Target("sum by (reason) (rate(asr_batch_retries_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Restarts and errors",
            "Restarts of the engine by why, and its errors by kind.",
            "cps",
            (
                Target("sum by (reason) (rate(asr_engine_restarts_total{@here}[@window]))", "restart: {{reason}}"),
                Target("sum by (kind) (rate(asr_engine_errors_total{@here}[@window]))", "error: {{kind}}"),
            ),
        ),
    ),
)

USE = Row(
    "Is it well used?",
    (
        Panel(
            "Busy",
            "Share of the engine's workers that compute. Near 1 it is the bottleneck; far below with a queue, not.",
            "percentunit",
            (
                Target(
                    "sum by (instance) (rate(asr_engine_busy_seconds_total{@here}[@window]))"
                    " / sum by (instance) (asr_engine_workers{@here})",
                    "{{instance}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "Chunks in a batch",
            "On average, and the most that the next call may have (lower after memory ran out).",
            "short",
            (
                *mean("asr_batch_size"),
                Target("min by (instance) (asr_batch_limit{@here})", "limit, {{instance}}"),
            ),
        ),
        Panel(
            "Distribution of batch sizes",
            "Under load the large ones should prevail.",
            "short",
            (Target("sum by (le) (increase(asr_batch_size_bucket{@here}[@window]))"),),
            kind="heatmap",
        ),
        Panel(
            "Seconds of an engine call",
            "Half of the calls, and the slowest twentieth.",
            "s",
            quantiles("asr_batch_duration_seconds", 0.5, 0.95),
        ),
        Panel(
            "Seconds to form a batch",
            "How long chunks waited while a worker was free: what ASR_MAX_QUEUE_DELAY costs.",
            "s",
            quantiles("asr_batch_formation_seconds", 0.5, 0.95),
        ),
        Panel(
            "Padding",
            "Share of the engine's input that is silence added to short chunks.",
            "percentunit",
            mean("asr_batch_padding_ratio"),
            most=1,
        ),
        Panel(
            "Tokens",
            "Tokens that the engine writes a second.",
            "cps",
            (Target("sum by (instance) (rate(asr_generated_tokens_total{@here}[@window]))", "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Chunks decoded again",
            "Whisper's ladder of temperatures, by why the last attempt failed. Much of it: bad audio, or a bad model.",
            "cps",
            (Target("sum by (reason) (rate(asr_fallbacks_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Audio without text",
            "Seconds of audio a second in which nothing was held to be said: vad, by the voice detector; no_speech, by "
            "the model's own probabilities; blank, since it wrote nothing.",
            "short",
            (Target("sum by (guard) (rate(asr_skipped_audio_seconds_total{@here}[@window]))", "{{guard}}"),),
            stacked=True,
        ),
        Panel(
            "Speech without words",
            "Stretches of speech for which nothing was written: recovered, when it was heard again, or left.",
            "cps",
            (Target("sum by (outcome) (rate(asr_omissions_total{@here}[@window]))", "{{outcome}}"),),
            stacked=True,
        ),
        Panel(
            "Waiting for the engine",
            "Chunks in the queue.",
            "short",
            (Target("sum by (instance) (asr_queue_chunks{@here})", "{{instance}}"),),
            stacked=True,
        ),
    ),
)

GPU = Row(
    "GPU",
    (
        Panel(
            "VRAM in use",
            "Of each card, whoever uses it. A plateau is right: memory that was taken once is kept for the next batch.",
            "percentunit",
            (
                Target(
                    "asr_gpu_memory_used_bytes{@here} / asr_gpu_memory_total_bytes{@here}",
                    "{{instance}} GPU {{gpu}}",
                ),
            ),
            most=1,
        ),
        Panel(
            "VRAM of the service",
            "What this process holds; the rest of the card is somebody else's.",
            "bytes",
            (Target("asr_gpu_process_memory_bytes{@here}", "{{instance}} GPU {{gpu}}"),),
        ),
        Panel(
            "Kernels running",
            "Share of the time in which any kernel ran. It says little about saturation: look at Busy.",
            "percentunit",
            (Target("asr_gpu_utilization_ratio{@here}", "{{instance}} GPU {{gpu}}"),),
            most=1,
        ),
        Panel(
            "Temperature",
            "Above some 87 degrees a card slows itself down.",
            "celsius",
            (Target("asr_gpu_temperature_celsius{@here}", "{{instance}} GPU {{gpu}}"),),
        ),
        Panel(
            "Power",
            "As the card says at the moment, and as its energy counter says.",
            "watt",
            (
                Target("asr_gpu_power_watts{@here}", "now, {{instance}} GPU {{gpu}}"),
                Target("rate(asr_gpu_energy_joules_total{@here}[@window])", "mean, {{instance}} GPU {{gpu}}"),
            ),
        ),
        Panel(
            "Reading the GPU",
            "Seconds that NVML takes to answer, every five seconds, in a thread of its own.",
            "s",
            (Target("asr_gpu_collector_duration_seconds{@here}", "{{instance}}"),),
        ),
        Panel(
            "GPU answers",
            "1 while NVML answers; 0 is right where there is no GPU.",
            "short",
            (Target("asr_gpu_collector_up{@here}", "{{instance}}"),),
            most=1,
        ),
    ),
)

MODEL = Row(
    "Model",
    (
        Panel(
            "What is served",
            "Model, its revision, and how it computes. More than one row for a job is a rollout under way.",
            "none",
            (Target("max by (instance, model, revision, compute_type, device, ct2) (asr_model_info{@here})"),),
            kind="table",
            width=16,
        ),
        Panel(
            "Seconds to load",
            "From the start to the first request that is taken; 120 s are promised.",
            "s",
            (Target("asr_engine_load_duration_seconds{@here}", "{{instance}}"),),
        ),
    ),
)

ENGINE = Board("asr-engine", "Is the engine of asr-api well, and well used?", (HEALTH, USE, GPU, MODEL))
