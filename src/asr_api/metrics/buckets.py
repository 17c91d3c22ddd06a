"""Edges of histograms. Those of latency lie on the service levels: 2 s and 5 s for short clips."""

LATENCY = (0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 60, 120, 300, 600)
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
STAGE = (*SHORT, 120, 300)
AUDIO = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)
BATCH = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64)
REALTIME_FACTOR = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
PADDING = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)
UPLOAD = tuple(16 * 1024 * 4**power for power in range(7))
