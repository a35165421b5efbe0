"""Write what an image holds beside its archive, as CycloneDX: `make sbom`.

It is read from the image itself, so that it says what is there rather than what was asked for: Debian's packages from
dpkg's status, Python's from the metadata that their wheels left.
"""

import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.parser import HeaderParser
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from e2e.cluster import images
from scripts.locks import licence

_STATUS = "var/lib/dpkg/status"
_READ = (
    _STATUS,
    "usr/share/doc/*/copyright",
    "usr/lib/os-release",
    "opt/venv/pyvenv.cfg",
    "*.dist-info/METADATA",
)
_licences = LicenseFactory()


def main() -> int:
    """Build what is not built yet, write each image's list, and print where it lies."""
    for target in images.TARGETS:
        print(write(images.ensure(target), target))
    return 0


def write(archive: Path, target: str) -> Path:
    """Write the list of an image's archive beside it, and return its path."""
    place = images.sbom(archive)
    outputter = make_outputter(bom(archive, target), OutputFormat.JSON, SchemaVersion.V1_6)
    outputter.output_to_file(str(place), allow_overwrite=True, indent=1)
    return place


def bom(archive: Path, target: str) -> Bom:
    """Return what the image of an archive holds. The same image gives the same list."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(content(tar, "manifest.json"))[0]
        config_name = manifest["Config"]
        config = json.loads(content(tar, config_name))
        files = _files(tar, manifest["Layers"])
    image = PurePosixPath(config_name).stem
    image_component = Component(
        type=ComponentType.CONTAINER,
        name=f"perennial/{target}",
        version=f"sha256:{image}",
        bom_ref=f"image:{target}",
        licenses=[_licences.make_from_string("Apache-2.0")],
    )
    made = Bom(serial_number=uuid5(NAMESPACE_URL, image))
    made.metadata.timestamp = datetime.fromisoformat(re.sub(r"\.\d+", "", config["created"]))
    made.metadata.component = image_component
    made.components.update(_interpreter(files), _debian(files), _python(files))
    made.register_dependency(image_component, made.components)
    return made


def _files(tar: tarfile.TarFile, layers: list[str]) -> dict[str, bytes]:
    """Return the files that are read, as the layers above each other leave them."""
    files: dict[str, bytes] = {}
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(content(tar, layer))) as laid:
            for member in laid:
                path = PurePosixPath(member.name.removeprefix("./"))
                if path.name.startswith(".wh."):
                    removed = path.parent if path.name == ".wh..wh..opq" else path.with_name(path.name[4:])
                    files = {
                        name: data for name, data in files.items() if not PurePosixPath(name).is_relative_to(removed)
                    }
                elif member.isfile() and any(fnmatch(str(path), pattern) for pattern in _READ):
                    files[str(path)] = content(laid, member)
    return files


def content(tar: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    """Return the bytes of a file in an archive."""
    opened = tar.extractfile(member)
    assert opened is not None, member
    return opened.read()


def _interpreter(files: Mapping[str, bytes]) -> Iterator[Component]:
    """The Python that made the virtual environment, which on Docker's base is nobody's package."""
    if found := re.search(rb"^version\s*=\s*(\S+)", files.get("opt/venv/pyvenv.cfg", b""), re.M):
        yield _component(
            "python", found[1].decode(), PackageURL("generic", None, "python", found[1].decode()), "PSF-2.0"
        )


def _python(files: Mapping[str, bytes]) -> Iterator[Component]:
    for path in files:
        if path.endswith(".dist-info/METADATA"):
            about = HeaderParser().parsestr(files[path].decode())
            name, version = about["Name"], about["Version"]
            yield _component(name, version, PackageURL("pypi", None, name.lower(), version), licence(name, about))


def _debian(files: Mapping[str, bytes]) -> Iterator[Component]:
    release = files.get("usr/lib/os-release", b"").decode()
    known = dict(re.findall(r'^(\w+)="?([^"\n]*)', release, re.M))
    distro = f"{known.get('ID')}-{known.get('VERSION_ID')}"
    for stanza in files.get(_STATUS, b"").decode().split("\n\n"):
        about = HeaderParser().parsestr(stanza)
        if (about["Status"] or "").endswith(" installed"):
            name, version = about["Package"], about["Version"]
            qualifiers = {"arch": about["Architecture"], "distro": distro}
            words = files.get(f"usr/share/doc/{name}/copyright", b"").decode(errors="replace")
            named = sorted(set(re.findall(r"^License:[ \t]*(\S.*?)\s*$", words, re.M)))
            yield _component(name, version, PackageURL("deb", "debian", name, version, qualifiers), ", ".join(named))


def _component(name: str, version: str, purl: PackageURL, terms: str) -> Component:
    """`terms` is an SPDX expression, or the names that Debian gives to licences, which are other ones."""
    make = _licences.make_with_name if purl.type == "deb" else _licences.make_from_string
    known = [make(terms)] if terms else []
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl), licenses=known)


if __name__ == "__main__":
    sys.exit(main())
