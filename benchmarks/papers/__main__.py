"""The published numbers at small scale: `python benchmarks/papers ablation`,
`table1`, `full` or `throughput` makes a table, run by run,
and `python benchmarks/papers table1 --rows fclstm,1layer` some of its rows. What
`benchmarks/tables.py` says of tables holds for these."""
import sys
from pathlib import Path

here = Path(__file__).parent
sys.path[:0] = [str(here), str(here.parent)]
from fastcore.script import call_parse
from tables import make_table
from convlstm_nb.checks import check_choice

TABLES = ['ablation','table1','full','throughput']

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
    check_choice('table', table, TABLES)
    how = dict(minutes=minutes, session=session, sequences=sequences)
    how = {k:v for k,v in how.items() if v is not None} if table == 'full' else {}
    make_table('papers', table, rows, most, **how)
