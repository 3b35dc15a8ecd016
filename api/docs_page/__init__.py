"""`/docs`: a reference page of our own, drawn from `/openapi.json` by one script. Nothing comes from elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.http.headers import PAGE_POLICY

_FILES = {
    "/docs": ("index.html", "text/html"),
    "/docs/reference.js": ("reference.js", "text/javascript"),
    "/docs/reference.css": ("reference.css", "text/css"),
}


def add_docs(app: FastAPI) -> None:
    """Serve the page, its script and its style, and the description it is drawn from."""
    for path, (name, media_type) in _FILES.items():
        app.add_route(path, _file(name, media_type), include_in_schema=False)

    async def description(_request: Request) -> Response:
        return JSONResponse(app.openapi())

    app.add_route("/openapi.json", description, include_in_schema=False)


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = files(__package__).joinpath(name).read_bytes()

    async def serve(_request: Request) -> Response:
        return Response(content, headers={"Content-Security-Policy": PAGE_POLICY}, media_type=media_type)

    return serve
