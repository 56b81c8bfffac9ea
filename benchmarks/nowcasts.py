"""Rain nowcasts on radar tiles: means, probabilities and forecasts that look like rain,
against S-PROG and STEPS of pysteps, 20 and 50 minutes ahead

    CONVLSTM_NB_MRMS=tiles.npz python benchmarks/nowcasts.py

scores the run `rain0` of `benchmarks/rain.py` and a run with the same options and
`--probabilities 0.5,2,8`, trained if it is not there, on the test tiles of the page on
rain. It writes `benchmarks/results/nowcasts.json`."""
import os
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
import numpy as np
import torch
from common import installed, keep
from fastcore.script import call_parse
from rain import HOW, command, test_windows, train
from convlstm_nb.baselines import advection, lagrangian_persistence
from convlstm_nb.checkpoint import load_model
from convlstm_nb.data.windows import Windows
from convlstm_nb.learner import forecast
from convlstm_nb.metrics import SCORES, ForecastScores, persistence
from convlstm_nb.probabilities import (
    ProbabilityScores,
    exceeds,
    median_forecast,
    sharp_forecast,
)
from convlstm_nb.rain import match_frequencies, rain_scores, slack_of
from convlstm_nb.scoring import model_in_units, raw

AT = [.5,2.,8.]
REACHED = [t - slack_of(t) for t in AT]
LEADS = {10: '20 minutes', 25: '50 minutes'} # frames of 2 minutes
# pysteps: dB of mm/h above 0.1, four cascade levels for tiles of 64x64 pixels
CASCADE = dict(n_cascade_levels=4, precip_thr=-10.)
MEMBERS = 20
STEPS = dict(
    n_ens_members=MEMBERS, kmperpixel=2., timestep=2., noise_method='nonparametric',
    vel_pert_method='bps', mask_method='incremental', seed=0, **CASCADE)

def nowcast(method, rain, horizon, **kw):
    "A forecast of pysteps from the input frames of a tile, in mm/h; None if it fails"
    from pysteps import motion, nowcasts
    from pysteps.utils.transformation import dB_transform
    x = dB_transform(rain, threshold=.1, zerovalue=-15.)[0]
    with redirect_stdout(StringIO()):
        velocity = motion.get_method('LK')(x, verbose=False)
        try: ahead = nowcasts.get_method(method)(x[-3:], velocity, horizon, **kw)
        except (ValueError, RuntimeError, np.linalg.LinAlgError): return None
    return dB_transform(ahead, threshold=-10., inverse=True)[0]

def of_pysteps(windows):
    "S-PROG, mean and probabilities of STEPS for all windows, and how many failed"
    found,failed = dict(sprog=[], steps_mean=[], steps=[]),0
    for x,*_,y in windows:
        rain,horizon = x[:,0].double().numpy(),len(y)
        last = np.broadcast_to(rain[-1], (horizon, *rain[-1].shape))
        calm = nowcast('sprog', rain, horizon, **CASCADE)
        many = nowcast('steps', rain, horizon, **STEPS)
        failed += (calm is None) + (many is None)
        calm = last if calm is None else calm
        many = last[None] if many is None else many
        # what enters from outside is undefined: the last frame is used there
        many = np.where(np.isfinite(many), many, last)
        found['sprog'].append(np.where(np.isfinite(calm), calm, last))
        found['steps_mean'].append(many.mean(0))
        found['steps'].append(np.stack([(many >= t).mean(0) for t in REACHED], 1))
    found = {k: torch.tensor(np.stack(v)).float() for k,v in found.items()}
    return {k: v if k == 'steps' else v[:,:,None] for k,v in found.items()},failed

def often(windows):
    "How often each threshold is reached in training"
    yes = n = 0.
    for *_,y in raw(windows):
        y = exceeds(y[None].double(), REACHED)
        yes,n = yes + y.nansum((0,1,3,4)), n + y[:,:,0].isfinite().sum()
    return (yes/n).float().view(1, 1, -1, 1, 1)

