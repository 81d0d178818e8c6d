"""The demo's web site: paged galleries of the bundled photos, with the faults that a crawler meets.

`python -m demo.server --plan plan.json --port 8100` serves what `demo.plan` laid out, on 127.0.0.1 only.
`GET /stats` tells how often each kind of URL was asked for.
"""

import argparse
import html
import json
import math
import signal
import socket
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qs, urlsplit

from demo.copies import KINDS, make_copy
from demo.plan import Plan, photo_bytes, read_category_names

PAGE_SIZE = 48
OVERSIZED_BYTES = 30 * 2**20
ROBOTS = "User-agent: *\nDisallow: /private/\n"
LICENCE = "https://creativecommons.org/publicdomain/zero/1.0/"
AUTHOR = "Contributors to the clothing dataset"

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}, page {page}</title>
<link rel="license" href="{licence}"><meta name="author" content="{author}">{links}</head>
<body><h1>{title}</h1><p>Photos by {author}, <a rel="license" href="{licence}">CC0 1.0</a></p>
{figures}
<nav>{nav}</nav></body></html>
"""
FIGURE = '<figure><a href="{path}"><img src="{path}" alt="a photo" loading="lazy"></a></figure>'


def gallery_page(plan: Plan, category: str, name: str, page: int) -> str:
    """HTML of one gallery page, counted from 1. Raises LookupError where there is none."""
    paths = plan.galleries[category]
    pages = max(1, math.ceil(len(paths) / PAGE_SIZE))
    if not 1 <= page <= pages:
        raise LookupError(f"{category} has no page {page}")
    links, nav = "", ""
    if page > 1:
        nav += f'<a rel="prev" href="?page={page - 1}">Back</a> '
    if page < pages:
        links = f'<link rel="next" href="?page={page + 1}">'
        nav += f'<a rel="next" href="?page={page + 1}">More</a>'
    on_page = paths[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    return PAGE.format(
        title=html.escape(name),
        page=page,
        licence=LICENCE,
        author=AUTHOR,
        links=links,
        nav=nav,
        figures="\n".join(FIGURE.format(path=html.escape(path)) for path in on_page),
    )


class DemoServer(ThreadingHTTPServer):
    """Serves one plan and counts requests by kind. Raises OSError where the port is taken."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, plan: Plan, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.plan = plan
        self.names = read_category_names()
        self.hits: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def count(self, kind: str) -> None:
        """One more request of this kind."""
        with self.lock:
            self.hits[kind] += 1

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """A client that hangs up early is ordinary here; anything else is a fault worth its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    protocol_version = "HTTP/1.1"
    server: DemoServer
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        served = self.server.plan.files.get(parts.path)
        if parts.path == "/robots.txt":
            self.server.count("robots")
            self.reply(200, "text/plain; charset=utf-8", ROBOTS.encode())
        elif parts.path == "/stats":
            self.reply(200, "application/json", json.dumps(dict(self.server.hits)).encode())
        elif parts.path.startswith("/gallery/"):
            self.gallery(parts.path.removeprefix("/gallery/").strip("/"), parts.query)
        elif served is not None:
            self.server.count(served.kind)
            self.file(served.photo, served.kind)
        else:
            self.server.count("unknown")
            self.reply(404, "text/plain; charset=utf-8", b"not here\n")

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    def gallery(self, category: str, query: str) -> None:
        """One page of a category."""
        self.server.count("gallery")
        try:
            number = int(parse_qs(query).get("page", ["1"])[0])
            body = gallery_page(self.server.plan, category, self.server.names.get(category, category), number)
        except (LookupError, ValueError):
            self.reply(404, "text/plain; charset=utf-8", b"no such page\n")
            return
        self.reply(200, "text/html; charset=utf-8", body.encode())

    def file(self, photo: str, kind: str) -> None:
        """A picture, or one of the faults."""
        if kind == "dead":
            self.reply(404, "text/plain; charset=utf-8", b"gone\n")
        elif kind == "page":
            self.reply(200, "image/jpeg", b"<!doctype html><title>Moved</title><p>This picture has moved.\n")
        elif kind == "oversized":
            self.stream_oversized()
        elif kind == "truncated":
            whole = photo_bytes(photo)
            self.reply(200, "image/jpeg", whole[: len(whole) * 6 // 10])
        elif kind == "mistyped":
            self.reply(200, "text/plain", photo_bytes(photo))
        elif kind in KINDS:
            self.reply(200, "image/jpeg", make_copy(photo_bytes(photo), kind, self.server.plan.seed, photo))
        else:
            self.reply(200, "image/jpeg", photo_bytes(photo))

    def reply(self, status: int, content_type: str, body: bytes) -> None:
        """One whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def stream_oversized(self) -> None:
        """Far more bytes than a photo needs, without saying so beforehand: a crawler must stop by itself."""
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        block = b"\xff\xd8\xff\xe0" + bytes(65532)
        for _ in range(OVERSIZED_BYTES // len(block)):
            self.wfile.write(block)

    def log_message(self, format: str, *args: object) -> None:
        """Counts are kept instead of a line for each request."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo.server",
        description="Serve the demo's photos as a web site on 127.0.0.1.",
        epilog="example: python -m demo.server --plan data/plan.json --port 8100",
    )
    parser.add_argument("--plan", type=Path, required=True, help="what to serve; `demo.run` writes it")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    options = parser.parse_args(arguments)
    try:
        server = DemoServer(Plan.read(options.plan), options.port)
    except FileNotFoundError:
        print(f"There is no plan at {options.plan}: `python -m demo.run` writes one.", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"Port {options.port} on 127.0.0.1 cannot be used: {error.strerror}.", file=sys.stderr)
        return 1

    def stop(_signal: int, _frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print(f"http://127.0.0.1:{server.port}/", flush=True)
    server.serve_forever(poll_interval=0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
