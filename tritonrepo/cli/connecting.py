"""Options of every command that sends requests to a server: gRPC's address, TLS, headers, tokens."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tritonrepo.cli.values import NAMED

if TYPE_CHECKING:
    from tritonrepo.server.endpoint import Endpoint

NAME = re.compile(r"[A-Za-z0-9_.-]+")
"""Names of headers that both HTTP and gRPC can send."""

VALUE = re.compile(r"[ -~]*")

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

OURS = {
    *("accept-encoding", "connection", "content-length", "content-type", "host", "inference-header-content-length"),
    *("te", "transfer-encoding"),
}
"""Headers that the requests themselves need."""


class Lines(click.ParamType[str]):
    """Text whose environment variable has one value per line."""

    name = "text"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401, ARG002  click's signature
        """Return the text."""
        return str(value)


class Reach(NamedTuple):
    """How to reach a server, apart from its URL; `variables`: header → its value with `$NAME` in place of a secret."""

    grpc: str | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    headers: Mapping[str, str] = {}
    variables: Mapping[str, str] = {}

    def endpoint(self, url: str, timeout_s: float, whole_s: float | None = None) -> Endpoint:
        """Return the endpoint of a URL; raise a usage error if files for TLS would not be used."""
        from tritonrepo.server.endpoint import NO_GRPC, Endpoint, Tls  # imported here to keep `--help` quick

        tls = Tls(self.ca, self.cert, self.key)
        made = Endpoint(url, timeout_s, whole_s, self.grpc, self.headers, tls, self.variables)
        secure = made.address().secure or (self.grpc != NO_GRPC and made.grpc_secure())
        if not secure and any(tls):
            named = next(option for option, file in zip(("--ca", "--cert", "--key"), tls, strict=True) if file)
            raise click.UsageError(f"{named} is for TLS, but {made.whole_url} is not. Use https://.")
        tls.context()  # says what is wrong with a file before anything is sent
        return made


def connecting(command: Callable[..., int], *, grpc: bool = True) -> Callable[..., int]:
    """Add the options, without gRPC's if it is not used; the command receives them as `reach`."""

    @functools.wraps(command)
    def with_reach(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
        ca, cert, key = (given.pop(name) for name in ("ca", "cert", "key"))
        if key and not cert:
            raise click.UsageError("--key requires --cert")
        told = _headers(given.pop("header"), given.pop("header_env"), given.pop("token_env"), os.environ)
        address = given.pop("grpc") if grpc else "none"
        return command(*args, reach=Reach(address, ca, cert, key, *told), **given)

    for option in reversed(OPTIONS if grpc else OPTIONS[1:]):
        with_reach = option(with_reach)
    return with_reach


def over_http(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a command that uses no gRPC."""
    return connecting(command, grpc=False)


OPTIONS = (
    click.option(
        "--grpc",
        metavar="HOST:PORT",
        help="gRPC address, or none to use only HTTP. With grpcs:// before it, it uses TLS, with grpc:// it does not."
        "  [default: the port after URL's, with TLS as for URL]",
    ),
    click.option(
        "--ca", type=NAMED, metavar="FILE", help="PEM file of the authorities to trust, in place of the system's."
    ),
    click.option(
        "--cert", type=NAMED, metavar="FILE", help="PEM file of the client certificate for a server that requires one."
    ),
    click.option(
        "--key", type=NAMED, metavar="FILE", help="PEM file of the private key, if --cert's file does not have it."
    ),
    click.option(
        "--header", type=Lines(), multiple=True, metavar='"NAME: VALUE"', help="Header of every request. Repeatable."
    ),
    click.option(
        "--header-env",
        type=Lines(),
        multiple=True,
        metavar="NAME=VARIABLE",
        help="Header whose value is a secret in an environment variable. It is never printed. Repeatable.",
    ),
    click.option(
        "--token-env",
        metavar="VARIABLE",
        help="Environment variable with the token for the header Authorization: Bearer. It is never printed.",
    ),
)


def _headers(
    plain: Sequence[str], secret: Sequence[str], token: str | None, environment: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the headers, and those among them that hold secrets as they are shown."""
    headers: dict[str, str] = {}
    shown: dict[str, str] = {}
    for text in plain:
        name, colon, value = text.partition(":")
        if not colon:
            raise click.UsageError('--header must have the form "NAME: VALUE"')
        headers[_new(headers, name, "--header")] = _sendable(value, f"--header {name.strip()}")
    for text in secret:
        name, equals, variable = text.partition("=")
        if not equals:
            raise click.UsageError("--header-env must have the form NAME=VARIABLE")
        name = _new(headers, name, "--header-env")
        headers[name], shown[name] = _secret(variable, "--header-env", environment), f"${variable}"
    if token is not None:
        name = _new(headers, "authorization", "--token-env")
        headers[name] = f"Bearer {_secret(token, '--token-env', environment)}"
        shown[name] = f"Bearer ${token}"
    return headers, shown


def _new(headers: Mapping[str, str], name: str, option: str) -> str:
    """Return the name of a header, in lower case, as gRPC needs it."""
    name = name.strip().lower()
    if not NAME.fullmatch(name) or name.startswith("grpc-") or name.endswith("-bin"):
        raise click.UsageError(f'{option}: "{name}" is not the name of a header that HTTP and gRPC can send')
    if name in OURS:
        raise click.UsageError(f"{option}: the header {name} is set by tritonrepo itself")
    if name in headers:
        raise click.UsageError(f"{option}: the header {name} is given twice")
    return name


def _secret(variable: str, option: str, environment: Mapping[str, str]) -> str:
    if not VARIABLE.fullmatch(variable):
        message = f"{option} expects the name of an environment variable, such as TRITON_TOKEN, not its value"
        raise click.UsageError(message)
    value = environment.get(variable, "")
    if not value.strip():
        raise click.UsageError(f"{option}: the environment variable {variable} is not set, or empty")
    return _sendable(value, f"{option} {variable}")


def _sendable(value: str, what: str) -> str:
    value = value.strip()
    if not VALUE.fullmatch(value):
        raise click.UsageError(f"{what}: the value has characters that a header cannot have, such as a line break")
    return value
