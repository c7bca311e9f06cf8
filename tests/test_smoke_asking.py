"""How `smoke` asks a server that misbehaves as no real one can be made to: one by one, over HTTP, and all at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest

from tests.speaking import Asked, Said, Speaking, arrays, inferred, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.tensors import Request, Tensor, Tensors, of_values
from tritonrepo.smoke import crowd, generated
from tritonrepo.smoke.asking import Asking, Lost
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Outcome, Protocol, Reply, Result, streams_over_http
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.pace import LOOKS, still
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.run import run
from tritonrepo.smoke.served import Declared

AT = Span("at")
BOTH = (Protocol.GRPC, Protocol.HTTP)


def a(*values: float) -> Tensor:
    return of_values("A", "FP32", list(values), [len(values)])


def wants(*values: float, name: str = "X") -> Callable[[Reply], Iterator[Flaw]]:
    """Return the judge that accepts only these values, of all responses together."""

    def judge(reply: Reply) -> Iterator[Flaw]:
        came = [value for response in reply.responses for value in response[name].values.ravel().tolist()]
        if came != list(values):
            yield Flaw(f"came {came}", "Look at it.", f"{name} {list(values)}")

    return judge


def case(value: float, *, wanted: float | None = None, protocols: Sequence[Protocol] = BOTH, **more: Any) -> Case:  # noqa: ANN401  fields of a case
    judge = wants(value if wanted is None else wanted)
    return Case(Check.ANSWER, Request("m", "1", (a(value),)), judge, AT, f"{value:g}", tuple(protocols), **more)


class Twin:
    """gRPC in the name of the real one: the answer is what it was given."""

    def __init__(self, answer: Callable[[Request], list[Tensors]]) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    def infer(self, request: Request) -> Tensors:
        self.asked.append(request)
        return self.answer(request)[0]

    def stream(self, request: Request) -> Iterator[Tensors]:
        self.asked.append(request)
        yield from self.answer(request)


def echo(asked: Asked) -> Said:
    return inferred(X=arrays(asked)["A"])


def twin(request: Request) -> list[Tensors]:
    return [{"X": request.inputs[0]._replace(name="X")}]


@contextmanager
def asking(
    answer: Callable[[Asked], Said], rpc: Callable[[Request], list[Tensors]] | None = None, timeout_s: float = 30
) -> Iterator[tuple[Asking, Speaking]]:
    with speaking(answer) as server:
        grpc: Any = None if rpc is None else Twin(rpc)
        outputs = {"m": (Declared("X", "FP32", (-1,)), Declared("T", "BYTES", (-1,)))}
        yield Asking(Connection(Client(Endpoint(server.url, timeout_s, timeout_s)), grpc), outputs), server


def rows(results: list[Result]) -> list[tuple[str, str, str]]:
    return [(result.check, result.protocol, result.outcome) for result in results]


def test_a_case_is_asked_over_each_protocol_and_both_are_compared() -> None:
    with asking(echo, twin) as (each, _):
        assert rows([*each.run(case(1, compared=Severity.ERROR))]) == [
            ("answer", "grpc", "passed"),
            ("answer", "http", "passed"),
            ("agreement", "", "passed"),
        ]
        assert rows([*each.run(case(1))]) == [("answer", "grpc", "passed"), ("answer", "http", "passed")]
        assert rows([*each.run(case(1, protocols=[Protocol.GRPC], compared=Severity.ERROR))]) == [
            ("answer", "grpc", "passed")
        ]
        assert each.standing.wrong == set()


@pytest.mark.parametrize(
    ("severity", "outcome"), [(Severity.WARNING, "warning"), (Severity.ERROR, "failed")], ids=["warning", "error"]
)
def test_protocols_that_differ_are_told_with_the_severity_of_the_case(severity: Severity, outcome: str) -> None:
    accepts = Case(Check.SEARCH, Request("m", "1", (a(1),)), lambda _: (), AT, "w", compared=severity)
    with asking(lambda _: inferred(X=np.array([2.0])), twin) as (each, _):
        *_, result = each.run(accepts)
    assert (result.check, result.what, result.outcome) == ("agreement", "w", outcome)
    assert [d.message for d in result.diagnostics] == [
        "version 1: output X differs between the protocols: [1] over gRPC, [2] over HTTP"
    ]
    assert {(d.rule, d.at, d.model) for d in result.diagnostics} == {("smoke-agreement", AT, "m")}


def test_a_wrong_answer_is_told_with_what_was_sent_received_and_expected_and_is_not_compared() -> None:
    with asking(echo, twin) as (each, _):
        grpc, http = each.run(case(1, wanted=2, compared=Severity.ERROR))
        assert each.standing.wrong == {("m", "1")}
    for result, protocol in ((grpc, "grpc"), (http, "http")):
        ((rule, severity, at, message, hint),) = [
            (d.rule, d.severity, d.at, d.message, d.hint) for d in result.diagnostics
        ]
        assert (rule, severity, at, message) == (
            "smoke-answer",
            Severity.ERROR,
            AT,
            f"version 1, {protocol}: came [1.0]",
        )
        *lines, again = hint.split("\n")
        assert again.startswith(f"To repeat it{'' if protocol == 'http' else ' over HTTP'}: curl -sS http://127.0.0.1:")
        assert lines == [
            "Look at it.",
            f"Sent over {protocol}: A FP32[1] [1]",
            "Received: X FP32[1] [1]",
            "Expected: X [2]",
        ]


def test_one_wrong_protocol_is_enough_not_to_compare() -> None:
    with asking(lambda _: inferred(X=np.array([9.0])), twin) as (each, _):
        assert rows([*each.run(case(1, compared=Severity.ERROR))]) == [
            ("answer", "grpc", "passed"),
            ("answer", "http", "failed"),
        ]


def test_without_grpc_only_http_is_asked_and_what_needs_grpc_is_a_warning() -> None:
    with asking(echo) as (each, server):
        assert rows([*each.run(case(1, compared=Severity.ERROR))]) == [("answer", "http", "passed")]
        (result,) = each.run(case(1, protocols=[Protocol.GRPC]))
    assert (result.outcome, len(server.asked)) == (Outcome.WARNING, 1)
    ((message, hint),) = [(d.message, d.hint) for d in result.diagnostics]
    assert message == "version 1 was not tested, because its inputs can be sent only over gRPC"
    assert hint == "Remove `--grpc none`."


def test_a_server_that_is_gone_is_not_asked_again() -> None:
    def gone(asked: Asked) -> Said:
        return plain({}, 503) if asked.path.endswith("live") else Said(b"no JSON")

    with asking(gone, twin) as (each, server):
        grpc, http, *_ = each.run(case(1))
        others = [*each.run(case(2))]
    assert (grpc.outcome, http.outcome) == (Outcome.PASSED, Outcome.FAILED)
    ((message, hint),) = [(d.message, d.hint.split("\n")[0]) for d in http.diagnostics]
    assert message == "version 1, http: the server stopped responding: the response is not JSON: no JSON"
    assert hint == "Check its log and restart it."
    assert [(d.message, d.hint) for result in others for d in result.diagnostics] == [
        (
            f"version 1, {protocol}: not tested, because the server stopped responding",
            "Restart the server. It stopped responding while m version 1 was tested (answer).",
        )
        for protocol in BOTH
    ]
    assert [each.unasked for each in (grpc, http, *others)] == [False, False, True, True]
    assert [asked.path for asked in server.asked] == ["/v2/models/m/versions/1/infer", "/v2/health/live"]


def test_a_server_that_lives_is_asked_on_after_a_broken_answer() -> None:
    broken: list[Said] = [Said(b"no JSON")]

    def once(asked: Asked) -> Said:
        return plain({}) if asked.path.endswith("live") else broken.pop() if broken else echo(asked)

    with asking(once) as (each, _):
        results = [*each.run(case(1)), *each.run(case(2))]
    assert [result.outcome for result in results] == ["failed", "passed"]
    assert [d.message for d in results[0].diagnostics] == ["version 1, http: the response is not JSON: no JSON"]
    assert each.standing.lost is None


def test_a_refusal_does_not_ask_whether_the_server_lives() -> None:
    with asking(lambda _: plain({"error": "not today"}, 400)) as (each, server):
        (result,) = each.run(case(1))
    assert len(server.asked) == 1
    ((message, hint),) = [(d.message, d.hint.split("\n")) for d in result.diagnostics]
    assert message == "version 1, http: /v2/models/m/versions/1/infer: not today"
    assert hint[:-1] == [generated.ADVICE, "Sent over http: A FP32[1] [1]", "Received: nothing"]


def picky(*accepted: float, words: str = "bad value") -> Callable[[Asked], Said]:
    """Return the server of a model that refuses all other values."""

    def answer(asked: Asked) -> Said:
        values = arrays(asked)["A"]
        return inferred(X=values) if values.tolist()[0] in accepted else plain({"error": words}, 400)

    return answer


def tries(*values: float, **more: Any) -> Case:  # noqa: ANN401  fields of a case
    requests = [Request("m", "1", (a(value),)) for value in values]
    return Case(Check.ANSWER, requests[0], lambda _: (), AT, "", (Protocol.HTTP,), others=tuple(requests[1:]), **more)


def values(server: Speaking) -> list[float]:
    return [arrays(asked)["A"].tolist()[0] for asked in server.asked if asked.path.endswith("infer")]


def test_what_is_refused_is_asked_with_other_values_and_what_fits_is_remembered() -> None:
    with asking(picky(3, 30)) as (each, server):
        assert rows([*each.run(tries(1, 2, 3))]) == [("answer", "http", "passed")]
        assert rows([*each.run(tries(10, 20, 30))]) == [("answer", "http", "passed")]
        assert rows([*each.run(tries(10, 20, 40, 30))]) == [("answer", "http", "failed")]
    assert values(server) == [1, 2, 3, 30, 40]


def test_a_sequence_that_is_refused_as_one_request_is_sent_as_two() -> None:
    def answer(asked: Asked) -> Said:
        said = json.loads(asked.body[: int(asked.head["inference-header-content-length"])])["parameters"]
        flags.append((said["sequence_start"], said["sequence_end"]))
        both = said["sequence_start"] and said["sequence_end"]
        return plain({"error": "start or end"}, 400) if both else inferred(X=arrays(asked)["A"])

    flags: list[tuple[bool, bool]] = []
    whole = Request("m", "1", (a(1),), 7)
    case = replace(tries(1), request=whole, others=(replace(whole, ends=False),), judge=wants(1, 1))
    with asking(answer) as (each, _):
        assert rows([*each.run(case)]) == [("answer", "http", "passed")]
    assert flags == [(True, True), (True, False), (False, True)]


def test_if_all_values_are_refused_the_first_is_reported_with_advice() -> None:
    with asking(picky()) as (each, server):
        (result,) = each.run(tries(1, 2))
        assert each.standing.wrong == {("m", "1")}
    ((message, hint),) = [(d.message, d.hint.split("\n")) for d in result.diagnostics]
    assert message == "version 1, http: /v2/models/m/versions/1/infer: bad value"
    assert hint[:-1] == [generated.ADVICE, "Sent over http: A FP32[1] [1]", "Received: nothing"]
    assert values(server) == [1, 2]


def test_a_wrong_answer_ends_the_tries() -> None:
    bad = tries(1, 2, 3)
    with asking(picky(2, 3)) as (each, server):
        (result,) = each.run(replace(bad, judge=lambda _: [Flaw("odd")]))
    ((message, hint),) = [(d.message, d.hint.split("\n")) for d in result.diagnostics]
    assert message == "version 1, http: odd"
    assert hint[:-1] == ["Sent over http: A FP32[1] [2]", "Received: X FP32[1] [2]"]
    assert values(server) == [1, 2]


def test_a_minor_flaw_is_a_warning_and_what_follows_is_asked() -> None:
    minor = replace(tries(2), judge=lambda _: [Flaw("odd", minor=True)])
    with asking(picky(2)) as (each, server):
        assert rows([*each.run(minor)]) == [("answer", "http", "warning")]
        assert each.standing.wrong == set()
        assert rows([*each.run(tries(2, follows=True))]) == [("answer", "http", "passed")]
    assert values(server) == [2, 2]


def test_a_model_whose_process_is_gone_is_asked_once() -> None:
    """Each such request takes a second (python_backend, src/python_be.cc)."""
    with asking(picky(words="Stub process 'm_0_0' is not healthy.")) as (each, server):
        assert rows([*each.run(tries(1, 2))]) == [("answer", "http", "failed")]
    assert values(server) == [1]


def test_a_guess_that_is_refused_says_nothing_about_the_model() -> None:
    with asking(picky(5)) as (each, _):
        (result,) = each.run(tries(1, 2, guess=True))
        assert (result.outcome, result.unchecked) == (
            "not checked",
            "the model refuses made-up values of its optional inputs: /v2/models/m/versions/1/infer: bad value",
        )
        assert each.standing.wrong == set()
        assert rows([*each.run(tries(1, 5, guess=True))]) == [("answer", "http", "passed")]
        flawed = replace(tries(5, guess=True), judge=lambda _: [Flaw("odd")])
        assert rows([*each.run(flawed)]) == [("answer", "http", "failed")]


def test_what_follows_a_wrong_answer_is_not_asked() -> None:
    with asking(picky()) as (each, server):
        list(each.run(tries(1)))
        (result,) = each.run(tries(2, follows=True))
    assert (result.outcome, result.unchecked) == ("not checked", "its responses to single requests are already wrong")
    assert values(server) == [1]


def test_a_late_answer_says_what_to_do() -> None:
    over = threading.Event()

    def late(asked: Asked) -> Said:
        if not asked.path.endswith("live"):
            over.wait(60)
        return plain({})

    with asking(late, timeout_s=0.5) as (each, _):
        (result,) = each.run(case(1))
        over.set()
    ((message, hint),) = [(d.message, d.hint.split("\n")[0]) for d in result.diagnostics]
    assert message == "version 1, http: the response was not complete within 0.5 s"
    assert hint == "Check whether the model hangs. If it needs more time, raise --timeout."


def test_a_late_answer_of_a_server_that_is_gone_ends_the_run() -> None:
    over = threading.Event()

    def frozen(asked: Asked) -> Said:
        if asked.path.endswith("live"):
            return plain({}, 503)
        over.wait(60)
        return plain({})

    with asking(frozen, timeout_s=0.5) as (each, _):
        (result,) = each.run(case(1))
        over.set()
    assert [d.message for d in result.diagnostics] == [
        "version 1, http: the server stopped responding: the response was not complete within 0.5 s"
    ]
    assert each.standing.lost == Lost(
        "the server stopped responding",
        "Restart the server. It stopped responding while m version 1 was tested (answer).",
    )


def test_what_arrived_of_a_stream_before_its_error_is_counted() -> None:
    body = b'data: {"X": 1.0}\n\ndata: {"error": "broke"}\n\n'
    with asking(lambda _: Said(body)) as (each, _):
        (result,) = each.run(case(1, streamed=True, protocols=[Protocol.HTTP]))
        assert [d.message for d in result.diagnostics] == ["version 1, http: after 1 response: m: broke"]
        assert "Received: X FP32[1] [1]" in result.diagnostics[0].hint
    with asking(lambda _: Said(b'data: {"error": "broke"}\n\n')) as (each, _):
        (result,) = each.run(case(1, streamed=True, protocols=[Protocol.HTTP]))
        assert [d.message for d in result.diagnostics] == ["version 1, http: after 0 responses: m: broke"]


def test_a_stream_over_http_sends_json_and_reads_what_is_declared() -> None:
    body = b'data: {"X": [1, 2.5], "T": "a", "model_name": "m"}\n\ndata: {"T": ["b"]}\n\n'
    inputs = (a(1, 2), of_values("Q", "BYTES", ["w\u00e9"], [1]), of_values("S", "BOOL", [True], [1]))
    seen: list[Reply] = []

    def judge(reply: Reply) -> list[Flaw]:
        seen.append(reply)
        return []

    request = Request("m", "2", inputs, 7100)
    with asking(lambda _: Said(body)) as (each, server):
        assert rows([*each.run(Case(Check.STREAM, request, judge, AT, streamed=True))]) == [
            ("stream", "http", "passed")
        ]
    (reply,) = seen
    came = [{n: (t.datatype, t.values.tolist()) for n, t in response.items()} for response in reply.responses]
    assert came == [{"X": ("FP32", [1, 2.5]), "T": ("BYTES", [b"a"])}, {"T": ("BYTES", [b"b"])}]
    assert reply.flat
    (asked,) = server.asked
    assert asked.path == "/v2/models/m/versions/2/generate_stream"
    whole = {"sequence_id": 7100, "sequence_start": True, "sequence_end": True}
    assert json.loads(asked.body) == {"A": [1, 2], "Q": "w\u00e9", "S": True, "parameters": whole}


def test_a_single_answer_and_grpcs_stream_keep_their_shapes() -> None:
    flats: list[bool] = []

    def judge(reply: Reply) -> list[Flaw]:
        flats.append(reply.flat)
        return []

    with asking(echo, twin) as (each, _):
        for streamed, protocols in ((False, BOTH), (True, (Protocol.GRPC,))):
            one = Case(Check.STREAM, Request("m", "1", (a(1),)), judge, AT, "", protocols, streamed=streamed)
            assert {result.outcome for result in each.run(one)} == {"passed"}
    assert flats == [False, False, False]


CARRIED: dict[str, tuple[list[Tensor], bool]] = {
    "one value": ([a(1)], True),
    "a list": ([a(1, 2, 3)], True),
    "a list in a batch of one": ([of_values("A", "FP32", [1, 2], [1, 2])], True),
    "rows and columns": ([of_values("A", "FP32", [1, 2, 3, 4], [2, 2])], False),
    "a scalar": ([of_values("A", "FP32", [1], [])], True),
    "nothing": ([], True),
    "half a number": ([of_values("A", "FP16", [1], [1])], False),
    "a brain's half": ([of_values("A", "BF16", [1], [1])], False),
    "one that can and one that cannot": ([a(1), of_values("B", "INT8", [1, 2, 3, 4], [2, 2])], False),
}


@tabled(("inputs", "carried"), CARRIED.values(), ids=CARRIED)
def test_http_streams_carry_lists_of_one_dimension(inputs: list[Tensor], *, carried: bool) -> None:
    assert streams_over_http(Request("m", "1", tuple(inputs))) is carried


class Joining:
    """A server that answers only once all requests of a wave have arrived, and says how many shared a batch.

    `shared`: how many have before the first wave, and after each. `late`: in how many looks after a wave the requests
    are counted, and their executions are not yet.
    """

    def __init__(
        self, count: int, shared: Sequence[int | None], answer: Callable[[float], float], late: int = 0
    ) -> None:
        self.together, self.shared, self.answer = threading.Barrier(count, self._waved, timeout=60), [*shared], answer
        self.late, self.waves, self.looks = late, 0, late

    def _waved(self) -> None:
        self.waves, self.looks = self.waves + 1, 0

    def __call__(self, asked: Asked) -> Said:
        if asked.path.endswith("/stats"):
            counted = self.shared[min(self.waves, len(self.shared) - 1)]
            if counted is None:
                return plain({})
            self.looks += 1
            ahead = max(self.late - self.looks + 1, 0)
            whole = {"execution_count": 10, "inference_stats": {"success": {"count": 10 + counted + ahead}}}
            return plain({"model_stats": [whole]})
        self.together.wait()
        (value,) = arrays(asked)["A"].tolist()
        return inferred(X=np.array([self.answer(value)]))


def at_once(server: Joining, cases: Sequence[Case], *, batched: bool) -> tuple[Result, int]:
    """Return the result of a crowd, and how many requests were sent."""
    with asking(server) as (each, speaks):
        (result,) = crowd.run(each, Crowd(tuple(cases), batched=batched))
        return result, sum(asked.path.endswith("infer") for asked in speaks.asked)


THREE = [case(1), case(2), case(3)]


def test_each_of_many_gets_its_own_answer() -> None:
    result, sent = at_once(Joining(3, [5, 7], lambda value: value), THREE, batched=True)
    assert (result.check, result.what, result.protocol) == ("at-once", "3 answer", "http")
    assert (result.outcome, sent) == (Outcome.PASSED, 3)


def test_they_are_sent_again_until_some_share_a_batch() -> None:
    result, sent = at_once(Joining(3, [5, 5, 5, 6], lambda value: value), THREE, batched=True)
    assert (result.outcome, sent) == (Outcome.PASSED, 9)


def test_requests_whose_executions_are_not_counted_yet_have_not_shared_one() -> None:
    result, sent = at_once(Joining(3, [5], lambda value: value, late=3), THREE, batched=True)
    assert (result.outcome, sent) == (Outcome.NOT_CHECKED, 15)


def test_counts_that_never_stand_still_are_looked_at_only_so_often() -> None:
    looks = count()
    assert still(looks.__next__) == LOOKS


UNSHARED: dict[str, tuple[int | None, str]] = {
    "none shared a batch": (5, "3 requests were sent at once, 5 times, but no two of them shared a batch"),
    "nobody counts": (None, "3 requests were sent at once, 5 times, but the server does not count its batches"),
}


@pytest.mark.parametrize(("shared", "reason"), UNSHARED.values(), ids=UNSHARED)
def test_if_no_two_share_a_batch_nothing_is_proven(shared: int | None, reason: str) -> None:
    result, sent = at_once(Joining(3, [shared], lambda value: value), THREE, batched=True)
    assert (result.outcome, result.unchecked, sent) == (Outcome.NOT_CHECKED, reason, 15)


def test_what_joins_nothing_is_sent_once() -> None:
    result, sent = at_once(Joining(3, [5], lambda value: value), THREE, batched=False)
    assert (result.outcome, result.unchecked, sent) == (Outcome.PASSED, "", 3)


def test_anothers_answer_is_named() -> None:
    result, sent = at_once(Joining(3, [5], lambda value: 3 if value == 2 else value), THREE, batched=True)
    ((message, hint),) = [(d.message, d.hint.split("\n")) for d in result.diagnostics]
    assert message == (
        "version 1, http: 1 of 3 responses is wrong; the first, for 2, belongs to another request, the one for 3"
    )
    assert hint[:-1] == [
        "Check that the model returns each request of a batch its own rows.",
        "Sent over http: A FP32[1] [2]",
        "Received: X FP32[1] [3]",
        "Expected: X [2]",
    ]
    assert (result.check, result.diagnostics[0].rule, sent) == ("at-once", "smoke-at-once", 3)


def test_a_wrong_answer_that_is_nobodys_is_told_as_it_is() -> None:
    result, _ = at_once(Joining(3, [5], lambda value: value + (10 if value > 1 else 0)), THREE, batched=True)
    assert [d.message for d in result.diagnostics] == [
        "version 1, http: 2 of 3 responses are wrong; the first, for 2: came [12.0]"
    ]


def test_what_is_wrong_alone_is_not_asked_at_once() -> None:
    with asking(echo) as (each, server):
        each.standing.wrong.add(("m", "1"))
        (result,) = crowd.run(each, Crowd((case(1), case(2)), batched=False))
        assert (result.outcome, server.asked) == (Outcome.NOT_CHECKED, [])
        assert result.unchecked == "its responses to single requests are already wrong"
        each.standing.lost = Lost("it is gone", "Restart the server.")
        (result,) = crowd.run(each, Crowd((case(1), case(2)), batched=False))
        assert (result.outcome, result.protocol, server.asked) == (Outcome.FAILED, "http", [])


def test_a_crowd_goes_over_grpc_unless_it_is_streamed() -> None:
    with asking(lambda _: Said(b'data: {"X": 1}\n\n'), twin) as (each, server):
        (result,) = crowd.run(each, Crowd((case(1), case(1)), batched=False))
        assert (result.protocol, result.outcome) == ("grpc", "passed")
        assert not [asked for asked in server.asked if "/stats" not in asked.path]
        (result,) = crowd.run(each, Crowd((case(1, streamed=True), case(1, streamed=True)), batched=False))
        assert (result.protocol, result.outcome) == ("http", "passed")


CONFIG = {
    "name": "m",
    "input": [{"name": "A", "data_type": "TYPE_FP32", "dims": [1]}],
    "output": [{"name": "X", "data_type": "TYPE_FP32", "dims": [1]}],
}


def whole(asked: Asked) -> Said:
    """A server with the models m and n, which echo, and one that is not loaded."""
    if asked.path.endswith("index"):
        states = [("m", "1", "READY"), ("n", "2", "READY"), ("o", "1", "UNAVAILABLE")]
        return plain([dict(zip(("name", "version", "state"), state, strict=True)) for state in states])
    if asked.path.endswith("config"):
        return plain({"error": "gone"}, 400) if "/n/" in asked.path else plain(CONFIG)
    return echo(asked)


def ran(*only: str) -> list[tuple[str, str, str, str]]:
    with speaking(whole) as server:
        connection = Connection(Client(Endpoint(server.url, 30)), None)
        return [(r.model, r.version, r.check, r.outcome) for r in run(connection, Known(), frozenset(only))]


def test_a_run_goes_on_past_what_is_not_loaded_or_has_no_config() -> None:
    assert ran() == [
        ("m", "1", "loaded", "passed"),
        ("n", "2", "loaded", "failed"),
        ("o", "1", "loaded", "failed"),
        ("m", "1", "files", "not checked"),
        ("m", "1", "answer", "passed"),
    ]


def test_only_the_models_that_were_asked_for_are_tested() -> None:
    assert {model for model, *_ in ran("n")} == {"n"}
    with pytest.raises(Stop) as stop:
        ran("m", "nn")
    assert [(d.rule, d.severity, d.at.path, d.message, d.hint) for d in stop.value.diagnostics] == [
        ("smoke-model", "fatal", "nn", "the server does not have this model", 'Did you mean "n"?')
    ]


NO_INDEX: dict[str, tuple[Said, str]] = {
    "refused": (plain({"error": "no"}, 400), "Check that this is the HTTP port of a Triton server, by default 8000."),
    "another server": (plain([1]), "Check that this is the HTTP port of a Triton server, by default 8000."),
}


@pytest.mark.parametrize(("said", "hint"), NO_INDEX.values(), ids=NO_INDEX)
def test_a_server_without_an_index_cannot_be_tested(said: Said, hint: str) -> None:
    with speaking(lambda _: said) as server, pytest.raises(Stop) as stop:
        list(run(Connection(Client(Endpoint(server.url, 30)), None), Known(), frozenset()))
    assert [(d.severity, d.hint) for d in stop.value.diagnostics] == [("fatal", hint)]


def test_a_token_that_expires_ends_the_run_and_is_named() -> None:
    with asking(lambda _: plain({"error": "the token has expired"}, 401)) as (each, _):
        first, second = [result for case_ in (case(1), case(2)) for result in each.run(case_)]
    assert first.diagnostics[0].message == (
        'version 1, http: the server denies access without credentials: HTTP 401: {"error": "the token has expired"}'
    )
    assert second.diagnostics[0].message == "version 1, http: not tested, because the server denies access"


def test_access_that_is_denied_to_one_model_ends_nothing() -> None:
    def restricted(asked: Asked) -> Said:
        return plain({}, 403 if asked.path.endswith("infer") else 200)

    with asking(restricted) as (each, _):
        results = [result for case_ in (case(1), case(2)) for result in each.run(case_)]
    assert ["denies access" in result.diagnostics[0].message for result in results] == [True, True]
    assert each.standing.lost is None
