"""Tables made run by run. A table is a module with `ROWS`, name to `(settings, seeds)`,
`measure(settings, seed)`, which returns figures and pictures as arrays of bytes, and
`headline(figures)`. Each run leaves one file in `results/<folder>`, and is not made
again where a file of the same settings is there, so an interrupted table is resumed."""
import json
import time
from importlib import import_module
import numpy as np
from common import keep, results
from convlstm_nb.checks import atomic_path, check_choice

def is_made(path, settings):
    "Is there a run of these settings already?"
    return path.exists() and json.loads(path.read_text())['settings'] == json.loads(
        json.dumps(settings))

def make(folder, table, row, seed, how):
    """Make one run, and keep it: the pictures first, since the figures say that all
    is there; a run on fewer sequences is only tried"""
    module = import_module(table)
    settings,path = module.ROWS[row][0],results/folder/f'{table}_{row}_seed{seed}.json'
    if is_made(path, settings) and 'sequences' not in how: return False
    begun = time.perf_counter()
    figures,pictures = module.measure(settings, seed, **how)
    path.parent.mkdir(exist_ok=True)
    if pictures:
        with atomic_path(path.with_suffix('.npz')) as part:
            np.savez_compressed(part, **pictures)
    seconds = time.perf_counter()-begun
    if 'sequences' not in how: keep(
        f'{folder}/{path.stem}', table=table, row=row, seed=seed, settings=settings,
        seconds=round(seconds, 1), **figures)
    print(
        f"{table} {row}, seed {seed}: {module.headline(figures)}, {seconds:.0f} s",
        flush=True)
    return True

def make_table(folder, table, rows='', most=None, **how):
    "Make the runs of a table that are not there yet, `most` at a time"
    known = import_module(table).ROWS
    asked = [check_choice('rows', r, list(known)) for r in rows.split(',') if r]
    wanted = [(r, s) for r in asked or known for s in range(known[r][1])]
    made   = 0
    for r,s in sorted(wanted, key=lambda rs: rs[1]): # all rows once, then again
        if made==most: break
        made += make(folder, table, r, s, how)
