#!/usr/bin/env bash
# Serve the site: migrate, then one gunicorn process with threads (what SQLite can take).
set -euo pipefail
cd "$(dirname "$0")/.."
host=${1:-127.0.0.1} port=${2:-8000}
.venv/bin/python - "$host" "$port" <<'PY' || exit 1
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
with socket.socket() as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        s.bind((host, port))
    except OSError as e:
        sys.exit(f"assay: port {port} on {host} is taken ({e.strerror}); choose another: make serve PORT=8001")
PY
.venv/bin/python manage.py migrate --verbosity 0
echo "Assay is on http://$host:$port (Ctrl-C stops it)"
exec .venv/bin/python -m gunicorn annotation_site.wsgi --workers 1 --threads 8 --bind "$host:$port" --log-level warning
