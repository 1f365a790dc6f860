# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""Every system call of an append fails, or is the last one, in turn; what was acknowledged is there afterwards.

strace injects EIO, ENOSPC and SIGKILL. After each fault the ledger opens, takes another entry and verifies.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.ledger import (
    Ledger,
    anchor,
    backup,
    freeze,
    repair,
    segments,
    verify,
)

from . import ledger_writer as writer

WRITER = Path(writer.__file__)
# All that an append does with files; what the interpreter does for itself is left out.
CALLS = (
    "openat,close,flock,pread64,pwrite64,write,fsync,fdatasync,ftruncate,newfstatat,fstat,lseek,"
    "mkdir,rename,unlink,fchmod,chmod,getdents64,getppid"
)
# Of a checkpoint, which reads a lot: what opens, changes and makes durable.
CHANGING = {"openat", "flock", "pwrite64", "write", "fsync", "ftruncate", "mkdir", "rename", "unlink", "fchmod"}
WRITING = "O_WRONLY|O_RDWR|O_CREAT"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
PROCESSES = 16

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")


@dataclass(frozen=True)
class Call:
    """One call within the marks; ``number`` and ``place`` count calls of its name, from the start and within them."""

    name: str
    number: int
    place: int
    text: str


def _run(folder: Path, what: str, *options: str) -> tuple[subprocess.CompletedProcess[str], list[Call]]:
    trace = folder.parent / "trace"
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    # Quicker, since other calls are not stopped at; but signals are not injected then.
    quick = [] if any("signal=" in option for option in options) else ["--seccomp-bpf"]
    command = [sys.executable, "-S", "-B", str(WRITER), str(folder), what]
    done = subprocess.run(
        ["strace", "-f", *quick, "-o", str(trace), "-e", f"trace={CALLS}", *options, *command],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,  # The fault may kill it.
    )
    counts: Counter[str] = Counter()
    calls, marks = [], 0
    for line in trace.read_text(errors="replace").splitlines():
        if not (found := _LINE.match(line)):
            continue
        counts[found[1]] += 1
        if found[1] == "getppid":
            marks += 1
        elif marks == 1:
            place = sum(call.name == found[1] for call in calls)
            calls.append(Call(found[1], counts[found[1]], place, line))
    return done, calls


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: the calls are the same, and hundreds of runs need not wait for a disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="golden-goose-faults-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared") / "ledger"
    Ledger.create(folder, writer.ORIGIN).append(**writer.item(0))
    _run(folder.parent / "ledger", "nothing")  # Byte code is compiled, caches are warm.
    shutil.rmtree(folder)
    Ledger.create(folder, writer.ORIGIN).append(**writer.item(0))
    return folder


def _copy(prepared: Path, tmp_path: Path, what: str) -> Path:
    folder = tmp_path / "ledger"
    shutil.rmtree(folder, ignore_errors=True)
    if what == "create":
        return folder
    shutil.copytree(prepared, folder)
    if what == "torn":
        with (folder / "entries.jsonl").open("ab") as stream:
            stream.write(b'{"data":{"event":"never acknowledged')
    return folder


def _acknowledged(output: str) -> list[int]:
    return [int(line.removeprefix("ack ")) for line in output.splitlines() if line.startswith("ack ")]


def _check(folder: Path, done: subprocess.CompletedProcess[str], what: str) -> None:
    assert "Traceback" not in done.stderr, done.stderr
    state = verify(folder).state
    if what == "create":
        assert state == "nothing_to_verify"
        ledger = Ledger.create(folder, writer.ORIGIN)
    else:
        assert state in ("intact", "incomplete")
        ledger = Ledger.open(folder)
    ledger.append(**writer.item(9))
    report = verify(folder, writer.ORIGIN)
    assert report.state == "intact", report.sentence()
    assert (folder / "entries.jsonl").read_bytes().endswith(b"\n")
    numbers = [entry.data["number"] for entry in ledger.entries() if entry.event == "sast"]
    kept = set(_acknowledged(done.stdout)) | {9} | ({0} if what != "create" else set())
    assert kept <= set(numbers)
    assert len(numbers) == len(set(numbers))
    assert not list(folder.rglob("*.pending"))


