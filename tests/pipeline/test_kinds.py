"""A kind of stage is one file: a new one is found, checked, estimated, run and shown without any other change."""

from __future__ import annotations

import subprocess
import sys

TOY = """
from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.pipeline.kind import Job, Kind, Stage
from harness.spec import Spec, knob


class HaikuStage(Stage):
    kind: Literal["haiku"]
    lines: int = knob(3, "Lines of the poem.", ge=1)

    def line(self, plan):
        return f"a haiku of {self.lines} lines on {plan.scale(HaikuScale).subject}"


class HaikuScale(Spec):
    subject: str = knob("rain", "What it is about.")


class Haiku(Kind):
    name = "haiku"
    stage = HaikuStage
    scale = HaikuScale

    def jobs(self, plan, name, stage, seed, vocabulary):
        params = {"lines": stage.lines, "subject": plan.scale(HaikuScale).subject}
        return plan.add(Job(kind=self.name, name=f"write {name}", params=params, stage=name))

    def run(self, job, folder, inputs, report):
        text = f"{job.params['subject']}\\n" * job.params["lines"]
        (folder / "poem.txt").write_text(text)
        report(1, 1, 0)
        return {"letters": len(text)}

    def summary(self, figures):
        return f"a poem of {figures['letters']} letters"
"""
# Workers are spawned: they run this file's top, too, and find the kind there.
MAIN = """
import sys
from harness.pipeline import kinds

kinds.__path__.append({folder!r})
if __name__ == "__main__":
    from harness.cli import main

    sys.exit(main())
"""
RECIPE = "name: poems\nstages:\n  poem: {kind: haiku, lines: 2}\n"


def test_a_file_more_is_a_kind_more(tmp_path):
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "haiku.py").write_text(TOY)
    (tmp_path / "main.py").write_text(MAIN.format(folder=str(tmp_path / "kinds")))
    (tmp_path / "poems.yaml").write_text(RECIPE)

    def call(*words: str) -> tuple[str, str]:
        done = subprocess.run([sys.executable, "main.py", *words], cwd=tmp_path, capture_output=True, text=True)
        return done.stdout, done.stderr

    out, err = call("run-recipe", "poems.yaml", "--set", "profile.haiku.subject=snow", "--until", "poem")
    assert "write poem" in out, err
    assert "a poem of 10 letters" in out
    [poem] = (tmp_path / "runs" / "stages").glob("*/poem.txt")
    assert poem.read_text() == "snow\nsnow\n"
    assert "poem: a haiku of 2 lines on rain" in call("recipes", "graph", "poems.yaml")[0]
    assert "write poem" in call("run-recipe", "poems.yaml", "--dry-run")[0]
    (tmp_path / "poems.yaml").write_text(RECIPE.replace("lines", "line"))
    assert (
        "poems.yaml:3: stages.poem.line: unknown key (did you mean 'lines'?)"
        in call("recipes", "validate", "poems.yaml")[1]
    )
    (tmp_path / "poems.yaml").write_text(RECIPE.replace("haiku", "haikku"))
    assert "did you mean 'haiku'" in call("recipes", "validate", "poems.yaml")[1]


GREEDY = TOY.replace(
    "        report(1, 1, 0)",
    """        import subprocess, sys

        gc = [sys.executable, "-m", "harness", "runs", "gc", "--delete", "--store", str(folder.parent.parent)]
        subprocess.run(gc, check=True)
        report(1, 1, 0)""",
)


def test_a_collection_of_garbage_spares_the_stages_of_a_recipe_that_runs(tmp_path):
    """Each stage of this recipe collects garbage while it runs; the results of those before are there at the end."""
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds" / "haiku.py").write_text(GREEDY)
    (tmp_path / "main.py").write_text(MAIN.format(folder=str(tmp_path / "kinds")))
    stages = "".join(f"  poem{i}: {{kind: haiku, lines: {i}}}\n" for i in (1, 2, 3))
    (tmp_path / "poems.yaml").write_text(f"name: poems\nstages:\n{stages}")
    words = ["run-recipe", "poems.yaml", "--display", "none", "--set", "profile.workers=1"]
    done = subprocess.run([sys.executable, "main.py", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "stages").glob("*/poem.txt"))) == 3
