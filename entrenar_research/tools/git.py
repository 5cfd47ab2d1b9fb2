"""Git: reading and writing one repository through the `git` program."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from entrenar_research.errors import IntegrityError, ToolError, UsageError
from entrenar_research.models.run import GitState
from entrenar_research.tools import process
from entrenar_research.tools.process import Completed

_NOT_ASKED = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)  # fmt: skip
"""What would lead Git to another repository; a hook that calls us has it set."""


class TreeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a commit: its mode (`100644`, `100755`, `120000`) and blob id."""

    path: str
    mode: str
    blob: str


class TagCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What `git verify-tag` says: `signer` and `fingerprint` where the signature is good."""

    good: bool
    signer: str | None = None
    fingerprint: str | None = None
    message: str = ""


class Git:
    """One repository. `git_dir` is given where the files lie apart from the repository."""

    def __init__(self, root: Path, *, git_dir: Path | None = None) -> None:
        self.root = root
        self.git_dir = git_dir

    def call(
        self,
        *arguments: str,
        check: bool = True,
        stdin: bytes | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Completed:
        """Runs `git` here with `settings` as one-time configuration.

        Its messages are English, and what it reads is what was committed: no replaced objects (git-replace(1)).

        Raises:
            UsageError: if the repository belongs to another user, or (with `check`) there is none.
            ToolError: if it fails and `check` is set.
        """
        argv = ["git"]
        if self.git_dir is not None:
            argv += [f"--git-dir={self.git_dir}", f"--work-tree={self.root}"]
        for key, value in {"core.fsmonitor": "false", **(settings or {})}.items():
            argv += ["-c", f"{key}={value}"]
        inherited = {key: value for key, value in os.environ.items() if key not in _NOT_ASKED}
        environment = {**inherited, "GIT_NO_REPLACE_OBJECTS": "1", "LANGUAGE": "en"}
        done = process.run([*argv, *arguments], cwd=self.root, check=False, stdin=stdin, env=environment)
        if done.status != 0:
            self._explain(done, check=check)
            if check:
                raise ToolError(process.failure([*argv, *arguments], done))
        return done

    def _explain(self, done: Completed, *, check: bool) -> None:
        """Raises for the failures that a person can mend."""
        if b"dubious ownership" in done.stderr:
            raise UsageError(
                f"Git refuses {self.root}: it belongs to another user",
                hint=f"copy the study, or run `git config --global --add safe.directory {self.root}`",
            )
        if check and b"not a git repository" in done.stderr:
            raise UsageError(
                f"{self.root}: there is no Git repository, so there are no commits and no tags",
                hint="get the study with its history (`git clone`, or from its bundle), or run `git init` in it",
            )

    def exists(self) -> bool:
        """Whether `root` itself is the top of a work tree (not merely inside of one)."""
        if self.git_dir is not None:
            return True
        done = self.call("rev-parse", "--show-toplevel", check=False)
        return done.status == 0 and Path(done.text).resolve() == self.root.resolve()

    def initialise(self) -> None:
        """Makes an empty repository on the branch `main`."""
        self.call("init", "--quiet", "--initial-branch=main")

    def setting(self, key: str) -> str | None:
        """A configuration value, or None where it is not set."""
        done = self.call("config", "--get", key, check=False)
        return done.text if done.status == 0 and done.text else None

    def identity(self) -> tuple[str, str] | None:
        """The person's name and e-mail as Git would put them into a commit, or None if it has none."""
        done = self.call("var", "GIT_COMMITTER_IDENT", check=False, settings={"user.useConfigOnly": "true"})
        if done.status != 0:
            return None
        name, _, rest = done.text.partition(" <")
        return name, rest.partition(">")[0]

    def head(self) -> str | None:
        """The commit that is checked out, or None before the first one."""
        done = self.call("rev-parse", "--verify", "--quiet", "HEAD^{commit}", check=False)
        return done.text if done.status == 0 else None

    def state(self) -> GitState:
        """The commit and, if tracked files differ from it, the digest of the difference."""
        commit = self.head()
        if commit is None:
            return GitState()
        difference = self.call("diff", "HEAD", "--binary", "--no-color", "--no-ext-diff").stdout
        if not difference:
            return GitState(commit=commit)
        return GitState(commit=commit, dirty=True, diff="sha256:" + hashlib.sha256(difference).hexdigest())

    def commit_time(self, revision: str = "HEAD") -> str:
        """When `revision` was committed, ISO 8601 in UTC to the second."""
        done = self.call("log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", revision)
        return done.text

    def tree(self, revision: str = "HEAD", *paths: str) -> tuple[TreeEntry, ...]:
        """Every file of a commit, or those at and below `paths`.

        Raises:
            IntegrityError: if the commit or one of its trees cannot be read.
        """
        done = self.call("ls-tree", "-r", "-z", "--full-tree", revision, "--", *paths, check=False)
        if done.status != 0:
            raise IntegrityError(process.failure(["git", "ls-tree", "-r", revision], done))
        entries = []
        for line in done.stdout.split(b"\0")[:-1]:
            meta, _, path = line.partition(b"\t")
            mode, kind, blob = meta.decode().split(" ")
            if kind == "blob":
                entries.append(TreeEntry(path=path.decode("utf-8", "surrogateescape"), mode=mode, blob=blob))
        return tuple(entries)

    def blobs(self, paths: Sequence[str], *, converted: bool = False) -> tuple[str, ...]:
        """The blob ids that the bytes at `paths` have now: always read, never taken from the index.

        `converted` applies what `.gitattributes` and the configuration ask for on the way into a commit.
        """
        if not paths:
            return ()
        text = "".join(f"{_quoted(path)}\n" for path in paths).encode("utf-8", "surrogateescape")
        options = () if converted else ("--no-filters",)
        return tuple(self.call("hash-object", *options, "--stdin-paths", stdin=text).text.split("\n"))

    def listed(self, *options: str, paths: Iterable[str] = ()) -> tuple[str, ...]:
        """`git ls-files` with `options`; paths relative to the root."""
        done = self.call("ls-files", "-z", *options, "--", *paths)
        return tuple(item.decode("utf-8", "surrogateescape") for item in done.stdout.split(b"\0")[:-1])

    def untracked(self) -> tuple[str, ...]:
        """Files that Git neither tracks nor ignores."""
        return self.listed("--others", "--exclude-standard")

    def changed(self) -> tuple[str, ...]:
        """Tracked files that differ from the last commit, staged or not."""
        done = self.call("diff", "--name-only", "-z", "--no-ext-diff", "HEAD")
        return tuple(item.decode("utf-8", "surrogateescape") for item in done.stdout.split(b"\0")[:-1])

    def commit(self, message: str, paths: Sequence[str]) -> str | None:
        """Adds `paths` (those deleted as well) and commits just these; None if nothing had changed.

        Raises:
            ToolError: if Git refuses (a hook, no identity, no space).
        """
        tracked = set(self.listed(paths=paths)) if paths else set()
        present = [path for path in paths if (self.root / path).exists() or path in tracked]
        if present:
            self.call("add", "--all", "--", *present)
        if self.head() is not None:
            staged = self.call("diff", "--cached", "--quiet", "--", *present, check=False)
            if staged.status == 0:
                return None
        self.call("commit", "--quiet", "--only", "--message", message, "--", *present)
        return self.head()

    def tags(self) -> dict[str, str]:
        """Every tag with the id it points to."""
        done = self.call("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/tags")
        return dict(line.rsplit(" ", 1) for line in done.text.splitlines())

    def sign_tag(self, name: str, message: str, key: Path) -> None:
        """Makes an annotated tag of HEAD, signed with the SSH key at `key`.

        Raises:
            ToolError: if the tag exists or the key cannot sign.
        """
        self.call(
            "tag", "--sign", "--message", message, name,
            settings={"gpg.format": "ssh", "user.signingkey": str(key)},
        )  # fmt: skip

    def verify_tag(self, name: str, allowed_signers: Path) -> TagCheck:
        """Whether the tag's signature is good and its key allowed at the tag's time (`git verify-tag`).

        The programs that judge are named here: a repository's own configuration may name others.
        """
        done = self.call(
            "verify-tag", f"refs/tags/{name}", check=False,
            settings={
                "gpg.format": "ssh", "gpg.ssh.allowedSignersFile": str(allowed_signers),
                "gpg.ssh.program": "ssh-keygen",
                "gpg.program": "gpg", "gpg.openpgp.program": "gpg", "gpg.x509.program": "gpgsm",
            },
        )  # fmt: skip
        message = done.stderr.decode("utf-8", "replace").strip()
        good = 'Good "git" signature for '
        for line in message.splitlines():
            if done.status == 0 and line.startswith(good):
                signer, _, rest = line.removeprefix(good).partition(" with ")
                return TagCheck(good=True, signer=signer, fingerprint=rest.rpartition(" ")[2], message=line)
        return TagCheck(good=False, message=message.replace("\n", "; "))

    def tag_target(self, name: str) -> str:
        """The commit that a tag leads to.

        Raises:
            ToolError: if it leads to none.
        """
        return self.call("rev-parse", "--verify", f"refs/tags/{name}^{{commit}}").text

    def references(self) -> dict[str, tuple[str, str]]:
        """Every reference by its full name: the kind of object it leads to (`missing` if unreadable) and its id."""
        done = self.call("for-each-ref", "--format=%(objectname) %(refname)")
        found = [line.split(" ", 1) for line in done.text.splitlines()]
        asked = "".join(f"{object_id}\n" for object_id, _ in found).encode()
        told = self.call("cat-file", "--batch-check=%(objecttype)", stdin=asked, check=False).text.splitlines()
        kinds = [line.rpartition(" ")[2] for line in told] + ["missing"] * (len(found) - len(told))
        return {name: (kind, object_id) for (object_id, name), kind in zip(found, kinds, strict=True)}

    def peeled(self, name: str) -> str | None:
        """The object at the end of a reference, tags followed; None if it cannot be reached."""
        done = self.call("rev-parse", "--verify", "--quiet", f"{name}^{{}}", check=False)
        return done.text if done.status == 0 else None

    def common_directory(self) -> Path | None:
        """Where references and objects lie, or None if Git finds no repository."""
        done = self.call("rev-parse", "--git-common-dir", check=False)
        base = self.root if self.git_dir is None else self.git_dir
        return Path(base, done.text) if done.status == 0 else None

    def is_ancestor(self, commit: str, of: str = "HEAD") -> bool:
        """Whether `commit` is `of` or belongs to its history."""
        return self.call("merge-base", "--is-ancestor", commit, of, check=False).status == 0

    def fsck(self) -> str | None:
        """What is wrong with the object store, or None: every object is inflated and hashed again."""
        done = self.call("fsck", "--full", "--strict", "--no-dangling", "--no-progress", check=False)
        if done.status == 0:
            return None
        return (done.stderr + done.stdout).decode("utf-8", "replace").strip() or f"git fsck: {done.status}"

    def history(self) -> bytes:
        """All branches and tags as one Git bundle, the same bytes for the same history.

        Raises:
            ToolError: before the first commit.
        """
        packed = {"pack.threads": "1", "pack.window": "0", "pack.depth": "0", "pack.compression": "6"}
        return self.call("bundle", "create", "--quiet", "-", "HEAD", "--branches", "--tags", settings=packed).stdout

    def write_bundle(self, target: Path, *, without: Sequence[str] = ()) -> None:
        """Writes HEAD, branches, tags and notes as a Git bundle; what the objects `without` lead to is left out.

        Raises:
            ToolError: if it would be empty, or Git refuses.
        """
        excluded = [f"^{object_id}" for object_id in without]
        wanted = ("HEAD", "--branches", "--tags", "--glob=refs/notes/*")
        self.call("bundle", "create", "--quiet", str(target.absolute()), *wanted, *excluded)

    def is_shallow(self) -> bool:
        """Whether the history is cut off (`git clone --depth`)."""
        return self.call("rev-parse", "--is-shallow-repository").text == "true"

    def branch(self) -> str | None:
        """The branch that is checked out, or None for a bare commit."""
        done = self.call("symbolic-ref", "--quiet", "--short", "HEAD", check=False)
        return done.text if done.status == 0 else None

    def fetch(self, bundle: Path) -> None:
        """Gets branches (as those of `origin`) and tags from a Git bundle; no tag that is here is moved.

        Raises:
            ToolError: if the bundle is damaged or builds on what is not here, or a tag is another one here.
        """
        wanted = ("+refs/heads/*:refs/remotes/origin/*", "refs/tags/*:refs/tags/*")
        checked = {"fetch.fsckObjects": "true"}
        self.call("fetch", "--quiet", "--no-auto-gc", str(bundle.absolute()), *wanted, settings=checked)


