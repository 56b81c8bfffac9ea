"""The scan's ideas one at a time: a training step of each form, in one run, in turns, by medians: `OMP_NUM_THREADS=1 python benchmarks/ladder.py`.

Takes two minutes on one core. What is measured is the processor's time on one thread, so that a busy machine does not change it much.
A case is (batch, frames, channels, height, width | hidden, kernel)."""
import time
import torch
from torch import nn
from fastcore.script import call_parse
from convlstm_nb.layers import ConvLSTM
from common import keep
from speed import Textbook, bare, compiled, eight_convs, in_turns, step

CASES = dict(many=(2,5,1,48,48,64,3), few=(2,10,1,128,128,16,3), small=(1,20,8,32,32,32,3))

class Literal(nn.Module):
    "Eight convolutions a step, as the equations have them, without peepholes"
    def __init__(self, C, h, k):
        super().__init__()
        self.hidden,(self.x,self.h) = h,eight_convs(C, h, k)
    def read(self, x): return None
    def gates(self, zx, x, h): return [a(x) + b(h) for a,b in zip(self.x, self.h)]
    def forward(self, x):
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        outs,zx = [],self.read(x)
        for t in range(x.shape[1]):
            i,f,g,o = self.gates(None if zx is None else zx[:,t], x[:,t], h)
            c = torch.sigmoid(f)*c + torch.sigmoid(i)*torch.tanh(g)
            h = torch.sigmoid(o)*torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1)

class Stacked(Literal):
    "One convolution for the four gates of the frame, and one for those of the state"
    def __init__(self, C, h, k):
        super().__init__(C, h, k)
        self.x,self.h = nn.Conv2d(C, 4*h, k, padding=k//2),nn.Conv2d(h, 4*h, k, padding=k//2, bias=False)
    def gates(self, zx, x, h): return (self.x(x) + self.h(h)).chunk(4, 1)

class AtOnce(Stacked):
    "All frames are read by one convolution before the first step"
    def read(self, x): return self.x(x.flatten(0,1)).unflatten(0, x.shape[:2])
    def gates(self, zx, x, h): return (zx + self.h(h)).chunk(4, 1)

def forms(C, h, k, x):
    "Each form by name, on one layer's shapes"
    last  = Textbook(C, h, k).to(memory_format=torch.channels_last)
    ours  = ConvLSTM(C, h, k, peephole=None)
    made  = dict(literal=Literal(C,h,k), stacked=Stacked(C,h,k), at_once=AtOnce(C,h,k), together=Textbook(C,h,k), channels_last=last, own_backward=ours)
    made  = {n: step(m, x) for n,m in made.items()} | dict(fused=compiled(step(ours, x)))
    return made | dict(floor=bare(*x.shape, h, k))

def kept(model, x):
    "Values kept for the backward pass, for each value of the outputs"
    sizes = {}
    def note(t):
        if t.data_ptr() not in own: sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()//t.element_size()
        return t
    own = {p.data_ptr() for p in model.parameters()} | {x.data_ptr()}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t): out = model(x)
    out = out[0] if isinstance(out, tuple) else out
    return round(sum(sizes.values())/out.numel(), 2)

@call_parse
def main(
    rounds:int=5, # Rounds of the measurement
):
    "Measure, and keep the figures"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cases = {}
    for name,case in CASES.items():
        B,T,C,H,W,h,k = case
        x = torch.randn(B,T,C,H,W)
        cases[name] = dict(case=case, train_ms=in_turns(forms(C, h, k, x), rounds, time.process_time))
        print(name, cases[name]['train_ms'], flush=True)
    x,ours = torch.randn(1,20,1,32,32),lambda every: ConvLSTM(1, 16, 3, peephole=None, checkpoint_every=every)
    models = dict(literal=Literal(1,16,3), stacked=Stacked(1,16,3), at_once=AtOnce(1,16,3), together=Textbook(1,16,3), own_backward=ours(None), every_1=ours(1), every_2=ours(2), every_4=ours(4))
    memory = {name: kept(m, x) for name,m in models.items()}
    print(memory)
    keep('speed_ladder', rounds=rounds, cases=cases, kept=memory)
