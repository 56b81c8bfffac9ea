"""Other networks that forecast frames, written from their papers, with the interface of
this library's forecasters: `(B,T,C,H,W)` in, `(B,horizon,C,H,W)` out"""
import torch
import torch.nn.functional as F
from torch import nn
from convlstm_nb.models.forecaster import OUTPUTS, EncoderForecaster
from convlstm_nb.models.lagrangian import displacements, motion, moved_each

# ---- ConvGRU

class ConvGRU(nn.Module):
    """A convolutional GRU, with layer norms where `norm='layer'` has them in a ConvLSTM
    (Ballas et al. 2016, arXiv 1511.06432; Shi et al. 2017, arXiv 1706.03458, Eq. 1)"""
    def __init__(self, in_channels, hidden_channels, kernel_size):
        super().__init__()
        self.hidden_channels,h = hidden_channels,hidden_channels
        pad = kernel_size//2
        self.of_state = nn.Conv2d(h, 3*h, kernel_size, padding=pad)
        self.of_input = None
        if in_channels:
            self.of_input = nn.Conv2d(in_channels, 3*h, kernel_size, padding=pad)
            nn.init.xavier_uniform_(self.of_input.weight)
        self.norm_gates,self.norm_new = nn.GroupNorm(1, 2*h),nn.GroupNorm(1, h)
        for w in self.of_state.weight.data.chunk(3): nn.init.orthogonal_(w)

    def step(self, x, h):
        "One frame, whose convolution `x` may be absent"
        n = 2*self.hidden_channels
        a = self.of_state(h)
        gates,new = a[:,:n],a[:,n:]
        if x is not None: gates = gates + x[:,:n]
        reset,update = self.norm_gates(gates).sigmoid().chunk(2, 1)
        new = reset*new if x is None else reset*new + x[:,n:]
        return torch.lerp(h, F.leaky_relu(self.norm_new(new), .2), update)

    def forward(self, x, state=None, *, steps=None, return_all_layers=True):
        "All frames of `x`, or `steps` steps without input"
        h = state
        if x is not None:
            steps = x.shape[1]
            x = self.of_input(x.flatten(0,1)).unflatten(0, x.shape[:2])
            if h is None:
                h = x.new_zeros(len(x), self.hidden_channels, *x.shape[3:])
        out = []
        for t in range(steps):
            h = self.step(None if x is None else x[:,t], h)
            out.append(h)
        return [torch.stack(out, 1)],h

class ConvGRUForecaster(EncoderForecaster):
    "The encoding–forecasting network with a layer of ConvGRU in place of the ConvLSTM"
    def __init__(self, in_channels, hidden_channels, kernel_size, **kwargs):
        super().__init__(in_channels, hidden_channels, kernel_size, **kwargs)
        (hidden,) = self.hidden_channels
        self.encoder = ConvGRU(in_channels*self.patch_size**2, hidden, kernel_size)
        self.forecaster = ConvGRU(0, hidden, kernel_size)

# ---- Networks that see all input frames at once

class Direct(nn.Module):
    """A network from stacked input frames to stacked forecast frames; further ahead, on
    its own forecast"""
    def __init__(self, context, horizon, output='sigmoid', residual=False):
        super().__init__()
        self.context,self.horizon = context,horizon
        self.output,self.residual = output,residual

    def begin(self, last):
        "Keep the layer that makes the frames, and let it forecast no change at first"
        self.last = last
        if self.residual: nn.init.zeros_(last.weight); nn.init.zeros_(last.bias)

    def forward(self, x, horizon=10):
        made = []
        for _ in range(0, horizon, self.horizon):
            y = self.frames(x[:,:,0])[:,:,None]
            if self.residual: y = y + x[:,-1:]
            made.append(y)
            x = torch.cat([x, OUTPUTS[self.output](y)], 1)[:,-self.context:]
        return torch.cat(made, 1)[:,:horizon]

    @torch.no_grad()
    def predict(self, x, horizon=10): return OUTPUTS[self.output](self(x, horizon))

    def start_from_mean(self, mean):
        "Set the last bias so that the first forecasts are the mean of the data"
        nn.init.constant_(self.last.bias, torch.logit(mean, eps=1e-4).item())
        return self

def conv(reads, makes, stride=1):
    return nn.Sequential(
        nn.Conv2d(reads, makes, 3, stride, 1), nn.GroupNorm(2, makes), nn.SiLU())

