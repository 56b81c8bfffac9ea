"""Run the visible code of pages as a reader would type it, each page in a process of
its own, forked (so not on Windows), and in its own folder.

Left out are cells whose source the page does not show (`hide`, `hide_input`,
`echo: false`, `include: false`), the definitions that a page exports (a reader imports
them), calls of `show_doc`, and lines that begin with `!` or `%`. Cells that are folded
(`code-fold: true`) or not executed by the tests (`eval: false`) are visible.

    python tools/visible.py                        # every page that takes seconds
    python tools/visible.py nbs/tutorials/*.ipynb  # these pages
    python tools/visible.py --slow                 # what takes minutes or a GPU, too

Without `--slow`, cells marked `#| slow`, `#| cuda` or `#| notest` are left out, and,
unless they are named, pages marked `skip_exec: true`; pages that know the environment
variable CONVLSTM_NB_QUICK make a short run.
"""
import argparse
import ast
import json
import linecache
import os
import re
import sys
import tempfile
import time
import types
import warnings
from importlib import import_module
from pathlib import Path

root = Path(__file__).resolve().parent.parent
exported = {'export', 'exports', 'exporti', 'exec_doc'}
unseen = {'hide', 'hide_input', 'echo: false', 'include: false'}
costly = {'slow', 'cuda', 'notest'}

def directives(source):
    "The directives of a cell: `export`, `echo: false`, ..."
    found = re.findall(r'^#\s*\|\s*([\w-]+)(?:\s*:\s*(\w+))?', source, re.M)
    return {f'{name}: {value}' if value else name for name, value in found}

def is_show_doc(node):
    "Is this statement a call of `show_doc`?"
    call = getattr(node, 'value', None)
    return isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'show_doc'

def visible(nb, slow=False):
    "The number and the code of each visible cell of the notebook `nb`"
    left_out = exported | unseen | (set() if slow else costly)
    for i, cell in enumerate(nb['cells']):
        source = ''.join(cell['source'])
        if cell['cell_type'] != 'code' or directives(source) & left_out: continue
        if source.startswith('%%') or 'nbdev_export()' in source: continue
        # an empty line in the place of each command keeps the numbers of the lines
        yield i, re.sub(r'^\s*[!%].*$', '', source, flags=re.M)

def run(page, slow):
    "Run the visible code of `page` in this process; return the first error"
    # as in a notebook: with nothing but builtins
    module = sys.modules['__main__'] = types.ModuleType('__main__')
    for i, code in visible(json.loads(Path(page).read_text(encoding='utf-8')), slow):
        name, lines = f'cell {i}', code.splitlines(True)
        linecache.cache[name] = len(code), None, lines, name  # what `inspect` reads
        try:
            tree = ast.parse(code, name)
            tree.body = [o for o in tree.body if not is_show_doc(o)]
            exec(compile(tree, name, 'exec'), module.__dict__)
        except Exception as e:
            at, trace = getattr(e, 'lineno', None) or 0, e.__traceback__
            while trace:
                if trace.tb_frame.f_code.co_filename == name: at = trace.tb_lineno
                trace = trace.tb_next
            text = lines[at-1].strip() if 0 < at <= len(lines) else ''
            return f'{name}, line {at}: {type(e).__name__}: {e}\n    {text}'

def inside(page, slow, log):
    "Run `page` in this new process, write the first error to `log`, and end"
    status = 2
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for fd in range(3): os.dup2(quiet, fd)
        os.chdir(page.parent)
        os.environ['PYTHONPATH'] = f"{root}:{os.environ.get('PYTHONPATH', '')}"
        sys.path[:0] = [str(page.parent), str(root)]
        error = run(page, slow) or ''
        log.write(error)
        log.flush()
        status = bool(error)
    finally: os._exit(status)

def outcomes(pages, slow=False, n_workers=1):
    """Run each page in a new process, `n_workers` at once; yield the page, what it says on
    failure, and seconds"""
    waiting, running = list(pages), {}
    while waiting or running:
        while waiting and len(running) < n_workers:
            page, log = waiting.pop(0), tempfile.TemporaryFile('w+')
            pid = os.fork()
            if not pid: inside(page, slow, log)
            running[pid] = page, log, time.monotonic()
        pid, status = os.wait()
        page, log, begun = running.pop(pid)
        log.seek(0)
        error = (log.read().strip() or 'it ended') if status else ''
        yield page, error, time.monotonic()-begun

def check(page, slow=False):
    "Run `page` in a new process; return what it says on failure, '' on success"
    return next(outcomes([page], slow))[1]

def load():
    "Import what most pages do, once for all processes"
    os.environ['MPLBACKEND'] = 'agg'
    warnings.simplefilter('ignore')
    for name in ('fastai.basics', 'h5netcdf', 'matplotlib.pyplot', 'pandas', 'xarray'):
        import_module(name)

def is_long(page): return 'skip_exec: true' in page.read_text(encoding='utf-8')

def pages(slow):
    "Every page, the long ones last and only if `slow`"
    found = [
        p for p in sorted((root/'nbs').rglob('*.ipynb'))
        if not any(part[0] in '._' for part in p.relative_to(root).parts)]
    return [p for p in found if not is_long(p)] + [p for p in found if slow and is_long(p)]

def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pages', nargs='*', type=lambda p: Path(p).resolve())
    parser.add_argument('--slow', action='store_true', help='run all that takes minutes')
    parser.add_argument('--n_workers', type=int, default=2, help='pages at once')
    args = parser.parse_args()
    if not args.slow: os.environ['CONVLSTM_NB_QUICK'] = '1' # minutes become seconds
    load()
    failed = 0
    found = outcomes(args.pages or pages(args.slow), args.slow, args.n_workers)
    for page, error, seconds in found:
        failed += bool(error)
        name = os.path.relpath(page, root)
        print(f'{name}: {error or "runs"} ({seconds:.0f} s)', flush=True)
    print(f'{failed} pages fail' if failed else 'what is visible runs by itself')
    return bool(failed)

if __name__ == '__main__': sys.exit(main())
