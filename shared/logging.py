"""Logging: one structured line per event, for people (`text`) or machines (`json`)."""

import json
import logging
import os
import sys
import threading
from typing import Any, Final, NoReturn

import structlog

from shared import raw_output
from shared.settings import Settings

_VERBOSE_LIBRARIES: Final = ("pyvips", "httpx2")
"""They log each image and each request, with its URL, which may contain a secret of a webhook's receiver."""

log = structlog.get_logger(__name__)


def configure_logging(settings: Settings, **fields: str) -> None:
    """Write structlog, the standard library's loggers, warnings and uncaught exceptions to stderr in one format.

    Each line gets the `fields`. With `json`, what is written past `logging` becomes log lines, too.
    """

    def add_fields(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**fields, **event}

    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        add_fields,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        stream, renderer = raw_output.capture(json.dumps(fields)), structlog.processors.JSONRenderer()
    else:
        stream, renderer = sys.stderr, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=processors))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for name in _VERBOSE_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *exc_info: log.critical("uncaught_exception", exc_info=exc_info)
    sys.unraisablehook = lambda error: log.error("unraisable_exception", exc_info=error.exc_value)
    threading.excepthook = _log_exception_of_thread


def exit_with_error(detail: str, **fields: str) -> NoReturn:
    """Exit with code 1 and one line for an error that the operator can fix."""
    if os.environ.get("EASEL_LOG_FORMAT") != "json":  # read here, because the settings may be what is wrong
        sys.exit(f"easel: {detail}" + (f" ({'; '.join(fields.values())})" if fields else ""))
    if not structlog.is_configured():
        configure_logging(Settings.model_construct(log_format="json", log_level="INFO"))
    log.critical("command_failed", detail=detail, **fields)
    sys.exit(1)


def _log_exception_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and args.exc_value:
        log.critical("uncaught_exception", thread=args.thread and args.thread.name, exc_info=args.exc_value)
