"""Make tiles of radar rain for the radar tutorial and `benchmarks/rain.py` from NOAA's
public MRMS files (PrecipRate, GRIB2, every two minutes, 1 km).

First list the files, and download them; the archive on AWS begins on 14 October 2020,
earlier files are in that of Iowa State University:

    python tools/mrms_tiles.py urls 2019-06-10T00:00 36 > urls.txt
    xargs -n 1 -P 4 curl -fO < urls.txt

Then make the tiles (`pip install eccodes`, which reads GRIB):

    python tools/mrms_tiles.py tiles mrms_tiles.npz *PrecipRate*.grib2.gz

A tile is 64x64 pixels of 2 km, the mean of 2x2 pixels of the file. Kept are the tiles
that the radars saw in every frame, and where more than 5 % of the pixels have 0.5 mm/h
or more, from west to east. Rain is stored in steps of 0.1 mm/h.
"""
import argparse
import gzip
import os
import re
from importlib.util import find_spec
from pathlib import Path
import numpy as np

AWS = 'https://noaa-mrms-pds.s3.amazonaws.com/CONUS/PrecipRate_00.00/{0:%Y%m%d}/MRMS_'
IOWA = 'https://mtarchive.geol.iastate.edu/{0:%Y/%m/%d}/mrms/ncep/PrecipRate/'
NAME = 'PrecipRate_00.00_{0:%Y%m%d-%H%M%S}.grib2.gz'
SIZE, FINE = 64, 2 # pixels of a tile, and of the file in one of them
WET, LEAST = 5, .05 # 0.1 mm/h, and the share of pixels that have as much

def urls(start, frames):
    "Addresses of so many files from a time on, every two minutes"
    for t in np.datetime64(start, 's') + np.timedelta64(120, 's')*np.arange(frames):
        t = t.item()
        yield ((AWS if f'{t:%Y%m%d}' >= '20201014' else IOWA) + NAME).format(t)

def time_of(path):
    "The time in the name of a file"
    found = re.search(r'(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)\d\d\.grib2', Path(path).name)
    if not found: raise SystemExit(f'{path}: no time in its name')
    return np.datetime64('{}-{}-{}T{}:{}'.format(*found.groups()), 'm')

def read_grib(path):
    "Rain in mm/h from the north, negative where no radar sees; latitudes, longitudes"
    if not find_spec('eccodes'): raise SystemExit('pip install eccodes: it reads GRIB')
    import eccodes
    data = Path(path).read_bytes()
    if data[:2] == b'\x1f\x8b': data = gzip.decompress(data)
    message = eccodes.codes_new_from_message(data)
    try:
        get = lambda name: eccodes.codes_get(message, name)
        rain = eccodes.codes_get_values(message).reshape(get('Nj'), get('Ni'))
        first, last = (
            [get(f'{a}Of{e}GridPointInDegrees') for a in ('latitude', 'longitude')]
            for e in ('First', 'Last'))
    finally: eccodes.codes_release(message)
    lat, lon = (np.linspace(a, b, n) for a, b, n in zip(first, last, rain.shape))
    return rain, lat, (lon + 180) % 360 - 180

def cut(field):
    "Tiles of a field, `(rows, columns, height, width)`; what is left over is dropped"
    n = SIZE*FINE
    rows, cols = (s//n for s in field.shape)
    return field[:rows*n,:cols*n].reshape(rows, n, cols, n).swapaxes(1, 2)

def make_tiles(fields, times):
    "Tiles of fields `(rain, lat, lon)`, one for each time, as arrays by name"
    seen, wet, rain = True, 0, []
    for field, lat, lon in fields:
        tenths = cut(np.rint(10*field).astype(np.int32))
        seen = seen & (tenths >= 0).all((2, 3))
        wet = wet + (tenths >= WET).mean((2, 3))
        fine = tenths.reshape(*tenths.shape[:2], SIZE, FINE, SIZE, FINE)
        rain.append(np.rint(fine.clip(0).mean((3, 5))).astype(np.uint16))
    wet = wet/len(rain)
    col, row = np.nonzero((seen & (wet > LEAST)).T) # from west to east
    middle = SIZE*FINE//2
    return dict(
        rain=np.stack([f[row,col] for f in rain], 1), scale=np.float32(.1),
        lat=lat[row*SIZE*FINE+middle].astype(np.float32),
        lon=lon[col*SIZE*FINE+middle].astype(np.float32),
        time=np.asarray(times, 'M8[m]'), row=row, col=col,
        wet=wet[row,col].astype(np.float32))

def write_tiles(path, files, read=read_grib):
    "Make tiles of files, in the order of their times, and save them"
    files = sorted(files, key=time_of)
    times = np.array([time_of(f) for f in files])
    steps = np.unique(np.diff(times))
    if len(steps) > 1: raise SystemExit(f'the files are not evenly spaced: {steps}')
    tiles = make_tiles(map(read, files), times)
    part = Path(f'{path}.tmp')
    with part.open('wb') as f: np.savez_compressed(f, **tiles)
    os.replace(part, path)
    return tiles

def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest='command', required=True)
    listing = commands.add_parser('urls', help='list the files to download')
    listing.add_argument('start', help='2019-06-10T00:00, say (UTC)')
    listing.add_argument('frames', type=int, help='how many, every two minutes')
    making = commands.add_parser('tiles', help='make the tiles')
    making.add_argument('out', help='the .npz file to write')
    making.add_argument('files', nargs='+', help='.grib2 or .grib2.gz')
    args = parser.parse_args()
    if args.command == 'urls': print('\n'.join(urls(args.start, args.frames)))
    else:
        tiles = write_tiles(args.out, args.files)
        print(f"{args.out}: {tiles['rain'].shape} (tile, time, row, column)")

if __name__ == '__main__': main()
