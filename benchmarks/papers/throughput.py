"""What a training by a full-size preset costs here: one batch of it, through the
Learner that `convlstm_train` uses"""
import time
import torch
from fastai.callback.core import Callback, CancelValidException
from fastai.torch_core import set_seed
from table1 import multiply_adds
from convlstm_nb.callbacks import Autocast, ScheduledSampling
from convlstm_nb.checkpoint import build_model
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner
from convlstm_nb.models.papers import PAPERS
from convlstm_nb.options import OPTIMIZERS
from convlstm_nb.presets import PRESETS

# sequences a batch; one model is also measured with the preset's own
BS,CHECKED = 4,'shi2015-3layer'
ROWS = {
    name: (dict(preset=name, bs=BS, precision='float32'), 1) for name in PAPERS
    if name in PRESETS}
ROWS |= {
    f'{CHECKED}-{k}': (dict(preset=CHECKED, bs=BS, precision='float32') | more, 1)
    for k, more in dict(
        bs16=dict(bs=PRESETS[CHECKED].train.bs), bf16=dict(precision='bf16')
    ).items()}

class Timed(Callback):
    "Time the batch, and validate nothing"
    order = -100 # Before what makes a batch
    def before_batch(self): self.begun = time.perf_counter()
    def after_batch(self):  self.seconds = time.perf_counter()-self.begun
    def before_validate(self): raise CancelValidException

def measure(s, seed):
    "One batch"
    preset = PRESETS[s['preset']]
    train  = preset.train
    ds = preset.data.changed(train=s['bs'], valid=1, test=1).datasets(seed)
    set_seed(seed)
    model = build_model(preset.model)
    learn = convlstm_learner(
        sequence_dls(ds['train'], ds['valid'], bs=s['bs'], device='cpu'), model,
        metrics=[], learner_kwargs=dict(opt_func=OPTIMIZERS[train.optimizer]))
    more = ([ScheduledSampling(train.sampling)] if train.sampling else []) + [
        Autocast()] * (s['precision'] == 'bf16')
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, train.lr, cbs=[timed := Timed(), *more])
    with torch.device('meta'): ghost = build_model(preset.model) # computes nothing
    x,y = ds['train'][0]
    return dict(
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=multiply_adds(ghost, x.to('meta'), len(y)),
        sequence_seconds=round(timed.seconds / s['bs'], 3)), {}

def headline(found): return f"{found['sequence_seconds']} s for a sequence"
