"""`from convlstm_nb import ConvLSTM` takes at most a tenth longer than `import torch`, in
processor time, so that other processes do not count."""
import subprocess
import sys
from resource import RUSAGE_CHILDREN, getrusage

def cost(code):
    "The processor time of a new process that runs `code`, in seconds"
    before = getrusage(RUSAGE_CHILDREN)
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True)
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

codes = 'import torch', 'from convlstm_nb import ConvLSTM'
for code in codes: cost(code) # compiles what it imports
torch, layer = (min(times) for times in zip(*(map(cost, codes) for _ in range(9))))
print(f'{codes[1]}: {layer:.2f} s, torch alone: {torch:.2f} s, '
    f'{100*(layer/torch - 1):+.0f} %')
assert layer < 1.1*torch
