"""Files of responses: our JSONL, and what other tools write, as rows with our names. All of it is input from outside.

A row has ``id`` or ``number`` (from 0), ``prompt``, ``response``, ``finish``, ``gold`` and ``reasoning_content``, the
thought where its writer keeps it apart, as far as the file says so.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError
from harness.files import about
from harness.models.messages import THOUGHTS, of_message

# A row as it is in a file, with whatever fields its writer gave it.
Row = Mapping[str, Any]
# A sample of an Inspect log may unpack to this many bytes, and all of a log's samples together to MOST_BYTES.
SAMPLE_BYTES, MOST_BYTES = 64 << 20, 4 << 30

_WRONG = (KeyError, ValueError, TypeError, AttributeError, IndexError)


def read_responses(path: Path, form: str = "jsonl") -> list[Row]:
    """Rows of a file of responses in one of FORMATS; Inspect's log as .eval (a zip) or .json.

    Raises DataError with the line of the first row that cannot be read, and BadFile.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    with about(path):
        if form == "inspect":
            return _inspect(path)
        rows = list(_json_lines(path))
    if form == "lm-eval":
        return _lm_eval(path, rows)
    out: list[Row] = []
    for number, row in rows:
        try:
            out += _READERS[form](row)
        except _WRONG as error:
            why = f"not a row of {_FILES[form]} ({type(error).__name__}: {str(error)[:60]})"
            raise DataError(f"{path}:{number}: {why}") from None
    return out


def _json_lines(path: Path) -> Iterator[tuple[int, Row]]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not JSON ({str(error)[:80]})") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: a row is an object with 'id' (or 'prompt') and 'response'")
            if "\\ud" in line.lower():  # half of a surrogate pair is no text and could not be written again
                row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
            yield number, row


def _lm_eval(path: Path, rows: list[tuple[int, Row]]) -> list[Row]:
    """One row for each response; with several filters lm-eval logs every sample once for each."""
    seen: set[Any] = set()
    out: list[Row] = []
    for number, row in rows:
        try:
            if (document := row["doc_id"]) in seen:
                continue
            seen.add(document)
            texts = row["resps"][0]
            if not texts or not all(isinstance(text, str) for text in texts):
                raise TypeError
            out += [{"number": document, "doc": row["doc"], "response": text} for text in texts]
        except (KeyError, IndexError, TypeError):
            why = "not a row of lm-eval's sample log (no doc, doc_id or resps)"
            raise DataError(f"{path}:{number}: {why}") from None
    return out


