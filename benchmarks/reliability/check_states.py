"The state of a layer and of a learner: nothing leaks from call to call, from thread to thread, from training to validation, and nothing grows."
import copy
import gc
import os
import subprocess
import sys
import tempfile
import threading
import tracemalloc
import warnings
from pathlib import Path
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.data.core import DataLoaders
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from convlstm_nb.callbacks import ResetState, evaluating, stateful_layers, stream_dls
from convlstm_nb.checkpoint import save_model
from convlstm_nb.data.windows import StreamChunks
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.learner import convlstm_learner, forecast
from convlstm_nb.losses import FrameMSE
from convlstm_nb.models.forecaster import EncoderForecaster, NextFrameForecaster
from convlstm_nb.models.lagrangian import LagrangianForecaster
from convlstm_nb.models.periodic import PeriodicForecaster

def row(what, wanted, got, passed): return dict(what=what, wanted=wanted, got=got, passed=bool(passed))

def flat(result): return [result[0], *(s for pair in result[1] for s in pair)]

def equal(a, b): return all(map(torch.equal, flat(a), flat(b)))

def fit(learn, epochs=1):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs)

class Live(nn.Module):
    "A stateful model that puts out a frame for each frame"
    def __init__(self):
        super().__init__()
        self.layer,self.frames = ConvLSTM(1, 2, stateful=True),nn.Conv2d(2, 1, 1)
    def forward(self, x, horizon=None):
        h,_ = self.layer(x)
        return self.frames(h.flatten(0,1)).unflatten(0, h.shape[:2])

def carried(m): return any(l.carried.value is not None for l in stateful_layers(m))

# --- calls ------------------------------------------------------------------------------------------------------------
def call_rows():
    a,b = torch.randn(2,4,1,8,8),torch.randn(3,5,1,6,7)
    m = ConvLSTM(1, [4,3])
    first,_,again = m(a),m(b),m(a)
    yield row('a stateless layer called with other frames in between', 'bit for bit the same', 'the same' if equal(first, again) else 'others', equal(first, again) and not carried(m))
    f,n = EncoderForecaster(1, (4,), 3, patch_size=2),NextFrameForecaster(1, (4,), 3, patch_size=2)
    same = all(torch.equal(g(a, 2), (g(a[:1], 3), g(a, 2))[1]) for g in (f,n))
    yield row('both forecasters called with other frames in between', 'bit for bit the same', 'the same' if same else 'others', same)
    live = ConvLSTM(1, [4,3], stateful=True); live.load_state_dict(m.state_dict())
    pieces = torch.cat([live(a[:,:2])[0], live(a[:,2:])[0]], 1)
    live.reset()
    fresh = torch.equal(live(a)[0], first[0])
    yield row('a stateful layer: two pieces are the whole, and after `reset` it begins anew', 'bit for bit', f"pieces {'equal' if torch.equal(pieces, first[0]) else 'differ'}, anew {'equal' if fresh else 'differs'}", torch.equal(pieces, first[0]) and fresh)
    before,refusals = copy.deepcopy(live.carried.value),0
    for bad in (a[:1], a.double(), a[...,:4], a[0]):
        try: live(bad)
        except (ValueError, TypeError): refusals += 1
    kept = all(torch.equal(p, q) for s,t in zip(before, live.carried.value) for p,q in zip(s, t))
    yield row('four refused calls of a stateful layer', 'its state as before', f"{refusals} refused, state {'as before' if kept else 'changed'}", kept and refusals==4)
    graph = [t.grad_fn for pair in live.carried.value for t in pair]
    yield row('the graph behind a carried state', 'none', 'none' if not any(graph) else 'some', not any(graph))
    twins = [copy.deepcopy(live), copy.deepcopy(live)]
    twins[0](-a); twins[0].reset()
    apart = torch.equal(twins[1](a)[0], live(a)[0])
    yield row('a copy of a stateful layer that runs elsewhere and is reset', 'leaves the other as it was', 'as it was' if apart else 'changed', apart)

def thread_rows():
    f = EncoderForecaster(1, (4,4), 3, patch_size=2, dropout=.5, recurrent_dropout=.5).eval()
    xs = [torch.rand(1+i%3, 3, 1, 8, 8) for i in range(8)]
    alone,found = [forecast(f, x, 4) for x in xs],[[] for _ in xs]
    def work(i):
        for _ in range(10): found[i].append(forecast(f, xs[i], 4))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads: t.start()
    for t in threads: t.join()
    right = sum(torch.equal(y, a) for ys,a in zip(found, alone) for y in ys)
    yield row('80 forecasts of one model in eight threads', 'bit for bit as alone', f'{right} of 80', right==80)

