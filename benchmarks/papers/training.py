"""One training of one small model, as `convlstm_train` trains, with what the tables
take away"""
import math
import time
import torch
from fastai.torch_core import set_seed
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner, forecast
from convlstm_nb.monitoring import KeepBest
from convlstm_nb.options import TrainOptions

def train(model, ds, train, loss_func, opt_func, seed, metrics, clip=1.):
    """Train, with the weights of the best validation loss at the end: seconds, and
    validation by epoch"""
    dls   = sequence_dls(ds['train'], ds['valid'], bs=train['bs'], device='cpu')
    learn = convlstm_learner(
        dls, model, loss_func=loss_func, metrics=metrics, clip=clip or math.inf,
        learner_kwargs=dict(opt_func=opt_func))
    set_seed(seed)
    begun = time.perf_counter()
    how = TrainOptions(**{k: train[k] for k in ('epochs','lr','schedule')})
    with learn.no_bar(), learn.no_logging(): how.fit(learn, KeepBest())
    names = learn.recorder.metric_names[1:-1] # without the epoch and the time
    return time.perf_counter() - begun, [
        dict(zip(names, row)) for row in learn.recorder.values]

def pictures(model, ds, n=3):
    "Forecasts of the first test sequences, as bytes"
    x,y = (torch.stack(t) for t in zip(*(ds[i] for i in range(n))))
    return (forecast(model, x, y.shape[1])*255).round().byte().numpy()
