"""`moc-studio serve`: the studio in the browser."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import socket
import ssl
import sys
import threading
import time
import webbrowser
from pathlib import Path
from typing import Any

from studio.cli import root
from studio.domain.errors import WrongUse
from studio.worker.artifact_options import ArtifactOptions
from studio.worker.renderers import RendererOptions

PORT = 7860
MOST_WORKERS = 64
"""Of one machine."""
CLEAR_TEXT = (
    "Warning: without TLS, passwords and films cross the network in clear text. Use --tls-cert and "
    "--tls-key, or a reverse proxy that serves HTTPS."
)


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="open the studio in the browser",
        description="Serves the studio, with processes beside it that render, until it is interrupted.",
    )
    root.add_to(parser)
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"default: {PORT}")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name others reach it by"
    )
    parser.add_argument(
        "--auth", metavar="USER:PASSWORD", help="ask for a password (default: $MOC_STUDIO_AUTH)"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="serve HTTPS with this certificate (PEM)"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's private key")
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that render side by side, each with the model in memory (default: 1)",
    )
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, default=False, help="open a browser window"
    )
    RendererOptions.add_to(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.api.security import check_host, is_loopback, parse_login

    given = args.auth or os.environ.get("MOC_STUDIO_AUTH")
    login = parse_login(given) if given else None
    check_host(args.host, login)
    _check_tls(args.tls_cert, args.tls_key)
    if args.tls_cert is None and not is_loopback(args.host):
        print(CLEAR_TEXT, file=sys.stderr)
    if not 1 <= args.workers <= MOST_WORKERS:
        raise WrongUse(f"--workers: must lie within 1–{MOST_WORKERS}, got {args.workers}")
    if not 0 <= args.port <= 65535:
        raise WrongUse(f"--port: must lie within 0–65535, got {args.port}")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    listener = _listening(args.host, args.port)
    with listener, root.opened(args, new=True) as service:
        import uvicorn

        from studio.web.app import make_app
        from studio.worker.supervisor import WORKER, Supervisor, Supervisors

        (args.root / "logs").mkdir(parents=True, exist_ok=True)
        logging.basicConfig(filename=args.root / "logs" / "web.log", level=logging.INFO)
        if args.database is not None:
            os.environ[root.DATABASE] = args.database  # for the worker: arguments are seen by others
        command = (*WORKER, *RendererOptions.of(args).arguments, *ArtifactOptions.of(args).arguments)
        workers = [Supervisor(args.root, service.queue, command) for _ in range(args.workers)]
        hosts = (args.host, *args.allow_host)
        app = make_app(service, Supervisors(workers), hosts=hosts, login=login)
        config = uvicorn.Config(
            app, log_config=None, lifespan="on", ssl_certfile=args.tls_cert, ssl_keyfile=args.tls_key
        )
        server = uvicorn.Server(config)
        threading.Thread(
            target=_tell,
            args=(server, listener, "https" if config.is_ssl else "http", args.open),
            daemon=True,
        ).start()
        server.run(sockets=[listener])
    return 0


def _check_tls(certificate: Path | None, key: Path | None) -> None:
    """Raises `WrongUse` unless the files are a certificate and its key, or there are none."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise WrongUse("--tls-cert and --tls-key: give both or neither")
    for option, file in (("--tls-cert", certificate), ("--tls-key", key)):
        if not file.is_file():
            raise WrongUse(f"{option}: there is no file {file}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise WrongUse(f"--tls-cert {certificate} --tls-key {key}: {error.strerror or error}") from error


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise WrongUse(
                f"--port {port} is taken: is the studio open already? Choose another with --port"
            ) from error
        raise WrongUse(f"--host {host} --port {port}: {error.strerror}") from error
    return listener


def _tell(server: Any, listener: socket.socket, scheme: str, in_browser: bool) -> None:
    """Says where the studio is once it answers."""
    while not server.started:
        if server.should_exit:
            return
        time.sleep(0.05)
    host, port = listener.getsockname()[:2]
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"MoC Studio is at {address} (Ctrl-C ends it; what it renders goes on next time)", file=sys.stderr)
    if in_browser:
        webbrowser.open(address)
