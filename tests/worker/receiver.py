"""Somebody else's web server: keeps what is posted to it, and answers as it is told."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Post:
    """A request that came: `headers` with lower-case names."""

    def __init__(self, path, headers, body):
        self.path, self.headers, self.body = path, headers, body


@contextmanager
def receiver(status=200, headers=()):
    """Its URL and the list of posts, while the block runs."""
    posts = []

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            posts.append(Post(self.path, {name.lower(): each for name, each in self.headers.items()}, body))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", posts
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
