"""What the benchmarks share: clips, a closed loop over HTTP, and the figures that come of it."""
