"""The README of a pack: how to check and use it without this tool."""

from __future__ import annotations

from entrenar_research.models.airgap import Manifest

_HEAD = """\
{title}

A study with all that it takes to repeat it, carried into a place without network. manifest.json lists every
file with its SHA-256; manifest.json.sig is the signature of that list. With entrenar-research it is checked and
unpacked by

    entrenar-research airgap unpack DIR --trusted FILE

and without it as follows. DIR is this directory, as an absolute path. FILE is a list of the keys that you trust, in
the form of ALLOWED SIGNERS in ssh-keygen(1). keys/allowed_signers is what the author says of the author's own keys:
before you use it, compare the fingerprint with what the author told you in another way.

Check it

    cd DIR
    who=$(python3 -c 'import json; print(json.load(open("manifest.json"))["signer"])')
    ssh-keygen -Y verify -f FILE -I "$who" -n airgap@entrenar-research -s manifest.json.sig < manifest.json
    python3 -c 'import json; [print(f["sha256"], "", f["path"]) for f in json.load(open("manifest.json"))["files"]]' \\
        | sha256sum --check --quiet

Get the study with its history and its data

    git clone DIR/study.bundle STUDY
    cd STUDY
    for later in DIR/study-*.bundle; do [ -e "$later" ] && git pull --ff-only --tags "$later"; done
    dvc remote add --local --default airgap DIR/dvc
    dvc pull {targets}
"""
_NIX = """
Build it again with Nix {version} or newer, without network

    STORE=$HOME/.local/share/nix/root     # a store of your own
    export NIX_CONFIG="experimental-features = nix-command flakes
    sandbox = true
    sandbox-fallback = false
    sandbox-paths =
    substituters =
    require-sigs = true
    trusted-public-keys = $(cat DIR/keys/nix.pub)"
    paths=$(python3 -c 'import json; print(*json.load(open("DIR/manifest.json"))["nix"]["paths"])')
    nix copy --store $STORE --from file://DIR/cache $paths
    nix run --store $STORE --offline .#{name}
    nix build --store $STORE --offline --no-link --rebuild .#{name}

`nix copy` takes only what keys/nix.pub signed. The last command carries the experiment out once more and fails if
one byte of the result differs. The experiments are {names}.
"""
_NO_NIX = """
There is no binary cache in this pack: experiments can be carried out with what is installed where you are, but not
hermetically. The experiments are {names}.
"""


def text(manifest: Manifest) -> str:
    """The README of a pack with this manifest."""
    targets = "" if manifest.everything else " ".join(f"{name}" for name in manifest.experiments)
    head = _HEAD.format(title=manifest.title, targets=targets).replace("dvc pull \n", "dvc pull\n")
    names = ", ".join(manifest.experiments)
    if manifest.nix is None:
        return head + _NO_NIX.format(names=names)
    return head + _NIX.format(version=manifest.nix.version, name=manifest.experiments[0], names=names)
