"""Check the library on a CUDA GPU, and measure it there.

    python benchmarks/gpu.py                # all parts, within five minutes on an H100
    python benchmarks/gpu.py --only speed   # one part, or several with commas between
    python benchmarks/gpu.py --base FOLDER  # also time a checkout of an older version
    python benchmarks/gpu.py --device cpu --tiny  # try the script itself, keep nothing

Parts are independent: where one fails the rest still run, and the exit code is 1.
`results/gpu.json` is written after each part and keeps the parts that were not run.
A case is (batch, frames, channels, height, width | hidden, kernel).
"""
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # helpers are enough
warnings.filterwarnings("ignore")
import torch
from common import describe, installed, keep, results
from fastcore.script import call_parse
from gpu_checks import BOUNDS, all_checks, few_checks
from gpu_helpers import do_all
from speed import (
    Textbook,
    TextbookForecaster,
    bare,
    in_turns,
    infer,
    load_layer,
    peak,
    step,
    stream,
    sync,
)
from torch.autograd import DeviceType
from convlstm_nb.kernels import choose_gates
from convlstm_nb.layers import ConvLSTM
from convlstm_nb.models.forecaster import EncoderForecaster

ROOT = Path(__file__).resolve().parents[1]

@dataclass
class Run:
    """What all parts are told."""
    device:str
    tiny:bool  # a few pixels and one round?
    base:str  # checkout of an older version, or None
    workers:int  # helper processes; 0 to do without
    until:float=0  # when the part that is running has to end

    @property
    def on_gpu(self):
        return self.device.startswith("cuda")

    def left(self):
        """Seconds until the part has to end."""
        return self.until - time.perf_counter()

class Skipped(Exception):
    """Raised by a part that cannot run here, with the reason."""

PARTS = {}  # name -> (function, its share of the time)

def part(name, share):
    """Register a part that may take this share of all time."""

    def add(f):
        PARTS[name] = f, share
        return f

    return add

def say(*words):
    print(*words, flush=True)

# Part 1: values and gradients

def shown(check, options):
    said = ", ".join(f"{k}={v}" for k, v in options.items())
    return f"{check.__name__}: {said or 'defaults'}"

def verdict(name, found):
    """Print the figures of one check; is each within its bound?"""
    if "error" in found:
        say(f"FAIL {name}\n{found['error']}")
        return False
    over = {n: f for n, f in found.items() if f["value"] > f["bound"]}
    figures = "  ".join(f"{n} {f['value']:.0e}" for n, f in found.items())
    say(f"{'FAIL' if over else 'ok  '} {figures}  {name}")
    for n, f in over.items():
        say(f"     {n}: {f['value']:.2e} in {f['tensor']}, bound {f['bound']:.0e}")
    return not over

@part("correct", 0.3)
def correct_part(run):
    """Values and gradients of every option against the loop on the CPU in float64."""
    chosen = choose_gates(torch.empty(1, 1, 8, device=run.device), 1).__name__
    say(f"gates on {run.device}: {chosen}")
    listed = few_checks() if run.tiny else all_checks()
    tasks = [(check, options, run.device) for check, options in listed]
    rows = [dict(check=check.__name__, options=o) for check, o in listed]
    failures = []
    if run.on_gpu and chosen != "_TritonGates":
        failures.append(f"the gates are {chosen}")
    for n, found in do_all(tasks, run.workers, run.until):
        name = shown(*listed[n])
        if not verdict(name, found):
            failures.append(name)
        if "error" in found:
            rows[n]["error"] = found["error"]
        else:
            figures = {k: f["value"] for k, f in found.items()}
            rows[n]["figures"] = {k: float(f"{v:.2g}") for k, v in figures.items()}
    say(f"{len(tasks)} checks, {len(failures)} failures")
    return dict(gates=chosen, bounds=BOUNDS, checks=rows, failures=failures)

# Part 2: cells of pages that need a GPU

def environment(**more):
    """The environment of a subprocess that imports this library from any folder."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return dict(os.environ, PYTHONPATH=path, **more)

def python(code, *args, seconds, **options):
    """Run Python code in a subprocess; its exit code (None: out of time) and output."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *args], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True, **options)
    try:
        said, _ = process.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # and the processes that it started
        return None, process.communicate()[0]
    return process.returncode, said

