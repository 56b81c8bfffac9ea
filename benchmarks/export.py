"""Time the exported forecast in ONNX Runtime beside PyTorch, in turns, and keep the
ratios."""
import tempfile
import time
from pathlib import Path
from statistics import median
import numpy as np
import onnxruntime
import torch
from common import keep
from fastcore.script import call_parse
from convlstm_nb.export import export_model
from convlstm_nb.models.forecaster import EncoderForecaster, NextFrameForecaster

CASES = [
    ('EncoderForecaster(1, [64,64])', lambda: EncoderForecaster(1, [64, 64]), 64),
    (
        'NextFrameForecaster(1, [32,32], 3)',
        lambda: NextFrameForecaster(1, [32, 32], 3), 128)]

def measure(build, size, path, rounds, threads):
    "Medians of both, and how far apart their answers are"
    torch.manual_seed(0)
    model,x = build().eval(),torch.rand(1,10,1,size,size)
    export_model(path, model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads,options.log_severity_level = threads,3
    session = onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider'])
    forms = dict(
        torch=lambda: model.predict(x, 10).numpy(),
        onnx=lambda: session.run(None, dict(frames=x.numpy(), horizon=np.array(10)))[0])
    times = {n:[] for n in forms}
    for _ in range(rounds+1):
        for n,f in forms.items():
            start = time.perf_counter(); f()
            times[n].append(time.perf_counter()-start)
    # the first round warms up
    torch_ms,onnx_ms = (1e3*median(t[1:]) for t in times.values())
    return dict(
        size=f"{size}×{size}", torch_ms=round(torch_ms, 1), onnx_ms=round(onnx_ms, 1),
        ratio=round(onnx_ms / torch_ms, 3),
        difference=float(np.abs(forms['onnx']() - forms['torch']()).max()),
        file_kib=round(Path(path).stat().st_size / 1024),
        weights_kib=round(sum(p.numel() for p in model.parameters()) * 4 / 1024))

@call_parse
def main(
    rounds:int=15, # How often each is timed
    threads:int=1, # Of both
):
    "Measure ONNX Runtime beside PyTorch"
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as d:
        cases = [
            dict(model=name, **measure(build, size, f'{d}/{i}.onnx', rounds, threads))
            for i, (name, build, size) in enumerate(CASES)]
    keep('export', onnxruntime=onnxruntime.__version__, rounds=rounds, cases=cases)
    for c in cases: print(c)
