"""Entry point: ``python -m converter``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping

from .logs import start_logging
from .server import Application, Server
from .settings import SettingsError, load_settings


def main(environment: Mapping[str, str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status (2: configuration cannot be used)."""
    try:
        settings = load_settings(os.environ if environment is None else environment)
    except SettingsError as error:
        print(f"configuration: {error}", file=sys.stderr)
        return 2
    logger = start_logging(settings.log_level)
    application = Application(settings, logger)
    try:
        server = Server(application)
    except OSError as error:
        logger.error("cannot listen on port %s: %s", settings.port, error.strerror)
        return 1
    with server:
        # shutdown() waits for the loop below, so it must not run in the loop's own thread.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.drain).start())
        application.ready.set()
        logger.info(
            "listening",
            extra={"fields": {"port": server.server_port, "version": settings.build.version}},
        )
        server.serve_forever(poll_interval=0.1)
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
