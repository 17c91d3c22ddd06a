"""What operators look at: rules, dashboards and runbooks, held to what the service really tells."""