TEST = """
import sys
from nbdev.test import nbdev_test
nbdev_test(path=sys.argv[1], flags="cuda", n_workers=0)
"""

@part("cells", 0.13)
def cells_part(run):
    """The pages of the scan and of the layers, with their `#| cuda` cells."""
    if not run.on_gpu:
        raise Skipped("needs CUDA")
    if not find_spec("nbdev"):
        raise Skipped("nbdev is not installed")

    def test(page):
        path = str(ROOT / "nbs" / page)
        return python(TEST, path, seconds=run.left(), cwd=ROOT, env=environment())

    pages, failures = ["04_scan.ipynb", "05_layers.ipynb"], []
    with ThreadPoolExecutor() as pool:
        for page, (returned, said) in zip(pages, pool.map(test, pages)):
            outcome = "passed" if returned == 0 else "FAILED"
            say(f"{page}: {'out of time' if returned is None else outcome}")
            if returned != 0:
                say(said[-3000:])
                failures.append(page)
    return dict(pages=pages, failures=failures)

# Parts 3 to 6: time and memory

CASES = dict(
    a=(8, 10, 16, 16, 16, 64, 5),
    c=(4, 10, 1, 64, 64, 64, 3),
    d=(2, 10, 1, 128, 128, 16, 3),
    g1=(64, 10, 16, 16, 16, 128, 5),
    g2=(16, 10, 64, 64, 64, 64, 3),
    g3=(8, 20, 1, 128, 128, 64, 3),
    g4=(4, 10, 64, 256, 256, 64, 3),
)
LARGE = "g2", "g3", "g4"
OURS = dict(
    ours=dict(peephole=None),
    peepholes=dict(peephole="channel"),
    norm=dict(peephole=None, norm="layer"),
    checkpoint=dict(peephole=None, checkpoint_every=1),
)
PRECISIONS = {"": False, "_bf16": True}  # end of a form's name -> is it under autocast?

def cases(run, names=CASES):
    """Cases by name, cut to a few pixels in a tiny run."""
    for name in names:
        B, T, C, H, W, h, k = CASES[name]
        yield name, (2, 3, min(C, 2), 8, 8, 4, k) if run.tiny else CASES[name]

def models(case, run, names=OURS):
    """The textbook form, ours with several options, and frames to run them on."""
    *shape, h, k = case
    C = shape[2]
    torch.manual_seed(0)
    x = torch.randn(*shape, device=run.device)
    made = dict(A=Textbook(C, h, k).to(run.device))
    for name in names:
        made[name] = ConvLSTM(C, h, k, device=run.device, **OURS[name])
    return made, x

def in_both(how, made, x):
    """Makers of a form of each model, in float32 and under autocast, by name."""

    def maker(model, cast):
        return lambda: how(model, x, cast)

    return {
        name + end: maker(model, cast)
        for end, cast in PRECISIONS.items() for name, model in made.items()}

def build(makers, failures, where=""):
    """Make each form and run it once; note those that fail."""
    forms = {}
    for name, make_form in makers.items():
        try:
            form = make_form()
            form()
            sync()
            forms[name] = form
        except Exception as e:
            say(f"FAIL {where} {name}\n{traceback.format_exc()}")
            failures.append(f"{where} {name}: {type(e).__name__}")
    return forms

def measure(forms, run, seconds):
    """Median milliseconds of each form, and the number of rounds."""
    if run.tiny:
        return in_turns(forms, 1, warm_up=0), 1
    for _ in range(2):  # a third warm-up, after that of `build`, is timed
        for form in forms.values():
            form()
    sync()
    start = time.perf_counter()
    for form in forms.values():
        form()
    sync()
    turn = time.perf_counter() - start
    rounds = min(max(int(seconds / turn), 3), 30)
    return in_turns(forms, rounds, warm_up=0), rounds

def empty_cache():
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()

def train_briefly(kind, args, options, shape, device, cast):
    """Do one training step on two frames, so that its kernels are on disk."""
    model = kind(*args, device=device, **options)
    batch, _, *frame = shape
    step(model, torch.randn(batch, 2, *frame, device=device), cast)()
    return {}

