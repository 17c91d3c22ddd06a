"""`asr-internals`: what happens between the socket and the engine."""

from tools.dashboards.board import Board, Row
from tools.dashboards.panel import Panel, Target, quantiles

REQUESTS = Row(
    "Requests under way",
    (
        Panel(
            "In progress, by phase",
            "Where requests are now. Many in upload: slow clients. In decode: files wait. In queue: too little engine.",
            "short",
            (Target("sum by (phase) (asr_requests_in_flight{@here})", "{{phase}}"),),
            stacked=True,
        ),
        Panel(
            "Queue",
            "Requests that wait for the engine, and those that have a chunk in it.",
            "short",
            (
                Target("sum(asr_queue_depth{@here})", "waiting"),
                Target("sum(asr_requests_running{@here})", "running"),
            ),
        ),
        Panel(
            "Longest wait",
            "Seconds that the oldest chunk in the queue has waited.",
            "s",
            (Target("max by (instance) (asr_queue_oldest_wait_seconds{@here})", "{{instance}}"),),
        ),
        Panel(
            "Clients that left",
            "Before their answer, by where their request was. In queue or inference: they are tired of waiting.",
            "reqps",
            (Target("sum by (phase) (rate(asr_client_disconnects_total{@here}[@window]))", "{{phase}}"),),
            stacked=True,
        ),
        Panel(
            "Uploads",
            "Bytes of audio received a second.",
            "Bps",
            (Target("sum by (instance) (rate(asr_upload_bytes_total{@here}[@window]))", "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Retries that joined",
            "Requests that found the work of the request before them, and cost nothing.",
            "reqps",
            (Target("sum(rate(asr_requests_joined_total{@here}[@window]))", "joined"),),
        ),
    ),
)

DECODING = Row(
    "Decoding and disk",
    (
        Panel(
            "Decode workers",
            "By what they do. None idle for long: more of them (ASR_DECODE_WORKERS), or more cores.",
            "short",
            (Target("sum by (state) (asr_decode_workers{@here})", "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Decode workers replaced",
            "By why. signal: a file crashed the decoder, which may be an attack.",
            "cps",
            (Target("sum by (reason) (rate(asr_decode_worker_restarts_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Spool",
            "Share of ASR_MAX_SPOOL_BYTES in use; from 0.9 on the instance is not ready.",
            "percentunit",
            (Target("asr_spool_used_bytes{@here} / asr_spool_capacity_bytes{@here}", "{{instance}}"),),
            most=1,
        ),
        Panel(
            "Files in the spool",
            "Uploads and chunks that wait on disk.",
            "short",
            (Target("sum by (instance) (asr_spool_files{@here})", "{{instance}}"),),
            stacked=True,
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Panel(
            "Event loop lag",
            "How late the loop comes to what is due. It serves every connection: lag is everybody's.",
            "s",
            quantiles("asr_event_loop_lag_seconds", 0.5, 0.99, by=("instance",)),
        ),
        Panel(
            "Tasks of the event loop",
            "A few for each request in progress and each connection; a line that only climbs is a leak.",
            "short",
            (Target("asr_event_loop_tasks{@here}", "{{instance}}"),),
        ),
        Panel(
            "Memory",
            "Resident memory of the process itself, without its decode workers.",
            "bytes",
            (Target("process_resident_memory_bytes{@here}", "{{instance}}"),),
        ),
        Panel(
            "Cores in use",
            "CPU seconds a second of the process itself; on a CPU the engine is most of it.",
            "short",
            (Target("rate(process_cpu_seconds_total{@here}[@window])", "{{instance}}"),),
        ),
        Panel(
            "File descriptors",
            "Share of those that the process may have. Connections and spooled files are most of them.",
            "percentunit",
            (Target("process_open_fds{@here} / process_max_fds{@here}", "{{instance}}"),),
            most=1,
        ),
        Panel(
            "Garbage collection",
            "Collections a second, by generation.",
            "cps",
            (
                Target(
                    "sum by (generation) (rate(python_gc_collections_total{@here}[@window]))",
                    "generation {{generation}}",
                ),
            ),
        ),
        Panel(
            "Shutting down",
            "1 while an instance lets its requests end.",
            "short",
            (Target("asr_draining{@here}", "{{instance}}"),),
            most=1,
        ),
    ),
)

EDGE = Row(
    "Connections, keys, log",
    (
        Panel(
            "Connections",
            "Open now.",
            "short",
            (Target("sum by (instance) (asr_connections{@here})", "{{instance}}"),),
            stacked=True,
        ),
        Panel(
            "Connections closed",
            "By why.",
            "cps",
            (Target("sum by (reason) (rate(asr_connections_closed_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Wrong keys",
            "Requests without a right key. locked: the address failed so often that it must wait.",
            "reqps",
            (Target("sum by (reason) (rate(asr_auth_failures_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Log lines",
            "By level.",
            "cps",
            (Target("sum by (level) (rate(asr_log_messages_total{@here}[@window]))", "{{level}}"),),
            stacked=True,
        ),
        Panel(
            "Log lines lost",
            "Whoever reads the log did not keep up.",
            "cps",
            (Target("sum by (level) (rate(asr_log_dropped_total{@here}[@window]))", "{{level}}"),),
            stacked=True,
        ),
        Panel(
            "Versions",
            "More than one for a job is a rollout under way.",
            "none",
            (Target("max by (instance, version, revision, python) (asr_build_info{@here})"),),
            kind="table",
        ),
    ),
)

INTERNALS = Board(
    "asr-internals", "What happens in asr-api between the socket and the engine.", (REQUESTS, DECODING, PROCESS, EDGE)
)
