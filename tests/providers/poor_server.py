"""A second OpenAI-compatible server: small, slow-witted, and poorer than ours in every way that was seen.

Run as `python poor_server.py [LACK ...]`; prints its URL. What a LACK does is beside its name below. Two
calls are for tests only: `POST /_script` queues an answer for the next request with that method and path,
`GET /_log` tells what was asked.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LACKS = {
    "metadata": "POST /batches refuses the field with 422, as a strict FastAPI model does",
    "list": "no GET /batches and no GET /files",
    "delete": "no DELETE /files/{id}",
    "models": "no GET /models",
    "has_more": "lists do not say whether there is more",
    "after": "lists ignore `after`",
    "envelope": "lists are bare arrays",
    "purposes": "GET /files refuses the purpose batch_output",
    "fields": "batches have no counts, times, model, expires_at or errors",
    "object_bodies": "result bodies are JSON strings, rows have no `error` key",
    "names_of_failures": "error rows have neither custom_id nor response",
    "text_codes": "error codes are integers, errors are bare strings or `detail`",
    "absent_error_file": "there is always an error file, empty if nothing failed",
    "lengths": "downloads have neither Content-Length nor chunks; the connection's end is their end",
}
STEPS = ["scheduling", "in_progress", "finalizing", "completed"]


class State:
    def __init__(self, lacks: set[str]) -> None:
        self.lacks = lacks
        self.lock = threading.Lock()
        self.files: dict[str, tuple[str, str, bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.script: list[dict[str, Any]] = []
        self.log: list[dict[str, Any]] = []

    def keep(self, name: str, purpose: str, content: bytes) -> str:
        file_id = str(uuid.uuid4())
        self.files[file_id] = (name, purpose, content)
        return file_id

    def file(self, file_id: str) -> dict[str, Any]:
        name, purpose, content = self.files[file_id]
        return {"id": file_id, "object": "file", "bytes": len(content), "filename": name, "purpose": purpose}

    def batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        shown = {key: value for key, value in batch.items() if not key.startswith("_")}
        if "fields" in self.lacks:
            kept = ("id", "status", "input_file_id", "output_file_id", "error_file_id", "endpoint")
            return {**{key: shown[key] for key in kept}, "completion_window": "1d"}
        return shown

    def create(self, wanted: dict[str, Any]) -> dict[str, Any]:
        batch_id = str(uuid.uuid4())
        self.batches[batch_id] = batch = {
            "id": batch_id,
            "object": "batch",
            "endpoint": wanted["endpoint"],
            "input_file_id": wanted["input_file_id"],
            "completion_window": "1d",
            "status": STEPS[0],
            "created_at": 1763700000.25,
            "output_file_id": "",
            "error_file_id": "",
            "errors": {},
            "metadata": wanted.get("metadata"),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        return batch

    def move_on(self, batch: dict[str, Any]) -> None:
        if batch["status"] not in STEPS[:-1]:
            return
        batch["status"] = STEPS[STEPS.index(batch["status"]) + 1]
        if batch["status"] == "completed":
            self.execute(batch)

    def execute(self, batch: dict[str, Any]) -> None:
        good: list[bytes] = []
        bad: list[bytes] = []
        lines = [line for line in self.files[batch["input_file_id"]][2].split(b"\n") if line]
        for line in lines:
            request = json.loads(line)
            status, answer = answer_to(request["url"], request["body"])
            ok = status == 200
            body: Any = json.dumps(answer) if "object_bodies" in self.lacks else answer
            row: dict[str, Any] = {
                "id": str(uuid.uuid4()),
                "custom_id": request["custom_id"],
                "response": {"status_code": status, "request_id": "", "body": body},
            }
            if "object_bodies" not in self.lacks:
                row["error"] = None
            if not ok and "names_of_failures" in self.lacks:
                row = {"id": row["id"], "error": answer["error"]}
            (good if ok else bad).append(json.dumps(row).encode() + b"\n")
        batch["request_counts"] = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        if good:
            batch["output_file_id"] = self.keep("out.jsonl", "batch_output", b"".join(reversed(good)))
        if bad or "absent_error_file" in self.lacks:
            batch["error_file_id"] = self.keep("err.jsonl", "batch_output", b"".join(bad))


def answer_to(path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    said = json.dumps(body)
    if "please fail" in said:
        return 400, {"error": {"message": "asked to fail", "type": "BadRequestError", "code": 400}}
    if path.endswith("/embeddings"):
        inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [{"index": at, "embedding": [float(len(text)), 1.0]} for at, text in enumerate(inputs)]
        return 200, {"model": body["model"], "data": data, "usage": {"prompt_tokens": len(said)}}
    text = body["messages"][-1]["content"]
    message = {"role": "assistant", "content": f"heard: {text}"}
    return 200, {
        "id": "x",
        "model": f"vllm/{body['model']}",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": len(said), "completion_tokens": 3, "total_tokens": len(said) + 3},
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: State

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        with self.state.lock:
            if path == "/_log":
                return self.reply(200, self.state.log)
            if path == "/_script":
                self.state.script.append(json.loads(body))
                return self.reply(200, {})
            path = path.removeprefix("/v1")
            self.state.log.append(
                {
                    "method": self.command,
                    "path": path,
                    "query": query,
                    "size": len(body),
                    "body": body[:2000].decode(errors="replace"),
                    "port": self.client_address[1],
                    "authorization": self.headers.get("authorization"),
                }
            )
            scripted = self.scripted(path)
            if scripted is not None:
                return self.play(scripted)
            return self.route(path, dict(pair.split("=", 1) for pair in query.split("&") if pair), body)

    do_GET = do_DELETE = do_POST

    def scripted(self, path: str) -> dict[str, Any] | None:
        for entry in self.state.script:
            if entry["method"] == self.command and re.fullmatch(entry["path"], path):
                entry["times"] = entry.get("times", 1) - 1
                if entry["times"] == 0:
                    self.state.script.remove(entry)
                return dict(entry)
        return None

    def play(self, entry: dict[str, Any]) -> None:
        if entry.get("hang_up"):
            self.close_connection = True
            return
        content = entry.get("body", "").encode()
        self.send_response(entry["status"])
        for name, value in entry.get("headers", {}).items():
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name in entry.get("headers", {})}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = bool(entry.get("close"))

    def route(self, path: str, query: dict[str, str], body: bytes) -> None:
        lacks = self.state.lacks
        parts = path.strip("/").split("/")
        known = self.state.batches if parts[0] == "batches" else self.state.files
        if self.command == "POST" and path == "/files":
            return self.take_file(body)
        if self.command == "POST" and path == "/batches":
            return self.take_batch(json.loads(body))
        if self.command == "POST" and parts[-1] in ("completions", "embeddings"):
            return self.reply(*answer_to(path, json.loads(body)), {"X-RateLimit-Remaining-Requests": "7"})
        if self.command == "GET" and path == "/models" and "models" not in lacks:
            return self.reply(200, {"object": "list", "data": [{"id": "m"}]})
        if self.command == "GET" and path in ("/files", "/batches") and "list" not in lacks:
            return self.list(parts[0], query)
        if len(parts) > 1 and parts[1] not in known:
            return self.complain(404, f"{parts[0]} {parts[1]} not found")
        if parts[0] == "batches" and len(parts) == 2 and self.command == "GET":
            self.state.move_on(known[parts[1]])
            return self.reply(200, self.state.batch(known[parts[1]]))
        if parts[0] == "batches" and parts[-1] == "cancel":
            return self.cancel(known[parts[1]])
        if parts[0] == "files" and len(parts) == 2 and self.command == "GET":
            return self.reply(200, self.state.file(parts[1]))
        if parts[0] == "files" and parts[-1] == "content":
            return self.send_file(self.state.files[parts[1]][2])
        if parts[0] == "files" and len(parts) == 2 and self.command == "DELETE" and "delete" not in lacks:
            del self.state.files[parts[1]]
            return self.reply(200, {"id": parts[1], "deleted": True})
        if parts[0] == "files" and len(parts) == 2:
            return self.reply(405, {"detail": "Method Not Allowed"})
        return self.reply(404, {"detail": "Not Found"})

    def take_file(self, body: bytes) -> None:
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        for part in body.split(b"--" + boundary):
            head, _, content = part.partition(b"\r\n\r\n")
            if b'name="file"' in head:
                name = re.search(rb'filename="([^"]*)"', head)
                file_id = self.state.keep(name[1].decode() if name else "", "batch", content[:-2])
                return self.reply(200, self.state.file(file_id))
        return self.complain(400, "no file")

    def take_batch(self, wanted: dict[str, Any]) -> None:
        if "metadata" in self.state.lacks and "metadata" in wanted:
            problem = {"loc": ["body", "metadata"], "msg": "Extra inputs are not permitted", "type": "extra"}
            return self.reply(422, {"detail": [problem]})
        if wanted["input_file_id"] not in self.state.files:
            return self.complain(404, f"File {wanted['input_file_id']} not found")
        return self.reply(200, self.state.batch(self.state.create(wanted)))

    def cancel(self, batch: dict[str, Any]) -> None:
        if batch["status"] not in STEPS[:-1]:
            return self.complain(409, f"batch is {batch['status']}")
        batch["status"] = "cancelled"
        return self.reply(200, self.state.batch(batch))

    def list(self, kind: str, query: dict[str, str]) -> None:
        lacks, state = self.state.lacks, self.state
        if kind == "files" and "purposes" in lacks and query.get("purpose") == "batch_output":
            return self.complain(400, "purpose must be batch")
        if kind == "files":
            wanted = query.get("purpose")
            items = [state.file(key) for key in state.files if wanted in (None, state.files[key][1])]
        else:
            items = [state.batch(batch) for batch in reversed(state.batches.values())]
        start, limit = 0, int(query.get("limit", 20))
        if "after" not in lacks and query.get("after"):
            start = 1 + [item["id"] for item in items].index(query["after"])
        page = items[start : start + limit]
        if "envelope" in lacks:
            return self.reply(200, page)
        more = {} if "has_more" in lacks else {"has_more": start + limit < len(items)}
        return self.reply(200, {"object": "list", "data": page, **more})

    def send_file(self, content: bytes) -> None:
        self.send_response(200)
        if "lengths" in self.state.lacks:
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def complain(self, status: int, message: str) -> None:
        if "text_codes" in self.state.lacks:
            return self.reply(status, {"error": {"message": message, "code": status}})
        return self.reply(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    assert LACKS.keys() >= set(sys.argv[1:]), f"known are {', '.join(LACKS)}"
    Handler.state = State(set(sys.argv[1:]))
    ThreadingHTTPServer.request_queue_size = 500
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
