"""The edge of the process: connections, the admin port, and what the system gives or does not give."""
