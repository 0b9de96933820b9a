"""How a model is named, served and prompted."""

from __future__ import annotations

from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Literal

from pydantic import field_validator

from harness.spec import Spec, knob
from harness.thoughts import Tags, tags_of

if TYPE_CHECKING:
    Backend = str
else:  # the modules of the package backends, looked up without importing any
    _FOLDER = Path(__file__).parent / "backends"
    Backend = Literal[tuple(module.name for module in iter_modules([str(_FOLDER)]))]


class Serving(Spec):
    """What loads or serves a model."""

    backend: Backend = knob("hf", "What runs the model: in this process, vLLM, a server, or scripted replies.")
    concurrency: int | None = knob(
        None, "Calls in flight at each server, rows of a batch (hf); default: 64, hf on a GPU: what its memory holds.",
        how=True, ge=1,
        option="--concurrency,--batch-size,--batch_size",
    )  # fmt: skip
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = knob(
        "auto", "Numbers of the weights (hf, vllm); auto: bfloat16, on a CPU in this process float32."
    )
    device: str = knob("auto", "Where hf computes: cpu, cuda, cuda:1 and so on.", how=True)
    data_parallel_size: int = knob(1, "Copies of the model that vllm spreads over GPUs.", how=True, ge=1)
    vllm: str = knob("vllm", "The vllm program, perhaps of another environment.", how=True)
    vllm_arguments: list[str] = knob([], "More arguments for 'vllm serve', in one string.", option="--vllm-args")
    api: Literal["auto", "completions", "chat"] = knob("auto", "What the server is asked by; auto: what it offers.")
    api_key_env: str = knob("OPENAI_API_KEY", "The environment variable that holds the server's key.", how=True)
    header: list[str] = knob(
        [], "'Name: value' of every call; $NAME: read from the environment.", how=True, repeated=True
    )
    extra_body: str = knob("", "More fields of every call, as a JSON object.")
    timeout: float = knob(600.0, "Seconds a server may take for one call.", how=True, gt=0)
    mock_faults: float = knob(0.0, "Share of failing calls (mock).", ge=0, le=0.9, how=True, hidden=True)
    mock_latency: float = knob(0.0, "Seconds of each call (mock).", ge=0, how=True, hidden=True)


class ModelSpec(Serving):
    """A model: where it is, what serves it, whose tokenizer it speaks. The address is no part of its identity."""

    model: str = knob(..., "A folder (also a PEFT adapter's), a .gguf file, a hub name, or shipped:NAME.")
    revision: str = knob("", "Branch, tag or commit of a hub name; NAME@REVISION says the same.")
    base_url: str = knob(
        "", "OpenAI-compatible servers, ending in /v1, separated by commas; vllm starts its own without.", how=True
    )
    tokenizer: str | None = knob(None, "Of a served model that --model does not locate.")

    @property
    def in_flight(self) -> int:
        """Calls in flight at a server."""
        return self.concurrency or 64

    @property
    def located(self) -> str:
        """Where the model is, with its revision."""
        return f"{self.model}@{self.revision}" if self.revision else self.model

    def replicas(self) -> tuple[ModelSpec, ...]:
        """A spec for each of the servers, or this one where it names none."""
        urls = [url.strip() for url in self.base_url.split(",") if url.strip()]
        return tuple(self.model_copy(update={"base_url": url}) for url in urls) or (self,)


class Prompting(Spec):
    """How messages become prompts."""

    chat: bool = knob(True, "Use the tokenizer's chat template, if it has one.", option="--chat-template")
    system: str | None = knob(None, "A system message.")
    thinking: Literal["auto", "on", "off"] = knob("auto", "The template's thinking switch; auto: its default.")
    few_shot: int | None = knob(
        None, "Examples before each problem, the task's own, always the same; default: the task's number.", ge=0,
        option="--few-shot,--num-fewshot,--num_fewshot",
    )  # fmt: skip
    think_tags: str | None = knob(None, "OPEN,CLOSE; default: found from the tokenizer.")

    @field_validator("think_tags")
    @classmethod
    def _two_tags(cls, value: str | None) -> str | None:
        if value is not None:
            tags_of(value)
        return value

    @property
    def tags(self) -> Tags | None:
        """The think tags given, None where the tokenizer decides."""
        return None if self.think_tags is None else tags_of(self.think_tags)
