"""It always learns: the recipe of the preset `quick`, each ingredient taken away,
all of them, and then some given back; with the paper's read-out, and with the preset's
own"""
import math
from functools import partial
import torch
from fastai.optimizer import Adam
from fastai.torch_core import set_seed
from training import pictures, train
from convlstm_nb.cell import ConvLSTMCell
from convlstm_nb.checkpoint import build_model
from convlstm_nb.losses import FrameBCE, FrameMSE
from convlstm_nb.metrics import frame_mse, skill
from convlstm_nb.options import OPTIMIZERS, DigitsData
from convlstm_nb.presets import PRESETS
from convlstm_nb.probabilistic import make_experiment

QUICK   = PRESETS['quick']
# fresh ones in each epoch, so nine epochs of 800 are three of 2,400
MOTION  = dict(size=32, digit_size=18, n_digits=1, context=5, horizon=5, speed=(1, 2))
DATA    = dict(motion=MOTION, train=800, valid=200, test=500, fresh=True)
def quick_model(readout):
    "The preset's model with a read-out"
    args = {k: v for k, v in QUICK.model['args'].items() if k != 'readout'}
    if readout != 'linear': args['readout'] = readout
    return QUICK.model | dict(args=args)

SHIPPED = dict(
    data=DATA, model=quick_model('linear'), bs=QUICK.train.bs, mean_start=True,
    forget_bias=1.0, init='xavier and orthogonal', loss='bce', schedule='one_cycle',
    lr=1e-2, clip=1.0, norm='layer', optimizer='fastai', epochs=9)
PLAIN = dict(
    mean_start=False, forget_bias=None, init='torch', loss='mse', schedule='constant',
    lr=1e-3, clip=None, norm=None, optimizer='torch')

def without(**changed): return SHIPPED | changed

ROWS = {
    'shipped':        (SHIPPED, 5),
    'conv-readout':   (without(model=quick_model('conv')), 5),
    'plain':          (without(**PLAIN), 5),
    'no-mean-start':  (without(mean_start=False), 3),
    'no-forget-bias': (without(forget_bias=0.), 5),
    'torch-init':     (without(init='torch'), 5),
    'mse':            (without(loss='mse'), 3),
    'mse-summed':     (without(loss='mse summed'), 3),
    'constant-lr':    (without(schedule='constant'), 3),
    'no-clipping':    (without(clip=None), 3),
    'no-norm':        (without(norm=None), 3),
    'plain-mean-start': (without(**PLAIN | dict(mean_start=True)), 3),
    'plain-lr':         (without(**PLAIN | dict(lr=1e-2)), 3),
    'plain-norm':       (without(**PLAIN | dict(norm='layer')), 3),
    'plain-bce':        (without(**PLAIN | dict(loss='bce')), 3),
    'plain-longer':     (without(**PLAIN | dict(epochs=27)), 3),
}

LOSSES = {
    'bce': FrameBCE, 'mse': partial(FrameMSE, output='sigmoid'),
    'mse summed': partial(FrameMSE, 'sum', output='sigmoid')}
# the values of torch.optim.Adam
OPTS = {
    'fastai': OPTIMIZERS['adam'],
    'torch': partial(Adam, sqr_mom=0.999, eps=1e-8, wd=0.0)}

@torch.no_grad()
def torch_init(cell, biases):
    """Initialise a cell as `nn.Conv2d` does the one convolution over frame and state
    that others use"""
    bound = (
        math.prod(cell.hidden_kernel_size) * (cell.in_channels + cell.hidden_channels)
    ) ** -0.5
    for w in (cell.weight_ih, cell.weight_hh):
        if w is not None: w.uniform_(-bound, bound)
    if biases: cell.bias.uniform_(-bound, bound)

def make_model(s, mean):
    "The model of a row; a forget bias of None is drawn like the other biases"
    args = s['model']['args'] | dict(
        norm=s['norm'],
        forget_bias=1.0 if s['forget_bias'] is None else s['forget_bias'])
    model = build_model(s['model'] | dict(args=args))
    for cell in model.modules():
        if s['init'] == 'torch' and isinstance(cell, ConvLSTMCell):
            torch_init(cell, s['forget_bias'] is None)
    return model.start_from_mean(mean) if s['mean_start'] else model

def mean_of(ds): return torch.stack([ds[i][1] for i in range(64)]).mean()

def measure(s, seed):
    "One run"
    loss,ds = LOSSES[s['loss']](),DigitsData.of(s['data']).datasets(seed)
    set_seed(seed)
    model   = make_model(s, mean_of(ds['train']))
    mse     = partial(frame_mse, activation=loss.activation)
    seconds, history = train(
        model, ds, s, loss, OPTS[s['optimizer']], seed, [mse], s['clip'])
    scores  = make_experiment(dict(data=s['data'], seed=seed)).score(model)
    found = dict(
        train_seconds=round(seconds, 1),
        parameters=sum(p.numel() for p in model.parameters()), history=history,
        metrics=scores, skill_percent=round(skill(scores), 2))
    return found, dict(forecast=pictures(model, ds['test']))

def headline(found):
    return f"{found['skill_percent']} % under the best trivial forecast"
