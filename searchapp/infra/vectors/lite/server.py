"""The embedded vector server: Milvus Lite for several processes of this machine.

    python -m searchapp.infra.vectors.lite.server --data-dir DIR --uri unix:/run/milvus.sock
    python -m searchapp.infra.vectors.lite.server --data-dir DIR --uri http://127.0.0.1:19530

It implements the Milvus protocol. Acknowledged writes survive kill -9. On SIGTERM and SIGINT it
stops cleanly with exit code 0. It has no authentication, so it listens only on a Unix socket of
this user or on a loopback port, never on the network.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import stat
import sys
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from searchapp.infra.vectors.lite.service import LiteService

logger = logging.getLogger(__name__)

MAX_SOCKET_PATH_LENGTH = 107  # bytes: sockaddr_un has 108, with the final NUL
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
HANDLER_THREADS = 16
GRACE_SECONDS = 10.0

# The libraries read these once, when they are loaded.
ENVIRONMENT = {
    # For products of one vector with some thousand rows, starting threads costs more than it saves.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # The service decides when to seal rows. A flush by the engine during an insert would hide rows
    # from searches until it ends.
    "MILVUS_LITE_MEMTABLE_MEMORY_LIMIT_BYTES": str(4 * 1024**3),
    "MILVUS_LITE_WAL_SIZE_LIMIT_BYTES": str(8 * 1024**3),
}


class Refused(Exception):
    """The server cannot start; `str()` says why and what is valid."""


def parse_address(uri: str) -> str:
    """Convert `--uri` to a gRPC address.

    Raises `Refused` when it is invalid or can be reached from other machines.
    """
    if uri.startswith("unix:"):
        path = "/" + uri.removeprefix("unix:").lstrip("/")
        if path == "/" or not uri.removeprefix("unix:").startswith("/"):
            raise Refused(f"{uri} has no absolute path. Write unix:/path/to/milvus.sock.")
        if len(os.fsencode(path)) > MAX_SOCKET_PATH_LENGTH:
            raise Refused(
                f"The socket path {path} is longer than {MAX_SOCKET_PATH_LENGTH} bytes, which the "
                "system does not allow. Choose a shorter folder."
            )
        return f"unix:{path}"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused(f"{uri} is not an address: {error}.") from error
    if parts.scheme != "http" or not host or not port:
        raise Refused(
            f"{uri} is not an address to serve. Write unix:/path/to/milvus.sock or "
            "http://127.0.0.1:PORT."
        )
    if not _is_loopback(host):
        raise Refused(
            f"{host} can be reached from other machines, and this server has no passwords. "
            "Serve 127.0.0.1, or run a Milvus server and set MILVUS_URI."
        )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_socket(path: Path) -> None:
    """Check that `path` does not exist or is the stale socket of a killed server.

    gRPC replaces any existing socket file, even if a running server listens on it.

    Raises `Refused` when `path` is another kind of file or in use.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Refused(f"{path} exists and is not a socket. Move it away or choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return
        except OSError:
            pass
    raise Refused(f"Another server is using {path}. Stop it first, or choose another path.")


def build_server(service: LiteService, address: str) -> Any:
    """Return a gRPC server for `service`, bound to `address` and not started.

    Raises `Refused` when the address is in use or cannot be used.
    """
    import grpc
    from pymilvus.grpc_gen import milvus_pb2_grpc

    class Guard(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            handler = continuation(details)
            if handler is None or handler.unary_unary is None:
                return handler
            method = details.method.rsplit("/", 1)[-1]
            return grpc.unary_unary_rpc_method_handler(
                service.guard(method, handler.unary_unary),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )

    server = grpc.server(
        futures.ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="milvus"),
        interceptors=[Guard()],
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # Otherwise two servers could share a port, and each would get a part of the requests.
            ("grpc.so_reuseport", 0),
            # pymilvus pings during long calls; with the defaults, gRPC would close the connection.
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(service, server)
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise Refused(
            f"The address {address} is taken or cannot be used. Stop the program that listens "
            "there, or choose another one."
        ) from error
    return server


def serve(data_dir: Path, uri: str) -> None:
    """Serve `data_dir` on `uri` until SIGTERM or SIGINT. Raises `Refused` when it cannot start."""
    address = parse_address(uri)
    socket_path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    from milvus_lite import MilvusLite
    from milvus_lite.exceptions import DataDirLockedError

    from searchapp.infra.vectors.lite.recovery import open_collections
    from searchapp.infra.vectors.lite.service import LiteService

    os.umask(0o077)
    try:
        db = MilvusLite(str(data_dir))
    except DataDirLockedError as error:
        raise Refused(
            f"Another server is using the data in {data_dir}. Stop it first, or choose another "
            "data directory."
        ) from error
    except OSError as error:
        raise Refused(f"The data directory {data_dir} cannot be used: {error}.") from error
    try:
        if socket_path is not None:
            check_socket(socket_path)
            socket_path.parent.mkdir(parents=True, exist_ok=True)
        open_collections(db)
        service = LiteService(db)
        try:
            # Searches share the interpreter with flushes and compactions. The default switch
            # interval of 5 ms would delay every search noticeably.
            sys.setswitchinterval(0.001)
            server = build_server(service, address)
            server.start()
            logger.info("serving %s on %s", data_dir, uri)
            stop.wait()
            logger.info("stopping")
            server.stop(GRACE_SECONDS).wait()
        finally:
            service.close()
            if socket_path is not None:
                socket_path.unlink(missing_ok=True)
    finally:
        db.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 if stopped on request, 1 if not started."""
    parser = argparse.ArgumentParser(prog="lite_server", description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="where the vectors are kept")
    parser.add_argument("--uri", required=True, help="unix:/path or http://127.0.0.1:PORT")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("milvus_lite").setLevel(logging.WARNING)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        serve(options.data_dir, options.uri)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
