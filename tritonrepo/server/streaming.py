"""One request over gRPC whose responses stream, without tritonclient's threads.

Those never end if a message cannot be decoded (tritonclient, grpc/_infer_stream.py: they wait for the end of a call
that goes on), and do not tell when a stream ends too early. Here the call has a deadline, and its end is seen.
Source of the messages: Triton's docs/protocol/extension_parameters.md and extension_sequence.md.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tritonrepo.server.tensors import Request, encoded


class StreamError(Exception):
    """A broken call: the name of gRPC's status, empty for an error that a message tells, and the words."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Streams:
    """A connection of its own to a gRPC address; `files`: those of TLS, None without it."""

    def __init__(self, address: str, files: Mapping[str, str] | None, options: Sequence[tuple[str, int]]) -> None:
        import grpc
        from tritonclient.grpc import service_pb2_grpc

        if files is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            read = {name: Path(path).read_bytes() for name, path in files.items()}
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(**read), options)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def close(self) -> None:
        """End the connection, and every call on it."""
        self._channel.close()

    def responses(self, request: Request, headers: Mapping[str, str], timeout_s: float) -> Generator[Any]:
        """Yield the responses until the server ends the stream; raise StreamError if it breaks, or when time is up."""
        import grpc

        metadata = [(name.lower(), value) for name, value in headers.items()]
        call = self._stub.ModelStreamInfer(iter([message(request)]), timeout=timeout_s, metadata=metadata)
        try:
            for said in call:
                if said.error_message:
                    raise StreamError("", said.error_message)
                yield said.infer_response
        except grpc.RpcError as error:
            raise StreamError(error.code().name, str(error.details())) from None
        finally:
            call.cancel()


def message(request: Request, *, streams: bool = True) -> Any:  # noqa: ANN401  tritonclient has no types
    """Return the message of a request; one whose responses stream asks for a final flag."""
    from tritonclient.grpc import service_pb2

    inputs = [
        {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.values.shape)}
        for tensor in request.inputs
    ]
    made = service_pb2.ModelInferRequest(
        model_name=request.model,
        model_version=request.version,
        inputs=inputs,
        raw_input_contents=[encoded(tensor) for tensor in request.inputs],
    )
    if streams:
        made.parameters["triton_enable_empty_final_response"].bool_param = True
    if request.sequence:
        if isinstance(request.sequence, str):
            made.parameters["sequence_id"].string_param = request.sequence
        else:
            made.parameters["sequence_id"].int64_param = request.sequence
        made.parameters["sequence_start"].bool_param = request.begins
        made.parameters["sequence_end"].bool_param = request.ends
    return made
