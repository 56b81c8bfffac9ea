"""Put ONNX Runtime beside the page that runs a model in the browser: two files of
the npm package `onnxruntime-web`."""
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from fastcore.script import call_parse

VERSION = '1.30.0' # nowhere else
FILES   = ['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm']
folder  = Path(__file__).parent.parent/'nbs/explanations/throw/ort'

def installed(tmp):
    "Install the package under `tmp`, without running anything of it"
    what = [
        'npm', 'install', '--silent', '--no-audit', '--no-fund', '--ignore-scripts',
        '--prefix', tmp, f'onnxruntime-web@{VERSION}']
    if not shutil.which('npm'):
        sys.exit('no npm here: without it the page shows a recording')
    subprocess.run(what, check=True)
    return Path(tmp)/'node_modules/onnxruntime-web'

@call_parse
def main(
    package:str='', # Folder of the package, where it is installed already
):
    "Copy what the page needs, before either kind of site is built"
    with tempfile.TemporaryDirectory() as tmp:
        src = Path(package) if package else installed(tmp)
        got = json.loads((src/'package.json').read_text())['version']
        if got != VERSION:
            sys.exit(f'onnxruntime-web {VERSION} is wanted, and {src} is {got}')
        folder.mkdir(parents=True, exist_ok=True)
        for f in FILES: shutil.copyfile(src/'dist'/f, folder/f)
    print(
        f"onnxruntime-web {VERSION}: "
        f"{sum(p.stat().st_size for p in folder.iterdir()) / 2**20:.1f} MiB beside the "
        "page")
