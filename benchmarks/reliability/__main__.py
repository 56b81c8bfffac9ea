"""The reliability table, measured: `python benchmarks/reliability` runs every part, `python benchmarks/reliability values faults` some,
and with `--check` they are only tried, and no figure is kept. It fails where a line does.

A part is a file `check_<part>.py` here with a function `rows()` that yields one dict for each line of the table:
`what` was checked, what was `wanted`, what was `got` (with its figure), and whether it `passed`."""
import sys
import time
from importlib import import_module
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
from common import keep

parts = sorted(p.stem.removeprefix('check_') for p in here.glob('check_*.py'))

def run(part, check=False):
    "Run one part, print its lines, and keep them unless it is only a check; how many there are, and how many failed"
    begun,rows = time.perf_counter(),[]
    for row in import_module(f'check_{part}').rows():
        rows.append({k: row[k] for k in ('what','wanted','got','passed')})
        print(f"{'ok  ' if row['passed'] else 'MISS'} {part}: {row['what']}: wanted {row['wanted']}, got {row['got']}", flush=True)
    if not rows: rows = [dict(passed=False)]; print(f'MISS {part}: no line')
    elif not check: keep(f'reliability_{part}', seconds=round(time.perf_counter()-begun, 1), rows=rows)
    return len(rows),sum(not r['passed'] for r in rows)

if __name__=='__main__':
    check = '--check' in sys.argv
    asked = [a for a in sys.argv[1:] if a!='--check'] or parts
    if unknown := set(asked) - set(parts): sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    counts = [run(p, check) for p in asked]
    total,missed = map(sum, zip(*counts))
    print(f"{total-missed} passed, {missed} failed")
    sys.exit(missed > 0)
