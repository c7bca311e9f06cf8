"""What the Hugging Face Hub refuses, each as one message with the next step."""

from __future__ import annotations

from tritonrepo.diagnostics import Span, Stop, fatal
from tritonrepo.sources import hub_api
from tritonrepo.sources.transfer import Refused
from tritonrepo.spec.source import Hub

RULE = "source-hub"
AWAY = "source-unreachable"
UNAUTHORIZED, FORBIDDEN, MISSING = 401, 403, 404


def refusal(source: Hub, at: Span, refused: Refused, path: str = "") -> Stop:
    """Return the Stop for a reply that will not change.

    The codes are those of the header X-Error-Code (huggingface_hub 2.4, utils/_http.py, hf_raise_for_status). Without a
    token, the Hub replies 401 for a model that does not exist as for one that this user cannot see.
    """
    page = hub_api.page(source.id)
    if refused.code == "RevisionNotFound":
        message = f'"{source.id}" has no revision "{source.revision or "main"}" on the Hugging Face Hub'
        hint = f"Use a branch, a tag or a commit of the model: see {page}/commits/main."
    elif refused.code == "EntryNotFound" or (path and refused.status == MISSING):
        message = f'the Hugging Face Hub lists "{path}" of "{source.id}", but does not have it'
        hint = f"Check the model's files at {page}/tree/main."
    elif refused.code == "GatedRepo":
        message = f'"{source.id}" is gated: it needs a token whose owner has accepted the licence of the model'
        hint = f"Set HF_TOKEN, and accept the licence at {page}."
    elif refused.status == UNAUTHORIZED and hub_api.token():
        message = f'the Hugging Face Hub rejects the token in HF_TOKEN for "{source.id}"'
        hint = f"Check the name of the model and the token. If the model is gated, accept its licence at {page}."
    elif refused.status == UNAUTHORIZED:
        message = f'"{source.id}" needs a token, or does not exist on the Hugging Face Hub'
        hint = f"Check the name. If the model is private or gated, set HF_TOKEN, and accept the licence at {page}."
    elif refused.status == MISSING:
        message = f'"{source.id}" does not exist on the Hugging Face Hub'
        hint = "Check the name. If the model is private, set HF_TOKEN to a token that can read it."
    elif refused.status == FORBIDDEN:
        message = f'the Hugging Face Hub denies access to "{source.id}"'
        hint = f"Use a token that can read the model, and accept its licence at {page}."
    else:
        message = f'the Hugging Face Hub replies to a request for "{source.id}" with status {refused.status}'
        hint = "Check HF_ENDPOINT, or try again later."
    return fatal(RULE, at, message, hint)


def unreachable(source: Hub, at: Span, reason: str, path: str = "", *, pinned: bool = True) -> Stop:
    """Return the Stop for a Hub that cannot be used at the moment; `pinned` is whether the commit is known."""
    what = f'"{path}" of {source.text}' if path else source.text
    message = f"{what} cannot be obtained from {hub_api.endpoint()}: {reason}"
    hint = "Check the network connection and HF_ENDPOINT. What was downloaded is kept: run the command again."
    if not pinned:
        hint = "Check the network connection and HF_ENDPOINT, or use a local copy. The lock does not pin this source."
    return fatal(AWAY, at, message, hint)
