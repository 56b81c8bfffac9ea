"""Run the README's main job, `convlstm_train`, as a command, and keep its figures,
its wall time and its animation."""
import json
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
import numpy as np
import torch
import torch.nn.functional as F
from common import keep
from fastcore.script import call_parse
from torch import nn
from convlstm_nb.checkpoint import load_config, load_model
from convlstm_nb.data.moving_mnist import MovingMNIST, draw_motion, resize_digits
from convlstm_nb.learner import forecast
from convlstm_nb.metrics import skill

images = Path(__file__).parent.parent/'nbs'/'images'

def unit(images):
    "Images as vectors of mean 0 and length 1"
    v = images.reshape(len(images), -1).astype(np.float64)
    v -= v.mean(1, keepdims=True)
    return v/(np.linalg.norm(v, axis=1, keepdims=True) + 1e-9)

def reader(digits, labels, k=5):
    """A function that reads images of digits: the class of their `k` most similar
    training digits"""
    known = unit(digits)
    def read(images):
        s = unit(images)@known.T
        top = np.argsort(-s, 1)[:,:k]
        return np.array(
            [
                np.bincount(labels[t], weights=s[i, t], minlength=10).argmax()
                for i, t in enumerate(top)])
    return read

def network_reader(digits, labels, steps=840, bs=64):
    """The same by a small convolutional network, which saw each digit shifted by up to
    a pixel, and half of the time with a part of another one over it"""
    torch.manual_seed(0)
    side = digits.shape[1]
    x,y = torch.tensor(digits).float()[:,None]/255,torch.tensor(labels).long()
    net = nn.Sequential(
        nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(48, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(.3),
        nn.LazyLinear(10))
    net(x[:1])
    opt = torch.optim.AdamW(net.parameters(), 1e-3)
    rate = torch.optim.lr_scheduler.OneCycleLR(opt, 3e-3, total_steps=steps)
    for _ in range(steps):
        i,j = torch.randint(len(x), (2,bs))
        seen = x[i].roll(torch.randint(-1, 2, (2,)).tolist(), (2,3))
        beside = F.pad(x[j], [side]*4)
        r,c = torch.randint(0, 2*side+1, (2,)).tolist()
        if torch.rand(()) < .5: seen = seen.maximum(beside[...,r:r+side,c:c+side])
        opt.zero_grad()
        F.cross_entropy(net(seen), y[i]).backward()
        opt.step()
        rate.step()
    net.eval()
    @torch.no_grad()
    def read(images): return net(torch.tensor(images).float()[:,None]).argmax(1).numpy()
    return read

def recognised(run, n=300, make=reader):
    """The share of test digits that a reader, trained on the training digits, tells
    right at each lead time"""
    motion = load_config(run)['data']['motion']
    side   = motion['digit_size']
    with (files('convlstm_nb') / 'data' / 'mnist_digits.npz').open('rb') as f:
        mnist = dict(np.load(f))
    read = make(resize_digits(mnist['train_images'], side), mnist['train_labels'])
    test = resize_digits(mnist['test_images'], side)
    ds   = MovingMNIST('test', length=n, **motion)
    x,y  = (torch.stack(t) for t in zip(*(ds[i] for i in range(n))))
    shown = dict(truth=y, forecast=forecast(load_model(run), x, y.shape[1]))
    drawn = [draw_motion(ds, i) for i in range(n)]
    labels = np.array([
        [mnist['test_labels'][(test == i).all((1, 2)).argmax()] for i in images]
        for images,_,_ in drawn])
    def share(frames, t): # over all digits of a frame
        right = []
        for d in range(motion['n_digits']):
            now = motion['context'] + t
            at  = [np.rint(path[d,now]).astype(int) for _,path,_ in drawn]
            seen = np.stack([
                f[t,0,r:r+side,c:c+side].numpy() for f,(r,c) in zip(frames, at)])
            right.append(read(seen) == labels[:,d])
        return float(np.mean(right))
    return {
        name: [round(share(frames, t), 3) for t in range(y.shape[1])]
        for name, frames in shown.items()}

def train(runs, seed):
    "Train with one seed; return the run's scores, its training time and its wall time"
    start = time.perf_counter()
    subprocess.run(
        [
            Path(sys.executable).parent / 'convlstm_train', '--runs', runs, '--name',
            f'seed{seed}', '--seed', str(seed)],
        check=True)
    wall = time.perf_counter() - start
    run  = Path(runs)/f'seed{seed}'
    scores, config = (
        json.loads((run / f'{n}.json').read_text()) for n in ('metrics', 'config'))
    return dict(
        seed=seed, wall_seconds=round(wall), train_seconds=round(config['seconds']),
        skill_percent=round(skill(scores), 1), recognised=recognised(run),
        metrics=scores)

@call_parse
def main(
    seeds:int=3, # How many seeds
):
    "Measure the main job"
    with tempfile.TemporaryDirectory() as runs:
        found = [train(runs, s) for s in range(seeds)]
        images.mkdir(exist_ok=True)
        for name in ('forecast.gif', 'forecast.png'):
            shutil.copy(Path(runs) / 'seed0' / name, images / name)
    keep('quick', runs=found)
    for f in found:
        print(
            f"seed {f['seed']}: {f['skill_percent']} % under the best trivial "
            f"forecast, {f['wall_seconds']} s, recognised {f['recognised']}")
