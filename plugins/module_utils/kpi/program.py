# Copyright: Contributors to Golden Goose
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause
"""The exporter as one file, so that it runs on a host that has neither Ansible nor this collection."""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from types import ModuleType

from ..errors import GoldenGooseError
from ..files import write_atomic
from . import exporter

# Everything of ours is imported relatively, so it works under any package name.
PACKAGE = "golden_goose"
_MAIN = f"import sys\n\nfrom {PACKAGE}.kpi.exporter import main\n\nsys.exit(main())\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def archive() -> bytes:
    """Return a zip archive that Python runs: the exporter and all of our modules that it has imported.

    The same sources give the same bytes.
    """
    root = exporter.__name__.rsplit(".", 2)[0]
    sources = {f"{PACKAGE}/__init__.py": b"", "__main__.py": _MAIN.encode()}
    for name, module in sorted(sys.modules.items()):
        if name.startswith(f"{root}.") and module is not None:
            sources[f"{PACKAGE}/{_path(name.removeprefix(f'{root}.'), module)}"] = _source(name, module)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as bundle:
        for path, source in sorted(sources.items()):
            bundle.writestr(zipfile.ZipInfo(path, _EPOCH), source)
    return buffer.getvalue()


def install(path: Path, check: bool = False) -> bool:
    """Write the program to ``path`` and return whether it changed.

    :raises GoldenGooseError: it cannot be written.
    """
    data = archive()
    if check:
        return not path.is_file() or path.read_bytes() != data
    return write_atomic(path, data, 0o644)


def _path(name: str, module: ModuleType) -> str:
    suffix = "/__init__.py" if hasattr(module, "__path__") else ".py"
    return name.replace(".", "/") + suffix


def _source(name: str, module: ModuleType) -> bytes:
    loader = getattr(module.__spec__, "loader", None)
    get_source = getattr(loader, "get_source", None)
    source: str | bytes | None = get_source(name) if get_source else None
    if source is None:
        raise GoldenGooseError(f"The source of {name} is not available, so the exporter cannot be installed.")
    # Ansible's own loader gives bytes, Python's give text.
    return source.encode() if isinstance(source, str) else source
