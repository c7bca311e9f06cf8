"""query [1], passages, metadata [-1], messages [1] STRING -> prompt [1] STRING, used [1] INT32, controls of the answer.

prompt.j2 makes the user message from query, passages and sources: the passages with their metadata. The model's own
chat template makes the prompt from the stack's system message, earlier turns of `messages` and the user message. Texts
of a request are data: special tokens in them are broken up, and they are never parsed as templates. `used` is the
number of passages in the prompt. settings.json has the chat template, the token budget, the default sampling
parameters, the special tokens, and where the packages and the tokenizer are, which versions share. If the prompt is a
list of messages, because an endpoint applies the chat template, `counted_template` is the one of the model, by which
tokens are counted; without a tokenizer, their number is estimated.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

# the server imports model.py as a module of its version directory: python_backend, src/pb_stub.cc, StubSetup
from .conversation import Conversation, Turn, conversation, joined, parsed  # noqa: TID252
from .estimating import Estimate  # noqa: TID252
from .fitting import CHARACTERS, most, within  # noqa: TID252
from .harmless import Guard, markers, plain  # noqa: TID252
from .templates import environment  # noqa: TID252

ALWAYS = 1 << 16
"""Characters that are always counted in tokens, which takes hardly any time."""

USUAL = 8
"""A prompt with more characters per token of the budget hardly fits, so that its passages are counted first."""

MERGED = 4
"""How many tokens less of a cut passage are kept: two texts that meet can have more tokens than each by itself."""

Source = dict[str, Any]


class Given(NamedTuple):
    """What a prompt is made of: question, passages with their metadata, system message and exchanges before."""

    query: str
    sources: list[Source]
    system: str = ""
    earlier: Sequence[Sequence[Turn]] = ()


class TritonPythonModel:
    """The model of this step."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load tokenizer and templates, which run in Jinja's sandbox, since the model's own can come from anywhere."""
        home = args["model_repository"]
        here = os.path.join(home, args["model_version"])
        with open(os.path.join(here, "settings.json"), encoding="utf-8") as f:
            self.settings = json.load(f)
        with open(os.path.join(here, "prompt.j2"), encoding="utf-8") as f:
            message = f.read()
        sys.path.insert(0, os.path.join(home, self.settings["packages"]))
        self.tokenizer = self.read(home)
        jinja = environment()
        self.message = jinja.from_string(message)
        self.chat = jinja.from_string(self.settings["chat_template"])
        self.counted = jinja.from_string(self.settings.get("counted_template", self.settings["chat_template"]))
        self.guard = Guard(
            self.tokenizer, [*self.settings["special_tokens"], *markers(lambda said: self.chatted(said, self.counted))]
        )
        # a value and the template's text next to it can become a token; one that the template itself has is meant
        self.outer = Guard(self.tokenizer, [token for token in self.guard.tokens if token not in message])

    def read(self, home: str) -> Any:  # noqa: ANN401  tokenizers is imported from this model's own directory
        """Return the tokenizer, or what estimates the number of tokens."""
        if "tokenizer" not in self.settings:
            return Estimate()
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(os.path.join(home, self.settings["tokenizer"]))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer each request by itself."""
        return [self.answer(request) for request in requests]

    def answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        """Return the response of one request."""
        try:
            sampling = self.sampling(inputs(request, "sampling_parameters"))
            budget = self.budget(sampling["max_tokens"])
            given = self.given(request, max(budget * CHARACTERS, ALWAYS))
            shown, turns, count = self.prompt(given, budget)
            messages = self.messages(shown, turns, count)
            prompt = self.chatted(messages, self.chat)
            used = seen(messages[-1]["content"], [source["text"] for source in shown.sources[:count]])
            stream, exclude = inputs(request, "stream"), inputs(request, "exclude_input_in_output")
        except Exception as error:
            kind = pb_utils.TritonError.INVALID_ARG if isinstance(error, ValueError) else pb_utils.TritonError.INTERNAL
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), kind))
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("prompt", np.array([prompt.encode()], dtype=object)),
                pb_utils.Tensor("used", np.array([used], dtype=np.int32)),
                pb_utils.Tensor("sampling_parameters", np.array([json.dumps(sampling).encode()], dtype=object)),
                pb_utils.Tensor("stream", np.array([bool(stream.size and stream[0])])),
                pb_utils.Tensor("exclude_input_in_output", np.array([not exclude.size or bool(exclude[0])])),
            ]
        )

    def sampling(self, given: NDArray[Any]) -> dict[str, Any]:
        """Return the sampling parameters: the defaults, overridden by the request."""
        own = parsed(given[0], "sampling_parameters") if given.size and given[0] else {}
        if not isinstance(own, dict):
            raise ValueError('sampling_parameters must be a JSON object such as {"max_tokens": 100}')
        sampling = {**self.settings["sampling"], **own}
        limit, window = sampling["max_tokens"], self.settings["max_model_len"]
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit < window:
            raise ValueError(f"max_tokens must be an integer from 1 to {window - 1}, not {limit!r}")
        return sampling

    def budget(self, max_tokens: int) -> int:
        """Return how many tokens a prompt can have."""
        left: int = self.settings["max_model_len"] - max_tokens
        return min(left, self.settings["max_context_tokens"] or left)

    def given(self, request: pb_utils.InferenceRequest, longest: int) -> Given:
        """Return what the request gives, made harmless; of passages and turns only what `longest` characters hold."""
        query, messages = (text_of(inputs(request, name)) for name in ("query", "messages"))
        said = conversation(messages) if messages else Conversation()
        question = query.decode("utf-8", "replace") if query or said.question is None else said.question
        if not query and said.question is None and not inputs(request, "query").size:
            raise ValueError(
                "messages must end with a turn of the user" if messages else "a request needs query or messages"
            )
        if len(question) > longest:
            raise ValueError(f"the query has {len(question)} characters, but a prompt can have at most {longest}")
        newest = within(said.earlier[::-1], longest, lambda turns: sum(len(turn["content"]) for turn in turns))
        return Given(
            self.safe(question),
            self.sources(inputs(request, "passages"), inputs(request, "metadata"), longest),
            self.settings["system"] or self.safe(said.system),
            [[{**turn, "content": self.safe(turn["content"])} for turn in turns] for turns in newest[::-1]],
        )

    def sources(self, passages: NDArray[Any], metadata: NDArray[Any], longest: int) -> list[Source]:
        """Return the passages with their metadata."""
        if metadata.size not in {0, passages.size}:
            raise ValueError(f"{passages.size} passages cannot have {metadata.size} values of metadata")
        texts = within([passage.decode("utf-8", "replace")[:longest] for passage in passages], longest, len)
        found = []
        for place, text in enumerate(texts):
            at = f"metadata[{place}]"
            said = parsed(metadata[place], at) if metadata.size and metadata[place] else {}
            if not isinstance(said, dict):
                raise ValueError(f'{at} must be a JSON object such as {{"title": "Passwords"}}')
            try:
                found.append(self.safe({**said, "text": text}))
            except RecursionError:
                raise ValueError(f"{at} nests too deeply") from None
        return found

    def safe(self, value: Any) -> Any:  # noqa: ANN401  JSON
        """Return a value whose texts are harmless."""
        if isinstance(value, str):
            return self.guard.harmless(plain(value))
        if isinstance(value, list):
            return [self.safe(each) for each in value]
        if isinstance(value, dict):
            return {self.safe(name): self.safe(each) for name, each in value.items()}
        return value

    def prompt(self, given: Given, budget: int) -> tuple[Given, int, int]:
        """Return what the prompt is made of, and how many exchanges and passages: the best that fit the token budget.

        If not even the first one fits, it is cut. The newest of the earlier exchanges have up to half of what the
        question leaves, and more if all passages fit.
        """
        turns, count = len(given.earlier), len(given.sources)
        prompt = self.rendered(given, turns, count)
        if len(prompt) <= budget * USUAL and self.tokens(prompt) <= budget:
            return given, turns, count
        needed = self.tokens(self.rendered(given, 0, 0))
        if needed > budget:
            raise ValueError(f"the prompt with the query needs {needed} tokens, but only {budget} are left for it")
        kept = self.most_turns(given, 0, needed + (budget - needed) // 2)
        many = self.most_passages(given, kept, budget)
        if many == count:
            kept = self.most_turns(given, many, budget)
        elif not many:
            return self.shortened(given, kept, budget)
        return given, kept, many

    def most_turns(self, given: Given, passages: int, budget: int) -> int:
        """Return how many of the newest exchanges fit beside so many passages."""
        texts = [" ".join(turn["content"] for turn in turns) for turns in given.earlier[::-1]]
        return most(texts, budget, lambda n: self.cost(given, (n, passages), budget), self.length)

    def most_passages(self, given: Given, turns: int, budget: int) -> int:
        """Return how many of the best passages fit beside so many exchanges."""
        texts = [source["text"] for source in given.sources]
        return most(texts, budget, lambda n: self.cost(given, (turns, n), budget), self.length)

    def cost(self, given: Given, counts: tuple[int, int], budget: int) -> int:
        """Return the tokens of the prompt with so many exchanges and passages, or its characters if they are many."""
        text = self.rendered(given, *counts)
        return len(text) if len(text) > budget * CHARACTERS else self.tokens(text)

    def shortened(self, given: Given, turns: int, budget: int) -> tuple[Given, int, int]:
        """Return the same with the beginning of the first passage, or without passages if none of it fits."""
        whole = self.cut(given.sources[0]["text"], budget)
        over = self.tokens(self.rendered(with_text(given, whole), turns, 1)) - budget
        text = self.cut(whole, self.length(whole) - over - MERGED)
        shorter = with_text(given, text)
        if text and self.cost(shorter, (turns, 1), budget) <= budget:
            return shorter, turns, 1
        return given, turns, 0

    def cut(self, passage: str, keep: int) -> str:
        """Return the beginning of a passage with at most so many tokens."""
        places = self.tokenizer.encode(passage, add_special_tokens=False).offsets
        return passage[: places[min(keep, len(places)) - 1][1]] if places and keep > 0 else ""

    def rendered(self, given: Given, turns: int, count: int) -> str:
        """Return the prompt by which tokens are counted."""
        return self.chatted(self.messages(given, turns, count), self.counted)

    def messages(self, given: Given, turns: int, count: int) -> list[Turn]:
        """Return the conversation with the newest exchanges and best passages, as many as are asked for."""
        sources = given.sources[:count]
        passages = [source["text"] for source in sources]
        content = self.message.render(query=given.query, passages=passages, sources=sources).strip()
        system = [{"role": "system", "content": given.system}] if given.system else []
        earlier = [turn for exchange in given.earlier[len(given.earlier) - turns :] for turn in exchange]
        user = {"role": "user", "content": self.outer.harmless(content)}
        return joined([*system, *earlier, user])

    def chatted(self, messages: list[Turn], template: Any) -> str:  # noqa: ANN401  jinja2 has no stable types
        """Return the whole prompt; the model's tokenizer will read it with a single beginning-of-sequence token."""
        bos = self.settings["bos_token"]
        given = {
            "messages": messages,
            "add_generation_prompt": True,
            "bos_token": bos,
            "eos_token": self.settings["eos_token"],
            "tools": None,
            "documents": None,
        }
        text: str = template.render({**given, **self.settings.get("chat_template_kwargs", {})})
        begins = "".join(self.settings.get("begins", [bos]))
        while self.settings["adds_bos"] and begins and text.startswith(begins):
            text = text[len(begins) :]
        return text

    def tokens(self, text: str) -> int:
        """Return the number of tokens that the model will read of a prompt."""
        begins = len(self.settings.get("begins", [""])) if self.settings["adds_bos"] else 0
        return self.length(text) + begins

    def length(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))


def seen(message: str, passages: Sequence[str]) -> int:
    """Return how many passages the message template has used: up to the last one that is in the message.

    All of them are if the template changes their texts, so that none is in the message as it was given.
    """
    return max((place for place, text in enumerate(passages, 1) if text and text in message), default=len(passages))


def with_text(given: Given, text: str) -> Given:
    """Return the same with another text of the first passage, and no further one."""
    return given._replace(sources=[{**given.sources[0], "text": text}])


def text_of(values: NDArray[Any]) -> bytes:
    """Return the first value of an input, an empty one if there is none."""
    return bytes(values[0]) if values.size else b""


def inputs(request: pb_utils.InferenceRequest, name: str) -> NDArray[Any]:
    """Return the values of an input; none if it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return np.array([]) if tensor is None else tensor.as_numpy().ravel()
