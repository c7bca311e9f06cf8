"""What the server says against what the client says, and the client itself: checks 5 to 8."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.bench.checks.values import EDGE, EXACT, lacking, said, shown
from tritonrepo.bench.claim import Claim, Judgement, State
from tritonrepo.bench.measures import AGAINST, BOUND

BUCKET = 5.0
"""How far the ends of a bucket are apart in the histograms of vLLM and Triton at most: a p50 can be off by it.

Source: vllm, v1/metrics/loggers.py, time_to_first_token_seconds (1 to 5 ms); core, src/metric_model_reporter.cc.
"""

TICK_MS = 1.0


def server_tokens(claim: Claim) -> Iterator[Judgement]:
    """Yield whether server and client count the same output tokens, within 1 %.

    A server can count more: other traffic, failed requests, or what was sent while the load began. It cannot count
    fewer, unless other replicas answered, or the client counted with a tokenizer, which need not give what the model
    gave.
    """
    check, server, client = "server-tokens", claim.server_output_tokens, _tokens(claim)
    if server is None or client is None:
        yield lacking(check, "" if server is not None else "the server's counter", "" if client else "output tokens")
        return
    left, right = f"{shown(client)} tokens of the client", f"{shown(server)} tokens of the server"
    if server / EXACT <= client <= server * EXACT:
        yield Judgement(check, State.HOLDS, left, right, "")
    elif client < server:
        says = "the server gave tokens to others as well, or to requests that failed"
        yield Judgement(check, State.WEAK, left, right, says)
    elif "tokenizer" in claim.tokens_from or (claim.replicas or 1) > 1:
        says = "the tokenizer splits texts otherwise than the model, or other replicas answered"
        yield Judgement(check, State.WEAK, left, right, says)
    else:
        instead = f"{shown(server)} output tokens, or answers of a server whose counter was not read"
        yield Judgement(check, State.BROKEN, left, right, "tokens that the server did not give", instead)


def _tokens(claim: Claim) -> float | None:
    total, each = said(claim, "output_tokens_total"), said(claim, "output_tokens")
    return total if total is not None else each * claim.succeeded if each and claim.succeeded else None


def server_ttft(claim: Claim) -> Iterator[Judgement]:
    """Yield whether the client's TTFT is at least the server's: the difference is the network and the front end.

    Means of a histogram are exact. Its p50 is interpolated within a bucket, so it is only known within this bucket.
    """
    check, pair = "server-ttft", (claim.server_ttft_mean, said(claim, "ttft_mean"))
    server, client = pair if None not in pair else (claim.server_ttft_p50, said(claim, "ttft_p50"))
    point = "mean" if None not in pair else "p50"
    if server is None or client is None:
        yield lacking(check, "" if server is not None else "the server's histogram of TTFT", "" if client else "TTFT")
        return
    left, right = f"TTFT {point} of the client {shown(client)} ms", f"TTFT {point} of the server {shown(server)} ms"
    if server <= client * EDGE + TICK_MS:
        says = f"{shown(max(0.0, client - server))} ms of network and front end"
        yield Judgement(check, State.HOLDS, left, right, says)
    elif point == "p50" and server <= client * BUCKET:
        yield Judgement(check, State.WEAK, left, right, "the server's p50 is only known within a bucket")
    elif _others(claim):
        yield Judgement(check, State.WEAK, left, right, "the server answered others as well")
    else:
        instead = f"a TTFT of {shown(server)} ms or more, or a server that answered others as well"
        yield Judgement(check, State.BROKEN, left, right, "the client had tokens before the server", instead)


def _others(claim: Claim) -> bool:
    """Return whether the server gave other tokens than those that the client counted."""
    server, client = claim.server_output_tokens, _tokens(claim)
    return server is not None and client is not None and not server / EXACT <= client <= server * EXACT


def prefix_cache(claim: Claim) -> Iterator[Judgement]:
    """Yield how many tokens of the prompts were computed: prompt tokens less those that the prefix cache had."""
    check, prompts, cached = "prefix-cache", claim.server_prompt_tokens, claim.server_cached_tokens
    if prompts is None or cached is None:
        yield lacking(check, "the server's counters of prompt tokens and of hits of its prefix cache")
        return
    left, right = f"{shown(cached)} tokens from the prefix cache", f"{shown(prompts)} tokens of prompts"
    if cached > prompts * EXACT:
        instead = f"at least {shown(cached)} tokens of prompts, or prompts that were read again after a preemption"
        yield Judgement(check, State.BROKEN, left, right, "more hits than tokens", instead)
        return
    share = cached / prompts if prompts else 0.0
    says = f"hit rate {share:.0%}: {shown(prompts - cached)} tokens of prompts were computed"
    yield Judgement(check, State.HOLDS, left, right, says)


def client_lag(claim: Claim) -> Iterator[Judgement]:
    """Yield whether the client was quick enough: its event loop's delay is under 5 % of what it measures."""
    check, lag = "client-lag", claim.lag_p99
    fields = [f"{metric}_{point}" for metric in AGAINST for point in ("p50", "mean")]
    found = [(value, field.replace("_", " ")) for field in fields if (value := said(claim, field)) is not None]
    if lag is None or not found:
        yield lacking(check, "" if lag is not None else "the lag of the client", "" if found else "times")
        return
    value, name = found[0]
    name = name.replace("itl", "ITL").replace("tpot", "TPOT").replace("ttft", "TTFT")
    left = f"lag p99 {shown(lag)} ms"
    right = f"{BOUND:.0%} of {name} {shown(value)} ms = {shown(BOUND * value)} ms"
    if lag < BOUND * value:
        yield Judgement(check, State.HOLDS, left, right, "")
    else:
        yield Judgement(check, State.WEAK, left, right, "client-bound: the client measures itself as well")
