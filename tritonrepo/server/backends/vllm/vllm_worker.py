"""The real vLLM in a process of its own environment: requests come as lines of JSON, deltas of text go back.

Started by vllm_process as `python vllm_worker.py MODEL.JSON DIRECTORY`. That environment may have another Python and
NumPy 2, which a stub of Triton 24.10 cannot load. DIRECTORY has the weights; if it is "", vLLM gets them from the Hub.
Says {"ready": VERSION} or {"failed": WHY}; takes {"id", "prompt", "sampling"} and {"cancel": ID}; answers
{"id", "text", "reason", "tokens", "prompt_tokens", "cumulative", "logprobs"} or {"id", "error"}. Ends when its input
does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

Say = Callable[[dict[str, Any]], None]

SHUTDOWN_S = 2
"""How long the engine's processes may take to end: they hold nothing that has to be written."""

OF_GPUS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "distributed_executor_backend")
OF_ADAPTERS = ("enable_lora", "max_loras", "max_lora_rank", "max_cpu_loras", "fully_sharded_loras", "lora_dtype")
OF_THE_HUB = ("revision", "tokenizer_revision", "code_revision", "hf_token", "download_dir", "tokenizer")


def engine_arguments(given: dict[str, Any], directory: str) -> tuple[dict[str, Any], list[str]]:
    """Return the arguments for this machine, and the names of those that it leaves out: no GPUs, no adapters."""
    left_out = [name for name in (*OF_GPUS, *OF_ADAPTERS) if name in given]
    kept = {name: value for name, value in given.items() if name not in left_out}
    if directory:
        kept = {name: value for name, value in kept.items() if name not in OF_THE_HUB} | {"model": directory}
    return {**kept, "enforce_eager": True}, left_out


def main(path: str, directory: str) -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print goes to the server's log
    lock = threading.Lock()

    def say(value: dict[str, Any]) -> None:
        with lock:
            answers.write(json.dumps(value) + "\n")
            answers.flush()

    try:
        engine, version, left_out = start(path, directory)
    except BaseException as error:
        say({"failed": f"{type(error).__name__}: {error}"})
        raise
    say({"ready": version, "left_out": left_out})
    try:
        asyncio.run(serve(engine, say))
    finally:
        engine.shutdown(timeout=SHUTDOWN_S)
        os._exit(0)  # the engine's own end would be called a second time, without the modules that it needs


def start(path: str, directory: str) -> tuple[Any, str, list[str]]:
    """Return the engine, vLLM's version, and the arguments that were left out."""
    import vllm  # type: ignore[import-not-found]
    from vllm.v1.engine.async_llm import AsyncLLM  # type: ignore[import-not-found]

    with open(path, encoding="utf-8") as file:
        arguments, left_out = engine_arguments(json.load(file), directory)
    return AsyncLLM.from_engine_args(vllm.AsyncEngineArgs(**arguments)), str(vllm.__version__), left_out


async def serve(engine: Any, say: Say) -> None:  # noqa: ANN401  vLLM's own
    """Answer requests as they come, until there are no more."""
    loop, orders = asyncio.get_running_loop(), asyncio.Queue[str]()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line)
        loop.call_soon_threadsafe(orders.put_nowait, "")

    threading.Thread(target=listen, daemon=True).start()
    running: dict[int, asyncio.Task[None]] = {}
    while line := await orders.get():
        order = json.loads(line)
        if "cancel" in order:
            if (task := running.get(order["cancel"])) is not None:
                task.cancel()
            continue
        running[order["id"]] = task = asyncio.create_task(one(engine, order, say))
        task.add_done_callback(partial(ended, running, order["id"]))
    for task in running.values():
        task.cancel()


def ended(running: dict[int, asyncio.Task[None]], number: int, _: asyncio.Task[None]) -> None:
    """Forget a request."""
    running.pop(number, None)


async def one(engine: Any, order: dict[str, Any], say: Say) -> None:  # noqa: ANN401
    """Answer one request, piece by piece; a cancelled one has no answer, and the engine stops it."""
    number = order["id"]
    try:
        async for output in engine.generate(order["prompt"], sampling(order["sampling"]), str(number)):
            piece = output.outputs[0]
            say({"id": number, **described(piece), "prompt_tokens": len(output.prompt_token_ids or ())})
    except Exception as error:
        say({"id": number, "error": str(error) or type(error).__name__})


def described(piece: Any) -> dict[str, Any]:  # noqa: ANN401  vLLM's CompletionOutput
    """Return what a piece adds, as JSON."""
    return {
        "text": piece.text,
        "reason": piece.finish_reason,
        "tokens": len(piece.token_ids),
        "cumulative": piece.cumulative_logprob,
        "logprobs": None if piece.logprobs is None else [*logprobs(piece.logprobs)],
    }


def logprobs(positions: Any) -> Iterator[dict[int, dict[str, Any]]]:  # noqa: ANN401
    """Yield the log probabilities of each token, in the form of the real backend's output."""
    for position in positions:
        yield {
            token: {"logprob": each.logprob, "rank": each.rank, "decoded_token": each.decoded_token}
            for token, each in position.items()
        }


def sampling(text: str) -> Any:  # noqa: ANN401  vLLM's SamplingParams
    """Return vLLM's parameters from their JSON text; text of gRPC parameters becomes what the field holds."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind  # type: ignore[import-not-found]

    given = json.loads(text) if text else {}
    if not isinstance(given, dict):
        raise TypeError(f"sampling parameters must be a JSON object, not a {type(given).__name__}")
    if given.pop("lora_name", None) is not None:
        raise ValueError("vLLM was started without adapters, since their weights are not on this machine")
    kinds = {name: getattr(kind, "__name__", str(kind)) for name, kind in SamplingParams.__annotations__.items()}
    found = {name: converted(value, kinds.get(name, "")) for name, value in given.items()}
    try:
        return SamplingParams(**found, output_kind=RequestOutputKind.DELTA)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Was trying to create `TritonSamplingParams`, but got exception: {error}") from error


def converted(value: object, kind: str) -> object:
    """Return a value as the field's kind says, so that "0.5" of a gRPC parameter is a number."""
    if not isinstance(value, str):
        return value
    if kind.startswith(("int", "float")):
        return int(value) if kind.startswith("int") else float(value)
    return value.lower() == "true" if kind == "bool" else value


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
