"""Run one command for as long as somebody holds the other end of standard input.

`python -m demo.keeper COMMAND…`: when standard input ends, because whoever started this was stopped or
killed, the command is ended too. So a demo that dies, even by kill -9, leaves no server behind.
"""

import os
import signal
import subprocess
import sys
import threading

PATIENCE = 10  # seconds between asking and ending


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop, then end it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def main(command: list[str]) -> int:
    if not command:
        print("demo.keeper needs a command", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command hears Ctrl-C by itself
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end(process)

    signal.signal(signal.SIGTERM, lambda *_: end(process))
    threading.Thread(target=watch, daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