def _inspect(path: Path) -> list[Row]:
    try:
        if not zipfile.is_zipfile(path):
            return [_of_inspect(sample) for sample in json.loads(path.read_bytes())["samples"]]
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if m.filename.startswith("samples/")]
            members = sorted((m for m in members if m.filename.endswith(".json")), key=lambda m: m.filename)
            largest = max(members, key=lambda m: m.file_size, default=None)
            if largest and (largest.file_size > SAMPLE_BYTES or sum(m.file_size for m in members) > MOST_BYTES):
                raise DataError(
                    f"{path}: unpacks to too much ({largest.filename}: {largest.file_size:,} bytes; at most "
                    f"{SAMPLE_BYTES:,} a sample, {MOST_BYTES:,} in all)"
                )
            return [_of_inspect(json.loads(archive.read(member))) for member in members]
    except (*_WRONG, RecursionError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not an Inspect log with samples ({type(error).__name__})") from None


def _of_inspect(sample: Row) -> Row:
    choices = (sample.get("output") or {}).get("choices") or [{}]
    return {
        "id": str(sample.get("id", "")), "prompt": _asked(sample.get("input", "")), "gold": sample.get("target"),
        **_of_message(choices[0].get("message") or {"content": ""}), "finish": choices[0].get("stop_reason"),
    }  # fmt: skip


def _of_batch(row: Row) -> Iterator[Row]:
    """OpenAI's batch output (and vLLM's ``run_batch``): one row for each choice of a request that was answered."""
    name, response = row["custom_id"], row["response"]
    if row.get("error") or response is None or response.get("status_code", 200) != 200:
        yield {"id": name, "response": None, "finish": "error"}
        return
    body = response["body"]
    if "output" in body:  # of the endpoint /v1/responses
        yield {"id": name, **_of_items(body)}
    else:
        yield from ({"id": name, **_of_choice(choice)} for choice in body["choices"])


def _of_choice(choice: Row) -> dict[str, Any]:
    response = _of_message(choice["message"]) if "message" in choice else {"response": choice["text"]}
    return {**response, "finish": choice.get("finish_reason") or choice.get("stop_reason")}


def _of_items(body: Row) -> dict[str, Any]:
    """The answer of OpenAI's Responses: messages and summaries of the reasoning, as items of one list."""
    items = body["output"]
    thoughts = [part for item in items if item["type"] == "reasoning" for part in _texts(item)]
    texts = [part for item in items if item["type"] == "message" for part in item["content"]]
    cut = (body.get("incomplete_details") or {}).get("reason")
    failed = "error" if body.get("status") in ("failed", "cancelled") else "stop"
    return {**_of_message({"content": texts}), "reasoning_content": "\n".join(thoughts), "finish": cut or failed}


def _texts(item: Row) -> list[str]:
    return [part["text"] for part in [*(item.get("content") or ()), *(item.get("summary") or ())]]


def _of_vllm(row: Row) -> Iterator[Row]:
    """vLLM's ``run_batch``, or its RequestOutput (offline) as JSON, whose prompt is the rendered one."""
    if "custom_id" in row:
        yield from _of_batch(row)
        return
    for output in row["outputs"]:  # its stop_reason is the stop string, if any, and says nothing else
        yield {
            "prompt": row.get("prompt"), "response": output["text"], "finish": output.get("finish_reason"),
            **{name: output[name] for name in THOUGHTS if name in output},
        }  # fmt: skip


def _of_evalscope(row: Row) -> Iterator[Row]:
    """evalscope's predictions, those before 1.0 too (chat completions), or its reviews, which hold the gold answer."""
    if "choices" in row:
        asked = row["raw_input"] if isinstance(row["raw_input"], dict) else {}
        yield from ({"doc": asked, **_of_choice(choice)} for choice in row["choices"])
        return
    messages, output = row.get("messages") or [], row.get("model_output") or {}
    about_it = {"number": row["index"], "prompt": _asked(messages or row.get("input", ""))}
    if "sample_score" in row:
        last = next((each for each in reversed(messages) if each.get("role") == "assistant"), None)
        response = _of_message(last) if last else {"response": row["sample_score"]["score"]["prediction"]}
        yield {**about_it, **response, "gold": row.get("target")}
    elif output.get("error") or not output.get("choices"):
        yield {**about_it, "response": None, "finish": "error"}
    else:
        yield {**about_it, **_of_choice(output["choices"][0])}


def _of_verifiers(row: Row) -> Iterator[Row]:
    """A line of verifiers' results.jsonl: the last message of the model answers, its earlier ones are turns."""
    response, number = row["completion"], row.get("example_id", row.get("id"))
    if isinstance(response, list):
        last = next((each for each in reversed(response) if each["role"] == "assistant"), {"content": None})
        answer = _of_message(last)
    else:
        answer = {"response": response}
    finish = "error" if row.get("error") else "length" if row.get("is_truncated") else "stop"
    yield {"number": number, "prompt": _asked(row["prompt"]), "gold": row.get("answer"), **answer, "finish": finish}


def _asked(prompt: Any) -> str:
    """The question of a prompt: the text, or the last message of the user."""
    if isinstance(prompt, str):
        return prompt
    last = next((each for each in reversed(prompt) if each.get("role") == "user"), {"content": ""})
    return _of_message(last)["response"] or ""


def _of_message(message: Row) -> dict[str, Any]:
    content, thought = of_message(message)
    return {"response": content, "reasoning_content": thought}


_READERS: dict[str, Callable[[Row], Any]] = {
    "jsonl": lambda row: [row], "openai-batch": _of_batch, "vllm": _of_vllm, "evalscope": _of_evalscope,
    "verifiers": _of_verifiers,
}  # fmt: skip
_FILES = {
    "openai-batch": "OpenAI's batch output: custom_id, response", "vllm": "vLLM's output: custom_id, or outputs",
    "evalscope": "evalscope's predictions or reviews: index, model_output or messages",
    "verifiers": "verifiers' results.jsonl: example_id, prompt, completion",
}  # fmt: skip
FORMATS = ("jsonl", "lm-eval", "inspect", *(name for name in _READERS if name != "jsonl"))