def compile_kernels(run, tasks):
    """Compile the kernels of many layers side by side.

    A task is what makes a layer, its arguments and options, and the shape of its input.
    """
    if not run.on_gpu or not run.workers:
        return
    start = time.perf_counter()
    calls = [
        (train_briefly, *task, run.device, cast)
        for task in tasks for cast in PRECISIONS.values()]
    for _ in do_all(calls, run.workers, run.until):
        pass  # what fails here will fail again below, and say so there
    say(f"kernels compiled in {time.perf_counter() - start:.0f} s")

def row(what, value, least=None, most=None):
    """Print a figure with its goal."""
    goal, met = "", None
    if least is not None:
        goal, met = f">= {least}", value >= least
    if most is not None:
        goal, met = f"<= {most}", value <= most
    word = {None: "", True: "met", False: "MISSED"}[met]
    say(f"{what:46} {value:7.3f}  {goal:8} {word}")
    return dict(what=what, value=round(value, 4), goal=goal, met=met)

def rows_of(what, ratios, mean=None, worst=None, at_least=True):
    """Rows for the geometric mean and the worst of some ratios, with their goals."""
    if not ratios:
        say(f"{what}: not measured")
        return []
    average = math.exp(sum(map(math.log, ratios)) / len(ratios))
    extreme = min(ratios) if at_least else max(ratios)
    bound = "least" if at_least else "most"
    first = row(f"{what}: mean", average, **{bound: mean})
    return [first, row(f"{what}: worst", extreme, **{bound: worst})]

def ratios(times, over, under):
    """One form over another, in each case where both were measured."""
    both = (ms for ms in times.values() if over in ms and under in ms)
    return [ms[over] / ms[under] for ms in both]

def speed_table(times):
    """Ratios of the training times, with their goals."""
    large = {n: ms for n, ms in times.items() if n in LARGE}
    table = rows_of("A/ours, fp32", ratios(times, "A", "ours"), 2.8, 1.4)
    bf16 = ratios(times, "A", "ours_bf16")
    table += rows_of("A in fp32/ours in bf16", bf16, 4.8, 2.5)
    table += rows_of("A/ours, bf16", ratios(times, "A_bf16", "ours_bf16"))
    for end, floor_goal in {"": 1.35, "_bf16": 1.6}.items():
        precision = "bf16" if end else "fp32"

        def over_ours(form, goal=None):
            found = ratios(times, form + end, "ours" + end)
            what = f"{form}/ours, {precision}"
            return rows_of(what, found, worst=goal, at_least=False)

        to_floor = ratios(large, "ours" + end, "floor" + end)
        what = f"ours/floor on {', '.join(LARGE)}, {precision}"
        table += rows_of(what, to_floor, worst=floor_goal, at_least=False)
        table += over_ours("norm", 1.3)
        table += over_ours("peepholes", 1.1)
        table += over_ours("checkpoint")
        faster = ratios(times, "base" + end, "ours" + end)
        table += rows_of(f"base/ours, {precision}", faster) if faster else []
    return table

def show_times(name, ms, rounds):
    said = "  ".join(f"{form} {t:.2f}" for form, t in ms.items())
    say(f"{name}, ms, {rounds} rounds: {said}")

@part("speed", 0.25)
def speed_part(run):
    """Training steps of a layer."""
    base = run.base and load_layer(run.base)
    kernels = [OURS[name] for name in ("ours", "peepholes", "norm")]
    compile_kernels(run, [
        (ConvLSTM, (case[2], *case[5:]), options, case[:5])
        for _, case in cases(run) for options in kernels])
    times, found, failures = {}, {}, []
    for k, (name, case) in enumerate(cases(run)):
        *shape, h, width = case
        made, x = models(case, run)
        if base:
            made["base"] = base(shape[2], h, width, peephole=None, device=run.device)
        floors = {
            "floor": lambda x=x: bare(x, h, width),
            "floor_bf16": lambda x=x: bare(x, h, width, torch.bfloat16)}
        forms = build(floors | in_both(step, made, x), failures, name)
        seconds = 0.8 * run.left() / (len(CASES) - k)
        times[name], rounds = measure(forms, run, seconds)
        found[name] = dict(case=case, rounds=rounds, train_ms=times[name])
        show_times(name, times[name], rounds)
        del forms, floors, made, x
        empty_cache()
    return dict(cases=found, table=speed_table(times), failures=failures)

