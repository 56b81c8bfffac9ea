"""Train one small model with each loss on the same simulated showers, and keep the
scores and one forecast of each."""
import math
import time
import numpy as np
import torch
from common import keep, results
from fastcore.script import call_parse
from convlstm_nb.baselines import advection
from convlstm_nb.checks import atomic_path
from convlstm_nb.losses import (
    BalancedWeight,
    FrameBCE,
    FrameFocal,
    FrameGDL,
    FrameMAE,
    FrameMSE,
    FrameSSIM,
    LossSum,
)
from convlstm_nb.metrics import (
    SCORES,
    image_scores,
    persistence,
    score_forecasts,
)
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.rain import rain_scores

def pack(rain): return torch.log1p(rain)/math.log(101)
def unpack(z): return torch.expm1(z*math.log(101))

def showers(n, seed, frames=12, size=32):
    """Films of rain rate in mm/h: cells that drift with one wind and a will of their
    own, are born, swell and die: `(n,T,1,H,W)`"""
    g = np.random.default_rng(seed)
    r,c  = np.mgrid[:size,:size]
    film = np.zeros((n,frames,1,size,size), np.float32)
    for i in range(n):
        wind = g.uniform(-1.5, 1.5, 2)
        for _ in range(g.poisson(7)):
            at, radius, peak = (
                g.uniform(-8, size + 8, 2), g.uniform(1.5, 3.5),
                np.exp(g.normal(2, 0.9)))
            # when it is strongest, how long it lasts
            middle,life = g.uniform(-3, frames+3),g.uniform(3, 8)
            speed = wind + g.normal(0, .25, 2)
            for t in range(frames):
                speed = speed + g.normal(0, 0.12, 2)
                at = at + speed
                film[i, t, 0] += peak * np.exp(
                    -(((t - middle) / life) ** 2)
                    - ((r - at[0]) ** 2 + (c - at[1]) ** 2) / (2 * radius**2))
    film[film<.1] = 0
    return torch.tensor(film).clamp(max=100)

W = BalancedWeight(to_units=unpack)
frames = dict(output='sigmoid')
LOSSES = {
    'MSE': FrameMSE(**frames),
    'MAE': FrameMAE(**frames),
    'BCE': FrameBCE(),
    'focal': FrameFocal(),
    'B-MSE + B-MAE': LossSum(
        [FrameMSE(weight=W, **frames), FrameMAE(weight=W, **frames)]),
    'MSE + 0.1 SSIM': LossSum([FrameMSE(**frames), FrameSSIM(**frames)], [1, 0.1]),
    'MSE + 0.1 GDL': LossSum([FrameMSE(**frames), FrameGDL(**frames)], [1, 0.1]),
    'MSE, late frames more': FrameMSE(lead_weights=[1, 2, 3, 4, 5, 6], **frames)}

def train(loss_func, x, y, steps, seed, bs=16, lr=1e-2):
    "Train a small forecaster"
    torch.manual_seed(seed)
    model = EncoderForecaster(1, [32], 3, patch_size=4, norm='layer').start_from_mean(
        y.mean())
    opt   = torch.optim.Adam(model.parameters())
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=steps)
    for step in range(steps):
        i = torch.randint(len(x), (bs,))
        loss = loss_func(model(x[i], y.shape[1]), y[i])
        opt.zero_grad(); loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.)
        opt.step(); sched.step()
    return model.eval()

def steps_of(z):
    return (z.diff(dim=-1).abs().mean() + z.diff(dim=-2).abs().mean()).item()

@call_parse
def main(
    steps:int=300, # Steps of training
    seeds:int=1, # How many times
    n:int=1000, # Training films
):
    "Train with each loss, and keep the results"
    film,test = pack(showers(n, 1)),pack(showers(200, 2))
    x,y,tx,ty = film[:,:6],film[:,6:],test[:,:6],test[:,6:]
    wanted = (
        {k: SCORES[k] for k in ('mse_pixel', 'mae_pixel')} | image_scores(1)
        | rain_scores((0.5, 5, 20), unpack, window=5))
    models = {name: [] for name in LOSSES}
    for name,loss_func in LOSSES.items():
        for seed in range(seeds):
            start = time.perf_counter()
            models[name].append(
                (train(loss_func, x, y, steps, seed), time.perf_counter() - start))
            print(name, seed, f"{models[name][-1][1]:.0f} s", flush=True)
    def summary(fn):
        s = score_forecasts({'it':fn}, zip(tx.split(50), ty.split(50)), wanted)['it']
        f = torch.cat([fn(b, 6) for b in tx.split(50)])
        sharp, wet = (
            steps_of(f[:, -1]) / steps_of(ty[:, -1]),
            (unpack(f[:, -1]) >= 5).sum().item()
            / (unpack(ty[:, -1]) >= 5).sum().item())
        return dict(s, sharpness=sharp, area=wet)
    runs = {
        name: [dict(summary(m.predict), seconds=round(s)) for m, s in made]
        for name, made in models.items()}
    runs |= {fn.__name__: [summary(fn)] for fn in (persistence,advection)}
    keep(
        'losses', steps=steps, films=n,
        parameters=sum(p.numel() for p in models['MSE'][0][0].parameters()), runs=runs)
    # a wet film, but not the wettest
    pick = int((unpack(ty[:,-1])>=5).flatten(1).sum(1).argsort()[160])
    strips = {
        'input': tx[pick],
        'truth': ty[pick],
        **{
            name: made[0][0].predict(tx[pick : pick + 1], 6)[0]
            for name, made in models.items()}}
    with atomic_path(results / 'losses.npz') as part:
        np.savez_compressed(
            part,
            **{
                k: (v[:, 0].numpy() * 255).round().astype(np.uint8)
                for k, v in strips.items()})
