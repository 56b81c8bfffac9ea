"""Table 1 of Shi et al. 2015, small: the same protocol and the same rows, on a
smaller canvas, with fewer channels, frames and sequences.
Every row gets the same sequences as often, so that rows with more multiply-adds take
longer."""
from functools import partial
import torch
from fastai.torch_core import set_seed
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from training import pictures, train
from convlstm_nb.callbacks import evaluating
from convlstm_nb.losses import FrameBCE, sequence_cross_entropy
from convlstm_nb.metrics import frame_mse
from convlstm_nb.models.papers import paper_model
from convlstm_nb.options import OPTIMIZERS, DigitsData
from convlstm_nb.presets import PRESETS
from convlstm_nb.probabilistic import make_experiment

SMALL = dict(
    motion=dict(
        size=24, digit_size=10, n_digits=2, context=5, horizon=5, speed=(1, 2), pool=500
    ),
    train=2_000,
    valid=400,
    test=600,
    fresh=False)
PAPER = PRESETS['shi2015-3layer'].train
TRAIN = {k:getattr(PAPER, k) for k in ('bs','lr','schedule','optimizer')}
TRAIN |= dict(epochs=6)
HIDDEN = {
    'fclstm': [192, 192], '1layer': [32], '2layer': [16, 16], '3layer': [16, 8, 8],
    '2layer-1x1': [16, 16], '3layer-1x1': [16, 8, 8]}

def settings(name):
    # one pixel
    size = dict(patch_size=SMALL['motion']['size']) if name=='fclstm' else {}
    return dict(
        data=SMALL, train=TRAIN,
        model=dict(name=f'shi2015-{name}', hidden_channels=HIDDEN[name], **size))

ROWS = {name: (settings(name), 3) for name in HIDDEN}

@torch.no_grad()
def multiply_adds(model, x, horizon):
    "Multiply-adds of one forecast, biases and gates not counted"
    with FlopCounterMode(display=False) as counter: model(x[None], horizon)
    return counter.get_total_flops()//2

@torch.no_grad()
def cross_entropy(model, ds):
    "Cross-entropy per sequence: the sum over its frames and pixels"
    with evaluating(model):
        return sum(
            sequence_cross_entropy(model(x, y.shape[1]), y).item() * len(x)
            for x, y in DataLoader(ds, batch_size=50)) / len(ds)

def measure(s, seed):
    """One run: trained, chosen on validation, and one look at the test sequences,
    with two digits and with three"""
    data  = DigitsData.of(s['data'])
    ds,horizon = data.datasets(seed),data.motion.horizon
    set_seed(seed)
    model = paper_model(**s['model']).start_from_mean(
        torch.stack([ds['train'][i][1] for i in range(64)]).mean())
    mse   = partial(frame_mse, activation=torch.sigmoid)
    seconds, history = train(
        model, ds, s['train'], FrameBCE(), OPTIMIZERS[s['train']['optimizer']], seed,
        [mse, sequence_cross_entropy])
    three = s['data'] | dict(motion=s['data']['motion'] | dict(n_digits=3))
    three = DigitsData.of(three)
    parts = dict(test=(data, ds), three_digits=(three, three.datasets(seed)))
    found = {
        k: dict(
            cross_entropy=cross_entropy(model, d['test']),
            metrics=make_experiment(dict(data=data, seed=seed)).score(model))
        for k, (data, d) in parts.items()}
    sizes = dict(
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=multiply_adds(model, ds['test'][0][0], horizon))
    return dict(sizes, train_seconds=round(seconds, 1), history=history, **found), {
        k: pictures(model, d['test']) for k, (_, d) in parts.items()}

def headline(found):
    plain, three = (found[k]['cross_entropy'] for k in ('test', 'three_digits'))
    return f"{plain:.1f} nats per sequence, with three digits {three:.1f}"
