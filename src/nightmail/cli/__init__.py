"""The command line: one file per command, everything through `nightmail.client.Client`."""
