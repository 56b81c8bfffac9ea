"""The published numbers at small scale: `python benchmarks/papers ablation`,
`table1`, `full` or `throughput` makes a table, run by run,
and `python benchmarks/papers table1 --rows fclstm,1layer` some of its rows. Each run
leaves one file in `benchmarks/results/papers`, and is
not made again where a file of the same settings is there. So a table that is
interrupted goes on where it stopped.

A table is a module here with `ROWS`, name to `(settings, seeds)`, and
`measure(settings, seed)`: figures, and pictures as arrays of bytes."""
import json
import sys
import time
from importlib import import_module
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
import numpy as np
from common import keep, results
from fastcore.script import call_parse
from convlstm_nb.checks import atomic_path, check_choice

TABLES = ['ablation','table1','full','throughput']
folder = results/'papers'

def is_made(path, settings):
    "Is there a run of these settings already?"
    return path.exists() and json.loads(path.read_text())['settings'] == json.loads(
        json.dumps(settings))

def make(table, row, seed, how):
    """Make one run, and keep it: the pictures first, since the figures say that all
    is there; a run on fewer sequences is only tried"""
    module = import_module(table)
    settings,path = module.ROWS[row][0],folder/f'{table}_{row}_seed{seed}.json'
    if is_made(path, settings) and 'sequences' not in how: return False
    begun = time.perf_counter()
    figures,pictures = module.measure(settings, seed, **how)
    folder.mkdir(exist_ok=True)
    if pictures:
        with atomic_path(path.with_suffix('.npz')) as part:
            np.savez_compressed(part, **pictures)
    seconds = time.perf_counter()-begun
    if 'sequences' not in how: keep(
        f'papers/{path.stem}', table=table, row=row, seed=seed, settings=settings,
        seconds=round(seconds, 1), **figures)
    print(
        f"{table} {row}, seed {seed}: {module.headline(figures)}, {seconds:.0f} s",
        flush=True)
    return True

@call_parse
def main(
    table:str, # ablation, table1, full or throughput
    rows:str='', # Which rows, with commas between; all by default
    most:int=None, # Make so many runs at most, and leave the others for later
    minutes:float=8, # For `full`: train each row for so long
    session:float=None, # For `full`: leave after so many minutes; the next call resumes
    sequences:int=None, # For `full`: only try it, on so many sequences
):
    "Make the runs of a table that are not there yet"
    module = import_module(check_choice('table', table, TABLES))
    asked = [
        check_choice('rows', r, list(module.ROWS)) for r in rows.split(',') if r
    ] or list(module.ROWS)
    wanted = [(r, s) for r in asked for s in range(module.ROWS[r][1])]
    made   = 0
    how    = dict(minutes=minutes, session=session, sequences=sequences)
    how    = {k:v for k,v in how.items() if v is not None} if table == 'full' else {}
    for r,s in sorted(wanted, key=lambda rs: rs[1]): # all rows once, then again
        if made==most: break
        made += make(table, r, s, how)