def _inject(prepared: Path, place: Path, what: str, fault: str, call: Call) -> subprocess.CompletedProcess[str]:
    """Run with the fault at ``call``; its number may change from run to run: look again when it was missed."""
    for _attempt in range(4):
        folder = _copy(prepared, place, what)
        done, seen = _run(folder, what, "-e", f"inject={call.name}:{fault}:when={call.number}")
        if done.returncode in (-9, 137) or any("INJECTED" in one.text for one in seen):
            return done
        again = _run(_copy(prepared, place, what), what)[1]
        call = [one for one in again if one.name == call.name][call.place]
    raise AssertionError(f"The fault {fault} was not met at {call}")


@pytest.mark.parametrize("what", ["create", "warm", "torn", "group"])
@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_fault_at_every_system_call(prepared: Path, place: Path, what: str, fault: str) -> None:
    _done, calls = _run(_copy(prepared, place, what), what)
    assert {"openat", "fsync"} <= {call.name for call in calls}
    for call in calls:
        # The output of the process itself is not part of the append.
        if call.name == "write" and call.text.partition("(")[2].startswith("1,"):
            continue
        done = _inject(prepared, place, what, fault, call)
        try:
            _check(place / "ledger", done, what)
        except AssertionError as error:
            raise AssertionError(f"{fault} at {call.text}\n{done.stdout}{done.stderr}\n{error}") from error


def _empty(place: Path) -> None:
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _with_copy(ledger: Path, place: Path) -> Path:
    """Put ``ledger``, and the copy beside it, into ``place``, which had something else before."""
    _empty(place)
    for name in ("ledger", "copy"):
        shutil.copytree(ledger.parent / name, place / name)
    return place / "ledger"


def _faulted(
    fresh: Callable[[], Path], what: str, fault: str, calls: list[Call]
) -> Iterator[tuple[Path, Call, subprocess.CompletedProcess[str]]]:
    """Inject ``fault`` at each of ``calls`` in turn; yield the folder, the call and how the program ended."""
    tried = 0
    for call in calls:
        # The output of the process itself is not part of what is tested.
        if call.name == "write" and call.text.partition("(")[2].startswith("1,"):
            continue
        folder = fresh()
        done, seen = _run(folder, what, "-e", f"inject={call.name}:{fault}:when={call.number}")
        if done.returncode not in (-9, 137) and not any("INJECTED" in one.text for one in seen):
            continue  # The number of a call varies a little from run to run.
        tried += 1
        yield folder, call, done
    print(f"{fault}: {tried} of {len(calls)} calls")
    assert tried > len(calls) // 2


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger that was signed, with 300 entries more to sign: tiles become full, partial ones are removed."""
    folder = tmp_path_factory.mktemp("signed") / "ledger"
    ledger = Ledger.create(folder, writer.ORIGIN)
    ledger.append(**writer.item(0))
    anchor(ledger, writer.FolderPlace(folder), writer.METADATA)
    ledger.append_many([writer.item(number) for number in range(100, 400)])
    _run(folder, "nothing")
    return folder


@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_fault_at_every_system_call_of_a_checkpoint(signed: Path, place: Path, fault: str) -> None:
    def copy() -> Path:
        _empty(place)
        shutil.copy(signed.parent / "kept", place / "kept")
        shutil.copytree(signed, place / "ledger")
        return place / "ledger"

    _done, calls = _run(copy(), "checkpoint")
    calls = [call for call in calls if call.name in CHANGING]
    for folder, call, done in _faulted(copy, "checkpoint", fault, calls):
        assert verify(folder).state in ("intact", "incomplete"), f"{fault} at {call.text}\n{done.stdout}{done.stderr}"
        ledger = Ledger.open(folder)
        done_again = anchor(ledger, writer.FolderPlace(folder), writer.METADATA)
        report = verify(folder)
        assert (report.state, report.signed) == ("intact", done_again.size), f"{fault} at {call.text}"
        assert report.size == done_again.size and not (folder / "checkpoint.staged").exists()


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed ledger with a copy beside it, in which a line, an object and a tile were altered."""
    folder = tmp_path_factory.mktemp("damaged") / "ledger"
    ledger = Ledger.create(folder, writer.ORIGIN)
    report = dict(ledger.objects.put_bytes(b"report"))
    ledger.append_many([writer.item(number) | {"data": {"number": number, "object": report}} for number in range(5)])
    anchor(ledger, writer.FolderPlace(folder), writer.METADATA)
    backup(ledger, folder.parent / "copy")
    ledger.append(**writer.item(7))
    ledger.entries_path.write_bytes(ledger.entries_path.read_bytes().replace(b'"number":2', b'"number":9'))
    ledger.objects.path(report["sha256"]).write_bytes(b"Report")
    (folder / "tile/0/000.p/6").write_bytes(b"")
    return folder


