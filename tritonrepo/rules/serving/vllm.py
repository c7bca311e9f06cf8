"""Options of `vllm serve` in manifests, by the version of vLLM that the image's tag says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, closest, nearest
from tritonrepo.llm.gpus import version
from tritonrepo.manifests.commands import Argument
from tritonrepo.manifests.objects import Manifests, Object, text
from tritonrepo.manifests.servers import KINDS, Family, Form, Server, servers
from tritonrepo.packaged import facts
from tritonrepo.rules.backends.vllm_arguments import KnownKey, keys
from tritonrepo.rules.registry import Finding, manifest_rule

QUEUE = "max-num-queued-reqs"
FROM_QUEUE = (0, 32)
"""The first version that is known to have QUEUE. Source: vllm 0.32, config/scheduler.py."""

DEFAULTS = {"dtype": "auto", "enable-prefix-caching": None, "enable-chunked-prefill": None}
"""Options that say what holds without them; a flag has no value. Source: vllm 0.8 and newer, engine/arg_utils.py."""

DEFAULT_SINCE = (0, 8)
LOG_REQUESTS, LOG_REQUESTS_SINCE = "disable-log-requests", (0, 10)
"""vLLM logs no requests by default any more. Source: vllm 0.10, engine/arg_utils.py, enable_log_requests."""

V1, V1_SINCE = "VLLM_USE_V1", (0, 12)
"""The only engine is V1. Source: vllm 0.11 removed V0; envs.py."""


LEVEL = re.compile("[a-zA-Z]|O[0-9]")
"""Short options, and -O3, which is the level of optimization. Source: vllm, utils/argparse_utils.py."""


class Options(NamedTuple):
    """The options of `vllm serve` that are no arguments of the engine, or newer than what is known of these."""

    read: tuple[int, ...]
    server: frozenset[str]
    earlier: frozenset[str]
    short: frozenset[str]


@cache
def options() -> Options:
    """Return the facts of data/vllm_options.json."""
    found = facts("vllm_options")
    return Options(version(found["read"]), *(frozenset(found[key]) for key in ("server", "earlier", "short")))


def vllm(of: Object) -> Iterator[Server]:
    """Yield the servers of an object that are vLLM."""
    yield from (each for each in servers(of) if each.family is Family.VLLM)


@manifest_rule("vllm-option-unknown", Severity.ERROR, *KINDS)
def vllm_option_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """Every option must be one of the image's vLLM."""
    for each in vllm(of):
        for option in each.arguments:
            if found := _unknown(option, each.image.version):
                says, hint = found
                yield Finding(option.at, f"{says}, so the server does not start", hint=hint)


def _unknown(option: Argument, of: tuple[int, ...]) -> tuple[str, str] | None:
    """Return what is wrong with an option, and the hint; None if it is known, or not certain to be unknown."""
    name = _name(option.name)
    if name in options().short | options().server | options().earlier or LEVEL.fullmatch(name):
        return None
    known = keys().known.get(name.replace("-", "_"))
    if known is not None:
        return _other_version(option, name, known, of)
    everything = options().server | {key.replace("_", "-") for key in keys().known}
    certain = of and of <= options().read
    if any(other.startswith(name) for other in everything) or not (certain or nearest(name, everything, 0.85)):
        return None
    return f"vLLM has no option {option.typed}", closest(name, sorted(everything))


def _name(name: str) -> str:
    """Return the name of an option without `no-` at its front and the key of an object behind a dot."""
    name = name.partition(".")[0]
    plain = name.removeprefix("no-")
    return plain if plain.replace("-", "_") in keys().known or plain in options().server else name


def _other_version(option: Argument, name: str, known: KnownKey, of: tuple[int, ...]) -> tuple[str, str] | None:
    versions = [version(each) for each in keys().versions]
    said = ".".join(map(str, of))
    if not of or name == LOG_REQUESTS:
        return None
    if known.until + 1 < len(versions) and versions[known.until + 1] <= of:
        last = keys().versions[known.until]
        hint = f"Use --{known.now.replace('_', '-')}." if known.now else "Remove it."
        return f"vLLM {said} no longer has the option {option.typed}, which {last} had", hint
    if known.since and versions[known.since - 1] >= of:
        since = keys().versions[known.since]
        return f"vLLM {said} has no option {option.typed} yet", f"Use an image of vLLM {since} or newer, or remove it."
    return None


@manifest_rule("vllm-model-as-option", Severity.WARNING, *KINDS)
def vllm_model_as_option(of: Object, _: Manifests) -> Iterator[Finding]:
    """The model of `vllm serve` should be its first argument."""
    for each in vllm(of):
        option = each.argument("model")
        if option is not None and each.form is Form.SERVE and each.model is None:
            message = "`vllm serve` takes the model as its first argument; the option --model will be removed"
            hint = f"Write {option.value or 'the model'} as the first of args, without --model."
            yield Finding(option.at, message, hint=hint)


@manifest_rule("vllm-setting-without-effect", Severity.INFO, *KINDS)
def vllm_setting_without_effect(of: Object, _: Manifests) -> Iterator[Finding]:
    """An option or variable changes nothing in the image's vLLM."""
    for each in vllm(of):
        of_image = each.image.version
        for option in each.arguments:
            if of_image >= DEFAULT_SINCE and (option.name, option.value) in DEFAULTS.items():
                yield Finding(option.at, f"{option.typed} says what vLLM does anyway", hint="You can remove it.")
        silent, variable = each.argument(LOG_REQUESTS), each.variable(V1)
        if silent is not None and of_image >= LOG_REQUESTS_SINCE:
            message = f"{silent.typed} is the default, and newer versions refuse the option"
            yield Finding(silent.at, message, hint="Remove it. --enable-log-requests turns the log on.")
        if variable is not None and of_image >= V1_SINCE:
            message = f"{V1}={text(variable, 'value')} has no effect: V1 is the only engine of this vLLM"
            yield Finding(variable.at, message, hint="Remove the variable.")


@manifest_rule("vllm-queue-unlimited", Severity.INFO, *KINDS)
def vllm_queue_unlimited(of: Object, _: Manifests) -> Iterator[Finding]:
    """A server of vLLM queues any number of requests unless it is given a limit."""
    for each in vllm(of):
        if each.image.version >= FROM_QUEUE and each.argument(QUEUE) is None and each.answers:
            message = f"{each} queues any number of requests: under overload, all of them become slow"
            yield Finding(each.image.at, message, hint=f"Add --{QUEUE}, beyond which vLLM answers 503.")
