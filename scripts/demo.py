"""The main job on a new study in a temporary place: `make demo`.

Makes a study of handwritten digits, runs three experiments under the tracer, promotes and checks golden traces, seals
everything with signed tags, verifies by replay, cites, bundles, and verifies the bundle elsewhere. Ends with a table
of what was proved and where the files are. Needs no network and touches nothing outside of its directory.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from entrenar_research.views.terminal.screen import Screen, seconds, size

EXPERIMENTS = ("training_loop", "model_io", "lora_finetune")


class Demo:
    """Runs the steps in a world of their own and keeps what each of them proved."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.study = base / "digits"
        self.screen = Screen()
        self.proved: list[list[str]] = []
        self.began = time.monotonic()
        beside = str(Path(sys.executable).parent)
        self.environment = {
            "HOME": str(base / "home"),
            "PATH": f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "LANG": "C.UTF-8",
            "DVC_NO_ANALYTICS": "1",
        }
        (base / "home").mkdir()

    def call(self, *words: str, cwd: Path | None = None) -> str:
        """Runs a program in the study; its standard output."""
        place = cwd or self.study
        self.screen.line(f"$ {' '.join(words)}", "quiet")
        done = subprocess.run(words, cwd=place, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.screen.line(done.stdout + done.stderr, "bad")
            raise SystemExit(f"demo: `{' '.join(words)}` ended with {done.returncode}; its files are in {self.base}")
        return done.stdout

    def tool(self, *words: str, cwd: Path | None = None) -> str:
        """Runs `entrenar-research`."""
        return self.call("entrenar-research", *words, cwd=cwd)

    def prove(self, what: str, how: str, where: str = "") -> None:
        """Keeps one line for the table at the end."""
        self.proved.append([what, how, where])
        self.screen.line(f"  {what}: {how}", "good")

    def begin(self) -> None:
        """Identity, study, key."""
        self.call("git", "config", "--global", "user.name", "Demo Person", cwd=self.base)
        self.call("git", "config", "--global", "user.email", "demo@example.org", cwd=self.base)
        self.tool(
            "init", "digits", "--template", "digits", "--title", "Handwritten digits, checked",
            "--author", "Demo Person", "--license", "MIT", cwd=self.base,
        )  # fmt: skip
        self.tool("keys", "new")
        self.prove("a new study", "Git, DVC, data, three experiments, a signing key", str(self.study))

    def run(self) -> None:
        """Every experiment under the tracer; DVC finds nothing left to do."""
        for name in EXPERIMENTS:
            report = json.loads(self.tool("run", name, "--format", "json"))
            record = report["run"]
            shown = ", ".join(f"{key} {value:.4g}" for key, value in list(record["metrics"].items())[:2])
            calls = record["trace"].get("calls", "no")
            self.prove(f"ran {name}", f"{shown}; {calls} calls observed", f"runs/{record['id']}")
            if record["trace"]["status"] != "recorded":
                self.prove(f"no trace of {name}", record["trace"].get("reason", ""), "")
        said = self.call("dvc", "repro")
        if "up to date" not in said:
            raise SystemExit(f"demo: dvc repro found something to do:\n{said}")
        self.prove("nothing left to do", "`dvc repro` agrees with what was run", "dvc.lock")

    def seal(self) -> None:
        """Golden traces, then signed tags over everything."""
        for name in EXPERIMENTS:
            self.tool("golden", "promote", name, "--as", name, "--repeat", "2")
        for item in json.loads(self.tool("golden", "check", "--format", "json")):
            self.prove(f"golden trace {item['name']}", item["words"], f"golden_traces/{item['name']}")
        for name in EXPERIMENTS:
            self.tool("seal", "experiment", name, "-m", "First version")
            self.tool("seal", "golden", name, "-m", "First version")
        signers = self.study / "keys" / "allowed_signers"
        for tag in self.call("git", "tag", "--list").split():
            self.call("git", "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-tag", tag)
        self.prove("sealed", "six signed tags, each accepted by `git verify-tag`", "keys/allowed_signers")

    def verify(self) -> None:
        """By replay, here and from the bundle elsewhere."""
        report = json.loads(self.tool("verify", "--format", "json"))
        self.prove("verified by replay", words(report["counts"]), str(self.study))
        (self.study / "references.bib").write_text(self.tool("cite", "--format", "bibtex"), encoding="utf-8")
        self.tool("cite", "--format", "cff", "--write")
        self.prove("citation", "CITATION.cff and BibTeX", "references.bib")
        bundle = self.base / "digits.crate.zip"
        self.tool("bundle", "--format", "ro-crate", "-o", str(bundle))
        elsewhere = self.base / "elsewhere"
        elsewhere.mkdir()
        shutil.copyfile(bundle, elsewhere / bundle.name)
        self.prove("bundled", f"RO-Crate, {size(bundle.stat().st_size)}", str(bundle))
        report = json.loads(self.tool("verify", bundle.name, "--replay", "--format", "json", cwd=elsewhere))
        self.prove("verified from the bundle", words(report["counts"]), str(elsewhere / bundle.name))

    def end(self) -> None:
        """The table."""
        self.screen.line()
        self.screen.table(["proved", "how", "where"], self.proved, title="What was proved")
        self.screen.line(f"in {seconds(time.monotonic() - self.began)}; the files are in {self.base}", "strong")


def words(counts: dict[str, Any]) -> str:
    """`24 identical, 1 unknown`."""
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def main() -> int:
    """Runs the demo from beginning to end."""
    demo = Demo(Path(tempfile.mkdtemp(prefix="entrenar-demo-")))
    demo.begin()
    demo.run()
    demo.seal()
    demo.verify()
    demo.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
