"""Selectors: globs on parameter names and layer types, and which parameters each of them claims."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from torch import nn

from initlab.errors import InputError, shortened, shown
from initlab.planning.parameters.walk import Slot, Walk

# Matching may try every way to share a name among the stars.
MOST_STARS = 12
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Selector:
    """A pattern over a model's parameters. A parameter's own name always describes it, brackets and all.

    `conv*.weight`        a glob on the whole name; `*` and `?` stop at a dot, `**` crosses dots
    `features.**`         everything below `features`; so does the module's own name, `features`
    `@Linear`             the parameters of every layer whose type, or a base of it, has this name
    `@Linear.bias`        of those, the one called `bias`
    `@EncoderLayer.**`    everything below such a layer
    """

    text: str

    @property
    def by_type(self) -> bool:
        return self.text.startswith("@")

    @property
    def exact(self) -> bool:
        """Whether it is one parameter's full name."""
        return not self.by_type and not _WILD.search(self.text)

    @property
    def broad(self) -> bool:
        """Whether its last part says nothing about which parameter of a layer is meant."""
        if self.by_type and "." not in self.text:
            return True
        return not re.sub(r"[*?]", "", self.text.rpartition(".")[2])

    def matches(self, slot: Slot, found: Walk | None = None) -> bool:
        """Whether any name of the tensor, or any layer that holds it or computes its own from it, is described."""
        if self.names(slot) or (not self.by_type and self._describes(slot.plain_name)):
            return True
        layer = None if found is None or not slot.is_remade else found.modules.get(slot.plain_name.rpartition(".")[0])
        kind, _, inner = self.text[1:].partition(".")
        made = self.by_type and layer is not None and type_matches(kind, layer)
        return made and bool(glob_pattern(inner or "*").fullmatch(_plain_leaf(slot)))

    def names(self, slot: Slot) -> bool:
        """Whether a name of the tensor itself, or a layer that holds it, is described."""
        if not self.by_type:
            return any(self._describes(owner.name) for owner in slot.owners)
        kind, _, inner = self.text[1:].partition(".")
        tail = glob_pattern(inner or "*")
        return any(type_matches(kind, owner.module) and bool(tail.fullmatch(owner.leaf)) for owner in slot.owners)

    def _describes(self, name: str) -> bool:
        if self.text == name or glob_pattern(self.text).fullmatch(name):
            return True
        head, _, last = self.text.rpartition(".")  # a module's own name, brackets and all
        return last == "**" and name.startswith(f"{head}.")


def _plain_leaf(slot: Slot) -> str:
    return slot.plain_name.rpartition(".")[2]


