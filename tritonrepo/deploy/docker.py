"""The files of a container: compose.yaml, a Dockerfile if the image is built, and .env.example."""

from __future__ import annotations

from tritonrepo.deploy.compose import compose
from tritonrepo.deploy.environment import example
from tritonrepo.deploy.service import Service
from tritonrepo.tree import Tree, of_text

COMPOSE, DOCKERFILE, EXAMPLE = "compose.yaml", "Dockerfile", ".env.example"
NAMES = (COMPOSE, DOCKERFILE, EXAMPLE)


def files(service: Service) -> Tree:
    """Return the files by name."""
    texts = {EXAMPLE: example(service), DOCKERFILE: service.runs.dockerfile, COMPOSE: compose(service)}
    return {name: of_text(text) for name, text in sorted(texts.items()) if text}
