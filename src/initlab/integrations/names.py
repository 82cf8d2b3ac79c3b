"""How another framework's paths become parameter names, which are the names of the streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from initlab.errors import InputError, shown, unknown

MapNames = Mapping[str, str] | Callable[[str], str] | None


def renamed(path: tuple[str, ...], leaf: str, map_names: MapNames = None) -> str:
    """The parameter name of a path: its parts joined by dots, the last one in torch's word, unless `map_names` says.

    Args:
        path: where the framework holds the variable.
        leaf: torch's word for its last part ("weight" for a kernel).
        map_names: {path: name}, where a path is the framework's own with slashes ("dense/kernel") and may end in "/"
            to rename everything below it; or a function of that path that returns a name.

    Raises:
        InputError: `map_names` gives something else than a name.

    >>> renamed(("encoder", "dense", "kernel"), "weight")
    'encoder.dense.weight'
    >>> renamed(("encoder", "dense", "kernel"), "weight", {"encoder/": "net", "encoder/dense/": "net.fc"})
    'net.fc.weight'
    """
    plain = ".".join((*path[:-1], leaf))
    if map_names is None:
        return plain
    whole = "/".join(path)
    if callable(map_names):
        name: object = map_names(whole)
    elif isinstance(map_names, Mapping):
        name = _looked_up(path, leaf, map_names, plain)
    else:
        raise InputError(f"map_names must be a mapping of paths to names, or a function; got {shown(map_names)}")
    if not isinstance(name, str) or not name or name.startswith(".") or name.endswith(".") or ".." in name:
        raise InputError(f"map_names must give a parameter name such as 'fc.weight' for {whole!r}; got {shown(name)}")
    return name


def told_apart(names: Sequence[str], paths: Sequence[tuple[str, ...]], map_names: MapNames = None) -> list[str]:
    """The names; of those that torch's words make one, each with its framework's own word. A name that was given stays.

    >>> told_apart(["own.weight", "own.weight", "own.bias"], [("own", "kernel"), ("own", "gamma"), ("own", "beta")])
    ['own.kernel', 'own.gamma', 'own.bias']
    """
    counts = Counter(names)
    given = map_names if isinstance(map_names, Mapping) else {}
    return [
        name
        if counts[name] == 1 or callable(map_names) or "/".join(path) in given
        else ".".join((*name.split(".")[:-1], path[-1]))
        for name, path in zip(names, paths, strict=True)
    ]


def check_used(map_names: MapNames, paths: Iterable[tuple[str, ...]]) -> None:
    """That every path of a mapping is one of these, or stands before one.

    Raises:
        InputError: one does not, with the nearest that do.
    """
    if not isinstance(map_names, Mapping):
        return
    known = {
        "/".join(path[:end]) + ("/" if end < len(path) else "") for path in paths for end in range(1, len(path) + 1)
    }
    for path in map_names:
        if path not in known:
            raise unknown("path of map_names", path, sorted(known), "prefixes end in '/'")


def _looked_up(path: tuple[str, ...], leaf: str, names: Mapping[str, str], plain: str) -> object:
    whole = "/".join(path)
    if whole in names:
        return names[whole]
    for cut in range(len(path) - 1, 0, -1):
        head = "/".join(path[:cut]) + "/"
        if head in names:
            return ".".join((names[head], *path[cut:-1], leaf))
    return plain