# --- the learner ------------------------------------------------------------------------------------------------------
class Watch(Callback):
    "Note at each turn whether a state is carried into it, and raise what is asked in the second training batch"
    order = ResetState.order + 1
    def __init__(self, error=None): self.error,self.seen = error,{}
    def note(self, when): self.seen.setdefault(when, []).append(carried(self.model))
    def before_train(self):    self.note('training')
    def before_validate(self): self.note('validation')
    def after_batch(self):
        self.note('later batches')
        if self.error and self.training and self.iter==1: raise self.error

def live_learner(*cbs):
    torch.manual_seed(0)
    data = DataLoader(TensorDataset(torch.rand(8,3,1,6,6), torch.rand(8,3,1,6,6)), 2)
    return convlstm_learner(DataLoaders(data, data), Live(), loss_func=FrameMSE(), metrics=[], cbs=list(cbs))

def learner_rows():
    learn = live_learner(Watch())
    fit(learn, 3)
    seen = learn.watch.seen
    right = seen['training']==[False]*3 and seen['validation']==[False]*3 and all(seen['later batches']) and not carried(learn.model)
    yield row('a learner with a stateful model, three epochs', 'no state before training, before validation and after the fit; one in between',
              f"before training {sum(seen['training'])}, before validation {sum(seen['validation'])} of 3, after the fit {int(carried(learn.model))}; after batches {sum(seen['later batches'])} of {len(seen['later batches'])}", right)
    for error in (RuntimeError('a bad batch'), KeyboardInterrupt(), CancelFitException()):
        learn = live_learner(Watch(error))
        try: fit(learn)
        except (RuntimeError, KeyboardInterrupt): pass
        left = carried(learn.model)
        fresh = live_learner(); fresh.model.load_state_dict(learn.model.state_dict())
        with learn.no_bar(), learn.no_logging(), fresh.no_bar(), fresh.no_logging(): same = learn.validate()[0]==fresh.validate()[0]
        yield row(f'after {type(error).__name__} in the second batch of training', 'no state left, and a validation as of a new learner', f"state {'left' if left else 'gone'}, validation {'the same' if same else 'another'}", not left and same)
    trained = live_learner(); fit(trained)
    fresh = live_learner(); fresh.model.load_state_dict(trained.model.state_dict())
    with trained.no_bar(), trained.no_logging(), fresh.no_bar(), fresh.no_logging(): a,b = trained.validate()[0],fresh.validate()[0]
    yield row('validation after training, and with the same weights in a new learner', 'the same loss', f'{a:.6f} and {b:.6f}', a==b)
    data,models = DataLoader(TensorDataset(torch.rand(4,3,1,8,8), torch.rand(4,2,1,8,8)), 2),{EncoderForecaster:{}, NextFrameForecaster:{}, LagrangianForecaster:{}, PeriodicForecaster:dict(period=2)}
    with warnings.catch_warnings(record=True) as said: # a Learner takes the attributes of its model for its own
        warnings.simplefilter('always')
        for cls,more in models.items(): fit(convlstm_learner(DataLoaders(data, data), cls(1, (4,), 3, patch_size=2, **more)))
    said = {str(w.message) for w in said if w.category is UserWarning}
    yield row(f"a training of {', '.join(cls.__name__ for cls in models)}", 'no warning', '; '.join(said) or 'none', not said)
    model = EncoderForecaster(1, (4,), 3, patch_size=2, recurrent_dropout=.5).train()
    try:
        with evaluating(model): raise RuntimeError
    except RuntimeError: pass
    modes = all(m.training for m in model.modules())
    yield row('an error inside `evaluating`', 'every module in training mode again', str(modes), modes)

