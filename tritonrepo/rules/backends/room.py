"""The room on the GPUs of an engine, as findings; imported only where the memory of these is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import either
from tritonrepo.llm.advice import options
from tritonrepo.llm.fitting import FEW, MARGIN, grows, many, most_tokens
from tritonrepo.llm.gpus import Range, behaviour
from tritonrepo.llm.memory import BLOCK, Share
from tritonrepo.rules.backends.engines import Engine
from tritonrepo.rules.registry import Finding
from tritonrepo.tree import amount


class Room(NamedTuple):
    """An engine, and what one of its GPUs holds of it."""

    engine: Engine
    share: Share

    def weights(self) -> Iterator[Finding]:
        """Yield a finding if the weights do not fit."""
        engine, found = self
        if grows(engine.doubts) and self._too_large:
            needs, has = found.weights.low, engine.total.high
            most = amount(round(found.requested.high if engine.utilization else has))
            yield Finding(
                engine.said.at(engine.model, "model"),
                f"the weights need {amount(round(needs))} of each GPU, but vLLM takes no more than {most}",
                hint=self._otherwise,
                reason=self._reason("CUDA out of memory" if needs > MARGIN * has else ""),
            )

    def longest(self) -> Iterator[Finding]:
        """Yield a finding if one sequence of max_model_len does not fit, though the weights do."""
        engine, found = self
        length = found.max_model_len
        needed = length if behaviour("checks_length", str(engine.model.target.release.vllm)) else BLOCK
        if not grows(engine.doubts) or self._too_large or not length or most_tokens(found) >= needed:
            return
        least, longest = int(found.tokens.low), max(0, int(most_tokens(found))) // BLOCK * BLOCK
        needs = amount(round(length * found.per_token))
        fits = f"at most {longest:,} tokens fit" if longest else "not even one block of it fits"
        yield Finding(
            engine.said.at(engine.model, "max_model_len" if "max_model_len" in engine.value else "model"),
            f"a sequence of max_model_len, {length:,} tokens, needs a KV cache of {needs} on each GPU, but {fits} with "
            f"{_shown(engine.total)} a GPU",
            hint=(f"Set max_model_len to {least or longest} or less. " if longest else "") + self._otherwise,
            reason=self._reason(f"max seq len ({length})" if found.cache.low > 0 else ""),
        )

    def short(self) -> Iterator[Finding]:
        """Yield a finding if max_num_seqs sequences do not fit, even if they are short."""
        asked = self._asked
        if asked is not None and self.share.sequences.high * FEW < asked:
            yield self._fewer(asked, self._shorter(asked))

    def long(self) -> Iterator[Finding]:
        """Yield a finding if max_num_seqs sequences fit only if they are short."""
        asked = self._asked
        if asked is not None and asked / FEW <= self.share.sequences.high < asked:
            yield self._fewer(asked, "If most requests are long, lower max_num_seqs, or use more or larger GPUs.")

    @property
    def _asked(self) -> int | None:
        """The sequences that an engine wants that has room for one, all of it; None if that or the number is open."""
        engine, found = self
        asked = engine.value.get("max_num_seqs")
        exact = engine.facts is not None and engine.facts.plain and not engine.facts.multimodal
        if type(asked) is not int or not exact or not found.max_model_len:
            return None
        return asked if found.tokens.high >= found.max_model_len else None

    @property
    def _too_large(self) -> bool:
        engine, found = self
        most = engine.total.high if found.cache.low == found.cache.high else found.requested.high
        return found.weights.low > MARGIN * most

    @property
    def _otherwise(self) -> str:
        """What would make it fit, as far as that is known."""
        engine = self.engine
        if engine.facts is None or engine.settings is None:
            return ""
        longer = (each for each in options(engine.facts, engine.settings, engine.total))
        changes = [each.change for each in longer if not each.change.startswith("max_model_len")]
        return f"It fits with {either(changes)}." if changes else "Use a smaller model, or larger GPUs."

    def _fewer(self, asked: int, hint: str) -> Finding:
        engine, found = self
        roughly = "about " if engine.doubts else ""
        return Finding(
            engine.said.at(engine.model, "max_num_seqs"),
            f"max_num_seqs is {asked:,}, but {roughly}{many(found.sequences)} of max_model_len, "
            f"{found.max_model_len:,} tokens, {'fits' if found.sequences.high < 2 else 'fit'} into the KV cache of "  # noqa: PLR2004
            f"GPUs with {_shown(engine.total)}",
            hint=hint,
        )

    def _shorter(self, asked: int) -> str:
        each = int(self.share.tokens.middle / asked)
        return (
            f"With {asked:,} at once, each has about {each:,} tokens. Lower max_num_seqs or max_model_len, use a "
            "quantized model, or use more GPUs: tritonrepo fit shows what takes the memory."
        )

    def _reason(self, own: str) -> str:
        """Return what Triton reports of an engine whose own text is this one."""
        vllm = self.engine.model.target.release.vllm
        text = str(behaviour("refusal", vllm)) if vllm is not None else ""
        return own if text == "own" else text


def _shown(found: Range) -> str:
    low, high = amount(round(found.low)), amount(round(found.high))
    return low if low == high else f"{low} to {high}"
