"""A web of our own for the crawler's tests: real HTTP on 127.0.0.1, every request counted."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from PIL import Image


def jpeg(seed: int, side: int = 64) -> bytes:
    """A small picture that differs from every other seed's."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


class Answer:
    """One canned answer. `length`: what Content-Length says, where that is not the truth (-1: nothing)."""

    def __init__(
        self,
        body: bytes | str = b"",
        status: int = 200,
        kind: str = "image/jpeg",
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status, self.kind, self.headers = status, kind, headers or {}
        self.length = len(self.body) if length is None else length


class Web:
    """A server; `pages[path]` is an answer, or a function from how often it was asked to one."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer | Callable[[int], Answer]] = {}
        self.hits: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.delay = 0.0
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.server_address[1]}"

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str = "/") -> str:
        return f"http://{self.place}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def picture(self, path: str, seed: int) -> None:
        self.pages[path] = Answer(jpeg(seed))

    def gallery(self, path: str, pictures: list[str], more: str = "") -> None:
        shown = "".join(f'<a href="{p}"><img src="{p}"></a>' for p in pictures)
        self.pages[path] = Answer(f"<html><body>{shown}{more}</body></html>", kind="text/html")

    def _handler(web) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with web._lock:
                    web.hits[self.path] += 1
                    count = web.hits[self.path]
                    web._at_once += 1
                    web.most_at_once = max(web.most_at_once, web._at_once)
                    web.agents.add(self.headers.get("User-Agent", ""))
                try:
                    time.sleep(web.delay)
                    found = web.pages.get(self.path, Answer(b"no", 404))
                    self.answer(found(count) if callable(found) else found)
                except ConnectionError:
                    self.close_connection = True
                finally:
                    with web._lock:
                        web._at_once -= 1

            def answer(self, answer: Answer) -> None:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.length >= 0:
                    self.send_header("Content-Length", str(answer.length))
                if answer.length != len(answer.body):
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
