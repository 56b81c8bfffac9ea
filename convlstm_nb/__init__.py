"Convolutional LSTM in PyTorch and fastai. A name is imported when it is first used."
__version__ = "0.2.0"

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING: # for editors and type checkers; `tools/test_names.py` compares
    from .callbacks import Autocast as Autocast
    from .cell import ConvLSTMCell as ConvLSTMCell
    from .checkpoint import load_model as load_model, save_model as save_model
    from .data.moving_mnist import MovingMNIST as MovingMNIST
    from .data.open import open_records as open_records
    from .data.scaling import fit_scaling as fit_scaling
    from .data.splits import split as split
    from .data.windows import Windows as Windows
    from .dataloaders import sequence_dls as sequence_dls
    from .export import export_model as export_model
    from .layers import ConvLSTM as ConvLSTM
    from .learner import convlstm_learner as convlstm_learner
    from .models.forecaster import (
        EncoderForecaster as EncoderForecaster,
        NextFrameForecaster as NextFrameForecaster,
    )
    from .models.heads import (
        SequenceToMap as SequenceToMap,
        SequenceToOne as SequenceToOne,
    )
    from .models.lagrangian import LagrangianForecaster as LagrangianForecaster
    from .models.papers import paper_model as paper_model
    from .models.periodic import PeriodicForecaster as PeriodicForecaster
    from .pretrained import shipped_model as shipped_model
    from .streaming import StreamingForecast as StreamingForecast

_HOMES = {
    'Autocast': 'callbacks',
    'ConvLSTM': 'layers',
    'ConvLSTMCell': 'cell',
    'EncoderForecaster': 'models.forecaster',
    'LagrangianForecaster': 'models.lagrangian',
    'MovingMNIST': 'data.moving_mnist',
    'NextFrameForecaster': 'models.forecaster',
    'PeriodicForecaster': 'models.periodic',
    'SequenceToMap': 'models.heads',
    'SequenceToOne': 'models.heads',
    'StreamingForecast': 'streaming',
    'Windows': 'data.windows',
    'convlstm_learner': 'learner',
    'export_model': 'export',
    'fit_scaling': 'data.scaling',
    'load_model': 'checkpoint',
    'open_records': 'data.open',
    'paper_model': 'models.papers',
    'save_model': 'checkpoint',
    'sequence_dls': 'dataloaders',
    'shipped_model': 'pretrained',
    'split': 'data.splits',
}
__all__ = list(_HOMES)

def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'convlstm_nb' has no attribute {name!r}")
    try: module = import_module(f'.{_HOMES[name]}', __name__)
    except ModuleNotFoundError as e: # where only the layer was installed
        raise ImportError(
            f"`{name}` needs {e.name}: pip install convlstm_nb", name=e.name) from None
    value = globals()[name] = getattr(module, name)
    return value

def __dir__(): return sorted({*globals(), *_HOMES})
