"""Hide all installed packages but some and what these require, as on a machine where
nothing else is installed."""
import re
import sys
from importlib import metadata

def _normal(name): return re.sub('[-_.]+', '-', name).lower()

def required(names):
    "The packages `names` and all that they require, without extras"
    found, left = set(), [*names]
    while left:
        name = _normal(left.pop())
        if name in found: continue
        found.add(name)
        try: lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError: continue # not needed here
        left += [re.match(r'[\w.-]+', l)[0] for l in lines if 'extra ==' not in l]
    return found

def only(*names):
    "From now on, import of the packages `names`, and what they require, alone"
    keep = required(names) | {'convlstm-nb'}
    for module, packages in metadata.packages_distributions().items():
        if keep.isdisjoint(map(_normal, packages)): sys.modules[module] = None
