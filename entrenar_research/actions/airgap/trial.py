"""A pack's own test: the whole way into a new study and an empty Nix store, where there is no network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from entrenar_research.actions.airgap import layout
from entrenar_research.errors import IntegrityError
from entrenar_research.models.airgap import Manifest
from entrenar_research.tools import apart, execution
from entrenar_research.tools.nix import Nix


def carry_out(pack: Path, manifest: Manifest, within: Sequence[str]) -> None:
    """Unpacks the pack, checks the signatures, builds one experiment and builds it once more; then all of that goes.

    `within` is what puts a command where there is no network.

    Raises:
        IntegrityError: if any of it fails.
    """
    with tempfile.TemporaryDirectory(prefix="entrenar-airgap-") as directory:
        there = Path(directory)
        store, study = there / "store", there / manifest.name
        signers = str(pack / layout.SIGNERS)
        unpack = apart.ourselves("airgap", "unpack", str(pack), "-o", str(study), "--trusted", signers)
        _run("unpacking", [*within, *unpack], there, {**os.environ, "ENTRENAR_NIX_STORE": str(store)})
        if manifest.nix is None:
            return
        tool = Nix(there / "nix", store, trusted_keys=(manifest.nix.key,))
        name = manifest.experiments[0]
        out = manifest.nix.builds[name].out_path
        verify = ["nix", "store", "verify", "--recursive", "--sigs-needed", "1", out]
        build = ["nix", "build", "--offline", "--no-link", f".#{name}"]
        for what, argv in (
            ("the signatures of", verify),
            ("building", build),
            ("rebuilding", [*build, "--rebuild"]),
        ):
            _run(f"{what} {name}", [*within, *tool.command(argv)], study, tool.environment())


def _run(what: str, argv: Sequence[str], cwd: Path, environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="entrenar-airgap-") as streams:
        said = Path(streams, "err")
        outcome = execution.execute(argv, cwd=cwd, env=environment, stdout=Path(streams, "out"), stderr=said)
        if outcome.interrupted:
            raise KeyboardInterrupt
        if outcome.exit_status != 0:
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-4:]
            raise IntegrityError(
                f"the pack did not stand its test without network: {what}: " + "\n  ".join(lines),
                hint="nothing was written",
            )
