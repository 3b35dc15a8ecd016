"""Sending spans to a collector, by the standard variables of OpenTelemetry. Off unless asked for.

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    https://opentelemetry.io/docs/specs/otel/protocol/exporter/

`OTEL_EXPORTER_OTLP_ENDPOINT` says where to, over HTTP; `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`
and the others are read by the SDK itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry import trace

from agents.telemetry import capture_content
from trading_core.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_FLUSH_MS = 5_000  # at the end; a collector that does not answer must not keep the desk from stopping


@contextmanager
def tracing(*, on: bool, content: bool = False) -> Iterator[None]:
    """Send spans until the block ends. A process can do this once: OpenTelemetry has one provider for all of it.

    Args:
        content: whether prompts, answers and what tools were given and gave go with them.

    Raises:
        ConfigurationError: the SDK is not installed, or this process sends spans already.
    """
    if not on:
        yield
        return
    provider = _provider()
    trace.set_tracer_provider(provider)
    if trace.get_tracer_provider() is not provider:
        provider.shutdown()
        raise ConfigurationError(
            "this process already has a tracer provider",
            not_done="Nothing was traced",
            next_step="Leave ALGOTRENDY_API_TRACING off where something else sets tracing up",
        )
    captures = capture_content.set(content)
    try:
        yield
    finally:
        capture_content.reset(captures)
        provider.force_flush(_FLUSH_MS)
        provider.shutdown()


def _provider() -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"traces need {error.name}, which is not installed",
            not_done="Nothing was traced",
            next_step="Install `algotrendy[otel]`, or leave ALGOTRENDY_API_TRACING off",
        ) from None
    # What the environment says of the service comes before what is said here.
    own = Resource({SERVICE_NAME: "algotrendy", SERVICE_VERSION: version("algotrendy")})
    told = Resource.create()
    named = {
        key: value
        for key, value in told.attributes.items()
        if key != SERVICE_NAME or not str(value).startswith("unknown_service")
    }
    provider = TracerProvider(resource=own.merge(Resource(named)))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
