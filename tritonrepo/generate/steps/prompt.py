"""query [1], passages [-1] STRING -> prompt [1] STRING and the controls of the answer, all of them set.

prompt.j2 makes the user message from query and passages; the model's own chat template makes the prompt. Query and
passages are data: special tokens in them are broken up, and they are never parsed as templates. settings.json has the
chat template, the token budget, the default sampling parameters, the special tokens, and where the packages and the
tokenizer are, which versions share.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timezone
from typing import Any, NoReturn

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray


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
        from tokenizers import Tokenizer

        self.special = breakable(self.settings["special_tokens"])
        self.tokenizer = Tokenizer.from_file(os.path.join(home, self.settings["tokenizer"]))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        jinja = environment()
        self.message = jinja.from_string(message)
        self.chat = jinja.from_string(self.settings["chat_template"])

    def execute(self, requests: list[pb_utils.InferenceRequest]) -> list[pb_utils.InferenceResponse]:
        """Answer each request by itself."""
        return [self.answer(request) for request in requests]

    def answer(self, request: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        """Return the response of one request."""
        try:
            query = inputs(request, "query")[0].decode("utf-8", "replace")
            passages = [passage.decode("utf-8", "replace") for passage in inputs(request, "passages")]
            sampling = self.sampling(inputs(request, "sampling_parameters"))
            prompt = self.prompt(self.harmless(query), [self.harmless(p) for p in passages], sampling["max_tokens"])
            stream, exclude = inputs(request, "stream"), inputs(request, "exclude_input_in_output")
        except Exception as error:
            kind = pb_utils.TritonError.INVALID_ARG if isinstance(error, ValueError) else pb_utils.TritonError.INTERNAL
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), kind))
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor("prompt", np.array([prompt.encode()], dtype=object)),
                pb_utils.Tensor("sampling_parameters", np.array([json.dumps(sampling).encode()], dtype=object)),
                pb_utils.Tensor("stream", np.array([bool(stream.size and stream[0])])),
                pb_utils.Tensor("exclude_input_in_output", np.array([not exclude.size or bool(exclude[0])])),
            ]
        )

    def sampling(self, given: NDArray[Any]) -> dict[str, Any]:
        """Return the sampling parameters: the defaults, overridden by the request."""
        try:
            own = json.loads(given[0]) if given.size and given[0] else {}
        except ValueError as error:
            raise ValueError(f"sampling_parameters is not valid JSON: {error}") from None
        if not isinstance(own, dict):
            raise ValueError('sampling_parameters must be a JSON object such as {"max_tokens": 100}')
        sampling = {**self.settings["sampling"], **own}
        limit, window = sampling["max_tokens"], self.settings["max_model_len"]
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 < limit < window:
            raise ValueError(f"max_tokens must be an integer from 1 to {window - 1}, not {limit!r}")
        return sampling

    def prompt(self, query: str, passages: list[str], max_tokens: int) -> str:
        """Return the prompt with the best passages that fit the token budget; if not even one fits, it is cut.

        Their number is found by bisection, since a request can have thousands.
        """
        budget = self.settings["max_model_len"] - max_tokens
        budget = min(budget, self.settings["max_context_tokens"] or budget)
        kept, many, best = 0, len(passages) + 1, ""
        count = len(passages)
        while kept < many - 1 and count:
            prompt = self.rendered(query, passages[:count])
            if self.tokens(prompt) <= budget:
                kept, best = count, prompt
            else:
                many = count
            count = (kept + many) // 2
        if kept:
            return best
        if passages:
            over = self.tokens(self.rendered(query, passages[:1])) - budget
            prompt = self.rendered(query, [self.cut(passages[0], over)])
            if self.tokens(prompt) <= budget:
                return prompt
        prompt = self.rendered(query, [])
        needed = self.tokens(prompt)
        if needed <= budget:
            return prompt
        raise ValueError(f"the prompt with the query needs {needed} tokens, but only {budget} are left for it")

    def cut(self, passage: str, over: int) -> str:
        """Return the beginning of a passage, at least `over` tokens shorter; a few more, since tokens can merge."""
        encoding = self.tokenizer.encode(passage, add_special_tokens=False)
        keep = len(encoding.ids) - over - 4
        return passage[: encoding.offsets[keep - 1][1]] if keep > 0 else ""

    def rendered(self, query: str, passages: list[str]) -> str:
        """Return the whole prompt; the model's tokenizer will read it with a single beginning-of-sequence token."""
        content = self.message.render(query=query, passages=passages).strip()
        system = self.settings["system"]
        messages = [{"role": "system", "content": system}] if system else []
        bos = self.settings["bos_token"]
        text: str = self.chat.render(
            messages=[*messages, {"role": "user", "content": content}],
            add_generation_prompt=True,
            bos_token=bos,
            eos_token=self.settings["eos_token"],
            tools=None,
            documents=None,
        )
        begins = "".join(self.settings.get("begins", [bos]))
        while self.settings["adds_bos"] and begins and text.startswith(begins):
            text = text[len(begins) :]
        return text

    def tokens(self, text: str) -> int:
        """Return the number of tokens that the model will read."""
        begins = len(self.settings.get("begins", [""])) if self.settings["adds_bos"] else 0
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids) + begins

    def harmless(self, text: str) -> str:
        """Return the text with a space inside everything that the tokenizer would read as a special token."""
        letters = set(text)  # a model can have thousands of special tokens, and most texts have none of their letters
        while found := [token for token in self.special if token[0] in letters and token in text]:
            for token in found:
                text = text.replace(token, token[0] + " " + token[1:])
        return text


def breakable(tokens: list[str]) -> list[str]:
    """Return the tokens that a space inside breaks up, longest first, without surrounding white space.

    A space after the first character would leave " x" and "x " as they are, and the text would grow forever.
    """
    found = {token.strip() for token in tokens}
    return sorted((token for token in found if len(token) > 1), key=lambda token: (-len(token), token))


def inputs(request: pb_utils.InferenceRequest, name: str) -> NDArray[Any]:
    """Return the values of an input; none if it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return np.array([]) if tensor is None else tensor.as_numpy().ravel()


def environment() -> Any:  # noqa: ANN401  jinja2 is imported from this model's own directory
    """Return what chat templates expect: transformers, utils/chat_template_utils.py, _compile_jinja_template."""
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block in which a template marks an answer; it has no effect on a prompt."""

        tags = {"generation"}  # noqa: RUF012  as Jinja declares it

        def parse(self, parser: Any) -> Any:  # noqa: ANN401  jinja2 has no stable types for nodes
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def as_json(value: Any, **options: Any) -> str:  # noqa: ANN401  JSON
        return json.dumps(value, **{"ensure_ascii": False, **options})

    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    jinja.globals["raise_exception"] = refuse
    jinja.globals["strftime_now"] = lambda text: datetime.now(timezone.utc).strftime(text)
    jinja.filters["tojson"] = as_json
    return jinja


def refuse(message: str) -> NoReturn:
    """Raise the error of `raise_exception` in a chat template."""
    raise ValueError(message)