@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_fault_at_every_system_call_of_a_repair(damaged: Path, place: Path, fault: str) -> None:
    bad = (damaged / "entries.jsonl").read_bytes()

    def fresh() -> Path:
        return _with_copy(damaged, place)

    _done, calls = _run(fresh(), "repair")
    # What only reads cannot leave anything half-done.
    calls = [c for c in calls if c.name in CHANGING and (c.name != "openat" or re.search(WRITING, c.text))]
    assert {"rename", "fsync", "unlink", "fchmod", "write"} <= {call.name for call in calls}
    for folder, call, done in _faulted(fresh, "repair", fault, calls):
        where = f"{fault} at {call.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, where
        # The damage, or the repaired ledger: nothing in between, and never less than there was.
        now = (folder / "entries.jsonl").read_bytes()
        assert now == bad or (verify(folder).state != "broken" or b'"event":"repaired"' in now), where
        repair(folder, folder.parent / "copy", writer.METADATA)
        ledger, report = Ledger.open(folder), verify(folder)
        assert (report.state, report.size, report.signed) == ("intact", 8, 6), f"{report.sentence()} {where}"
        said = list(ledger.entries())[-1]
        assert said.event == "repaired" and (folder / said.data["set_aside"]).read_bytes() == bad, where
        assert b"Report" in [p.read_bytes() for p in (folder / "damaged").rglob("*") if p.is_file()], where
        assert not repair(folder, folder.parent / "copy", writer.METADATA).changed, where


