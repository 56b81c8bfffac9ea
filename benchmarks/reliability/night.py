"""A small night of training, for `check_resume.py` and `check_faults.py`: `convlstm_train` on a preset of its own, with trouble on order.

`python night.py [options of convlstm_train]` trains; the environment says what goes wrong:
`KILL=n` sends SIGKILL to itself in batch n, `SIGNAL=INT,n` or `TERM,n` another signal, `WORKER=n` kills a worker process;
`OPTIMIZER` and `SEQUENCES` make it another training.
The data are noisy in every sequence, from three generators, so nothing comes out equal by luck."""
import multiprocessing
import os
import random
import signal
import sys
import time
import numpy as np
import torch
from fastai.callback.core import Callback
from convlstm_nb import cli, presets, runs
from convlstm_nb.data.moving_mnist import MovingMNIST
from convlstm_nb.options import DigitsData
from convlstm_nb.resume import TrainingCheckpoint

MOTION = dict(size=16, digit_size=8, n_digits=1, context=3, horizon=3, speed=(1,2))
presets.PRESETS['night'] = presets.Preset(
    data  = dict(motion=MOTION, train=int(os.environ.get('SEQUENCES', 16)), valid=8, test=4, fresh=True), # 4 batches in an epoch
    model = presets.recipe(hidden_channels=[4,4], kernel_size=3, patch_size=2, dropout=.2, recurrent_dropout=.2),
    train = dict(epochs=4, bs=4, lr=1e-2, schedule='one_cycle', optimizer=os.environ.get('OPTIMIZER', 'adam'), patience=None, num_workers=0))

class Noisy(MovingMNIST):
    "Sequences turned over at random, with noise on them"
    def __getitem__(self, i):
        x,y = super().__getitem__(i)
        if random.random() < .5: x,y = x.flip(-1),y.flip(-1)
        return x*np.random.uniform(.5, 1) + .05*torch.rand_like(x), y

class Trouble(Callback):
    "What goes wrong, in the middle of a batch"
    order = 90
    def before_step(self):
        n = self.train_iter+1
        if n==int(os.environ.get('KILL', 0)): os.kill(os.getpid(), signal.SIGKILL)
        if 'SIGNAL' in os.environ:
            name,at = os.environ['SIGNAL'].split(',')
            if n==int(at): print('signal', flush=True); os.kill(os.getpid(), getattr(signal, f'SIG{name}'))
        if n==int(os.environ.get('WORKER', 0)):
            print(f'killed {time.time()}', flush=True)
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

datasets,learner = DigitsData.datasets,runs.convlstm_learner
def noisy(self, seed=0): return dict(datasets(self, seed), train=Noisy('train', length=self.train, seed=seed, fresh=self.fresh, **vars(self.motion)))
DigitsData.datasets   = noisy
runs.convlstm_learner = lambda *args, **kw: learner(*args, cbs=[Trouble()], **kw)
runs.TrainingCheckpoint = lambda *args, **kw: TrainingCheckpoint(*args, every_minutes=float(os.environ.get('MINUTES', 10)), **kw)

if __name__=='__main__':
    sys.argv[0] = 'convlstm_train'
    cli.convlstm_train()
