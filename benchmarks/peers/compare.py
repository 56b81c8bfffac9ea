"How each network is made, trained and timed"
import statistics
import time
import torch
from fastai.torch_core import set_seed
from models import ConvGRUForecaster, Moving, SimVP, UNet
from torch.utils.flop_counter import FlopCounterMode
from convlstm_nb.callbacks import Autocast
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner, target_mean
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.monitoring import KeepBest
from convlstm_nb.options import TrainOptions
from convlstm_nb.presets import TurnAndMirror

RECURRENT = dict(kernel_size=5, patch_size=4)
# about as many parameters each
NETWORKS = {
    'convlstm-linear': dict(hidden_channels=[34], norm='layer', **RECURRENT),
    'convlstm-conv': dict(
        hidden_channels=[32], norm='layer', readout='conv', **RECURRENT),
    'convgru': dict(hidden_channels=[36], readout='conv', **RECURRENT),
    'unet': dict(width=28),
    'simvp': dict(width=16, between=64)}
DIRECT = dict(unet=UNet, simvp=SimVP)

def make_network(name, context, horizon, **kwargs):
    "A network by its row"
    args = NETWORKS[name] | kwargs
    if name in DIRECT: return DIRECT[name](context, horizon, **args)
    return (ConvGRUForecaster if name == 'convgru' else EncoderForecaster)(1, **args)

def train(name, ds, s, seed, loss_func, **kwargs):
    "Train a network: the model, its seconds, and validation by epoch"
    dls = sequence_dls(ds['train'], ds['valid'], bs=s['bs'], device='cpu')
    set_seed(seed)
    (x,*_),y = ds['train'][0][:1],ds['train'][0][-1]
    model = make_network(name, len(x), len(y), **kwargs)
    if s.get('moving'): model = Moving(model)
    if loss_func.output == 'sigmoid': model.start_from_mean(target_mean(dls).mean())
    cbs = [KeepBest()]
    if s.get('augment'): cbs.append(TurnAndMirror())
    if s.get('precision') == 'bf16': cbs.append(Autocast())
    learn = convlstm_learner(dls, model, loss_func=loss_func)
    set_seed(seed)
    begun = time.perf_counter()
    how = TrainOptions(epochs=s['epochs'], lr=s['lr'])
    with learn.no_bar(), learn.no_logging(): how.fit(learn, cbs)
    history = [row[1] for row in learn.recorder.values]
    return model,round(time.perf_counter()-begun, 1),history

def cost(model, shape, horizon, rounds=9):
    "Parameters, multiply-adds of a forecast, CPU time of a training step, a sequence"
    x,threads = torch.rand(16, *shape),torch.get_num_threads()
    with torch.no_grad(), FlopCounterMode(display=False) as counter: model(x, horizon)
    torch.set_num_threads(1)
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        model(x, horizon).sum().backward()
        times.append(time.process_time()-begun)
    torch.set_num_threads(threads)
    model.zero_grad()
    return dict(
        parameters=sum(p.numel() for p in model.parameters()),
        multiply_adds=counter.get_total_flops()//2//len(x),
        cpu_ms=round(1e3*statistics.median(times)/len(x), 3))
