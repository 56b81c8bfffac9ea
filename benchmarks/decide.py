"""A ConvLSTM beside plain convolutional networks of as many parameters and beside
forecasts that cost nothing, on four small worlds.

`python benchmarks/decide.py` trains each for the same number of steps; five minutes
on one core. The figures go to results/decide.json, the pictures to
results/decide.npz."""
import time
import numpy as np
import torch
import torch.nn.functional as F
from common import keep, results
from fastcore.script import call_parse
from torch import nn
from convlstm_nb.baselines import advection
from convlstm_nb.checks import atomic_path
from convlstm_nb.data.moving_mnist import MovingMNIST
from convlstm_nb.models.forecaster import EncoderForecaster

SIZE,KNOWN,AHEAD,FAR = 32,5,5,15 # pixels; frames known, trained for, and asked for
# that are kept as pictures
FRAMES,LEADS = [0,2,4,5,6,7,8,9,11,12,14,15,19],[1,3,5,8,11,15]

# ---- Four worlds: films (N,T,1,SIZE,SIZE)

def digits(n, seed, split):
    "Two digits that drift, bounce and cover each other: the past says where they go"
    ds = MovingMNIST(
        split, length=n, context=KNOWN, horizon=FAR, n_digits=2, size=SIZE,
        digit_size=14, speed=(1, 2), seed=seed)
    return torch.stack([torch.cat(ds[i]) for i in range(n)])

def neighbours(u):
    "The four neighbours' sum less four times the pixel; walls are mirrors"
    p = np.pad(u, ((0,0),(1,1),(1,1)), mode='edge')
    return p[:,2:,1:-1] + p[:,:-2,1:-1] + p[:,1:-1,2:] + p[:,1:-1,:-2] - 4*u

def bumps(n, rng, many, width):
    r,c = np.mgrid[:SIZE,:SIZE]
    at  = rng.uniform(0, SIZE, (n,many,2,1,1))
    return (
        rng.choice([-1, 1], (n, many, 1, 1))
        * np.exp(-((r - at[:, :, 0]) ** 2 + (c - at[:, :, 1]) ** 2) / width)).sum(1)

def waves(n, seed, split):
    """Rings that spread and bounce: the height says where they are, the frames
    before where they go"""
    rng = np.random.default_rng([seed, split=='test'])
    u,v,out = bumps(n, rng, 2, 10),0,[]
    for t in range(4*(KNOWN+FAR+2)):
        v = v + .35**2*neighbours(u)
        u = u + v
        if t>=8 and t%4==3: out.append(u)
    return torch.from_numpy(np.stack(out[:KNOWN+FAR], 1)).float()[:,:,None]

def heat(n, seed, split):
    "Spots that fade: the last frame says all there is to know"
    rng = np.random.default_rng([seed, split=='test', 1])
    u,out = bumps(n, rng, 6, 6),[]
    for t in range(2*(KNOWN+FAR)):
        u = u + .2*neighbours(u)
        if t%2: out.append(u)
    return torch.from_numpy(np.stack(out, 1)).float()[:,:,None]

def drift(n, seed, split):
    """A smooth pattern that moves on as a whole, an even wind for each film, on a
    ring: what advection assumes"""
    rng = np.random.default_rng([seed, split=='test', 2])
    k = np.fft.fftfreq(SIZE)
    spectrum = np.fft.fft2(rng.standard_normal((n, SIZE, SIZE))) * np.exp(
        -60 * (k[:, None] ** 2 + k**2))
    spectrum /= np.abs(np.fft.ifft2(spectrum).real).std((1,2), keepdims=True)*3
    wind = rng.uniform(-2, 2, (n,2,1,1))
    film = [
        np.fft.ifft2(
            spectrum
            * np.exp(-2j * np.pi * t * (wind[:, 0] * k[:, None] + wind[:, 1] * k))).real
        for t in range(KNOWN + FAR)]
    return torch.from_numpy(np.stack(film, 1)).float()[:,:,None]

WORLDS = dict(digits=digits, waves=waves, heat=heat, drift=drift)

# ---- Three models, `model(x, horizon)`, of about as many parameters

class Stacked(nn.Module):
    """What a network without a state does: known frames stacked as channels, the
    next frames out; further ahead, on its own forecast"""
    def forward(self, x, horizon):
        out = []
        while sum(o.shape[1] for o in out) < horizon:
            y = self.net(x[:,:,0])[:,:,None]
            out.append(y)
            x = self.squash(y)
        return torch.cat(out, 1)[:,:horizon]

