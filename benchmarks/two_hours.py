"""Rain two hours ahead, on radar events that are made here: what is still known at each
lead time

    python benchmarks/two_hours.py

makes the events of the tutorial on the chance of rain, trains the preset `rain` on
them, and again with `--probabilities`, and scores both against persistence, Lagrangian
persistence, the mean, and S-PROG and STEPS of pysteps where that is installed. It
writes `benchmarks/results/two_hours.json`."""
import json
import os
import subprocess
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
import numpy as np
import torch
from common import installed, keep
from fastcore.script import call_parse
from nowcasts import AT, CASCADE, MEMBERS, REACHED, STEPS, nowcast
from rain import command
from convlstm_nb.checkpoint import load_config, read_json
from convlstm_nb.metrics import ForecastScores
from convlstm_nb.probabilistic import make_experiment
from convlstm_nb.probabilities import ProbabilityScores
from convlstm_nb.scoring import file_scores, raw

TUTORIAL = Path(__file__).parents[1]/'nbs/tutorials/radar_event.ipynb'
HOW = (
    '--preset rain --axes BTHW --by sequence --context 5 --horizon 24 --stride 2 '
    '--hidden 32,32 --patch 8 --bs 4 --lr 0.005 --bf16')
AHEAD = dict(STEPS, timestep=5.)

def make_events(events, frames, size):
    "Rain in mm/h, `(events,T,H,W)`, by the functions that the tutorial shows"
    found = dict(np=np, frames=frames, size=size)
    for cell in json.loads(TUTORIAL.read_text())['cells']:
        code = ''.join(cell['source'])
        if code.startswith(('def ellipses', 'def radar_event')): exec(code, found)
    return np.stack([found['radar_event'](seed)[0] for seed in range(events)])

def train(file, runs, name, *how):
    "Train a run; its scores by lead time"
    done = [command('convlstm_train'), *HOW.split(), '--data', file, '--name', name]
    subprocess.run([*map(str, done), '--runs', str(runs), *map(str, how)], check=True)
    return read_json(runs/name/'metrics.json')

def of_pysteps(windows, seen):
    """Scores of S-PROG, the mean of STEPS and its probabilities, and how many failed;
    the mean rain and frequencies of `seen` where they know nothing"""
    usual = seen.mean()
    often = np.array([(seen >= t).mean() for t in REACHED])[:,None,None]
    scores = file_scores(windows, AT)
    found  = {k: ForecastScores(scores) for k in ('sprog','steps_mean')}
    chances,failed = ProbabilityScores(AT),0
    for x,y in raw(windows):
        rain = x[:,0].nan_to_num().double().numpy() # dry, as the model is given it
        calm = nowcast('sprog', rain, len(y), **CASCADE)
        many = nowcast('steps', rain, len(y), **AHEAD)
        failed += (calm is None) + (many is None)
        nothing = np.full(y[:,0].shape, np.nan)
        calm = nothing if calm is None else calm
        many = nothing[None] if many is None else many
        known = np.isfinite(many).all(0)
        p = np.stack([(many >= t).mean(0) for t in REACHED], 1)
        p = np.where(known[:,None], p, often)
        means = dict(
            sprog=np.where(np.isfinite(calm), calm, usual),
            steps_mean=np.where(known, many.mean(0), usual))
        for k,v in means.items():
            found[k].update(torch.tensor(v)[None,:,None].float(), y[None])
        chances.update(torch.tensor(p)[None], y[None])
    return {k: s.compute() for k,s in found.items()},chances.compute(),failed

def report(values, chances):
    "Print skill over the mean, CSI, and skill over climatology, every four frames"
    for k,s in values.items():
        skill = 1 - np.square(s['rmse'])/np.square(values['mean']['rmse'])
        print(f"{k:12} skill {skill[3::4].round(2)}")
        for t in AT: print(f"    CSI {t:g}", np.array(s[f'csi_{t:g}'])[3::4].round(2))
    usual = chances['climatology']
    for k,s in chances.items():
        for t in AT:
            skill = 1 - np.divide(s[f'brier_{t:g}'], usual[f'brier_{t:g}'])
            print(f"{k:12} Brier skill {t:g}", skill[3::4].round(2))

@call_parse
def main(
    events:int=24, # How many
    tested:int=6, # Of these, the last ones
    frames:int=53, # Of each, every five minutes
    size:int=96, # Pixels of 2 km
    epochs:int=6, # Of each training
    dry:bool=False, # Write no result?
):
    "Make events, train, score, and keep it"
    warnings.simplefilter('ignore')
    os.environ['OMP_NUM_THREADS'] = '1' # of the trainings
    torch.set_num_threads(1)
    rain,first = make_events(events, frames, size),events - tested
    at = ','.join(f'{t:g}' for t in AT)
    how = ['--train_until', first, '--test_from', first, '--epochs', epochs]
    with tempfile.TemporaryDirectory() as d:
        runs,file = Path(d),Path(d)/'events.npz'
        np.savez(file, rain=rain)
        values  = train(file, runs, 'values', *how, '--thresholds', at)
        chances = train(file, runs, 'chances', *how, '--probabilities', at)
        config  = load_config(runs/'values')
        parts   = make_experiment(config).parts
        seen    = rain[:first]
        failed  = None
        if find_spec('pysteps'):
            more,chances['steps'],failed = of_pysteps(
                parts['test'], seen[np.isfinite(seen)])
            values |= more
    report(values, chances)
    cpu = time.process_time() + getrusage(RUSAGE_CHILDREN).ru_utime
    print(f"{cpu:.0f} s of CPU, pysteps failed {failed}x")
    if dry: return
    keep(
        'two_hours', values=values, probabilities=chances, thresholds=AT,
        how=f'{HOW} --epochs {epochs}', events=events, windows=config['windows'],
        size=size, cpu_seconds=round(cpu), failed=failed, members=MEMBERS,
        pysteps=installed('pysteps'), steps=AHEAD)