@part("paper", 0.09)
def paper_part(run):
    """Training steps of the paper's encoder-forecaster, with peepholes."""
    hidden = (4, 4, 4) if run.tiny else (128, 64, 64)
    shape = (10, 1, 16, 16) if run.tiny else (10, 1, 64, 64)
    goals = dict(zip((2, 3) if run.tiny else (16, 128), (3, 1.3)))
    compile_kernels(run, [
        (EncoderForecaster, (1, hidden), {}, (batch, *shape)) for batch in goals])
    made = dict(
        A=TextbookForecaster(hidden).to(run.device),
        ours=EncoderForecaster(1, hidden, device=run.device))
    found, table, failures = {}, [], []
    for k, (batch, goal) in enumerate(goals.items()):
        x = torch.randn(batch, *shape, device=run.device)
        forms = build(in_both(step, made, x), failures, f"batch {batch}")
        ms, rounds = measure(forms, run, 0.8 * run.left() / (len(goals) - k))
        show_times(f"batch {batch}", ms, rounds)
        found[batch] = dict(rounds=rounds, train_ms=ms)
        for end in PRECISIONS:
            what = f"A/ours, batch {batch}, {'bf16' if end else 'fp32'}"
            both = ratios({batch: ms}, "A" + end, "ours" + end)
            table += [row(what, ratio, goal) for ratio in both]
    return dict(batches=found, table=table, failures=failures)

@part("memory", 0.07)
def memory_part(run):
    """Peak memory of a training step."""
    found, failures = {}, []
    for name, case in cases(run):
        made, x = models(case, run, ("ours", "checkpoint"))
        found[name] = {}
        for form, make_form in in_both(step, made, x).items():
            empty_cache()
            forms = build({form: make_form}, failures, name)
            found[name] |= {form: peak(f) for form, f in forms.items()}
            del forms
        say(name, "MiB", found[name])
    table = []
    for end in PRECISIONS:
        for form, goal in dict(ours=0.8, checkpoint=0.45).items():
            what = f"{form}/A, {'bf16' if end else 'fp32'}"
            those = ratios(found, form + end, "A" + end)
            table += rows_of(what, those, worst=goal, at_least=False)
    empty_cache()
    return dict(peak_mib=found, table=table, failures=failures)

@part("stream", 0.04)
def stream_part(run):
    """A stream, frame by frame, and inference over a whole sequence."""
    found, table, failures = {}, [], []
    kinds = dict(stream=(stream, "c"), inference=(infer, "c"), large=(infer, "g3"))
    for k, (name, (how, case)) in enumerate(kinds.items()):
        ((_, shape),) = cases(run, [case])
        made, x = models(shape, run, ("ours", "peepholes"))
        forms = build(in_both(how, made, x), failures, name)
        ms, rounds = measure(forms, run, 0.8 * run.left() / (len(kinds) - k))
        show_times(name, ms, rounds)
        found[name] = dict(case=shape, rounds=rounds, ms=ms)
        for end in PRECISIONS:
            what = f"{name}: A/ours, {'bf16' if end else 'fp32'}"
            both = ratios({name: ms}, "A" + end, "ours" + end)
            table += [row(what, ratio, 1.5) for ratio in both]
    return dict(kinds=found, table=table, failures=failures)

# Parts 7 and 8: a whole training, and where the time of a step goes

TRAIN = """
import sys
from convlstm_nb.cli import convlstm_train
sys.argv[0] = "convlstm_train"
convlstm_train()
"""