class PatchCNN(Stacked):
    "Convolutions on patches, as wide as the ConvLSTM's"
    def __init__(self, squash, width=43, p=4):
        super().__init__()
        self.squash = squash
        self.net = nn.Sequential(
            nn.PixelUnshuffle(p), nn.Conv2d(KNOWN * p * p, width, 5, padding=2),
            nn.ReLU(), nn.Conv2d(width, width, 5, padding=2), nn.ReLU(),
            nn.Conv2d(width, AHEAD * p * p, 1), nn.PixelShuffle(p))

class UNet(Stacked):
    "Two levels down and up again, with bridges"
    def __init__(self, squash, w=(18,36,60)):
        super().__init__()
        self.squash = squash
        conv = lambda i, o: nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.Conv2d(o, o, 3, padding=1),
            nn.ReLU())
        self.down = nn.ModuleList(
            [conv(KNOWN, w[0]), conv(w[0], w[1]), conv(w[1], w[2])])
        self.up   = nn.ModuleList([conv(w[2]+w[1], w[1]), conv(w[1]+w[0], w[0])])
        self.out  = nn.Conv2d(w[0], AHEAD, 1)
    def net(self, x):
        a = self.down[0](x)
        b = self.down[1](F.max_pool2d(a, 2))
        c = self.down[2](F.max_pool2d(b, 2))
        b = self.up[0](torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        return self.out(self.up[1](torch.cat([F.interpolate(b, scale_factor=2), a], 1)))

def make(name, squash):
    "A model by name"
    if 'convlstm' in name:
        return EncoderForecaster(
            1, [22], 5, patch_size=4, output='identity',
            norm=None if name == 'convlstm_without_norm' else 'layer')
    return dict(cnn=PatchCNN, unet=UNet)[name](squash)

# ---- Training and scores

def train(model, film, loss, steps, bs=8, lr=4e-3):
    "The same steps, batches and schedule for each"
    torch.manual_seed(0)
    opt   = torch.optim.Adam(model.parameters(), lr)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, total_steps=steps)
    start = time.time()
    for _ in range(steps):
        x = film[torch.randint(len(film), (bs,))]
        opt.zero_grad()
        loss(model(x[:,:KNOWN], AHEAD), x[:,KNOWN:KNOWN+AHEAD]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.)
        opt.step(); sched.step()
    return time.time()-start

def mse(y, film):
    return [
        round(v, 6) for v in (y - film[:, KNOWN:]).square().mean((0, 2, 3, 4)).tolist()]

@call_parse
def main(
    steps:int=450, # Of each training
    films:int=600, # To train on
    worlds:str='digits,waves,heat,drift', # Which
):
    "Train, score, keep"
    found,pictures = {},{}
    for world in worlds.split(','):
        f,test = WORLDS[world](films, 0, 'train'),WORLDS[world](100, 0, 'test')
        binary = world=='digits'
        loss, squash = (
            (F.binary_cross_entropy_with_logits, torch.sigmoid) if binary
            else (F.mse_loss, lambda y: y))
        x,mean,ahead = test[:,:KNOWN],f.mean(),[n-1 for n in LEADS]
        trivial = dict(
            persistence=x[:, -1:].expand(-1, FAR, -1, -1, -1),
            mean=mean.expand(len(x), FAR, 1, SIZE, SIZE),
            advection=advection(x, FAR, subpixel=True))
        found[world] = {k: dict(mse=mse(y, test)) for k,y in trivial.items()}
        pictures |= {
            f'{world}_truth': test[0, FRAMES, 0],
            f'{world}_advection': trivial['advection'][0, ahead, 0]}
        for name in ('convlstm','cnn','unet',*['convlstm_without_norm']*binary):
            torch.manual_seed(0)
            model   = make(name, squash)
            seconds = train(model, f, loss, steps)
            with torch.no_grad(): y = squash(model.eval()(x, FAR))
            found[world][name] = dict(
                mse=mse(y, test), parameters=sum(p.numel() for p in model.parameters()),
                seconds=round(seconds, 1))
            pictures[f'{world}_{name}'] = y[0,ahead,0]
            print(world, name, found[world][name], flush=True)
        keep(
            'decide', steps=steps, films=films, frames=FRAMES, leads=LEADS, known=KNOWN,
            ahead=AHEAD, far=FAR, size=SIZE, worlds=found)
    # a byte for each pixel: what is beyond 0.635 is white
    with atomic_path(results / 'decide.npz') as part:
        np.savez_compressed(
            part,
            **{
                k: np.round(np.asarray(v) * 200).clip(-127, 127).astype(np.int8)
                for k, v in pictures.items()})
