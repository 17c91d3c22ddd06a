"""The Grafana dashboards, written down once as what each panel asks and shows."""
