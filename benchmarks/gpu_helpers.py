"""Do tasks in helper processes, for `gpu.py`.

They compile side by side, and an error of the GPU stays in one of them.
"""
import multiprocessing
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
import torch

def guarded(function, *args):
    """What a function returns, or its error as text."""
    try:
        return function(*args)
    except Exception:
        return dict(error=traceback.format_exc())

def healthy():
    """Does the GPU still answer this process?"""
    try:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
    except Exception:
        return False
    return True

def answer(pipe):
    """Do the tasks that come through a pipe, until one is None or the GPU fails."""
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # deterministic, for one check
    torch.set_num_threads(1)
    well = True
    while well and (task := pipe.recv()):
        function, *args = task
        found = guarded(function, *args)
        well = healthy()
        pipe.send((found, well))

class Helper:
    """A process that does tasks, and is replaced when it fails."""

    def __init__(self):
        self.process = None

    def start(self):
        spawn = multiprocessing.get_context("spawn")
        self.pipe, other = spawn.Pipe()
        self.process = spawn.Process(target=answer, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def end(self, kindly=False):
        """Stop the process, at once or when it has nothing to do."""
        if not self.process:
            return
        if kindly:
            self.pipe.send(None)
            self.process.join(5)
        self.process.kill()
        self.process.join()
        self.process = None

    def ask(self, task, until):
        """What came of a task, which has to end in time."""
        left = until - time.perf_counter()
        if left <= 0:
            return dict(error="not run, since the time was up")
        if not self.process:
            self.start()
        try:
            self.pipe.send(task)
            if not self.pipe.poll(left):
                self.end()
                return dict(error="stopped, since the time was up")
            found, well = self.pipe.recv()
        except (EOFError, OSError):
            found, well = dict(error="the process died"), False
        if not well:
            self.end()
        return found

def do_all(tasks, workers, until):
    """Yield the number of each task and what came of it, in the order of completion.

    A task is a function and its arguments. Without workers it is done right here.
    """
    if not workers:
        yield from enumerate(guarded(*task) for task in tasks)
        return
    mine, helpers = threading.local(), []

    def ask(task):
        if not hasattr(mine, "helper"):
            mine.helper = Helper()
            helpers.append(mine.helper)
        return mine.helper.ask(task, until)

    pool = ThreadPoolExecutor(workers)
    try:
        asked = {pool.submit(ask, task): n for n, task in enumerate(tasks)}
        for done in as_completed(asked):
            yield asked[done], done.result()
        for helper in helpers:
            helper.end(kindly=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for helper in helpers:
            helper.end()
