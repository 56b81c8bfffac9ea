"Run the README's main job, `convlstm_train`, as a command, and keep its figures, its wall time and its animation."
import json, shutil, subprocess, sys, tempfile, time
from pathlib import Path
from fastcore.script import call_parse
from convlstm_nb.metrics import skill
from common import keep

images = Path(__file__).parent.parent/'nbs'/'images'

def train(runs, seed):
    "Train with one seed; return the run's scores, its training time and its wall time"
    start = time.perf_counter()
    subprocess.run([Path(sys.executable).parent/'convlstm_train', '--runs', runs, '--name', f'seed{seed}', '--seed', str(seed)], check=True)
    wall = time.perf_counter() - start
    run  = Path(runs)/f'seed{seed}'
    scores,config = (json.loads((run/f'{n}.json').read_text()) for n in ('metrics','config'))
    return dict(seed=seed, wall_seconds=round(wall), train_seconds=round(config['seconds']), skill_percent=round(skill(scores), 1), metrics=scores)

@call_parse
def main(
    seeds:int=3, # How many seeds
):
    "Measure the main job"
    with tempfile.TemporaryDirectory() as runs:
        found = [train(runs, s) for s in range(seeds)]
        images.mkdir(exist_ok=True)
        for name in ('forecast.gif','forecast.png'): shutil.copy(Path(runs)/'seed0'/name, images/name)
    keep('quick', runs=found)
    for f in found: print(f"seed {f['seed']}: {f['skill_percent']} % under the best trivial forecast, {f['wall_seconds']} s")
