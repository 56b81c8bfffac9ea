"""Measure the scan's ideas one at a time: a training step of each form.

    OMP_NUM_THREADS=1 python benchmarks/ladder.py  # two minutes on one core

All forms are measured in one run, in turns, by medians. What is measured is the
processor's time on one thread, so that a busy machine does not change it much. A case
is (batch, frames, channels, height, width | hidden, kernel).
"""
import time
import torch
from common import keep
from fastcore.script import call_parse
from speed import Textbook, bare, compiled, eager, eight_convs, first, in_turns, step
from torch import nn
from convlstm_nb.layers import ConvLSTM

CASES = dict(
    many=(2, 5, 1, 48, 48, 64, 3),
    few=(2, 10, 1, 128, 128, 16, 3),
    small=(1, 20, 8, 32, 32, 32, 3),
)

class Literal(nn.Module):
    """Eight convolutions a step, as the equations have them, without peepholes."""

    def __init__(self, C, h, k):
        super().__init__()
        self.hidden = h
        self.x, self.h = eight_convs(C, h, k)

    def read(self, x):
        return None

    def gates(self, zx, x, h):
        return [a(x) + b(h) for a, b in zip(self.x, self.h)]

    def forward(self, x):
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        outs, zx = [], self.read(x)
        for t in range(x.shape[1]):
            i, f, g, o = self.gates(None if zx is None else zx[:, t], x[:, t], h)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1)

class Stacked(Literal):
    """One convolution for the four gates of the frame, one for those of the state."""

    def __init__(self, C, h, k):
        super().__init__(C, h, k)
        self.x = nn.Conv2d(C, 4 * h, k, padding=k // 2)
        self.h = nn.Conv2d(h, 4 * h, k, padding=k // 2, bias=False)

    def gates(self, zx, x, h):
        return (self.x(x) + self.h(h)).chunk(4, 1)

class AtOnce(Stacked):
    """All frames are read by one convolution before the first step."""

    def read(self, x):
        return self.x(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def gates(self, zx, x, h):
        return (zx + self.h(h)).chunk(4, 1)

def forms(C, h, k, x):
    """Each form by name, on one layer's shapes."""
    ours = ConvLSTM(C, h, k, peephole=None)
    last = Textbook(C, h, k).to(memory_format=torch.channels_last)
    return dict(
        literal=step(Literal(C, h, k), x),
        stacked=step(Stacked(C, h, k), x),
        at_once=step(AtOnce(C, h, k), x),
        together=step(Textbook(C, h, k), x),
        channels_last=step(last, x),
        own_backward=eager(step(ours, x)),
        fused=compiled(step(ours, x)),
        floor=bare(x, h, k),
    )

def kept(model, x):
    """Values kept for the backward pass, for each value of the outputs."""
    own = {p.data_ptr() for p in model.parameters()} | {x.data_ptr()}
    sizes = {}

    def note(t):
        storage = t.untyped_storage()
        if t.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes() // t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        out = first(model(x))
    return round(sum(sizes.values()) / out.numel(), 2)

def kept_by_each():
    """The same for each form."""
    x = torch.randn(1, 20, 1, 32, 32)
    textbook = dict(
        literal=Literal, stacked=Stacked, at_once=AtOnce, together=Textbook)
    every = dict(own_backward=None, every_1=1, every_2=2, every_4=4)
    models = {n: form(1, 16, 3) for n, form in textbook.items()}
    for n, k in every.items():
        models[n] = ConvLSTM(1, 16, 3, peephole=None, checkpoint_every=k)
    return {n: kept(m, x) for n, m in models.items()}

@call_parse
def main(
    rounds:int=5,  # Rounds of the measurement
):
    """Measure, and keep the figures."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cases = {}
    for name, case in CASES.items():
        *shape, h, k = case
        made = forms(shape[2], h, k, torch.randn(*shape))
        times = in_turns(made, rounds, time.process_time)
        cases[name] = dict(case=case, train_ms=times)
        print(name, times, flush=True)
    memory = kept_by_each()
    print(memory)
    keep("speed_ladder", rounds=rounds, cases=cases, kept=memory)
