"""`icnr`: convolutions before a pixel shuffle that begin as a nearest-neighbour upsampling."""

from __future__ import annotations

from functools import partial

from initlab.planning.choice import Choice, Options
from initlab.planning.defaults.weights import fed_weight
from initlab.planning.parameters.scene import Subject
from initlab.planning.parameters.structures import shuffle_factor
from initlab.planning.policy import Policy, RoleLaw, has
from initlab.planning.reason import Reason
from initlab.planning.recipes.common.given import with_law
from initlab.sampling.whole_laws import Repeated


def _repeated(subject: Subject, options: Options) -> Choice:
    """Auto's law for the smaller kernel, of out / r² channels, each r² times."""
    graph = subject.scene.graph
    assert graph is not None
    factor = next(r for use in subject.uses if (r := shuffle_factor(graph, use.operation)) > 1)
    fed = fed_weight(subject, options)
    assert fed.scheme is not None
    scheme = with_law("icnr", fed.scheme, partial(Repeated, times=factor**2), f"each row {factor**2} times")
    words = f"icnr: its output is shuffled into {factor}×{factor} pixels, which begin equal; {fed.reason}"
    return Choice(scheme, Reason("sub_pixel", words), gain=fed.gain)


RECIPE = Policy(
    name="icnr",
    about="as auto, and in a convolution before a pixel shuffle the kernels of the pixels of one place equal",
    source="Aitken et al., Checkerboard artifact free sub-pixel convolution (2017), section 3",
    code="kostyaev/ICNR icnr.py (8c29050), a third party's: a kernel of out/r² channels, each r² times",
    year=2017,
    laws=(
        RoleLaw("sub_pixel", _repeated, "the law of a kernel of out/r² channels, each channel r² times"),
        RoleLaw("weight", fed_weight, "Var(W) = gain² / fan_in, the gain being that of what feeds the layer"),
    ),
    needs=(has("sub_pixel", words="a weight whose output is shuffled into pixels"),),
    right="Super-resolution and decoders that end in a pixel shuffle: no checkerboard at the start.",
    wrong="Shuffles of channels that are no pixels of one place.",
    leaves="The law of the smaller kernel, which the paper leaves to the user, and the training.",
)