class UNet(Direct):
    "A U-Net with three levels (Ronneberger et al. 2015, arXiv 1505.04597)"
    def __init__(self, context, horizon, width=24, **kwargs):
        super().__init__(context, horizon, **kwargs)
        a,b,c = width,2*width,3*width
        two = lambda reads, makes: nn.Sequential(conv(reads, makes), conv(makes, makes))
        self.down = nn.ModuleList([two(context, a), two(a, b), two(b, c)])
        self.up   = nn.ModuleList([two(c+b, b), two(b+a, a)])
        self.begin(nn.Conv2d(a, horizon, 1))

    def frames(self, x):
        a = self.down[0](x)
        b = self.down[1](F.max_pool2d(a, 2))
        c = self.down[2](F.max_pool2d(b, 2))
        b = self.up[0](torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        a = self.up[1](torch.cat([F.interpolate(b, scale_factor=2), a], 1))
        return self.last(a)

class Inception(nn.Module):
    "Grouped convolutions of several sizes, added up"
    def __init__(self, reads, between, makes, sizes=(3,5,7,11), groups=8):
        super().__init__()
        self.squeeze = nn.Conv2d(reads, between, 1)
        self.branches = nn.ModuleList([
            nn.Sequential(
                nn.Conv2d(between, makes, k, padding=k//2, groups=groups),
                nn.GroupNorm(groups, makes), nn.LeakyReLU(.2))
            for k in sizes])

    def forward(self, x):
        x = self.squeeze(x)
        return sum(branch(x) for branch in self.branches)

class SimVP(Direct):
    """An encoder for each frame, Inception blocks over all frames at once, a decoder
    for each frame, a skip from the first layer (Gao et al. 2022, arXiv 2206.05099)"""
    def __init__(self, context, horizon, width=16, between=64, depth=2, **kwargs):
        if context != horizon: raise ValueError('SimVP needs `context == horizon`')
        super().__init__(context, horizon, **kwargs)
        w,wide = width,context*width
        self.stem   = conv(1, w)
        self.encoder = nn.Sequential(conv(w, w, 2), conv(w, w), conv(w, w, 2))
        blocks = lambda reads, makes: Inception(reads, between//2, makes)
        self.inward  = nn.ModuleList(
            [blocks(wide if i==0 else between, between) for i in range(depth)])
        self.outward = nn.ModuleList(
            [blocks(between if i==0 else 2*between, between) for i in range(depth-1)]
            + [blocks(between if depth==1 else 2*between, wide)])
        up = lambda: nn.Sequential(
            nn.Conv2d(w, 4*w, 3, padding=1), nn.PixelShuffle(2), nn.GroupNorm(2, w),
            nn.SiLU())
        self.decoder = nn.Sequential(up(), conv(w, w), up())
        self.mix  = conv(2*w, w)
        self.begin(nn.Conv2d(w, 1, 1))

    def frames(self, x):
        B,T = x.shape[:2]
        seen = self.stem(x.flatten(0,1)[:,None])
        z = self.encoder(seen)
        z,skips = z.unflatten(0, (B,T)).flatten(1,2),[]
        for block in self.inward:
            z = block(z)
            skips.append(z)
        skips.pop()
        z = self.outward[0](z)
        for block in self.outward[1:]: z = block(torch.cat([z, skips.pop()], 1))
        z = self.decoder(z.unflatten(1, (T,-1)).flatten(0,1))
        y = self.last(self.mix(torch.cat([z, seen], 1)))
        return y.unflatten(0, (B,T))[:,:,0]

# ---- Any of them, in coordinates that move with the field

class Moving(nn.Module):
    "A network that sees frames moved to where the last one is; forecasts move onwards"
    def __init__(self, network):
        super().__init__()
        self.network,self.output = network,network.output

    def forward(self, x, horizon=10):
        known = x.shape[1] - 1
        with torch.autocast(x.device.type, enabled=False):
            ways  = displacements(motion(x), max(known, horizon))
            still = moved_each(x[:,:-1], ways[:,:known].flip(1))
        y = self.network(torch.cat([still, x[:,-1:]], 1), horizon)
        with torch.autocast(x.device.type, enabled=False):
            return moved_each(y.to(x.dtype), ways[:,:horizon])

    @torch.no_grad()
    def predict(self, x, horizon=10): return OUTPUTS[self.output](self(x, horizon))
