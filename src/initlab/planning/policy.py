"""A policy: what a whole model gets, as data: laws by role, numbers, needs, the training that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from initlab.errors import InputError
from initlab.planning.choice import Choice, Options
from initlab.planning.defaults.by_role import DEFAULTS, padded
from initlab.planning.parameters.roles import ROLES
from initlab.planning.parameters.scene import Scene, Subject
from initlab.planning.plan import PlanEntry
from initlab.planning.reason import Reason
from initlab.schemes import Scheme

Gives = Callable[[Subject, Options], "Choice | Scheme"]


@dataclass(frozen=True)
class RoleLaw:
    """What a policy gives to the parameters of one role.

    Args:
        role: a name of `ROLES`.
        gives: a scheme, or a function of the parameter and the policy's options that returns a scheme or a `Choice`.
        words: the law as a reader sees it; a scheme's own label where none is given.
        loaded: whether it is made of what was loaded, so that loaded and frozen parameters get it too.
    """

    role: str
    gives: Scheme | Gives
    words: str = ""
    loaded: bool = False

    @property
    def law(self) -> str:
        return self.words or (self.gives.label if isinstance(self.gives, Scheme) else "")


@dataclass(frozen=True)
class Need:
    """What a model must have for a policy to be right.

    Args:
        words: what it is, as words that follow "needs".
        met: (scene, the parameters that the policy is asked for) -> whether they have it.
        recorded: whether only a recorded pass can tell.
    """

    words: str
    met: Callable[[Scene, Sequence[Subject]], bool]
    recorded: bool = True


def has(*roles: str, words: str = "") -> Need:
    """The need of at least one parameter in one of these roles."""
    about = words or " or ".join(ROLES[role].about for role in roles)
    return Need(about, _Has(roles), any(ROLES[role].recorded for role in roles))


def has_head() -> Need:
    """The need of a read-out whose weight is no table's."""
    return has("head", words="a read-out of its own (not tied to a table)")


@dataclass(frozen=True)
class _Has:
    roles: tuple[str, ...]

    def __call__(self, scene: Scene, subjects: Sequence[Subject]) -> bool:
        return any(ROLES[role].holds(subject) for role in self.roles for subject in subjects)


@dataclass(frozen=True)
class Training:
    """The optimizer's settings that a source states beside its start; None or "" for what it does not state.

    Args:
        optimizer: its name, such as "adamw".
        lr: the peak rate.
        betas: of Adam and its kin; for SGD (momentum,).
        eps: of Adam and its kin.
        weight_decay: as the optimizer takes it.
        schedule: warm-up and decay, in words.
        more: what else belongs to it (batch, clipping, rate by role), in words.
    """

    optimizer: str = ""
    lr: float | None = None
    betas: tuple[float, ...] = ()
    eps: float | None = None
    weight_decay: float | None = None
    schedule: str = ""
    more: str = ""


@dataclass(frozen=True)
class Policy:
    """A recipe for a whole model.

    Args:
        name: what the plan calls it.
        about: what it does, in a sentence.
        source: where it comes from: paper and section, or repository and file.
        laws: by role, most particular first; roles without one get the defaults.
        year: the source's.
        code: where its numbers stand in code, and what is said there: repository, path, commit; "" where the source
            says so itself, or where tests compare with a library's draws.
        numbers: the numbers of its laws, which the user may set.
        needs: what the model must have; without it the policy is refused.
        training: the optimizer's settings of the source.
        right: when it is right.
        wrong: when it is wrong, and what then happens.
        leaves: what it leaves open.
        aliases: the other names it is known by.
        options: the numbers as they are set.
        notes: (scene) -> warnings about the policy on this model.
        measured: whether a pass on the example inputs corrects what its laws derive.
        profiled: (model, entries, example inputs) -> the entries with what a pass on the inputs says.
    """

    name: str
    about: str
    source: str
    laws: tuple[RoleLaw, ...]
    year: int = 0
    code: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    training: Training | None = None
    right: str = ""
    wrong: str = ""
    leaves: str = ""
    aliases: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    notes: Callable[[Scene], tuple[str, ...]] | None = None
    measured: bool = False
    profiled: Callable[[nn.Module, tuple[PlanEntry, ...], Any], tuple[PlanEntry, ...]] | None = None

    def __post_init__(self) -> None:
        if not self.options.numbers:
            object.__setattr__(self, "options", replace(self.options, numbers=dict(self.numbers)))

    @property
    def cited(self) -> str:
        """The source, with its year where it does not say it."""
        return self.source if str(self.year) in self.source else f"{self.source} ({self.year})"

    def choose(self, subject: Subject) -> Choice:
        """What this policy gives one parameter."""
        for law in self.laws:
            if ROLES[law.role].holds(subject):
                return self._given(law, subject)
        return DEFAULTS[subject.role](subject, self.options)

    def of_loaded(self, subject: Subject) -> bool:
        """Whether what it gives a parameter is made of its loaded values."""
        return any(law.loaded and ROLES[law.role].holds(subject) for law in self.laws)

    def check(self, scene: Scene, subjects: Sequence[Subject]) -> None:
        """Refuse a model that lacks what the policy needs.

        Raises:
            InputError: with what is lacking, or what would show whether it is there.
        """
        for need in self.needs:
            if need.recorded and scene.graph is None:
                raise InputError(
                    f"policy {self.name!r} needs {need.words}, which only a recorded pass shows: pass example_inputs"
                )
            if not need.met(scene, subjects):
                model = type(scene.model).__name__
                raise InputError(f"policy {self.name!r} needs {need.words}, and {model} has none ({self.source})")

    def _given(self, law: RoleLaw, subject: Subject) -> Choice:
        given = law.gives if isinstance(law.gives, Scheme) else law.gives(subject, self.options)
        if isinstance(given, Choice):
            return given
        role, note = ROLES[law.role], ""
        if subject.role == "embedding":
            given, note = padded(subject, given)
        detail = role.detail(subject)
        said = f"{role.about} ({detail})" if detail else role.about
        return Choice(given, Reason(law.role, f"{self.name}: {said}: {given.label}{note}"))
