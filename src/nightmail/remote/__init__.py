"""The questions of `Client`, asked of a service over its HTTP API instead of a home on this machine."""
