"""Replies of query tasks to the web process: a payload, or an error with a code and a message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings

from embeddings.errors import EmbeddingsError
from searchapp.infra import queue
from searchapp.infra.fetch import FetchError
from searchapp.services.errors import ServiceError
from searchapp.services.query_rpc import refusal_payload
from worker.runtime.engines import PipelineUnavailable
from worker.runtime.image_decoding import BadBox

log = logging.getLogger(__name__)
_GONE = "This search is gone: its picture is no longer kept."


@dataclass(frozen=True)
class Reply:
    payload: bytes
    remember: str = ""  # the cache key of the payload; empty: not cached
    seconds: int = 0  # the cache's time to live; 0: as long as query images are kept


def answer(
    reply: str,
    work: Callable[[], Reply],
    missing: tuple[str, str] = ("query_gone", _GONE),
) -> None:
    """Send what `work` returns, or the error that it raises: the caller always gets a reply.

    `missing` is the error code and message for an image whose file does not exist.
    """
    remember = None
    try:
        result = work()
        payload = result.payload
        if result.remember:
            remember = (result.remember, result.seconds or settings.QUERY_KEEP_HOURS * 3600)
    except (EmbeddingsError, FetchError, ServiceError) as error:
        payload = refusal_payload(error.code, error.detail)
    except PipelineUnavailable as error:
        payload = refusal_payload("pipeline_unavailable", str(error))
    except BadBox as error:
        payload = refusal_payload(error.code, str(error))
    except FileNotFoundError:
        payload = refusal_payload(*missing)
    except Exception:
        log.exception("a query failed")
        payload = refusal_payload("internal_error", "The worker failed; its log says why.")
    queue.reply(reply, payload, remember)
