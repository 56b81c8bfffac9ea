"Is a training that was killed and resumed the same, to the last bit, as one that was not?"
import os, subprocess, sys, tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import torch
from convlstm_nb.checkpoint import load_model

BATCHES = 4 # in an epoch of `night.py`

def night(folder, *args, **env):
    "Run `night.py` in a process of its own"
    env = os.environ | {k:str(v) for k,v in env.items()} | dict(OMP_NUM_THREADS='1', IN_TEST='1', MPLBACKEND='agg')
    return subprocess.run([sys.executable, Path(__file__).with_name('night.py'), *map(str, args)], cwd=folder, env=env, capture_output=True, text=True, timeout=300)

def train(folder, name, workers, **env): return night(folder, '--preset', 'night', '--name', name, '--num_workers', workers, '--device', 'cpu', **env)
def resume(folder, name, **env): return night(folder, '--resume', name, '--device', 'cpu', **env)

def same(a, b):
    "Are the weights in two run folders the same, and the lines of the history but for the time?"
    u,v = (load_model(f).state_dict() for f in (a,b))
    lines = lambda f: [l.rsplit(',', 1)[0] for l in (f/'history.csv').read_text().split()]
    return all(torch.equal(u[k], v[k]) for k in u) and lines(a)==lines(b)

def cut(d, workers, minutes, at):
    "Is a run that is killed in batch `at` and resumed the same as the whole one?"
    name,runs = f'{minutes}-{at}',Path(d)/'runs'
    killed  = train(d, name, workers, KILL=at, MINUTES=minutes)
    resumed = resume(d, name, MINUTES=minutes)
    if resumed.returncode: print(resumed.stderr[-500:], file=sys.stderr)
    return killed.returncode==-9 and resumed.returncode==0 and same(runs/'whole', runs/name)

def rows():
    n = BATCHES
    for workers in (0,2):
        with tempfile.TemporaryDirectory() as d, ThreadPoolExecutor(2) as pool:
            whole = train(d, 'whole', workers)
            assert whole.returncode==0, whole.stderr
            for minutes,tried,what in ((0,[1, n, n+2, 2*n, 2*n+2, 3*n],'batch'), (10,[n+2],'epoch')):
                good = sum(pool.map(lambda at: cut(d, workers, minutes, at), tried))
                yield dict(what=f"kill -9 in batch {', '.join(map(str, tried))} of {4*n}, then --resume, with {workers} workers and a checkpoint every {what}",
                           wanted=f'weights and history as uninterrupted, bit for bit, {len(tried)} of {len(tried)}', got=f'{good} of {len(tried)}', passed=good==len(tried))
