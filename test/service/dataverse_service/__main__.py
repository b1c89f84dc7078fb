"""``python3 -m dataverse_service``: the service on a port of this machine."""
from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
import sys
from pathlib import Path

from . import app, apply, auth, jwt, server
from .core import Quirks


def _quirks(settings: list[str]) -> Quirks:
    known = {field.name for field in dataclasses.fields(Quirks)}
    quirks = Quirks()
    for setting in settings:
        name, equals, value = setting.partition("=")
        if name not in known or not equals:
            raise SystemExit(f"--quirk {setting}: one of {', '.join(sorted(known))}, as NAME=VALUE")
        setattr(quirks, name, value)
    return quirks


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dataverse_service", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed when ready")
    parser.add_argument("--data", "--database", dest="database", metavar="FILE", default=":memory:",
                        help="SQLite file; rows found there stay (default: memory)")
    parser.add_argument("--seed", choices=("demo", "none"), default="demo")
    parser.add_argument("--rows", type=int, default=1000, help="accounts of the demo data")
    parser.add_argument("--latency-ms", type=float, default=0, help="wait before every answer")
    parser.add_argument("--aggregate-limit", type=int, default=apply.MAX_ROWS, metavar="N",
                        help="rows that one request may aggregate (default: %(default)s)")
    parser.add_argument("--quirk", action="append", default=[], metavar="NAME=VALUE",
                        help="one of the questions the documentation leaves open")
    parser.add_argument("--tenant-id", default=app.DEFAULT_TENANT)
    parser.add_argument("--client-id", default=app.DEFAULT_CLIENT)
    parser.add_argument("--client-secret", default=app.DEFAULT_SECRET)
    parser.add_argument("--client-certificate", metavar="PEM",
                        help="accepted for signed assertions")
    parser.add_argument("--token-lifetime", type=int, default=3599, metavar="SECONDS")
    return parser.parse_args(arguments)


def build(options: argparse.Namespace) -> app.Service:
    certificate = None
    apply.MAX_ROWS = options.aggregate_limit
    if options.client_certificate:
        certificate = jwt.load_certificate(Path(options.client_certificate).read_text())
    credentials = auth.Credentials(options.tenant_id, options.client_id, options.client_secret,
                                   options.token_lifetime, certificate)
    service = app.Service(_quirks(options.quirk), credentials, options.database)
    if service.store.get_meta("seeded") is None:
        service.seed(options.rows if options.seed == "demo" else None)
    return service


async def _run(options: argparse.Namespace) -> None:
    try:
        service = build(options)
    except (ValueError, OSError) as error:
        raise SystemExit(f"dataverse_service: {error}") from None
    front = await server.start(service, options.host, options.port, options.latency_ms)
    print(f"listening on {front.base_url}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    # Ends at once: nothing is worth waiting for, SQLite needs no farewell.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    options = parse_arguments(sys.argv[1:])
    asyncio.run(_run(options))


if __name__ == "__main__":
    main()
