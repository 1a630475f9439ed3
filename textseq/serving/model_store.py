"""The versions of one model: the newest that loads is served, new ones are picked up, broken ones refused.

A folder is looked at every few seconds. A version in it (a folder whose name is a number) is loaded once it has stopped
changing, checked, warmed with its own golden inputs, and then takes the place of the one before, which finishes what it
has accepted and is closed. A version that cannot be used is refused and not tried again until its files change; the one
that is served goes on. Where the served version's folder is removed, the next lower one takes its place; where nothing
is left that loads, the served one stays.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textseq.serving.batcher import Batcher, Model
from textseq.serving.limits import Limits
from textseq.serving.native.prove import GOLDEN
from textseq.serving.predict_format import read_array
from textseq.serving.refusal import Code, Refusal, refusal_of
from textseq.serving.versions import version_folders

logger = logging.getLogger("textseq.serving")

_LARGEST_GOLDEN = 16 << 20
_WARM_SECONDS = 20.0
_MOST_FILES = 10_000
_MOST_VERSIONS_REMEMBERED = 100


class State(enum.IntEnum):
    """What TensorFlow Serving says of a version."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """What is known of one version.

    Attributes:
        version: its number.
        state: see `State`.
        code: OK, or why it is not served.
        message: the same in words.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""


class Served:
    """A loaded version.

    Attributes:
        version: its number.
        folder: where it came from.
        model: what runs.
        batcher: through which it is asked.
    """

    def __init__(self, version: int, folder: Path, model: Model, batcher: Batcher) -> None:
        self.version = version
        self.folder = folder
        self.model = model
        self.batcher = batcher
        self.leases = 0


Fingerprint = tuple[tuple[str, int, int], ...]


