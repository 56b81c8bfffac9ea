"Is a training that was killed and resumed the same, to the last bit, as one that was not?"
import contextlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import torch
from fastai.callback.core import Callback
from torch import nn
from convlstm_nb.callbacks import ResetState, stream_dls
from convlstm_nb.checkpoint import load_model
from convlstm_nb.data.windows import StreamChunks
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.learner import SequenceLearner
from convlstm_nb.losses import FrameBCE
from convlstm_nb.resume import TrainingCheckpoint, read_training

BATCHES = 4 # in an epoch of `night.py`

def night(folder, *args, **env):
    "Run `night.py` in a process of its own"
    env = os.environ | {k:str(v) for k,v in env.items()} | dict(OMP_NUM_THREADS='1', IN_TEST='1', MPLBACKEND='agg')
    return subprocess.run([sys.executable, Path(__file__).with_name('night.py'), *map(str, args)], cwd=folder, env=env, capture_output=True, text=True, timeout=900)

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

class Live(nn.Module):
    "One frame ahead, with a memory that goes on from batch to batch"
    def __init__(self):
        super().__init__()
        self.layer,self.frames = ConvLSTM(1, 3, stateful=True),nn.Conv2d(3, 1, 1)
    def forward(self, x): return self.frames(self.layer(x)[0].flatten(0,1)).unflatten(0, x.shape[:2])

class Scaled(Callback):
    "Mixed precision's scaler, which grows by what rounding shows"
    def before_fit(self):   self.learn.scaler = torch.amp.GradScaler('cpu', init_scale=3.)
    def after_loss(self):   self.learn.loss_grad = self.scaler.scale(self.loss)
    def before_step(self):
        for p in self.model.parameters(): p.grad.div_(self.scaler.get_scale())
        self.scaler.update(self.scaler.get_scale()*1.1)

class PowerCut(Callback):
    order = 101 # after the checkpoint
    def after_batch(self):
        if self.training and self.train_iter==4: raise InterruptedError('cut')

def live(seed, *cbs):
    "The Learner after a fit of two epochs"
    torch.manual_seed(0)
    streams = [StreamChunks([torch.rand(n,1,6,6) for n in lengths], bs=2, chunk=3) for lengths in ((11,8,9,12), (11,8))]
    learn = SequenceLearner(stream_dls(*streams, device='cpu'), Live(), FrameBCE(), cbs=ResetState())
    torch.manual_seed(seed)
    with learn.no_bar(), learn.no_logging(), contextlib.suppress(InterruptedError): learn.fit_one_cycle(2, 1e-2, cbs=[Scaled(), *cbs])
    return learn

def carried():
    "What `night.py` has not: a state that is carried, and a scaler"
    weights = lambda learn: torch.cat([p.detach().flatten() for p in learn.model.parameters()])
    with tempfile.TemporaryDirectory() as d:
        path  = Path(d)/'training.safetensors'
        whole = live(1)
        live(1, TrainingCheckpoint(path, every_minutes=0), PowerCut())
        kept  = read_training(path)
        held  = kept['state']['carried'][0] is not None and kept['state']['scaler'] is not None and (kept['epoch'],kept['batch'])==(0,4)
        again = live(2, TrainingCheckpoint(path, resume=True))
        same  = torch.equal(weights(whole), weights(again)) and whole.scaler.get_scale()==again.scaler.get_scale()
        return dict(what='a stateful model under a scaler of mixed precision, cut in batch 4', wanted='both in the checkpoint, weights and scale as uninterrupted, bit for bit', got=f"{'both' if held else 'not both'}, {'the same' if same else 'others'}", passed=held and same)

def rows():
    yield carried()
    n = BATCHES
    for workers in (0,2):
        with tempfile.TemporaryDirectory() as d, ThreadPoolExecutor(2) as pool:
            whole = train(d, 'whole', workers)
            assert whole.returncode==0, whole.stderr
            for minutes,tried,what in ((0,[1, n, n+2, 2*n, 2*n+2, 3*n],'batch'), (10,[n+2],'epoch')):
                good = sum(pool.map(lambda at: cut(d, workers, minutes, at), tried))
                yield dict(what=f"kill -9 in batch {', '.join(map(str, tried))} of {4*n}, then --resume, with {workers} workers and a checkpoint every {what}",
                           wanted=f'weights and history as uninterrupted, bit for bit, {len(tried)} of {len(tried)}', got=f'{good} of {len(tried)}', passed=good==len(tried))
