"""Real rain: three seeds of the preset `rain` on radar tiles, with both read-outs, the forecasts to beat, and how
much of that is chance.

    CONVLSTM_NB_MRMS=tiles.npz python benchmarks/rain.py

makes what is not there yet: a run for each seed, then the sums that its scores are made of, tile by tile, in
`benchmarks/results/rain_<name>.npz`. What is interrupted goes on. The table `rain.json` is made of these files alone:
`python benchmarks/rain.py --only_table` needs no rain."""
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
import numpy as np
import torch
from common import installed, keep, results
from fastcore.script import call_parse
from convlstm_nb.baselines import advection, lagrangian_persistence
from convlstm_nb.checkpoint import CONFIG, load_config, load_model
from convlstm_nb.checks import atomic_path
from convlstm_nb.experiment import FileExperiment
from convlstm_nb.metrics import persistence
from convlstm_nb.scoring import file_scores, model_in_units, raw

HOW    = '--preset rain --variables rain --axes BTHW --by lon --train_until -84 --test_from -82.7 --test_stride 16 --epochs 6'
SCORES = ['mse_scaled','csi_0.5','csi_2','csi_5']
DRAWS  = 4000
READOUTS = ('linear','conv')

def command(name): return str(Path(sys.executable).parent/name)

def train(file, runs, name, how):
    "The folder of a run, trained if it is not there, or not to the end"
    run = runs/name
    if (run/'metrics.json').exists(): return run
    begun = (run/'training.safetensors').exists()
    how = ['--resume', run.name] if begun else [*how.split(), '--data', file, '--name', name]
    subprocess.run([command('convlstm_train'), *map(str, how), '--runs', str(runs)], check=True)
    return run

def extrapolation(x, horizon):
    "pysteps: Lucas-Kanade motion of the known frames in dB, semi-Lagrangian extrapolation of the last; where rain comes from outside, the last frame"
    from pysteps import motion, nowcasts
    from pysteps.utils.transformation import dB_transform
    def one(rain): # (T,H,W), mm/h
        decibels,_ = dB_transform(rain, threshold=.1, zerovalue=-15.)
        velocity   = motion.get_method('LK')(decibels, verbose=False)
        ahead      = nowcasts.get_method('extrapolation')(rain[-1], velocity, horizon)
        return np.where(np.isfinite(ahead), ahead, rain[-1])
    return torch.tensor(np.stack([one(f) for f in x[:,:,0].double().numpy()]), dtype=x.dtype)[:,:,None]

def opponents(scaling):
    "Forecasts without training, of rain in mm/h"
    known = dict(persistence=persistence, advection=advection, lagrangian=lagrangian_persistence)
    found = {n: model_in_units(f, scaling) for n,f in known.items()}
    return found | ({'pysteps':extrapolation} if find_spec('pysteps') else {})

def sums(fn, windows, scores):
    "What each score is made of, tile by tile: `{score: (tiles,1+terms,T)}`"
    plain,tiles = raw(windows),{}
    for i,(tile,_) in enumerate(windows.starts): tiles.setdefault(tile, []).append(plain[i])
    found = {s: [] for s in SCORES}
    for batch in tiles.values():
        x,y = (torch.stack(t) for t in zip(*batch))
        p,y = fn(x, y.shape[1]).double(),y.double()
        for s in SCORES: found[s].append(scores[s].count(p, y, y.isfinite()))
    return {s: torch.stack(v).numpy() for s,v in found.items()}

def measure(name, fn, windows, thresholds, **facts):
    "Keep the sums of a forecast: the numbers first, since the facts say that all is there"
    with atomic_path(results/f'rain_{name}.npz') as part: np.savez_compressed(part, **sums(fn, windows, file_scores(windows, thresholds)))
    keep(f'rain_{name}', windows=len(windows), thresholds=thresholds, **facts)
    print('measured', name, flush=True)

def made(name, **facts):
    "Is this measured already?"
    path = results/f'rain_{name}.json'
    return path.exists() and facts.items() <= json.loads(path.read_text()).items()

