"""What is deployed, judged without a registry, a daemon or a cluster."""
