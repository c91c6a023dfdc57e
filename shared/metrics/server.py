"""`GET /metrics` for workers and the reaper, which have no other HTTP server."""

from prometheus_client import start_http_server

from shared.metrics.instruments import REGISTRY
from shared.settings import InvalidSettings, Settings


class MetricsServer:
    """Serves the metrics of this process in threads, until it ends."""

    def __init__(self, settings: Settings) -> None:
        """Listen at EASEL_METRICS_HOST and EASEL_METRICS_PORT. Raises InvalidSettings if that is not possible."""
        host, port = settings.metrics_host, settings.metrics_port
        try:
            self._server, _ = start_http_server(port, host, REGISTRY)
        except OSError as error:
            raise InvalidSettings(
                f"EASEL_METRICS_PORT={port} cannot be used at {host} ({error.strerror}); set a port that is free, a "
                "different one for each process on a machine, or 0 to serve no metrics."
            ) from error

    def close_in_child(self) -> None:
        """Close the port in a forked process, which would keep it in use after the end of its parent."""
        self._server.socket.close()


def start_metrics_server(settings: Settings) -> MetricsServer | None:
    """Serve metrics if EASEL_METRICS_PORT is set. Raises InvalidSettings."""
    return MetricsServer(settings) if settings.metrics_port else None