@pytest.fixture(scope="module")
def damaged_segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two segments with a copy beside them: in each a line was altered, in the frozen one an object and a tile, too."""
    folder = tmp_path_factory.mktemp("segments") / "ledger"
    ledger = Ledger.create(folder, writer.ORIGIN)
    report = dict(ledger.objects.put_bytes(b"report"))
    ledger.append_many([writer.item(number) | {"data": {"number": number, "object": report}} for number in range(3)])
    freeze(ledger, writer.FolderPlace(folder), writer.METADATA, 2)
    ledger.append_many([writer.item(number) for number in (3, 4)])
    backup(ledger, folder.parent / "copy")
    for number, path in ((1, folder / "entries.jsonl"), (3, ledger.entries_path)):
        path.write_bytes(path.read_bytes().replace(b'"number":%d' % number, b'"number":9'))
    ledger.objects.path(report["sha256"]).write_bytes(b"Report")
    (folder / "tile/0/000.p/5").write_bytes(b"")
    return folder


def sampled(calls: list[Call]) -> list[Call]:
    """Return some of them, other ones each day, or all with GOLDEN_GOOSE_EVERY_CALL."""
    every = 1 if os.environ.get("GOLDEN_GOOSE_EVERY_CALL") else 12
    return calls[datetime.now(UTC).toordinal() % every :: every]


@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_fault_at_system_calls_of_a_repair_of_segments(damaged_segments: Path, place: Path, fault: str) -> None:
    parts = {number: segments.place(damaged_segments, number) / "entries.jsonl" for number in (1, 2)}
    bad = {number: path.read_bytes() for number, path in parts.items()}
    whole = (damaged_segments.parent / "copy/entries.jsonl").read_bytes()

    def fresh() -> Path:
        return _with_copy(damaged_segments, place)

    done, calls = _run(fresh(), "repair")
    assert done.stdout == "ack 2\n", done
    calls = [c for c in calls if c.name in CHANGING and (c.name != "openat" or re.search(WRITING, c.text))]
    assert {"rename", "fsync", "unlink", "fchmod", "write", "pwrite64"} <= {call.name for call in calls}
    for folder, call, done in _faulted(fresh, "repair", fault, sampled(calls)):
        where = f"{fault} at {call.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, where
        # Of a frozen segment the damage, or all of it; nothing that was damaged is gone.
        assert (folder / "entries.jsonl").read_bytes() in (bad[1], whole), where
        everything = [path.read_bytes() for path in folder.rglob("*.jsonl")]
        assert bad[1] in everything and bad[2] in everything, where
        repair(folder, folder.parent / "copy", writer.METADATA)
        ledger, report = Ledger.open(folder), verify(folder)
        assert (report.state, report.size, report.segments, report.lost) == ("intact", 11, 2, 0), where
        assert (folder / "entries.jsonl").read_bytes() == whole, where
        said = [entry for entry in ledger.entries() if entry.event == "repaired"]
        assert [entry.data.get("segment") for entry in said] == [None, 1], where
        for entry in said:
            at = segments.place(folder, entry.data.get("segment", 2)) / entry.data["set_aside"]
            assert at.read_bytes() == bad[entry.data.get("segment", 2)], where
        assert b"Report" in [path.read_bytes() for path in folder.rglob("damaged/**/*") if path.is_file()], where
        assert not repair(folder, folder.parent / "copy", writer.METADATA).changed, where


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger from last year with three objects and a copy beside it, and an entry of today with another object."""
    folder = tmp_path_factory.mktemp("aged") / "ledger"
    Ledger.create(folder, writer.ORIGIN)
    old = Ledger(folder, writer.ORIGIN, now=lambda: datetime.now(UTC) - timedelta(days=365))
    for number in range(3):
        report = dict(old.objects.put_bytes(bytes([number])))
        old.append(**writer.item(number) | {"data": {"number": number, "object": report}})
    ledger = Ledger.open(folder)
    report = dict(ledger.objects.put_bytes(b"new"))
    ledger.append(**writer.item(3) | {"data": {"number": 3, "object": report}})
    backup(ledger, folder.parent / "copy")
    for path in folder.parent.rglob("objects/*/*/*"):
        os.utime(path, (0, 0))
    return folder


@pytest.mark.parametrize("fault", ["error=EIO", "error=ENOSPC", "signal=KILL"])
def test_a_fault_at_every_system_call_of_a_retention(aged: Path, place: Path, fault: str) -> None:
    def fresh() -> Path:
        return _with_copy(aged, place)

    def there(folder: Path) -> int:
        return sum(path.is_file() for path in (folder / "objects").rglob("*"))

    _done, calls = _run(fresh(), "retention")
    calls = [c for c in calls if c.name in CHANGING and (c.name != "openat" or re.search(WRITING, c.text))]
    assert {"fsync", "unlink", "pwrite64"} <= {call.name for call in calls}
    for folder, call, done in _faulted(fresh, "retention", fault, calls):
        where = f"{fault} at {call.text}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, where
        # Nothing is gone that neither ledger nor copy says was dropped.
        for name in ("ledger", "copy"):
            report = verify(place / name)
            assert all(problem.kind == "torn_tail" for problem in report.problems), (
                f"{name}: {report.sentence()} {where}"
            )
        writer.drop(folder)
        for name in ("ledger", "copy"):
            report = verify(place / name)
            assert (report.state, report.objects, report.dropped) == ("intact", 1, 3), f"{report.sentence()} {where}"
            assert there(place / name) == 1, where
        assert not writer.drop(folder), where


