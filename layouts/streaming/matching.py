"""What a store says of itself, and whether that is what is to be written."""

import hashlib
import json
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from layouts.errors import LayoutError
from layouts.streaming.journal import replace_file

DESCRIPTION = "zarr.json"


def key_of(description: dict[str, Any]) -> str:
    """A digest of a description."""
    text = json.dumps(description, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def describe(path: Path, description: dict[str, Any], memory_limit: int) -> None:
    """Write what a store is: the metadata of a Zarr group, with a description in its attributes."""
    about = {"description": description, "memory_limit": memory_limit, "versions": versions()}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"layouts": about}}
    replace_file(path / DESCRIPTION, json.dumps(group, indent=1).encode())


def stored_at(path: Path) -> dict[str, Any] | None:
    """What a store says of itself; None where it says nothing that can be read."""
    try:
        about = json.loads((path / DESCRIPTION).read_bytes())["attributes"]["layouts"]
        return about if all(array["name"] for array in about["description"]["arrays"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def unreadable(path: Path) -> LayoutError:
    """The error where a folder does not say that it is a store."""
    return LayoutError(
        f"store {path}",
        "an empty folder or a store that layouts wrote",
        f"a folder whose {DESCRIPTION} is none of layouts or is damaged",
        "choose another folder, or empty this one",
    )


def check_same(
    path: Path, stored: dict[str, Any], wanted: dict[str, Any], memory_limit: int
) -> None:
    """Refuse a store of another job, and say in what it differs.

    Raises:
        LayoutError: the descriptions differ.
    """
    found = stored["description"]
    if found == wanted:
        return
    differing = _differences(found, wanted)
    blocks = all(what.startswith("blocks") for what in differing)
    remedy = (
        f"pass memory_limit={stored.get('memory_limit')}"
        if blocks
        else "choose another folder, or empty this one"
    )
    written = stored.get("versions", {})
    if written != versions():
        was = ", ".join(f"{name} {number}" for name, number in written.items())
        remedy += f"; it was written by {was}, and another version may trace otherwise"
    raise LayoutError(
        f"store {path}", "the store of this very stream", "; ".join(differing), remedy
    )


def versions() -> dict[str, str]:
    """The versions of what traces and computes, as far as they are installed."""
    found = {}
    for name in ("layouts", "jax", "jaxlib"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Each thing that differs, by name: the stored against the wanted."""
    differing = []
    if found.get("axis") != wanted["axis"]:
        differing.append(f"another axis: {found.get('axis')!r} against {wanted['axis']!r}")
    before = {array["name"]: array for array in found["arrays"]}
    after = {array["name"]: array for array in wanted["arrays"]}
    if before.keys() != after.keys():
        differing.append(f"other arrays: {', '.join(before)} against {', '.join(after)}")
    for name in before.keys() & after.keys():
        for what in ("shape", "dtype", "about", "block"):
            if before[name].get(what) != after[name][what]:
                label = {"block": "blocks", "about": "places in the pytrees"}.get(what, what)
                differing.append(
                    f"{label} of {name}: {before[name].get(what)} against {after[name][what]}"
                )
    if differing:
        return differing
    inputs, given = found.get("inputs", {}), wanted["inputs"]
    if inputs != given:
        names = [n for n in (inputs | given) if inputs.get(n) != given.get(n)]
        differing.append(f"other inputs: {', '.join(names)}")
    if found.get("function") != wanted["function"]:
        differing.append("another function, or other constants in it")
    elif found.get("derivative") != wanted["derivative"] and not differing:
        differing.append("another derivative rule or order=")
    return differing or ["another description"]