# --- batches ----------------------------------------------------------------------------------------------------------
def batch_rows():
    class Mean(nn.Module): # the largest value shows whether anyone's frames reach another's
        def predict(self, x, horizon): return x[:,-1:].expand(-1,horizon,-1,-1,-1)
        def __init__(self): super().__init__(); self.w = nn.Parameter(torch.zeros(1))
    f,x = EncoderForecaster(1, (4,), 3, patch_size=2).eval(),torch.rand(7,3,1,8,8)
    whole,parts = forecast(f, x, 2, bs=7),[forecast(f, x, 2, bs=n) for n in (1,2,3,5)]
    far = max((p-whole).abs().max().item() for p in parts)
    yield row('`forecast` of 7 sequences in batches of 1, 2, 3 and 5', 'as in one batch, within float32', f'within {far:.0e}', far<2e-6)
    numbered = torch.arange(7.).view(7,1,1,1,1).expand(-1,3,1,4,4)
    order = forecast(Mean(), numbered, 2, bs=3)[:,0,0,0,0].tolist()
    yield row('the order of those forecasts', '0 to 6', str([int(n) for n in order]), order==list(range(7)))
    losses = {}
    for bs in (1,2,3,7):
        torch.manual_seed(0)
        data = DataLoader(TensorDataset(x, x[:,:2]), bs)
        learn = convlstm_learner(DataLoaders(data, data), f, loss_func=FrameMSE(output=f.output), metrics=[])
        with learn.no_bar(), learn.no_logging(): losses[bs] = learn.validate()[0]
    spread = max(losses.values())/min(losses.values()) - 1
    yield row('validation of 7 sequences in batches of 1, 2, 3 and 7, the last one smaller', 'the same loss within 1e-6', f'within {spread:.0e}', abs(spread)<1e-6)
    live,small = Live(),0
    live(torch.rand(2,3,1,6,6))
    try: live(torch.rand(1,3,1,6,6))
    except ValueError as e: small = 'call `reset()`' in str(e) and 'drop_last=True' in str(e)
    yield row('a smaller last batch for a stateful layer', 'refused, with what to do', 'refused' if small else 'accepted', small)
    # every pixel says which record it is of, and which frame
    records = [torch.full((n,1,2,2), 1000.*r) + torch.arange(float(n)).view(-1,1,1,1) for r,n in enumerate((9,13,17,7,11))]
    dls = stream_dls(StreamChunks(records, bs=2, chunk=3), StreamChunks(records, bs=3, chunk=2))
    mixed,full,n = 0,True,0
    for dl,ds in ((dls.train, dls.train_ds), (dls.valid, dls.valid_ds)):
        last = None
        for i,(x,y) in enumerate(dl):
            full,n = full and len(x)==ds.bs, n+1
            first = x[:,0,0,0,0]
            if last is not None: mixed += int(((first != last+1) & ~ds.row_starts[i]).sum())
            mixed += int((ds.row_starts[i] & (first%1000 != 0)).sum()) + int((y[:,:,0,0,0] != x[:,:,0,0,0]+1).sum())
            last = x[:,-1,0,0,0]
    yield row(f'{n} batches of streams of five records of unequal length', 'all full; each row goes on where it ended, or begins a record and says so', f"{'all full' if full else 'some smaller'}, {mixed} frames out of place", full and not mixed)
    # what a stateful model makes of each row is what a stateless one makes of its records, one after the other
    m,plain = Live().eval(),ConvLSTM(1, 2)
    plain.load_state_dict(m.layer.state_dict())
    dl,ds,far,states = dls.valid,dls.valid_ds,0.,{}
    with torch.no_grad():
        for i,(x,_) in enumerate(dl):
            m.layer.reset(ds.row_starts[i])
            together = m(x/1000)
            for b in range(ds.bs):
                h,states[b] = plain(x[b:b+1]/1000, None if ds.row_starts[i][b] else states[b])
                far = max(far, (m.frames(h[0]) - together[b]).abs().max().item())
    ragged = int((ds.row_starts.any(1) & ~ds.row_starts.all(1)).sum())
    yield row(f'each row of those batches by itself, where in {ragged} of them some rows begin anew and others go on', 'as among the others, within float32', f'within {far:.0e}', far<2e-6 and ragged>0)

# --- growth -----------------------------------------------------------------------------------------------------------
def resident():
    "Memory of this process in MiB, where the system tells it"
    try: return int(Path('/proc/self/statm').read_text().split()[1])*os.sysconf('SC_PAGE_SIZE')/2**20
    except OSError: return float('nan')

def living():
    "Tensors of more than one number, and graph nodes that hold any"
    gc.collect()
    return sum(isinstance(o, torch.Tensor) and o.numel()>1 for o in gc.get_objects())

