"""What several processes cost and gain on one machine: sequences a second of the
`quick` preset with one and two processes, and what an agreement takes."""
import json
import os
import subprocess
import sys
import time
import warnings
from statistics import median

warnings.simplefilter('ignore')
from common import keep
from fastai.callback.core import Callback, CancelFitException
from convlstm_nb.checkpoint import build_model
from convlstm_nb.dataloaders import sequence_dls
from convlstm_nb.distributed import join
from convlstm_nb.learner import convlstm_learner
from convlstm_nb.presets import PRESETS

BATCH,BATCHES = 16,40 # of all processes together

class Clock(Callback):
    "When each batch of the training ended"
    order = 90
    def before_fit(self): self.at = []
    def after_batch(self):
        if not self.training: return
        self.at.append(time.perf_counter())
        if len(self.at)==BATCHES: raise CancelFitException

def measure():
    "In each process: train for some batches, and agree often"
    me,preset = join('cpu'),PRESETS['quick']
    ds    = preset.data.datasets()
    dls   = sequence_dls(ds['train'], ds['valid'], bs=BATCH//me.size, device='cpu')
    learn = convlstm_learner(dls, build_model(preset.model), metrics=[])
    with learn.distrib_ctx(), learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3, cbs=(clock := Clock()))
    steps = [b-a for a,b in zip(clock.at[5:], clock.at[6:])]
    def often(f, n=200):
        times = []
        for _ in range(n):
            start = time.perf_counter()
            f()
            times.append(time.perf_counter() - start)
        return median(times)
    figures = dict(
        batch_ms=round(median(steps) * 1e3, 1),
        sequences_per_second=round(BATCH / median(steps), 1),
        agree_ms=round(often(lambda: me.max(0)) * 1e3, 3))
    if not me.rank: print(json.dumps(figures), flush=True)

def run(processes, threads):
    "Measure in a number of processes"
    launcher = [
        '-m', 'torch.distributed.run', '--nproc-per-node', str(processes),
        '--master-port', '29671'] * (processes > 1)
    done = subprocess.run(
        [sys.executable, *launcher, __file__, 'measure'],
        env=os.environ | dict(OMP_NUM_THREADS=str(threads)), capture_output=True,
        text=True, check=True)
    return dict(
        processes=processes, threads=threads,
        **json.loads([l for l in done.stdout.splitlines() if l.startswith('{')][-1]))

if __name__=='__main__':
    if sys.argv[1:]==['measure']: sys.exit(measure())
    rows = [run(*case) for case in ((1,1), (1,2), (2,1))]
    for row in rows: print(row)
    keep('distributed', batch=BATCH, rows=rows)
