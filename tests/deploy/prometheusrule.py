"""The rules in the Prometheus operator's form; `python -m tests.deploy.prometheusrule` writes the file anew."""

import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
PROMETHEUS_RULE = ROOT / "deploy" / "k8s" / "components" / "monitoring" / "prometheusrule.yaml"

HEAD = """\
# Made of deploy/prometheus/rules.yaml by `python -m tests.deploy.prometheusrule`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: asr-api
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The text of a PrometheusRule whose spec is the text of a file of rules."""
    return HEAD + textwrap.indent(rules, "  ")


if __name__ == "__main__":
    PROMETHEUS_RULE.write_text(prometheus_rule(RULES.read_text(encoding="utf-8")), encoding="utf-8")
