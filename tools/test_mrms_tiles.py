"""The tiles made of a made-up national field are those that it was made of, and read as
the radar tutorial reads them; a GRIB file is read where `eccodes` is installed."""
import gzip
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
import mrms_tiles
import numpy as np
from mrms_tiles import SIZE, make_tiles, read_grib, time_of, urls, write_tiles

n = 2*SIZE # pixels of the file
lat, lon = 54.995 - .01*np.arange(2*n+50), -129.995 + .01*np.arange(3*n+70)
rng = np.random.default_rng(0)

def field(t):
    "Rain in mm/h in some of 2x3 tiles"
    rain = np.zeros((len(lat), len(lon)))
    rain[:n,n:2*n] = rng.integers(0, 300, (n, n))/10 # row 0, column 1: wet
    rain[n:2*n,:n] = 2                                # row 1, column 0: wet
    rain[n:2*n,:n//2] = 0
    rain[n:n+9,2*n:3*n] = 4 # row 1, column 2: wet, but not seen once
    if t == 1: rain[n+20,2*n+5] = -3
    rain[:5,:n] = .5 # row 0, column 0: dry but for 4 % of the pixels
    return rain

names = [f'MRMS_PrecipRate_00.00_20240601-00{m:02}00.grib2.gz' for m in (0, 2, 4)]
fields = [field(t) for t in range(3)]
made = make_tiles(((f, lat, lon) for f in fields), [time_of(f) for f in names])

assert list(zip(made['row'], made['col'])) == [(1, 0), (0, 1)], 'from west to east'
np.testing.assert_allclose(made['lon'], [lon[SIZE], lon[n+SIZE]], rtol=1e-6)
np.testing.assert_allclose(made['lat'], [lat[n+SIZE], lat[SIZE]], rtol=1e-6)
np.testing.assert_allclose(made['wet'][0], .5)
assert made['rain'].shape == (2, 3, SIZE, SIZE) and made['rain'].dtype == np.uint16
assert (made['rain'][0] == np.where(np.arange(SIZE) < SIZE//2, 0, 20)).all()
tenths = np.rint(10*fields[2][:n,n:2*n]).astype(int)
sums = tenths[::2,::2] + tenths[1::2,::2] + tenths[::2,1::2] + tenths[1::2,1::2]
assert (made['rain'][1,2] == np.rint(sums/4)).all(), 'the mean of 2x2 pixels'

old, new = next(urls('2019-06-10', 1)), list(urls('2024-06-01T00:02', 2))
assert old.endswith(
    '/2019/06/10/mrms/ncep/PrecipRate/PrecipRate_00.00_20190610-000000.grib2.gz')
assert [u.rpartition('/')[2] for u in new] == names[1:] and '/20240601/MRMS_' in new[0]

# the places of the file that the pages were made with, if it is there
mrms = Path(__file__).parents[2]/'shared/data/mrms_conus_20190610_tiles64.npz'
if mrms.is_file():
    with np.load(mrms) as f:
        assert set(f) == set(made)
        assert all(f[k].dtype == made[k].dtype for k in made)
        at = lambda first, step, i: first + step*(i*n + SIZE)
        np.testing.assert_allclose(f['lat'], at(54.995, -.01, f['row']), rtol=1e-6)
        np.testing.assert_allclose(f['lon'], at(-129.995, .01, f['col']), rtol=1e-6)
        order = list(zip(f['col'], f['row']))
        assert order == sorted(order)

def write_grib(path, rain):
    "Write a field as MRMS does: from the north, longitudes from 0 to 360"
    import eccodes
    message = eccodes.codes_grib_new_from_samples('regular_ll_sfc_grib2')
    for k, v in dict(
            Ni=len(lon), Nj=len(lat), bitsPerValue=16, decimalPrecision=1,
            latitudeOfFirstGridPointInDegrees=lat[0], iDirectionIncrementInDegrees=.01,
            latitudeOfLastGridPointInDegrees=lat[-1], jDirectionIncrementInDegrees=.01,
            longitudeOfFirstGridPointInDegrees=lon[0] + 360,
            longitudeOfLastGridPointInDegrees=lon[-1] + 360).items():
        eccodes.codes_set(message, k, v)
    eccodes.codes_set_values(message, rain.ravel())
    path.write_bytes(gzip.compress(eccodes.codes_get_message(message)))
    eccodes.codes_release(message)

with tempfile.TemporaryDirectory() as d:
    d = Path(d)
    files, by_name = [d/name for name in names], dict(zip(names, fields))
    read = lambda f: (by_name[f.name], lat, lon)
    write_tiles(d/'tiles.npz', files[::-1], read)
    with np.load(d/'tiles.npz') as f:
        assert all(np.array_equal(f[k], made[k]) for k in made), 'in any order'
    late = [*files[:2], d/names[2].replace('0400', '0600')]
    try: write_tiles(d/'tiles.npz', late, read)
    except SystemExit as e: assert 'evenly' in str(e)
    else: sys.exit('a missing frame is not noticed')
    if find_spec('eccodes'):
        for path, rain in zip(files, fields): write_grib(path, rain)
        sys.argv = ['mrms_tiles.py', 'tiles', str(d/'again.npz'), *map(str, files)]
        mrms_tiles.main()
        with np.load(d/'again.npz') as f:
            for k in made:
                if k == 'time': assert (f[k] == made[k]).all()
                else: np.testing.assert_allclose(f[k], made[k], rtol=1e-6)
    else:
        try: (files[0].write_bytes(b''), read_grib(files[0]))
        except SystemExit as e: assert 'eccodes' in str(e)
        print('skipped: no GRIB file is read, since eccodes is not installed')
print('the tiles of a made-up field are right')
