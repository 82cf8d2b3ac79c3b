from . import comparison as comparison
from . import data as data
from . import experiments as experiments
from . import fitting as fitting
from . import integrations as integrations
from . import nn as nn
from . import scaling as scaling
from . import theory as theory
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .errors import InitlabError as InitlabError
from .errors import InputError as InputError
from .errors import InterruptedInitError as InterruptedInitError
from .errors import UntrainableError as UntrainableError
from .inspection import Finding as Finding
from .inspection import Inspection as Inspection
from .inspection import LayerStats as LayerStats
from .inspection import inspect as inspect
from .planning import Plan as Plan
from .planning import PlanEntry as PlanEntry
from .planning import StreamLog as StreamLog
from .planning import get_policy as get_policy
from .planning import init_ as init_
from .planning import list_policies as list_policies
from .planning import plan as plan
from .planning import reinit_ as reinit_
from .planning import streams as streams
from .scaling import param_groups as param_groups
from .schemes import Fans as Fans
from .schemes import Geometry as Geometry
from .schemes import Scheme as Scheme
from .schemes import get_scheme as get_scheme
from .schemes import list_schemes as list_schemes
from .searching import Search as Search
from .searching import search as search

fit = fitting
__version__: str