class ModelStore:
    """Keeps the newest usable version of a model loaded.

    Args:
        folder: holds the versions.
        name: the model's, by which clients ask for it.
        open_model: loads a version's folder; whatever it raises refuses the version.
        limits: those of the batchers, and how often the folder is looked at.
        pinned: serve this version and no other.
        observe: see `Batcher`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        open_model: Callable[[Path], Model],
        limits: Limits,
        *,
        pinned: int | None = None,
        observe: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self.folder = folder
        self.name = name
        self._open_model = open_model
        self._limits = limits
        self._pinned = pinned
        self._observe = observe
        self._current: Served | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._refused: dict[int, Fingerprint] = {}
        self._seen: dict[int, Fingerprint] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None
        self._drains: list[threading.Thread] = []

    def start(self, seconds: float = 30.0) -> None:
        """Loads a version and goes on looking for others.

        Args:
            seconds: how long to wait for versions that are still being written.

        Raises:
            Refusal: no version can be used.
        """
        end = time.monotonic() + seconds
        while not self.look() and time.monotonic() < end and self._unsettled():
            time.sleep(min(self._limits.poll_seconds, 0.2))
        if self._current is None:
            raise Refusal(Code.UNAVAILABLE, self._nothing())
        self._poller = threading.Thread(target=self._poll, name="model-store", daemon=True)
        self._poller.start()

    def _nothing(self) -> str:
        reasons = "; ".join(f"version {status.version}: {status.message}" for status in self.statuses())
        wanted = "a version" if self._pinned is None else f"version {self._pinned}"
        return f"{self.folder}: holds no version that can be served ({reasons or f'there is no folder of {wanted}'})"

    @property
    def current(self) -> Served | None:
        """The version that is served now."""
        return self._current

    @contextlib.contextmanager
    def lease(self, version: int | None = None) -> Iterator[Served]:
        """Lends the served version, which is not closed before it is given back.

        Args:
            version: the one that is asked for; None for whichever is served.

        Raises:
            Refusal: NOT_FOUND, it is not the one that is served.
        """
        with self._changed:
            served = self._current
            if served is None or version not in (None, served.version):
                wanted = f"Latest({self.name})" if version is None else f"Specific({self.name}, {version})"
                raise Refusal(Code.NOT_FOUND, f"Servable not found for request: {wanted}")
            served.leases += 1
        try:
            yield served
        finally:
            with self._changed:
                served.leases -= 1
                self._changed.notify_all()

    def statuses(self) -> list[VersionStatus]:
        """Returns what is known of every version that was seen, the newest first."""
        with self._changed:
            return [self._statuses[version] for version in sorted(self._statuses, reverse=True)]

    def look(self) -> bool:
        """Looks at the folder once, and changes the served version where it must.

        Returns:
            Whether the version that should be served is served.

        Raises:
            OSError: the folder is not there; what is known of its versions stays.
        """
        versions = {
            number: path for number, path in version_folders(self.folder).items() if self._pinned in (None, number)
        }
        self._forget_gone(versions)
        unsettled = False
        for version in sorted(versions, reverse=True):
            if self._current is not None and self._current.version == version:
                return True
            fingerprint = self._settled(version, versions[version])
            if fingerprint is None:
                unsettled = True
                continue
            if self._refused.get(version) == fingerprint:
                continue
            # A roll-back may just have put it there: what is served goes on until that is known, and no lower version
            # is loaded for a moment.
            if unsettled and self._current is not None:
                return False
            if self._load(version, versions[version], fingerprint):
                return True
        return False

    def close(self, seconds: float) -> None:
        """Finishes what was accepted, within the time, and closes every version."""
        self._stop.set()
        if self._poller is not None:
            self._poller.join(seconds)
        with self._changed:
            served, self._current = self._current, None
        if served is not None:
            self._drain(served, seconds)
        for drain in self._drains:
            drain.join(seconds)

    def _poll(self) -> None:
        while not self._stop.wait(self._limits.poll_seconds):
            try:
                self.look()
            except Exception as error:  # the folder may be gone for a moment
                logger.error("%s: cannot be looked at: %s", self.folder, error)

    def _forget_gone(self, versions: dict[int, Path]) -> None:
        for known in (self._refused, self._seen):
            for version in set(known) - set(versions):
                del known[version]
        with self._changed:
            keep = {*versions, *([self._current.version] if self._current else [])}
            for version, status in list(self._statuses.items()):
                gone = version not in keep and status.state == State.END
                if gone and (status.code != Code.OK or len(self._statuses) > _MOST_VERSIONS_REMEMBERED):
                    del self._statuses[version]

    def _settled(self, version: int, path: Path) -> Fingerprint | None:
        """Returns the state of a version's files, or None while they may still be written.

        They have settled when nothing has changed since the look before, or for as long as lies between two looks. The
        time that counts is that of the last change to an entry, which no copying tool can set back.
        """
        fingerprint, newest = _fingerprint(path)
        before, self._seen[version] = self._seen.get(version), fingerprint
        if before == fingerprint or time.time() - newest > self._limits.poll_seconds:
            return fingerprint
        return None

    def _unsettled(self) -> bool:
        return any(version not in self._refused for version in self._seen)

    def _load(self, version: int, path: Path, fingerprint: Fingerprint) -> bool:
        self._say(VersionStatus(version, State.LOADING))
        start = time.monotonic()
        try:
            model = self._open_model(path)
            try:
                _warm(model, path)
            except BaseException:
                model.close()
                raise
        except Exception as error:
            refusal = refusal_of(error)
            self._refused[version] = fingerprint
            self._say(VersionStatus(version, State.END, refusal.code, refusal.message))
            going_on = f"version {self._current.version} goes on" if self._current else "nothing is served"
            logger.error("model %s: version %d is refused: %s; %s", self.name, version, _line(error), going_on)
            return False
        batcher = Batcher(model, self._limits, self._observe)
        self._switch(Served(version, path, model, batcher))
        seconds = time.monotonic() - start
        logger.info(
            "model %s: version %d is served (%s; loaded in %.1f s)",
            self.name, version, ", ".join(sorted(model.signatures)), seconds,
        )  # fmt: skip
        return True

    def _switch(self, served: Served) -> None:
        with self._changed:
            old, self._current = self._current, served
        self._say(VersionStatus(served.version, State.AVAILABLE))
        if old is not None:
            drain = threading.Thread(target=self._drain, args=(old, self._limits.request_seconds), daemon=True)
            self._drains = [each for each in self._drains if each.is_alive()] + [drain]
            drain.start()

    def _drain(self, old: Served, seconds: float) -> None:
        self._say(VersionStatus(old.version, State.UNLOADING))
        with self._changed:
            self._changed.wait_for(lambda: old.leases == 0, seconds)
        if old.batcher.close(seconds):
            old.model.close()
        else:  # closing a model under a running batch would end the process
            logger.error("model %s: version %d still runs and is not closed", self.name, old.version)
        with self._changed:
            loaded_again = self._current is not None and self._current.version == old.version
        if not loaded_again:
            self._say(VersionStatus(old.version, State.END))

    def _say(self, status: VersionStatus) -> None:
        with self._changed:
            self._statuses[status.version] = replace(status, message=status.message.replace("\n", " "))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def _fingerprint(folder: Path) -> tuple[Fingerprint, float]:
    """Returns names, sizes and times of what a folder holds, and the time of the last change."""
    found: list[tuple[str, int, int]] = []
    places = [folder]
    newest = 0.0
    while places and len(found) < _MOST_FILES:
        place = places.pop()
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            for path in [place, *place.iterdir()]:
                entry = path.lstat()
                newest = max(newest, entry.st_mtime, entry.st_ctime)
                found.append((str(path.relative_to(folder)), entry.st_size, entry.st_mtime_ns))
                if path != place and path.is_dir() and not path.is_symlink():
                    places.append(path)
    return tuple(sorted(found)), newest


def _warm(model: Model, folder: Path) -> None:
    """Asks every signature once with the golden inputs beside it, so that the first person to ask does not wait.

    Raises:
        Exception: a signature fails on them.
    """
    try:
        content = (folder / GOLDEN).read_bytes() if (folder / GOLDEN).stat().st_size < _LARGEST_GOLDEN else b"{}"
        signatures = dict(json.loads(content)["signatures"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # a model that was made elsewhere has none
    end = time.monotonic() + _WARM_SECONDS
    for name, signature in model.signatures.items():
        if name not in signatures or time.monotonic() > end:
            continue
        inputs = _golden_inputs(signature, signatures[name])
        if inputs is not None:
            model.run(name, inputs)


def _golden_inputs(signature: Any, examples: Any) -> dict[str, Any] | None:
    try:
        values = examples["inputs"]
        return {name: read_array(values[name][:1], info.dtype) for name, info in signature.inputs.items()}
    except (Refusal, KeyError, TypeError, ValueError):
        return None
