"""The dashboard: pages made here, on the server; a little script keeps them live."""
