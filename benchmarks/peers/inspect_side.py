"""inspect_ai on the same prompts, run by its own Python: inspect_side.py PROMPTS.jsonl URL TOKENS IN_FLIGHT."""

import json
import os
import sys
import tempfile


def main() -> None:
    prompts, url, tokens, in_flight = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    os.environ |= {"SIM_API_KEY": "none", "SIM_BASE_URL": url}
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    with open(prompts) as file:
        rows = [json.loads(line) for line in file]
    samples = [Sample(input=row["prompt"], target=str(row["answer"]), id=i) for i, row in enumerate(rows)]
    task = Task(dataset=samples, solver=generate(), scorer=match(numeric=True))
    with tempfile.TemporaryDirectory() as folder:
        [log] = eval(
            task, model="openai-api/sim/student", max_tokens=tokens, temperature=0.0, max_connections=in_flight,
            max_samples=in_flight, display="none", log_dir=folder,
        )  # fmt: skip
        if log.status != "success" or len(log.samples or ()) != len(rows):  # samples are read from the folder
            raise SystemExit(f"inspect_ai: {log.status}: {log.error}")


if __name__ == "__main__":
    main()