@lru_cache(maxsize=4096)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` and `?` stay within one dotted part, `**` does not.

    >>> bool(glob_pattern("conv*.weight").fullmatch("conv1.weight"))
    True
    >>> bool(glob_pattern("conv*.weight").fullmatch("conv.0.weight"))
    False
    >>> bool(glob_pattern("**.weight").fullmatch("weight"))
    True
    """
    out: list[str] = []
    position = 0
    while position < len(glob):
        rest = glob[position:]
        if rest.startswith("**."):
            out.append(r"(?:.*\.)?")
            position += 3
        elif rest.startswith("**"):
            out.append(".*")
            position += len(rest) - len(rest.lstrip("*"))
        elif rest[0] in "*?":
            out.append("[^.]*" if rest[0] == "*" else "[^.]")
            position += 1
        elif (group := re.match(r"\[!?[^\[\]]+\]", rest)) is not None:
            body = group.group()[1:-1].replace("\\", "\\\\").replace("^", "\\^")
            out.append(f"[{'^' + body[1:] if body.startswith('!') else body}]")
            position += group.end()
        else:
            out.append(re.escape(rest[0]))
            position += 1
    if sum("*" in part for part in out) > MOST_STARS:
        raise InputError(f"selector {shortened(glob)!r} has more than {MOST_STARS} stars; match fewer parts, or use **")
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise InputError(f"selector {shortened(glob)!r} cannot be read: {error}") from None


def type_names(module: nn.Module) -> tuple[str, ...]:
    """The names by which a layer's type can be selected: its class and its bases, down to `Module` itself."""
    return tuple(kind.__name__ for kind in type(module).__mro__ if issubclass(kind, nn.Module))


def type_matches(kind: str, module: nn.Module) -> bool:
    pattern = glob_pattern(kind)
    return any(pattern.fullmatch(name) for name in type_names(module))


def below(text: str, found: Walk) -> Selector:
    """The selector that a text is: a module's own name means everything below it.

    >>> below("head", Walk(modules={"head": nn.Linear(2, 2)})).text
    'head.**'
    """
    names = {slot.name for slot in found.parameters}
    return Selector(f"{text}.**" if text in found.modules and text not in names else text)


def matched(text: str, found: Walk, argument: str = "selector") -> list[Slot]:
    """The parameters that `text` describes.

    Raises:
        InputError: it describes none; the message has the nearest names.
    """
    selector = below(text, found)
    slots = _below_types(text, found) if _is_deep(text) else [s for s in found.parameters if selector.matches(s, found)]
    if not slots:
        raise _no_match(text, found, argument)
    return slots


def _is_deep(text: str) -> bool:
    return text.startswith("@") and ("**" in text or text.partition(".")[2].count(".") > 0)


def _below_types(text: str, found: Walk) -> list[Slot]:
    kind, _, inner = text[1:].partition(".")
    heads = [name for name, module in found.modules.items() if type_matches(kind, module)]
    tail = glob_pattern(inner or "*")
    return [slot for slot in found.parameters if _is_below(slot, set(heads), tail)]


def _is_below(slot: Slot, heads: set[str], tail: re.Pattern[str]) -> bool:
    for name in (*(owner.name for owner in slot.owners), slot.plain_name):
        parts = name.split(".")
        for cut in range(len(parts)):
            if ".".join(parts[:cut]) in heads and tail.fullmatch(".".join(parts[cut:])):
                return True
    return False


def texts_of(value: object, argument: str) -> tuple[str, ...]:
    """The selectors of an argument that takes one or several.

    Raises:
        InputError: something else.

    >>> texts_of("encoder.**", "keep")
    ('encoder.**',)
    """
    try:
        texts = (value,) if isinstance(value, str) or not isinstance(value, Iterable) else tuple(value)
    except TypeError:  # a tensor of no axes says that it can be iterated over
        texts = (value,)
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"{argument} must be selectors such as 'encoder.**'; got {shown(text)}")
    return texts


def _no_match(text: str, found: Walk, argument: str) -> InputError:
    said = f"{argument} {shortened(text)!r} matches no parameter"
    if text.startswith("@"):
        kind = text[1:].partition(".")[0]
        kinds = {n for module in found.modules.values() for n in type_names(module)} - {"Module"}
        if kind in kinds and "." not in text:
            return InputError(f"{said}: {kind} holds none itself; '@{kind}.**' is all below it")
        leaves = {o.leaf for slot in found.parameters for o in slot.owners if type_matches(kind, o.module)}
        if leaves:
            return InputError(f"{said}; {_nearest(text.partition('.')[2], leaves, f'@{kind}.')}")
        return InputError(f"{said}; {_nearest(kind, kinds, '@')}")
    names = [slot.name for slot in found.parameters]
    deeper = re.sub(r"(?<!\*)\*(?!\*)", "**", text)
    if deeper != text and any(Selector(deeper).matches(slot) for slot in found.parameters):
        return InputError(f"{said}, since * stops at a dot; did you mean {deeper!r}?")
    return InputError(f"{said}; {_nearest(text, names)}")


def _nearest(text: str, names: Iterable[str], mark: str = "") -> str:
    known: Sequence[str] = sorted(set(names))
    # A wildcard stands for nothing in particular: the words around it say what was meant.
    close = difflib.get_close_matches(re.sub(r"[*?\[\]]+", "", text), known, n=3, cutoff=0.4)
    shown = close or list(known[:6])
    words = "did you mean " if close else "the model has "
    more = ", …" if not close and len(known) > 6 else ""
    listed = (" or " if close else ", ").join(repr(mark + shortened(name)) for name in shown)
    return words + listed + more + ("?" if close else "")