def score_all(smooth, chances, windows, usual):
    "Scores of every forecast for the windows, by lead time"
    x,y = (torch.stack(t) for t in zip(*((x,y) for x,*_,y in raw(windows))))
    horizon,batches = y.shape[1],range(0, len(x), 16)
    of = lambda fn: torch.cat([fn(x[i:i+16], horizon) for i in batches])
    # as on the other pages, the motion is that of the scaled frames, log(1+R)
    values = dict(model=of(smooth)) | {
        k: of(model_in_units(fn, windows.scaling)) for k,fn in dict(
            persistence=persistence, advection=advection,
            lagrangian=lagrangian_persistence).items()}
    values['matched'] = match_frequencies(values['model'], x)
    p = of(chances)
    values |= dict(sharp=sharp_forecast(p, AT), median=median_forecast(p, AT))
    theirs,failed = of_pysteps(raw(windows))
    probabilities = dict(
        model=p, steps=theirs.pop('steps'), climatology=usual.expand_as(p))
    values |= theirs
    probabilities |= {
        f'yes_no_{k}': exceeds(values[k], REACHED)
        for k in ('model','matched','persistence','lagrangian')}
    scaled = windows.scaling
    out = dict(values={}, probabilities={}, failed=failed, windows=len(x))
    for k,v in values.items():
        total = ForecastScores(rain_scores(AT, slack=slack_of(1.)))
        total.update(v, y)
        kept = {
            n: s for n,s in total.compute().items()
            if n.startswith(('csi','bias','fss'))}
        mse  = ForecastScores(dict(mse=SCORES['mse_pixel']))
        mse.update(scaled(v), scaled(y))
        out['values'][k] = kept | dict(mse_scaled=mse.compute()['mse'])
    for k,v in probabilities.items():
        total = ProbabilityScores(AT)
        total.update(v, y)
        out['probabilities'][k] = total.compute()
        if k in ('model','steps'):
            out['probabilities'][k]['reliability'] = {
                f'{t:g}': [a.tolist() for a in r]
                for t,r in total.reliability().items()}
    return out

def in_units(model, scaling):
    "The probabilities of a model for frames in mm/h"
    return lambda x, horizon: forecast(model, scaling(x).nan_to_num(), horizon)

def report(name, found):
    "Print means over the lead times"
    mean = lambda v: sum(v)/len(v)
    print(f"\n{name}, {found['windows']} windows, pysteps failed {found['failed']}x")
    for k,s in found['values'].items():
        yes_no = [f"{mean(s[f'{n}_{t:g}']):.3f}" for n in ('csi','bias') for t in AT]
        print(f"{k:12} {1e3*mean(s['mse_scaled']):6.2f}", *yes_no)
    for k,s in found['probabilities'].items():
        print(f"{k:20}", *(f"{mean(s[f'brier_{t:g}']):.4f}" for t in AT))

@call_parse
def main(
    runs:str='runs', # Folder of the runs
    smooth:str=None, # Folder of another run in place of `rain0`
    chances:str=None, # Folder of another run in place of `rain0-probabilities`
):
    "Train what is not there, score everything, and keep it"
    file = os.environ.get('CONVLSTM_NB_MRMS')
    if not file: sys.exit('set CONVLSTM_NB_MRMS to the file of rain')
    warnings.simplefilter('ignore')
    runs = Path(runs)
    smooth  = Path(smooth) if smooth else train(file, runs, 0)
    chances = Path(chances) if chances else runs/'rain0-probabilities'
    if not (chances/'metrics.json').exists():
        subprocess.run([
            command('convlstm_train'), *HOW.split(), '--data', file,
            '--name', chances.name, '--runs', str(chances.parent),
            '--probabilities', '0.5,2,8'], check=True)
    own,windows = test_windows(smooth, file)
    model,other = load_model(smooth),load_model(chances)
    fns = (
        model_in_units(model, own['scaling'], own['mask']),
        in_units(other, own['scaling']))
    usual,found = often(own['data'].windows()['train']),{}
    for horizon,name in LEADS.items():
        windows = Windows(
            windows.records, 10, horizon, stride=16, scaling=own['scaling'])
        found[name] = score_all(*fns, windows, usual)
        report(name, found[name])
    keep(
        'nowcasts', leads=found, thresholds=AT, members=MEMBERS,
        pysteps=installed('pysteps'), steps=STEPS, torch=torch.__version__)
