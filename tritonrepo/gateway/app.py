"""The web application of the gateway; only `serving` imports this module, where its library is needed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tritonrepo.gateway import counting
from tritonrepo.gateway.chat import chat, complete
from tritonrepo.gateway.embedding import embed
from tritonrepo.gateway.gate import Gate, GatewayOptions
from tritonrepo.gateway.guard import Guard
from tritonrepo.gateway.posting import Post
from tritonrepo.gateway.problem import BAD, LONGEST, Problem, unknown_model
from tritonrepo.gateway.ranking import rerank
from tritonrepo.server.calls import Calls
from tritonrepo.server.hosts import loopback
from tritonrepo.server.offering import Offer

POSTS = {
    "/v1/chat/completions": ("chat", chat),
    "/v1/completions": ("completions", complete),
    "/v1/embeddings": ("embeddings", embed),
    "/v1/rerank": ("rerank", rerank),
    "/v2/rerank": ("rerank", rerank),
    "/rerank": ("rerank", rerank),
}
"""Path → the name of its route, and its work."""


def application(calls: Calls, options: GatewayOptions, told: Callable[[Gate], None]) -> Starlette:
    """Return the application; `told` receives its gate when it starts."""
    gates: list[Gate] = []

    @asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        async with calls:
            gates.append(Gate(calls, options, int(time.time())))
            told(gates[0])
            yield

    def gate() -> Gate:
        return gates[0]

    posts = [Route(path, Post(gate, *about), methods=["POST"]) for path, about in POSTS.items()]
    app = Starlette(
        routes=[*posts, *_gets(gate)],
        middleware=[Middleware(Guard, keys=options.keys, local=loopback(options.host))],
        exception_handlers={HTTPException: _refused, Problem: _problem},
        lifespan=living,
    )
    app.router.redirect_slashes = False  # which would send a client to the host of its own header
    return app


def _gets(gate: Callable[[], Gate]) -> list[Route]:

    async def models(_: Request) -> Response:
        found = await gate().offers.all()
        return JSONResponse({"object": "list", "data": [_model(each, gate()) for each in found.values()]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        found = (await gate().offers.all()).get(name)
        if found is None:
            raise unknown_model(name)
        return JSONResponse(_model(found, gate()))

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        models = {} if gate().draining else await gate().ready()
        good = bool(models) and all(models.values())
        away = sorted(name for name, is_ready in models.items() if not is_ready and name)
        why = "draining" if gate().draining else "ready" if good else "not ready"
        return JSONResponse({"status": why, "not_ready": away}, 200 if good else HTTPStatus.SERVICE_UNAVAILABLE)

    async def metrics(_: Request) -> Response:
        return Response(gate().counts.text(), headers={"content-type": counting.TYPE})

    return [
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models/{name:path}", model, methods=["GET"]),
        Route("/health", health, methods=["GET"]),
        Route("/ready", ready, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def _model(offer: Offer, gate: Gate) -> dict[str, object]:
    return {
        "id": offer.name,
        "object": "model",
        "created": gate.began,
        "owned_by": "triton",
        "routes": [*offer.routes()],
    }


async def _refused(request: Request, error: Exception) -> Response:
    """Return what a path or method gets that is not served."""
    assert isinstance(error, HTTPException)  # noqa: S101  Starlette chooses the handler by its class
    message = f"{request.method} {request.url.path[:LONGEST]} is not served here"
    body = {"error": {"message": message, "type": BAD, "param": None, "code": None}}
    return JSONResponse(body, error.status_code, dict(error.headers or {}))


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  Starlette chooses the handler by its class
    return JSONResponse(error.body(), error.status, error.headers())