def _quoted(path: str) -> str:
    """A path as one line of input: in C's notation where it could be misread."""
    if not path.startswith('"') and "\n" not in path:
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def clone_history(bundle: Path, git_dir: Path) -> Git:
    """Unpacks a Git bundle into a bare repository at `git_dir`.

    Raises:
        IntegrityError: if the bundle is damaged.
    """
    try:
        process.run(["git", "clone", "--quiet", "--mirror", str(bundle), str(git_dir)])
    except ToolError as error:
        raise IntegrityError(f"{bundle.name}: the history cannot be read: {error.message}") from error
    return Git(git_dir.parent, git_dir=git_dir)


def bundled(bundle: Path) -> dict[str, str]:
    """The references in a Git bundle with the objects that they lead to.

    Raises:
        ToolError: if it cannot be read.
    """
    lines = process.run(["git", "bundle", "list-heads", str(bundle.absolute())]).text.splitlines()
    return {name: object_id for object_id, name in (line.split(" ", 1) for line in lines)}


def clone(source: Path, target: Path) -> Git:
    """Clones a Git bundle, or a repository, into the new directory `target`, every object of a bundle checked.

    Nothing is checked out.

    Raises:
        ToolError: if the bundle is damaged.
    """
    checked = ("-c", "fetch.fsckObjects=true", "-c", "transfer.fsckObjects=true")
    process.run(["git", *checked, "clone", "--quiet", "--no-checkout", str(source.absolute()), str(target)])
    return Git(target)
