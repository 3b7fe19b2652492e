"""A stand-in for the server of Weights & Biases: what a run, its history and its files need of it, and nothing else."""

import gzip
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """runs: id -> {"history": lines, "summary", "exit_code", and what the run said of itself}; uploads: path -> bytes;
    views: name -> workspace."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.runs, self.uploads, self.views = {}, {}, {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": "0" * 40}

    def query(self, name: str, variables: dict) -> dict:
        """The answer to a query of GraphQL, by the query's name."""
        if name == "RunResumeStatus":
            run = self.runs.get(variables["name"])
            return {"model": {"id": "p", "name": "p", "entity": {"id": "e", "name": "me"}, "bucket": run and tail(run)}}
        if name == "UpsertBucket":
            run = self.runs.setdefault(variables["name"], {"history": [], "summary": {}, "starts": 0, "received": 0})
            run["starts"] += variables["groupName"] is not None
            run |= {key: value for key, value in variables.items() if value is not None}
            project = {"id": "p", "name": variables["project"], "entity": {"id": "e", "name": "me"}}
            named = {"id": variables["name"], "name": variables["name"], "displayName": run.get("displayName")}
            return {"upsertBucket": {"bucket": named | {"project": project}, "inserted": run["starts"] == 1}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in variables["files"]]
            return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}
        if name in ("Viewer", "GetDefaultEntity"):
            return {"viewer": {"id": "u", "username": "me", "entity": "me", "flags": "{}", "teams": {"edges": []}}}
        if name == "UpsertView2":
            self.views[variables["name"]] = variables
            return {"upsertView": {"view": {"id": "v", "name": variables["name"]}, "inserted": True}}
        return {}

    def stream(self, run: dict, sent: dict) -> None:
        """Lines of the history from their offset on, the summary, and how the run ended."""
        for name, file in sent.get("files", {}).items():
            lines = [json.loads(line) for line in file["content"]]
            if name == "wandb-history.jsonl":
                run["received"] += len(lines)
                run["history"][file["offset"] : file["offset"] + len(lines)] = lines
            elif name == "wandb-summary.json":
                run["summary"] = lines[-1]
        if sent.get("complete"):
            run["exit_code"] = sent["exitcode"]


def tail(run: dict) -> dict:
    history = run["history"]
    kept = {"id": "b", "name": run["name"], "displayName": None, "config": run["config"], "tags": [], "notes": None}
    kept |= {"summaryMetrics": json.dumps(run["summary"]), "wandbConfig": "{}"}
    kept |= {"logLineCount": 0, "eventsLineCount": 0, "eventsTail": "[]"}
    return kept | {"historyLineCount": len(history), "historyTail": json.dumps([json.dumps(x) for x in history[-1:]])}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self._body()
        if self.path == "/graphql":
            sent = json.loads(body)
            name = re.search(r"(?:query|mutation)\s+(\w+)", sent["query"]).group(1)
            self._answer({"data": self.server.query(name, sent.get("variables") or {})})
        else:
            if self.path.endswith("/file_stream"):  # of /files/ENTITY/PROJECT/RUN
                self.server.stream(self.server.runs[self.path.split("/")[-2]], json.loads(body))
            self._answer({})

    def do_PUT(self):
        self.server.uploads[self.path.removeprefix("/upload/")] = self._body()
        self._answer({})

    def _body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _answer(self, content: dict):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serve():
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
