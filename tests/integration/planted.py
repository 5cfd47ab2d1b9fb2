"""Ten small experiments, each with one thing planted that must not be in a result, and one that has none.

Each is a script that is given the directory of its result; `CAUSES` says what is to be found.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import World

SCRIPTS = {
    "clock": """
        import datetime, json
        started = datetime.datetime.now(datetime.UTC)
        write("metrics.json", json.dumps({"loss": 0.25, "started": started.isoformat()}))
    """,
    "unseeded": """
        import json, random
        weights = [random.gauss(0, 1) for _ in range(5)]
        write("model.json", json.dumps({"bias": 1.0, "weights": weights}))
    """,
    "set-order": """
        labels = {"apple", "pear", "plum", "quince", "cherry"}
        write("labels.txt", "".join(f"{label}\\n" for label in labels))
    """,
    "directory-order": """
        import os, json
        files = [name for name in os.listdir("data/parts")]
        write("index.json", json.dumps({"files": files}))
    """,
    "temporary": """
        import tempfile
        with tempfile.TemporaryDirectory() as place:
            write("log.txt", f"step 1\\nintermediate files in {place}\\nstep 2\\n")
    """,
    "race": """
        import hashlib, json, threading
        done, lock = [], threading.Lock()
        def work(number):
            hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 20000)
            with lock:
                done.append(number)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        write("order.json", json.dumps({"finished": done, "sum": sum(done)}))
    """,
    "locale": """
        import locale
        write("format.txt", f"encoded as {locale.getpreferredencoding()}\\n")
    """,
    "bytecode": """
        import py_compile
        mode = py_compile.PycInvalidationMode.TIMESTAMP
        py_compile.compile("experiments/bytecode/module.py", cfile=out + "/module.pyc", invalidation_mode=mode)
    """,
    "host": """
        import json, socket
        write("metrics.json", json.dumps({"loss": 0.5, "machine": {"node": socket.gethostname()}}))
    """,
    "cpu": """
        import numpy, sys
        generator = numpy.random.default_rng(7)
        a = generator.standard_normal((200, 200), dtype=numpy.float32)
        b = generator.standard_normal((200, 200), dtype=numpy.float32)
        numpy.savez(out + "/product.npz", product=a @ b)
    """,
    "steady": """
        import json, os, random, concurrent.futures
        generator = random.Random(3)
        names = sorted(os.listdir("data/parts"))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            squares = list(pool.map(lambda n: n * n, range(20)))
        write("metrics.json", json.dumps({"x": generator.random(), "names": names, "squares": squares}))
    """,
}
"""What each script does after `out` and `write` are there; `numpy.savez` notes no time (it gives members 1980)."""
CAUSES = {
    "clock": "clock",
    "unseeded": "unseeded randomness",
    "set-order": "hash order",
    "directory-order": "directory order",
    "temporary": "temporary path",
    "race": "thread order",
    "locale": "locale",
    "bytecode": "bytecode",
    "host": "host name",
    "cpu": "CPU dispatch",
}
_HEAD = """\
import sys
out = sys.argv[1]
def write(name, text):
    with open(f"{out}/{name}", "w") as stream:
        stream.write(text)
"""


def write_study(world: World, place: Path) -> Path:
    """A study with all of them."""
    world.tool("init", place, "--title", "Planted", "--author", "Ada Lovelace", "--license", "MIT", cwd=place.parent)
    for number in range(6):
        part = place / "data" / "parts" / f"part-{(number * 5) % 6}.csv"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(f"{number}\n")
    for name, script in SCRIPTS.items():
        directory = place / "experiments" / name
        directory.mkdir(parents=True)
        body = "".join(line[8:] + "\n" for line in script.strip("\n").splitlines())
        (directory / "train.py").write_text(_HEAD + body)
        outputs = re.findall(r'(?:write\(|out \+ )"/?([a-z.]+)"', body)
        declared = [f"command: python experiments/{name}/train.py ${{result}}\n"]
        declared.append(f"code: [{', '.join(_code(directory, name))}]\n")
        declared.append(f"inputs: [data/parts]\noutputs: {outputs}\ntrace: none\n")
        (directory / "experiment.yaml").write_text("".join(declared))
    return place


def _code(directory: Path, name: str) -> list[str]:
    if name == "bytecode":
        (directory / "module.py").write_text("def double(x):\n    return 2 * x\n")
        return [f"experiments/{name}/train.py", f"experiments/{name}/module.py"]
    return [f"experiments/{name}/train.py"]