@part("train", 0.17)
def train_part(run):
    """`convlstm_train` with its defaults, with no kernel compiled before."""
    if not run.on_gpu:
        raise Skipped("needs CUDA")
    times, table, failures = {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        env = environment(TRITON_CACHE_DIR=f"{folder}/triton")
        for name in ("first", "second"):
            if times and run.left() < 1.2 * times["first"]:
                break  # the second, whose kernels are compiled, is for comparison
            start = time.perf_counter()
            returned, said = python(TRAIN, seconds=run.left(), cwd=folder, env=env)
            took = time.perf_counter() - start
            if returned != 0:
                why = "stopped, out of time" if returned is None else f"exit {returned}"
                say(f"FAIL {name} run: {why} after {took:.0f} s\n{said[-3000:]}")
                failures.append(f"{name} run: {why}")
                break
            times[name] = took
            table.append(row(f"convlstm_train, {name} run, s", took, most=25))
            say("\n".join(said.splitlines()[-12:]))
    return dict(seconds_of=times, table=table, failures=failures)

@part("profile", 0.05)
def profile_part(run):
    """Where the time of a training step goes."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if run.on_gpu:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    order = "self_cuda_time_total" if run.on_gpu else "self_cpu_time_total"
    found, text = {}, []
    for name, case in cases(run, ("c", "g3")):
        made, x = models(case, run, ("ours",))
        for end, cast in PRECISIONS.items():
            f = step(made["ours"], x, cast)
            for _ in range(3):
                f()
            sync()
            start = time.perf_counter()
            f()
            launched = time.perf_counter()
            sync()
            done = time.perf_counter()
            with torch.profiler.profile(activities=activities) as p:
                f()
                sync()
            rows = p.key_averages()
            cpu = sum(e.self_cpu_time_total for e in rows) / 1e3
            kernels = [e for e in rows if e.device_type == DeviceType.CUDA]
            gpu = sum(e.self_device_time_total for e in kernels) / 1e3
            figures = dict(
                wall_ms=1e3 * (done - start), launch_ms=1e3 * (launched - start),
                profiled_cpu_ms=cpu, profiled_gpu_ms=gpu)
            found[name + end] = {n: round(v, 3) for n, v in figures.items()}
            limit = 3 if run.tiny else 15
            table = rows.table(order, row_limit=limit, max_name_column_width=60)
            text.append(f"case {name}{end}: {found[name + end]}\n{table}")
            say(text[-1])
    if not run.tiny:
        (results / "gpu_profile.txt").write_text("\n".join(text))
    return dict(steps=found, failures=[])

def keep_part(name, figures):
    """Write what a part found, and keep the other parts."""
    file = results / "gpu.json"
    parts = json.loads(file.read_text())["parts"] if file.exists() else {}
    cuda = dict(
        triton=installed("triton"), cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(), tf32=torch.backends.cudnn.allow_tf32)
    parts[name] = dict(describe(), **cuda, **figures)
    keep("gpu", **cuda, parts={n: parts[n] for n in PARTS if n in parts})

def do_part(name, run, end, seconds):
    """Run one part and keep what it found; did it work?"""
    function, _ = PARTS[name]
    start = time.perf_counter()
    run.until = min(start + seconds, end)
    if run.left() < 1:
        say(f"\n== {name}: FAILED, since the time was up")
        return False
    say(f"\n== {name}: {function.__doc__} At most {run.left():.0f} s.")
    try:
        found = function(run)
    except Skipped as e:
        say(f"skipped: {e}")
        return True
    except Exception as e:
        traceback.print_exc()
        found = dict(failures=[f"{type(e).__name__}: {e}"])
    seconds = round(time.perf_counter() - start, 1)
    failed = found["failures"]
    say(f"== {name}: {'FAILED' if failed else 'done'} in {seconds} s")
    for failure in failed:
        say(f"   {failure}")
    if not run.tiny:
        keep_part(name, dict(seconds=seconds, **found))
    return not failed

@call_parse
def main(
    only:str=None,  # Parts to run, with commas between; all by default
    base:str=None,  # Checkout of an older version, to be measured as well
    minutes:float=5,  # Time for all parts
    device:str=None,  # cuda, or with --tiny also cpu
    tiny:bool=False,  # Use a few pixels and one round, and keep nothing?
    workers:int=None,  # Helper processes that compile side by side
):
    """Check the library on a CUDA GPU, measure it, and keep results/gpu.json."""
    start = time.perf_counter()
    found = torch.cuda.is_available()
    device = device or ("cuda" if found else "cpu")
    if not tiny and (device == "cpu" or not found):
        sys.exit("gpu.py: needs a CUDA GPU; try it without one by --device cpu --tiny")
    names = only.split(",") if only else [*PARTS]
    if unknown := [n for n in names if n not in PARTS]:
        sys.exit(f"gpu.py: no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if workers is None:
        workers = 0 if tiny else max(1, min(12, os.cpu_count() - 2))
    run = Run(device, tiny, base, workers)
    say(describe())
    whole = 60 * minutes
    shares = {n: PARTS[n][1] for n in names}
    worked = [
        do_part(n, run, start + whole, whole * share / sum(shares.values()))
        for n, share in shares.items()]
    say(f"\n{sum(worked)} of {len(worked)} parts worked")
    sys.exit(0 if all(worked) else 1)
