"""DATA: the embedded digits, MNIST, the user's arrays, Dataset, tables and images, files that nobody vouches for."""

from initlab.data.arrays import load_arrays
from initlab.data.contents import weight_shapes
from initlab.data.digits import digits
from initlab.data.labels import Coding
from initlab.data.mnist import mnist
from initlab.data.named import flattened, held_out, named
from initlab.data.split import Split
from initlab.data.stream import Stream, in_memory_or_streamed
from initlab.data.tensors import as_tensors, remarks
from initlab.data.weights import load_weights

__all__ = [
    "Coding",
    "Split",
    "Stream",
    "as_tensors",
    "digits",
    "flattened",
    "held_out",
    "in_memory_or_streamed",
    "load_arrays",
    "load_weights",
    "mnist",
    "named",
    "remarks",
    "weight_shapes",
]
