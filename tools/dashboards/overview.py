"""`asr-overview`: are users hurt, and by what?"""

from tools.dashboards.board import Board, Row
from tools.dashboards.panel import Panel, Target, mean, quantiles

FAILED = 'asr_requests_total{@here,outcome=~"shed|deadline|engine_error|internal_error"}'
COUNTED = 'asr_requests_total{@here,outcome!~"client_error|cancelled"}'
FAILED_30D = f"sum(increase({FAILED}[30d])) / sum(increase({COUNTED}[30d]))"

USERS = Row(
    "Are users hurt?",
    (
        Panel(
            "Availability, 30 days",
            "Share of requests that were answered. What the client got wrong or gave up does not count; what was "
            "refused or came too late counts as failed. 99.9 % is promised.",
            "percentunit",
            (Target(f"1 - {FAILED_30D}"),),
            kind="stat",
            width=4,
            decimals=3,
            steps=((None, "red"), (0.999, "green")),
        ),
        Panel(
            "Error budget left",
            "Of the one request in a thousand that may fail in 30 days. Below zero the promise is broken.",
            "percentunit",
            (Target(f"1 - ({FAILED_30D}) / 0.001"),),
            kind="stat",
            width=4,
            decimals=0,
            steps=((None, "red"), (0, "orange"), (0.5, "green")),
        ),
        Panel(
            "Short clips within 2 s",
            "Of clips of up to 30 s. 95 % is promised.",
            "percentunit",
            (
                Target(
                    "sum(rate(asr_request_duration_seconds_bucket"
                    '{@here,audio_class="short",le=~"2(\\\\.0)?"}[@window]))'
                    ' / sum(rate(asr_request_duration_seconds_count{@here,audio_class="short"}[@window]))'
                ),
            ),
            kind="stat",
            width=4,
            decimals=1,
            steps=((None, "red"), (0.9, "orange"), (0.95, "green")),
        ),
        Panel(
            "Failing now",
            "Share of requests that are refused, too late or broken. 0.1 % may be, on average of 30 days.",
            "percentunit",
            (Target(f"sum(rate({FAILED}[@window])) / sum(rate({COUNTED}[@window]))"),),
            kind="stat",
            width=4,
            decimals=2,
            steps=((None, "green"), (0.001, "orange"), (0.0144, "red")),
        ),
        Panel(
            "Instances ready",
            "Of those that Prometheus knows: the ones that take requests.",
            "percentunit",
            (Target("sum(asr_ready{@here}) / count(up{@here})"),),
            kind="stat",
            width=4,
            decimals=0,
            steps=((None, "red"), (0.5, "orange"), (1, "green")),
        ),
        Panel(
            "Times real time",
            "Seconds of audio that are transcribed in a second, all instances together.",
            "suffix: ×",
            (Target('sum(rate(asr_audio_seconds_total{@here,outcome="ok"}[@window]))'),),
            kind="stat",
            width=4,
            decimals=1,
        ),
    ),
)

REQUESTS = Row(
    "Requests",
    (
        Panel(
            "Requests by outcome",
            "shed: refused for want of room. deadline: not done in ASR_REQUEST_TIMEOUT. cancelled: the client left.",
            "reqps",
            (Target("sum by (outcome) (rate(asr_requests_total{@here}[@window]))", "{{outcome}}"),),
            width=12,
            stacked=True,
        ),
        Panel(
            "Seconds to an answer, by length of the audio",
            "From a request's first byte to the end of its answer. short: up to 30 s, medium: up to 5 min.",
            "s",
            quantiles("asr_request_duration_seconds", 0.5, 0.95, 0.99, by=("audio_class",)),
            width=12,
        ),
        Panel(
            "Responses by status",
            "Every HTTP answer about audio, as clients see it; 499: the client left before it.",
            "reqps",
            (Target('sum by (code) (rate(asr_http_responses_total{@here,endpoint!="other"}[@window]))', "{{code}}"),),
            stacked=True,
        ),
        Panel(
            "Requests by endpoint",
            "Requests that ended.",
            "reqps",
            (Target("sum by (endpoint) (rate(asr_requests_total{@here}[@window]))", "{{endpoint}}"),),
            stacked=True,
        ),
        Panel(
            "Distribution of seconds to an answer",
            "How many requests took how long; a second band is a second kind of request or of trouble.",
            "s",
            (Target("sum by (le) (increase(asr_request_duration_seconds_bucket{@here}[@window]))"),),
            kind="heatmap",
        ),
    ),
)

TIME = Row(
    "Where the time goes",
    (
        Panel(
            "Mean seconds by stage",
            "Stacked, this is the mean request. queue growing means too little engine, decode too few workers.",
            "s",
            mean("asr_request_stage_duration_seconds", by="stage"),
            stacked=True,
        ),
        Panel(
            "Slowest twentieth by stage",
            "The 95th percentile of the seconds in each stage.",
            "s",
            quantiles("asr_request_stage_duration_seconds", 0.95, by=("stage",)),
        ),
        Panel(
            "Processing time over audio time",
            "The 95th percentile by length of the audio; 0.1 is promised for long files.",
            "none",
            quantiles("asr_request_realtime_factor_ratio", 0.95, by=("audio_class",)),
        ),
    ),
)

LOAD = Row(
    "Load and refusals",
    (
        Panel(
            "Backlog of its capacity",
            "Seconds of audio that wait or are in the engine, and places that are taken; at 1 requests are refused.",
            "percentunit",
            (
                Target("sum(asr_queue_audio_seconds{@here}) / sum(asr_queue_capacity_audio_seconds{@here})", "audio"),
                Target("sum(asr_requests_in_flight{@here}) / sum(asr_queue_capacity_requests{@here})", "requests"),
            ),
            most=1,
        ),
        Panel(
            "Refused, of all",
            "Share of requests that were refused, by why. queue_full, budget: want of room.",
            "percentunit",
            (
                Target(
                    "sum by (reason) (rate(asr_requests_shed_total{@here}[@window]))"
                    " / ignoring (reason) group_left sum(rate(asr_requests_total{@here}[@window]))",
                    "{{reason}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Files that could not be read",
            "By what was wrong with them; the client hears 400.",
            "reqps",
            (Target("sum by (reason) (rate(asr_decode_rejections_total{@here}[@window]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Audio by outcome",
            "Seconds of audio a second of requests that ended; ok is how many times faster than real time.",
            "suffix: ×",
            (Target("sum by (outcome) (rate(asr_audio_seconds_total{@here}[@window]))", "{{outcome}}"),),
            stacked=True,
        ),
        Panel(
            "Lengths of audio",
            "How many requests brought how many seconds.",
            "s",
            (Target("sum by (le) (increase(asr_audio_duration_seconds_bucket{@here}[@window]))"),),
            kind="heatmap",
        ),
        Panel(
            "Sizes of uploads",
            "How many requests brought how many bytes.",
            "bytes",
            (Target("sum by (le) (increase(asr_upload_size_bytes_bucket{@here}[@window]))"),),
            kind="heatmap",
        ),
    ),
)

OVERVIEW = Board("asr-overview", "Are users of asr-api hurt, and by what?", (USERS, REQUESTS, TIME, LOAD))
