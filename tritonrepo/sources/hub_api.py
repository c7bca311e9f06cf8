"""The Hugging Face Hub's API, asked through its library."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import fatal, uninstalled
from tritonrepo.sources import patience
from tritonrepo.sources.patience import Again, persistent
from tritonrepo.sources.transfer import AGENT, Broken, Refused
from tritonrepo.spec.source import COMMIT

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

HOME = "https://huggingface.co"
TIMEOUT_S = 10
SHA256 = re.compile(r"[0-9a-f]{64}")
ALONE = threading.Lock()
"""Held while settings of the library are changed, which are those of the whole process."""

HOPELESS = frozenset({"ConnectError", "ConnectTimeout", "UnsupportedProtocol", "OfflineModeIsEnabled"})
"""Exceptions of the library and of its HTTP client after which the same request is not sent again."""


class Listed(NamedTuple):
    """A file as the Hub lists it: its size in bytes, and its digest as `transfer` verifies it."""

    size: int
    digest: str


def endpoint() -> str:
    """Return the URL of the Hub."""
    return (os.environ.get("HF_ENDPOINT", "").strip() or HOME).rstrip("/")


def token() -> str:
    """Return the token in the environment; "" if there is none."""
    found = os.environ.get("HF_TOKEN", "").strip()
    if not (found.isascii() and found.isprintable()) or " " in found:
        message = "HF_TOKEN has a character that cannot be in a token"
        raise fatal("source-hub", "HF_TOKEN", message, "Set HF_TOKEN to the token only.")
    return found


def online() -> None:
    """Raise Broken if the environment forbids requests to the Hub (huggingface_hub, constants.py, HF_HUB_OFFLINE)."""
    if os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in {"1", "ON", "YES", "TRUE"}:
        raise Broken("HF_HUB_OFFLINE is set")


def headers() -> dict[str, str]:
    """Return the headers for the Hub itself."""
    return {"Authorization": f"Bearer {token()}"} if token() else {}


def listed(model: str, revision: str | None) -> tuple[str, dict[str, Listed]]:
    """Return the commit of a revision and its files; raise Refused, Broken or Again."""
    online()
    with ALONE, _quiet():
        info = persistent(lambda: _asked(model, revision))
    try:
        commit, siblings = str(info.sha), info.siblings or []
        found = {each.rfilename: _listed(each) for each in siblings}
    except (TypeError, ValueError, AttributeError) as error:
        raise Broken(f"its reply about {model} has no {error}") from None
    if not COMMIT.fullmatch(commit) or (COMMIT.fullmatch(revision or "") and commit != revision):
        raise Broken(f"it names {commit!r} as the commit of revision {revision}")
    return commit, found


def _listed(sibling: Any) -> Listed:  # noqa: ANN401  foreign data, whatever types its library declares
    lfs, size, digest = sibling.lfs, sibling.size, f"git:{sibling.blob_id}"
    sound = bool(COMMIT.fullmatch(str(sibling.blob_id)))
    if lfs is not None:
        size, digest = lfs.size, f"sha256:{lfs.sha256}"
        sound = bool(SHA256.fullmatch(str(lfs.sha256)))
    if not sound or type(size) is not int or size < 0 or not isinstance(sibling.rfilename, str):
        raise ValueError(f"size and digest of {sibling.rfilename!r}")
    return Listed(size, digest)


def _asked(model: str, revision: str | None) -> ModelInfo:
    """Send one request, which follows the renaming of a model; a token goes to the host of the endpoint only."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api = HfApi(endpoint=endpoint(), token=token() or False, headers={"user-agent": AGENT})
    try:
        return api.model_info(model, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    except HfHubHTTPError as error:
        status, said = error.response.status_code, error.response.headers
        if status in patience.PASSING:
            raise patience.busy(status, said) from None
        raise Refused(status, str(said.get("X-Error-Code", ""))) from None
    except Exception as error:  # noqa: BLE001  its HTTP client, and what foreign data makes of its parser
        raise _failure(error) from None


def _failure(error: Exception) -> Exception:
    """Return the failure as Broken, or as Again if another attempt may help."""
    names = {each.__name__ for each in type(error).__mro__}
    reason = next((line for line in str(error).splitlines() if line), type(error).__name__)
    if HOPELESS & names:
        return Broken(reason)
    if "TransportError" in names:
        return Again(reason)
    return Broken(f"its reply cannot be understood ({type(error).__name__}: {reason[:80]})")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from printing what the Hub says in its headers, and from requests of its own.

    With telemetry, the first headers that it builds cost a request for a registry, which it writes to its own cache
    (huggingface_hub 2.4, utils/_detect_agent.py). It reads the variable for that only when it is imported.
    """
    try:
        from huggingface_hub import constants
        from huggingface_hub.utils import logging as said
    except ImportError as error:
        raise uninstalled("hub", "hf:// sources need huggingface_hub", error) from None
    level, telemetry = said.get_verbosity(), constants.HF_HUB_DISABLE_TELEMETRY
    said.set_verbosity(logging.CRITICAL)
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        yield
    finally:
        said.set_verbosity(level)
        constants.HF_HUB_DISABLE_TELEMETRY = telemetry


def page(model: str) -> str:
    """Return the URL of a model's page."""
    return f"{endpoint()}/{model}"
