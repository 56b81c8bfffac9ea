"""The ConvLSTM against other networks, on the same sequences:
`python benchmarks/peers digits` and `CONVLSTM_NB_MRMS=tiles.npz python benchmarks/peers
rain`. What `benchmarks/tables.py` says of tables holds for these."""
import sys
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
from fastcore.script import call_parse
from tables import make_table
from convlstm_nb.checks import check_choice

@call_parse
def main(
    table:str, # digits or rain
    rows:str='', # Which rows, with commas between; all by default
    most:int=None, # Make so many runs at most, and leave the others for later
):
    "Make the runs of a table that are not there yet"
    make_table('peers', check_choice('table', table, ['digits','rain']), rows, most)
