"""Mixed precision beside float32: skill on the `quick` preset over seeds, time and
memory of a training step.

`python benchmarks/precision.py` does both, `--part skill` or `--part steps` one of
them. On a CPU a step's time is that of one thread on the
processor, so that other programs on the machine count little."""
import json
import random
import statistics
import time
import torch
from common import keep, results
from fastai.optimizer import Adam
from fastai.torch_core import set_seed
from fastcore.script import call_parse
from speed import device, peak, sync
from convlstm_nb.callbacks import Autocast
from convlstm_nb.checkpoint import build_model
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.learner import convlstm_learner, target_mean
from convlstm_nb.losses import FrameBCE
from convlstm_nb.metrics import skill
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.models.papers import paper_model
from convlstm_nb.presets import PRESETS
from convlstm_nb.probabilistic import make_experiment

FORMS = dict(float32=lambda: [], bfloat16=lambda: [Autocast()])

def train(seed, epochs, cbs):
    """Train `quick` for some epochs; its skill over the best trivial forecast, its
    losses and its time"""
    preset = PRESETS['quick']
    ds,how = preset.data.datasets(seed),preset.train
    set_seed(seed)
    dls   = sequence_dls(ds['train'], ds['valid'], bs=how.bs, device=device)
    model = build_model(preset.model).start_from_mean(target_mean(dls)).to(device)
    learn = convlstm_learner(dls, model, learner_kwargs=dict(opt_func=Adam))
    start = time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, how.lr, cbs=cbs)
    took   = time.perf_counter() - start
    scores = make_experiment(dict(data=preset.data, seed=seed)).score(model)
    return dict(
        skill_percent=round(skill(scores), 2),
        mse=[round(v, 4) for v in scores['model']['mse']],
        train_loss=round(learn.recorder.values[-1][0], 6),
        valid_loss=round(learn.recorder.values[-1][1], 6), seconds=round(took))

def seeds_in_turns(seeds, epochs):
    "Train with each seed, in one precision and then in the other"
    runs = {form:[] for form in FORMS}
    for seed in range(seeds):
        for form,cbs in FORMS.items():
            runs[form].append(dict(seed=seed, **train(seed, epochs, cbs())))
            print(form, runs[form][-1], flush=True)
    return dict(preset='quick', epochs=epochs, runs=runs)

def steps():
    "The training steps to measure: name to (model, frames, horizon)"
    args = PRESETS['quick'].model['args']
    motion = PRESETS['quick'].data.motion
    small, big = (
        torch.rand(16, motion.context, 1, 32, 32), torch.rand(1, 10, 1, 64, 64))
    plain = {k:v for k,v in args.items() if k != 'norm'}
    return {
        'quick, 16 sequences': (EncoderForecaster(**args), small, motion.horizon),
        'quick without norm, 16 sequences': (
            EncoderForecaster(**plain), small, motion.horizon),
        'shi2015-3layer, 1 sequence': (paper_model('shi2015-3layer'), big, 10)}

def one_step(model, x, horizon, mixed):
    "A function that does a training step, without the optimizer's"
    y,loss_func = torch.rand(len(x), horizon, *x.shape[2:], device=device),FrameBCE()
    def run():
        for p in model.parameters(): p.grad = None
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            frames = model(x, horizon)
        loss_func(frames.float(), y).backward()
    return run

def in_turns(forms, rounds):
    "Median milliseconds of each form, measured in turns"
    clock, times = (
        time.process_time if device == 'cpu' else time.perf_counter,
        {k: [] for k in forms})
    for f in forms.values(): f()
    for _ in range(rounds):
        for k,f in forms.items():
            sync(); t = clock(); f(); sync()
            times[k].append(1e3*(clock()-t))
    return {k: round(statistics.median(v), 1) for k,v in times.items()}

def measure_steps(rounds):
    "Milliseconds and peak MiB of each step in each precision"
    torch.set_num_threads(1)
    found = {}
    for name, (model, x, horizon) in steps().items():
        forms = {
            form: one_step(model.to(device), x.to(device), horizon, form == 'bfloat16')
            for form in FORMS}
        found[name] = dict(
            train_ms=in_turns(forms, rounds),
            peak_mib={form: peak(f) for form, f in forms.items()})
        print(name, found[name], flush=True)
    return found

@call_parse
def main(
    part:str='', # skill or steps; both by default
    seeds:int=3, # How many seeds
    epochs:int=4, # Passes over the training data
    rounds:int=5, # How often to measure a step
):
    "Measure mixed precision"
    file  = results/'precision.json'
    known = (
        {
            k: v for k, v in json.loads(file.read_text()).items()
            if k in ('skill', 'steps')}
        if file.exists()
        else {})
    torch.manual_seed(0); random.seed(0)
    if part in ('','steps'): known['steps'] = measure_steps(rounds)
    if part in ('','skill'): known['skill'] = seeds_in_turns(seeds, epochs)
    keep('precision', **known)
