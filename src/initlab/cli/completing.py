"""What the shell offers where an option takes names: one name, several with commas, or one after a selector."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from initlab.schemes import list_schemes


def schemes(incomplete: str) -> list[str]:
    """Names of schemes."""
    return _begun(list_schemes(), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Names of recipes for whole models."""
    # lazy: it brings PyTorch, a second that names of schemes do without
    from initlab.planning import list_policies

    return _begun(list_policies(), incomplete)


def policies(incomplete: str) -> list[str]:
    """Names of schemes; of recipes too where no scheme begins so.

    >>> policies("he_n"), policies("gpt")
    (['he_normal'], ['gpt2', 'gpt3'])
    """
    return schemes(incomplete) or recipes(incomplete)


def listed(incomplete: str) -> list[str]:
    """Names after the last comma.

    >>> listed("he_normal,xavier_n")
    ['he_normal,xavier_normal']
    """
    return _after(",", policies, incomplete)


def ruled(incomplete: str) -> list[str]:
    """Names of schemes after SELECTOR= and the last comma; bash gives what follows "=" as a word of its own.

    >>> ruled("@Linear=he_n"), ruled("he_n")
    (['@Linear=he_normal'], ['he_normal'])
    """
    return _after("=", lambda last: _after(",", schemes, last), incomplete)


def data(incomplete: str) -> list[str]:
    """Data that need no file."""
    return _begun(("digits", "mnist"), incomplete)


def experiments(incomplete: str) -> list[str]:
    """Names of published experiments."""
    # lazy: it brings PyTorch, a second that other names do without
    from initlab.experiments import list_experiments

    return _begun(list_experiments(), incomplete)


def optimizers(incomplete: str) -> list[str]:
    """Optimizers that a study trains with."""
    # lazy: it brings PyTorch, a second that other names do without
    from initlab.training.optimizers import trained

    return _begun(trained(), incomplete)


def engines(incomplete: str) -> list[str]:
    """How a study trains."""
    # lazy: it brings PyTorch, a second that other names do without
    from initlab.training.engines import ENGINES

    return _begun(ENGINES, incomplete)


def pruners(incomplete: str) -> list[str]:
    """How a search stops trials."""
    # lazy: it brings Optuna and PyTorch, seconds that other names do without
    from initlab.searching.proposals import PRUNERS

    return _begun(PRUNERS, incomplete)


def _begun(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _after(mark: str, offered: Callable[[str], list[str]], incomplete: str) -> list[str]:
    before, found, last = incomplete.rpartition(mark)
    return [f"{before}{found}{name}" for name in offered(last)]
