"""Clients of Triton over gRPC that cost little: requests are made beforehand, and responses are not read.

Clients and server share the cores of one machine, so what a client costs is missing to the server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle, islice
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

WHOLE = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


def asked(model: str, name: str, shape: Sequence[int], text: str, **more: str) -> bytes:
    """Return a request with one text, and with more inputs of one text or, for "true", of one flag."""
    request = service_pb2.ModelInferRequest(model_name=model)
    flags = {key: value == "true" for key, value in more.items()}
    for key, value in {name: text, **more}.items():
        kind, sizes = "BOOL" if flags.get(key) else "BYTES", shape if key == name else [1]
        request.inputs.add(name=key, datatype=kind, shape=sizes)
        data = value.encode()
        request.raw_input_contents.append(b"\1" if flags.get(key) else len(data).to_bytes(4, "little") + data)
    return bytes(request.SerializeToString())


class Asking:
    """Clients of one server."""

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address)
        self._whole: Callable[[bytes], bytes] = channel.unary_unary(WHOLE)
        # a stream with one request is the same on the wire, and no thread of the client waits for more requests
        self._stream: Callable[[bytes], Iterable[bytes]] = channel.unary_stream(STREAM)

    def whole(self, request: bytes) -> int:
        """Ask once; return the nanoseconds to the response. Raise grpc.RpcError if that fails."""
        began = time.perf_counter_ns()
        self._whole(request)
        return time.perf_counter_ns() - began

    def first(self, request: bytes) -> int:
        """Read a stream to its end; return the nanoseconds to its first response. Raise grpc.RpcError if it fails."""
        began = time.perf_counter_ns()
        responses = iter(self._stream(request))
        next(responses)
        took = time.perf_counter_ns() - began
        for _ in responses:
            pass
        return took


def at_once(work: Callable[[Any], object], things: Iterable[Any], clients: int) -> None:
    """Do a work for all of these things, by so many clients, each of which does one after another."""
    todo, lock, failed = iter(things), threading.Lock(), list[Exception]()

    def client() -> None:
        while not failed:
            with lock:
                thing = next(todo, None)
            if thing is None:
                return
            try:
                work(thing)
            except Exception as error:  # noqa: BLE001  raised below, in the thread that asked
                failed.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if failed:
        raise failed[0]


def repeated(things: Sequence[Any], count: int) -> list[Any]:
    """Return so many things, again from the first one after the last."""
    return list(islice(cycle(things), count))
