"""Where histograms have their bounds, in seconds: the same for Prometheus and for OpenTelemetry.

As Envoy's AI gateway has them, which follow OpenTelemetry's conventions for generative AI.
"""

from __future__ import annotations

from typing import Final

__all__ = ["DURATIONS", "FIRST_TOKEN", "PER_TOKEN"]

DURATIONS: Final = tuple(0.01 * 2**step for step in range(14))
"""Of requests and calls: 0.01 and on, each twice the last."""

FIRST_TOKEN: Final = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10, 30, 60)
"""Until the first content."""

PER_TOKEN: Final = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""Of each token after the first."""
