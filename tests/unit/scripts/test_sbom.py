"""The list of what an image holds, read from its archive."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from scripts import sbom

STATUS = b"""Package: base
Status: install ok installed
Architecture: amd64
Version: 1.2-3

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 4
"""


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def _archive(folder: Path, *layers: Mapping[str, bytes]) -> Path:
    """What an engine saves: layers above each other, a configuration, and a manifest."""
    config = json.dumps({"created": "2026-01-02T03:04:05.123456789Z"}).encode()
    names = [f"{number}.tar" for number in range(len(layers))]
    manifest = json.dumps([{"Config": "cafe.json", "Layers": names}]).encode()
    parts = dict(zip(names, map(_tar, layers), strict=True))
    path = folder / "some-key.tar"
    path.write_bytes(_tar({"manifest.json": manifest, "cafe.json": config, **parts}))
    return path


def _wheel(name: str, version: str, more: str = "") -> dict[str, bytes]:
    place = f"opt/venv/lib/python3.11/site-packages/{name}-{version}.dist-info/METADATA"
    return {place: f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{more}\n\nWords.\n".encode()}


def test_it_holds_what_dpkg_wheels_and_the_environment_say(tmp_path: Path) -> None:
    base = {
        "usr/lib/os-release": b'VERSION_ID="12"\nID=debian\n',
        "var/lib/dpkg/status": STATUS,
        "usr/share/doc/base/copyright": b"License: GPL-2+\nLicense: BSD-3-clause\n",
    }
    added = _wheel("Some", "2.0", "License-Expression: MIT") | {
        "opt/venv/pyvenv.cfg": b"home = /usr\nversion = 3.13.1\n"
    }
    found = {part.name: part for part in sbom.bom(_archive(tmp_path, base, added), "agent").components}
    assert {str(part.purl) for part in found.values()} == {
        "pkg:deb/debian/base@1.2-3?arch=amd64&distro=debian-12",
        "pkg:generic/python@3.13.1",
        "pkg:pypi/some@2.0",
    }
    assert [each.name for each in found["base"].licenses] == ["BSD-3-clause, GPL-2+"]
    assert [each.id for each in found["Some"].licenses] == ["MIT"]


def test_what_a_later_layer_removes_is_not_held(tmp_path: Path) -> None:
    layers = [
        _wheel("old", "1") | _wheel("kept", "1"),
        {"opt/venv/lib/python3.11/site-packages/.wh.old-1.dist-info": b""},
    ]
    assert [part.name for part in sbom.bom(_archive(tmp_path, *layers), "agent").components] == ["kept"]


def test_the_same_image_gives_the_same_list(tmp_path: Path) -> None:
    archive = _archive(tmp_path, _wheel("one", "1") | _wheel("two", "2"))
    first = sbom.write(archive, "agent").read_text()
    assert sbom.write(archive, "agent").read_text() == first
    assert json.loads(first)["metadata"]["timestamp"] == "2026-01-02T03:04:05+00:00"
