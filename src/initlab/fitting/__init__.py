"""WEIGHTS FROM DATA: LSUV, RBM, deep belief network and other data-dependent starts."""

from initlab.fitting.classifying import evaluate
from initlab.fitting.dbn import DbnResult, pretrain_dbn_
from initlab.fitting.finetune import FineTuneResult, finetune_
from initlab.fitting.gradinit import gradinit_
from initlab.fitting.krahenbuhl import DataDependentLayer, DataDependentResult, data_dependent_
from initlab.fitting.learned import LearnedScales
from initlab.fitting.lsuv import LsuvLayer, LsuvResult, lsuv_
from initlab.fitting.metainit import gradient_quotient, metainit_
from initlab.fitting.new_rows import new_rows_
from initlab.fitting.rbm import RBM
from initlab.fitting.rbm_epoch import RbmEpoch

__all__ = [
    "RBM",
    "DataDependentLayer",
    "DataDependentResult",
    "DbnResult",
    "FineTuneResult",
    "LearnedScales",
    "LsuvLayer",
    "LsuvResult",
    "RbmEpoch",
    "data_dependent_",
    "evaluate",
    "finetune_",
    "gradient_quotient",
    "gradinit_",
    "lsuv_",
    "metainit_",
    "new_rows_",
    "pretrain_dbn_",
]