def measure_all(file, runs, seeds):
    "Train and measure what is not there yet"
    for seed,readout in product(range(seeds), READOUTS):
        name,how = f'{readout}{seed}',f'{HOW} --readout {readout} --seed {seed}'
        if made(name, how=how): continue
        run = train(file, runs, name, how)
        config,model = load_config(run),load_model(run)
        own,windows  = test_windows(run, file)
        history = [float(r.split(',')[2]) for r in (run/'history.csv').read_text().splitlines()[1:]]
        measure(name, model_in_units(model, own['scaling'], own['mask']), windows, own['data'].thresholds, how=how, seed=seed, seconds=config['seconds'], torch=config['torch'],
                parameters=sum(p.numel() for p in model.parameters()), train_windows=config['windows'], valid_loss=history)
    first = runs/f'{READOUTS[0]}0'
    own,windows = test_windows(first, file) if (first/CONFIG).exists() else (None,None)
    for name,fn in opponents(own['scaling']).items() if own else ():
        if not made(name): measure(name, fn, windows, own['data'].thresholds, pysteps=installed('pysteps') if name=='pysteps' else None)

def test_windows(run, file):
    "The test windows of a run, scaled as in its training"
    config = load_config(run)
    own = FileExperiment(config | dict(data=config['data'] | dict(path=str(Path(file).absolute()))), run/CONFIG).trained
    windows = own['data'].windows()['test']
    windows.scaling = own['scaling']
    return own,windows

VALUES = {'mse_scaled':lambda n,s: s/n} | {f'csi_{t}':lambda n,h,f,m: h/(h+f+m) for t in ('0.5','2','5')}

def score(found, weights):
    "Scores of tiles with these weights, `(draws,tiles)`: `{score: (draws,T+1)}`, the mean over the lead times last"
    def values(s):
        v = VALUES[s](*np.moveaxis(np.einsum('rt,tkl->rkl', weights, found[s]), 1, 0))
        return np.concatenate([v, v.mean(1, keepdims=True)], 1)
    return {s: values(s) for s in SCORES}

def interval(v): return np.percentile(v, [2.5,97.5], axis=0).round(6).tolist()

def table():
    "All scores with 95 % intervals, from tiles drawn anew; differences of the same draws"
    kept  = {p.stem.removeprefix('rain_'):dict(np.load(p)) for p in sorted(results.glob('rain_*.npz'))}
    facts = {n: json.loads((results/f'rain_{n}.json').read_text()) for n in kept}
    tiles = len(kept['persistence'][SCORES[0]])
    rng   = np.random.default_rng(0)
    drawn = np.stack([np.bincount(rng.integers(tiles, size=tiles), minlength=tiles) for _ in range(DRAWS)]).astype(float)
    all_of  = {n: score(f, np.ones((1,tiles))) for n,f in kept.items()}
    drawn_of = {n: score(f, drawn) for n,f in kept.items()}
    seeds = {r: [n for n in kept if n.startswith(r)] for r in READOUTS}
    for o in (all_of, drawn_of):
        for r,names in seeds.items(): o[r] = {s: np.mean([o[n][s] for n in names], 0) for s in SCORES}
    found = {}
    for n in [*READOUTS, *[k for k in ('lagrangian','advection','pysteps','persistence') if k in kept]]:
        found[n] = {s: dict(value=all_of[n][s][0].round(6).tolist(), interval=interval(drawn_of[n][s])) for s in SCORES}
        for base in ('persistence','lagrangian'):
            if n==base: continue
            for s in SCORES: found[n][s][f'minus_{base}'] = dict(value=(all_of[n][s]-all_of[base][s])[0].round(6).tolist(), interval=interval(drawn_of[n][s]-drawn_of[base][s]))
            gain = lambda o: 100*(1-o[n]['mse_scaled']/o[base]['mse_scaled'])
            found[n]['mse_scaled'][f'percent_under_{base}'] = dict(value=gain(all_of)[0].round(3).tolist(), interval=interval(gain(drawn_of)))
    return dict(draws=DRAWS, tiles=tiles, scores=found, seeds={n: {s: all_of[n][s][0].round(6).tolist() for s in SCORES} for n in sum(seeds.values(), [])}, facts=facts)

@call_parse
def main(
    seeds:int=3, # How many seeds
    runs:str='runs', # Folder of the runs
    only_table:bool=False, # Train and measure nothing?
):
    "Measure what is not there yet, and make the table"
    file = os.environ.get('CONVLSTM_NB_MRMS')
    if not only_table and not file: sys.exit('set CONVLSTM_NB_MRMS to the file of rain, as in the tutorial on radar')
    if not only_table: measure_all(Path(file), Path(runs), seeds)
    made = table()
    keep('rain', **made)
    for n,f in made['scores'].items(): print(f"{n:12} " + ', '.join(f"{s} {v['value'][-1]:.4f} [{v['interval'][0][-1]:.4f} {v['interval'][1][-1]:.4f}]" for s,v in f.items()))
