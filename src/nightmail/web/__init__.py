"""The service: an HTTP API over one home. Goes through `Client` only, as the command line does."""