def test_nothing_is_acknowledged_before_it_is_on_disk(prepared: Path, tmp_path: Path) -> None:
    folder = _copy(prepared, tmp_path, "warm")
    _done, calls = _run(folder, "warm", "-y")
    texts = [f"{call.name} {call.text}" for call in calls]
    written = next(n for n, text in enumerate(texts) if text.startswith("pwrite64") and "entries.jsonl" in text)
    synced = next(n for n, text in enumerate(texts) if text.startswith("fsync") and "entries.jsonl" in text)
    unlocked = next(n for n, text in enumerate(texts) if text.startswith("close") and "/lock>" in text)
    told = next(n for n, text in enumerate(texts) if text.startswith("write") and "ack 2" in text)
    assert written < synced < unlocked < told
    assert [call.name for call in calls].count("fsync") == 1
    assert not any(text.startswith("pwrite64") and "entries.jsonl" in text for text in texts[synced:])


def test_a_torn_line_is_kept_before_it_is_cut(prepared: Path, tmp_path: Path) -> None:
    _done, calls = _run(_copy(prepared, tmp_path, "torn"), "torn", "-y")
    texts = [f"{call.name} {call.text}" for call in calls]
    kept = next(n for n, text in enumerate(texts) if text.startswith("rename") and ".pending" in text)
    synced = next(n for n, text in enumerate(texts) if n > kept and text.startswith("fsync") and "/torn>" in text)
    cut = next(n for n, text in enumerate(texts) if text.startswith("ftruncate") and "entries.jsonl" in text)
    assert any(text.startswith("fsync") and "torn/" in text for text in texts[:kept])
    assert kept < synced < cut
    assert texts[cut + 1].startswith("fsync")


def test_the_description_of_a_ledger_is_written_last(tmp_path: Path) -> None:
    _done, calls = _run(tmp_path / "ledger", "create", "-y")
    renames = [call.text for call in calls if call.name == "rename"]
    assert ["entries.jsonl" in renames[0], "ledger.json" in renames[-1]] == [True, True]
    order = [call.name for call in calls if call.name in ("fsync", "rename")]
    assert order == ["fsync", "rename", "fsync"] * 2


def _append_for(folder: Path, seconds: float, number: int) -> None:
    end, ledger, count = time.monotonic() + seconds, Ledger.open(folder), 0
    while time.monotonic() < end:
        data = {"writer": number, "number": count}
        ledger.append(type="validation", event="sast", data=data, metadata=writer.METADATA)
        count += 1
    (folder.parent / f"count-{number}").write_text(str(count))


def test_many_processes_append_at_once(tmp_path: Path) -> None:
    """Sixteen at a time, for 5 seconds or GOLDEN_GOOSE_STRESS_SECONDS (`make bench` takes 60)."""
    seconds = float(os.environ.get("GOLDEN_GOOSE_STRESS_SECONDS", "5"))
    folder = tmp_path / "ledger"
    ledger = Ledger.create(folder, writer.ORIGIN)
    children = []
    for number in range(PROCESSES):
        if (child := os.fork()) == 0:
            try:
                _append_for(folder, seconds, number)
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    counts = {number: int((tmp_path / f"count-{number}").read_text()) for number in range(PROCESSES)}
    assert verify(folder).intact
    seen: dict[int, list[int]] = {number: [] for number in counts}
    for entry in ledger.entries():
        seen[entry.data["writer"]].append(entry.data["number"])
    assert {number: len(numbers) for number, numbers in seen.items()} == counts
    assert all(numbers == list(range(len(numbers))) for numbers in seen.values())
    assert min(counts.values()) > 0
