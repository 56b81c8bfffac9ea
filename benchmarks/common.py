"What every benchmark keeps beside its figures: the machine, the versions, the date."
import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
import torch
from convlstm_nb.checks import atomic_path

results = Path(__file__).parent/'results'

def cpu_name():
    "The processor's name, where the system tells it"
    try: lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError: return platform.processor() or platform.machine()
    return next(
        (l.split(':')[1].strip() for l in lines if l.startswith('model name')),
        platform.machine())

def memory_gib():
    "Memory of the machine in GiB, where the system tells it"
    try: return round(os.sysconf('SC_PAGE_SIZE')*os.sysconf('SC_PHYS_PAGES')/2**30)
    except (ValueError, OSError, AttributeError): return None

def installed(name):
    "Version of an installed package, or None"
    try: return version(name)
    except PackageNotFoundError: return None

def describe():
    "The machine, the versions and the date"
    cpu = dict(
        cpu=cpu_name(), cores=os.cpu_count(), threads=torch.get_num_threads(),
        memory_gib=memory_gib(), system=platform.system(),
        capability=torch.backends.cpu.get_cpu_capability())
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    names = ['convlstm_nb','torch','fastai','numpy']
    return dict(
        date=date.today().isoformat(),
        machine=dict(cpu, gpu=gpu),
        versions=dict(
            python=platform.python_version(), **{n: installed(n) for n in names}))

def keep(name, **figures):
    "Write the figures of a benchmark to `results/<name>.json`"
    with atomic_path(results / f'{name}.json') as part:
        part.write_text(json.dumps(dict(describe(), **figures), indent=1) + '\n')
