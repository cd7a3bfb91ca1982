"""Print the table of docs/reference/metrics.md from the list of metrics."""

from __future__ import annotations

from generated import publish, table

from nightmail.telemetry import Metric


def body() -> str:
    """Every metric with its kind, its labels and its words."""
    rows = [
        [
            f"`{metric.series[0] if metric.kind == 'counter' else metric.value}`",
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help,
        ]
        for metric in Metric
    ]
    return table(["metric", "kind", "labels", "means"], rows)


if __name__ == "__main__":
    publish("docs/reference/metrics.md", body(), script=__file__)
