"""The scan's speed and memory beside the textbook form, in one run, in turns, by medians: `python benchmarks/speed.py`.

Takes some ten minutes on two cores, on an otherwise idle machine. A case is (batch, frames, channels, height, width | hidden, kernel)."""
import os, resource, statistics, time, warnings
os.environ.setdefault('KERAS_BACKEND', 'torch')
warnings.filterwarnings('ignore')
import torch, torch.nn.functional as F
from torch import nn
from fastcore.script import bool_arg, call_parse
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.models.forecaster import EncoderForecaster
from convlstm_nb.scan import compile_scan, use_loop
from common import keep

CASES = dict(a=(8,10,16,16,16,64,5), b=(16,10,64,16,16,64,5), c=(4,10,1,64,64,64,3), d=(2,10,1,128,128,16,3), e=(1,20,8,32,32,32,3))
device = 'cuda' if torch.cuda.is_available() else 'cpu'

class Textbook(nn.Module):
    "A: one convolution over `[x,h]` a step, no peepholes"
    def __init__(self, C, h, k):
        super().__init__()
        self.hidden,self.conv = h,nn.Conv2d(C+h, 4*h, k, padding=k//2)
    def start(self, x): return (x.new_zeros(len(x), self.hidden, *x.shape[-2:]),)*2
    def step(self, x, state):
        h,c = state
        i,f,g,o = self.conv(torch.cat([x,h], 1)).chunk(4, 1)
        c = torch.sigmoid(f)*c + torch.sigmoid(i)*torch.tanh(g)
        return torch.sigmoid(o)*torch.tanh(c),c
    def forward(self, x):
        state,outs = self.start(x),[]
        for t in range(x.shape[1]):
            state = self.step(x[:,t], state)
            outs.append(state[0])
        return torch.stack(outs, 1)

def eight_convs(C, h, k):
    "A convolution of the frame for each gate, and one of the state"
    return tuple(nn.ModuleList(nn.Conv2d(n, h, k, padding=k//2, bias=bias) for _ in range(4)) for n,bias in ((C,True),(h,False)))

class EightConvs(nn.Module):
    "B: a convolution for each gate and input, with peepholes"
    def __init__(self, C, h, k):
        super().__init__()
        self.hidden,(self.x,self.h) = h,eight_convs(C, h, k)
        self.p = nn.ParameterList(torch.zeros(1,h,1,1) for _ in range(3))
    def forward(self, x):
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[-2:])
        outs = []
        for t in range(x.shape[1]):
            z = [a(x[:,t]) + b(h) for a,b in zip(self.x, self.h)]
            i,f = torch.sigmoid(z[0]+self.p[0]*c),torch.sigmoid(z[1]+self.p[1]*c)
            c = f*c + i*torch.tanh(z[2])
            h = torch.sigmoid(z[3]+self.p[2]*c)*torch.tanh(c)
            outs.append(h)
        return torch.stack(outs, 1)

def bare(B, T, C, H, W, h, k, dtype=torch.float32):
    "The floor: the three convolutions of each step, channels last, and nothing else"
    draw = lambda *s: torch.randn(*s, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    xh,w,back,dz,p = draw(B,C+h,H,W),draw(4*h,C+h,k,k),draw(h,4*h,k,k),draw(B,4*h,H,W),k//2
    def run():
        for _ in range(T):
            F.conv2d(xh, w, padding=p); F.conv2d(dz, back, padding=p)
            torch.ops.aten.convolution_backward(dz, xh, w, None, [1,1], [p,p], [1,1], False, [0,0], 1, [False,True,False])
    return run

def sync():
    if device=='cuda': torch.cuda.synchronize()

def in_turns(forms, rounds, clock=time.perf_counter):
    "Median milliseconds of each form, measured in turns"
    times = {k:[] for k in forms}
    for f in forms.values(): f(); f()
    for _ in range(rounds):
        for k,f in forms.items():
            sync(); t = clock(); f(); sync()
            times[k].append(1e3*(clock()-t))
    return {k: round(statistics.median(v), 3) for k,v in times.items()}

def peak(f):
    "Largest sum of tensors that `f` holds at a time, in MiB, beyond those before"
    f()
    if device=='cuda':
        torch.cuda.reset_peak_memory_stats(); before = torch.cuda.memory_allocated(); f()
        return round((torch.cuda.max_memory_allocated()-before)/2**20, 2)
    with torch.profiler.profile(profile_memory=True) as p: f()
    now = most = 0
    for e in sorted((e for e in p.profiler.kineto_results.events() if e.name()=='[memory]'), key=lambda e: e.start_ns()):
        now += e.nbytes()
        most = max(most, now)
    return round(most/2**20, 2)

def step(model, x, cast=False):
    "A training step of a layer: forward, and backward from a given gradient"
    first = lambda y: y[0] if isinstance(y, tuple) else y
    with torch.no_grad(): grad = torch.randn_like(first(model(x)))
    def run():
        for p in model.parameters(): p.grad = None
        with torch.autocast(device, torch.bfloat16, enabled=cast): y = first(model(x))
        y.backward(grad.to(y.dtype))
    return run

def infer(model, x, cast=False):
    def run():
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=cast): model(x)
    return run

def stream(model, x, cast=False):
    "One frame, from a state"
    frame = x[:1,:1]
    if isinstance(model, Textbook): state,call = model.start(frame[:,0]),lambda s: model.step(frame[:,0], s)
    else: state,call = model(frame)[1],lambda s: model(frame, s)[1]
    def run():
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=cast):
            for _ in range(10): call(state)
    return run

def compiled(f):
    "`f` with compiled gates"
    def run():
        compile_scan()
        try: f()
        finally: compile_scan(False)
    return run

def looped(f):
    def run():
        with use_loop(): f()
    return run

def keras_layer(C, h, k, x):
    "Keras' ConvLSTM2D on torch, or None where Keras is absent"
    try: import keras
    except ImportError: return None
    layer = keras.layers.ConvLSTM2D(h, k, padding='same', return_sequences=True, data_format='channels_first')
    layer.build(tuple(x.shape))
    return layer

def one_case(B, T, C, H, W, h, k, rounds, with_compiled_a):
    torch.manual_seed(0)
    x = torch.randn(B,T,C,H,W, device=device)
    A,B8 = Textbook(C,h,k).to(device),EightConvs(C,h,k).to(device)
    plain,peep = (ConvLSTM(C, h, k, peephole=p, device=device) for p in (None,'channel'))
    every = {n: ConvLSTM(C, h, k, peephole=None, checkpoint_every=n, device=device) for n in (1,2)}
    forms = dict(floor=bare(B,T,C,H,W,h,k), A=step(A,x), B=step(B8,x), loop=looped(step(plain,x)), fast=step(plain,x), compiled=compiled(step(plain,x)),
                 peepholes=compiled(step(peep,x)), recomputed=compiled(step(every[1],x)), chunks=compiled(step(every[2],x)),
                 A_bf16=step(A,x,True), fast_bf16=step(plain,x,True), compiled_bf16=compiled(step(plain,x,True)))
    if with_compiled_a: forms['A_compiled'] = step(torch.compile(A), x)
    if (K := keras_layer(C,h,k,x)) is not None: forms['keras'] = step(K, x)
    train = in_turns(forms, rounds)
    runs  = dict(A=A, fast=plain)
    infers  = in_turns({n: infer(m,x) for n,m in runs.items()} | dict(compiled=compiled(infer(plain,x))), rounds)
    streams = in_turns({n: stream(m,x) for n,m in runs.items()} | dict(compiled=compiled(stream(plain,x))), 3*rounds)
    return dict(train_ms=train, infer_ms=infers, stream_10_frames_ms=streams)

def memory(B, T, C, H, W, h, k):
    "Peak memory of a training step, in MiB"
    x = torch.randn(B,T,C,H,W, device=device)
    A = Textbook(C,h,k).to(device)
    ours = {n: ConvLSTM(C, h, k, peephole=None, checkpoint_every=n, device=device) for n in (None,1,2)}
    forms = dict(A=step(A,x), fast=step(ours[None],x), compiled=compiled(step(ours[None],x)), recomputed=compiled(step(ours[1],x)), chunks=compiled(step(ours[2],x)),
                 A_bf16=step(A,x,True), compiled_bf16=compiled(step(ours[None],x,True)))
    return {n: peak(f) for n,f in forms.items()}

class TextbookForecaster(nn.Module):
    "The paper's three layers, each cell as in A, a 1x1 convolution over all states"
    def __init__(self, hidden=(128,64,64), k=5):
        super().__init__()
        sizes = [16,*hidden]
        self.enc = nn.ModuleList(Textbook(a, b, k) for a,b in zip(sizes, hidden))
        self.dec = nn.ModuleList(Textbook(a, b, k) for a,b in zip([0,*hidden], hidden))
        self.out = nn.Conv2d(sum(hidden), 16, 1)
    def forward(self, x):
        x = F.pixel_unshuffle(x, 4)
        states = [c.start(x[:,0]) for c in self.enc]
        for t in range(x.shape[1]):
            h = x[:,t]
            for l,cell in enumerate(self.enc):
                states[l] = cell.step(h, states[l])
                h = states[l][0]
        outs = []
        for _ in range(10):
            h = x[:,0,:0]
            for l,cell in enumerate(self.dec):
                states[l] = cell.step(h, states[l])
                h = states[l][0]
            outs.append(self.out(torch.cat([s[0] for s in states], 1)))
        return F.pixel_shuffle(torch.stack(outs, 1), 4)

def paper_case(rounds):
    x = torch.randn(8,10,1,64,64, device=device)
    A,ours,peep = TextbookForecaster().to(device),EncoderForecaster(1, peephole=None, device=device),EncoderForecaster(1, device=device)
    forms = dict(A=step(A,x), fast=step(ours,x), compiled=compiled(step(ours,x)), peepholes=compiled(step(peep,x)),
                 A_bf16=step(A,x,True), compiled_bf16=compiled(step(ours,x,True)))
    infers = in_turns(dict(A=infer(A,x), fast=infer(ours,x), compiled=compiled(infer(ours,x))), rounds)
    return dict(train_ms=in_turns(forms, rounds), infer_ms=infers)

def growth(rounds):
    "Time and memory against the number of frames"
    rows = []
    for T in (10,20,40,80):
        x = torch.randn(1,T,8,32,32, device=device)
        n = max(1, round((T/5)**.5))
        keepall,chunks = (ConvLSTM(8, 32, 3, peephole=None, checkpoint_every=e, device=device) for e in (None,n))
        out = x.numel()*4*4/2**20 # the outputs in MiB, 32 channels for 8; their gradients are there before
        ms  = in_turns(dict(fast=step(keepall,x), chunks=step(chunks,x)), rounds)
        rows.append(dict(T=T, every=n, ms=ms, outputs_mib=out, peak_mib=dict(fast=peak(step(keepall,x)), chunks=peak(step(chunks,x)))))
    return rows

def long_stream(frames=10_000):
    "Resident memory after the first and the last tenth of a long stream, in MiB"
    layer,x = ConvLSTM(1, 8, device=device),torch.randn(1,1,1,16,16, device=device)
    rss = lambda: int(open('/proc/self/statm').read().split()[1])*resource.getpagesize()/2**20
    state,marks = None,[]
    with torch.no_grad():
        for t in range(frames):
            _,state = layer(x, state)
            if t in (frames//10, frames-1): marks.append(round(rss(), 2))
    return dict(frames=frames, mib=marks)

def split_time(f):
    "Milliseconds of a training step in convolutions and in all else"
    with torch.profiler.profile() as p: f()
    self_us = lambda e: e.self_device_time_total if device=='cuda' else e.self_cpu_time_total
    rows  = p.key_averages()
    convs = sum(self_us(e) for e in rows if e.key in ('aten::mkldnn_convolution','aten::cudnn_convolution','aten::convolution_backward'))
    return convs/1e3,(sum(map(self_us, rows))-convs)/1e3

def splits(rounds):
    "Where the time of a training step goes, in turns, medians, case c"
    B,T,C,H,W,h,k = CASES['c']
    x = torch.randn(B,T,C,H,W, device=device)
    layer = ConvLSTM(C, h, k, peephole=None, device=device)
    forms = dict(A=step(Textbook(C,h,k).to(device), x), fast=step(layer, x), compiled=compiled(step(layer, x)))
    found = {n:[] for n in forms}
    for r in range(rounds+2):
        for n,f in forms.items():
            if r > 1: found[n].append(split_time(f))
            else: f()
    return {n: dict(zip(('convolutions','rest'), (round(statistics.median(v), 1) for v in zip(*times)))) for n,times in found.items()}

@call_parse
def main(
    rounds:int=5, # Measurements of each form
    cases:str='abcde', # Which cases; an empty text for none
    times:bool_arg=True, # Also where the time goes and how it grows; memory is always measured
    compiled_a:bool_arg=True, # Also A under torch.compile, which takes long to compile?
):
    "Measure the scan and keep the figures in results/speed*.json"
    found = {}
    for n in cases:
        found[n] = dict(case=CASES[n], **one_case(*CASES[n], rounds, compiled_a))
        t = found[n]['train_ms']
        print(n, {k: f"{v:.0f} ms, {v/t['floor']:.2f} x floor, {t['A']/v:.2f} x A" for k,v in t.items()}, found[n]['infer_ms'], found[n]['stream_10_frames_ms'], flush=True)
    if cases: keep('speed', rounds=rounds, cases=found, paper=paper_case(max(rounds-2, 1)))
    keep('speed_memory', cases={n: dict(case=c, peak_mib=memory(*c)) for n,c in CASES.items()})
    if times: keep('speed_growth', rounds=rounds, split=splits(rounds), growth=growth(rounds), stream=long_stream())
