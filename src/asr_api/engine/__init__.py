"""The engine: what turns log-mel features into words."""