def grown(step, n=200, warm=700):
    """Tensors, KiB of Python's memory and MiB of the process that `n` steps leave behind

    Python keeps up to 2,000 freed tuples of each length for later use: the steps before let it fill that store."""
    tracemalloc.start()
    for _ in range(warm): step()
    tensors,python,memory = living(),tracemalloc.get_traced_memory()[0],resident()
    for _ in range(n): step()
    found = living()-tensors,(tracemalloc.get_traced_memory()[0]-python)/1024,resident()-memory
    tracemalloc.stop()
    return found

def growth_row(what, found):
    tensors,python,memory = found
    return row(f'what 200 training steps leave behind: {what}', 'no tensor, less than 64 KiB in Python and 16 MiB in all', f'{tensors} tensors, {python:.0f} KiB, {memory:.1f} MiB', tensors<=0 and python<64 and not memory>=16)

def growth_rows():
    def stepper(m, *args):
        opt = torch.optim.Adam(m.parameters())
        def step():
            out = m(*args)
            out = out[0] if isinstance(out, tuple) else out
            opt.zero_grad(); out.square().mean().backward(); opt.step()
        return step
    x = torch.rand(2,4,1,8,8)
    yield growth_row('a layer, both directions, unequal lengths', grown(stepper(ConvLSTM(1, [4,3], bidirectional=True), x)))
    yield growth_row('a stateful layer', grown(stepper(ConvLSTM(1, [4,3], stateful=True), x)))
    yield growth_row('a forecaster', grown(stepper(EncoderForecaster(1, (4,), 3, patch_size=2), x, 2)))
    class Growth(Callback):
        order = 90
        def after_batch(self):
            if self.training and self.train_iter in (60,260):
                gc.collect(); self.marks.append((living(), resident()))
        def before_fit(self): self.marks = []
    data = DataLoader(TensorDataset(torch.rand(540,3,1,8,8), torch.rand(540,2,1,8,8)), 2)
    learn = convlstm_learner(DataLoaders(data, DataLoader(TensorDataset(x[:,:3], x[:,:2]), 2)), hidden_channels=(4,), kernel_size=3, patch_size=2, cbs=[Growth()])
    fit(learn)
    (t0,m0),(t1,m1) = learn.growth.marks
    yield row('what 200 training steps of a Learner leave behind', 'no tensor of more than one number, less than 16 MiB in all', f'{t1-t0} tensors, {m1-m0:.1f} MiB', t1<=t0 and not m1-m0>=16)

# --- another process --------------------------------------------------------------------------------------------------
WORKER = """
import sys, torch
from safetensors.torch import load_file, save_file
from convlstm_nb.checkpoint import load_model
from convlstm_nb.learner import forecast
torch.set_num_threads(int(sys.argv[2]))
x = load_file(sys.argv[1] + '/x.safetensors')['x']
save_file({'y': forecast(load_model(sys.argv[1]), x, 5)}, sys.argv[1] + '/y.safetensors')
"""

def process_rows():
    from safetensors.torch import load_file, save_file
    torch.manual_seed(0)
    x,y = torch.rand(8,3,1,8,8),torch.rand(8,2,1,8,8)
    data,args = DataLoader(TensorDataset(x, y), 2),dict(hidden_channels=(4,3), kernel_size=3, patch_size=2)
    for cls in (EncoderForecaster, NextFrameForecaster):
        learn = convlstm_learner(DataLoaders(data, data), cls(1, recurrent_dropout=.3, **args))
        fit(learn)
        ours = learn.forecast(x, 5)
        with tempfile.TemporaryDirectory() as d:
            save_model(d, learn.model, {'class': cls.__name__, 'args': dict(in_channels=1, **args)})
            save_file({'x': x}, f'{d}/x.safetensors')
            done = subprocess.run([sys.executable, '-W', 'ignore', '-c', WORKER, d, str(torch.get_num_threads())], capture_output=True, text=True, timeout=900)
            theirs = load_file(f'{d}/y.safetensors')['y'] if done.returncode==0 else None
        same = theirs is not None and torch.equal(ours, theirs)
        yield row(f'{cls.__name__}: the forecast after the fit, and of the saved model in a new process', 'bit for bit the same', 'the same' if same else done.stderr.strip()[-200:] or f'within {(ours-theirs).abs().max():.0e}', same)

def rows():
    for part in (call_rows, thread_rows, learner_rows, batch_rows, growth_rows, process_rows):
        torch.manual_seed(0)
        yield from part()
